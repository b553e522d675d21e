// Writes adapters as PEFT does.

import { nodeModule } from '../../backend/node.js';
import { checkOptions } from '../../core/check.js';
import { writeInFolders } from '../../io/atomic-write.js';
import { pathOf } from '../../io/folder.js';
import { type SafetensorsArray, serializeSafetensors } from '../../io/safetensors.js';
import { labelsOf } from '../../models/labels.js';
import { shapeOf } from '../../nn/state-names.js';
import { toStored } from '../../nn/stored-layout.js';
import { parameterOf } from './expert-targets.js';
import type { SaveLoraOptions } from './lora-options.js';
import { ADAPTER_CONFIG, ADAPTER_HEAD, ADAPTER_WEIGHTS, type LoraParts, piecesOfLora } from './lora-parts.js';
import { isNamedBy, type LoraTarget, loraTargets, targetNames } from './lora-targets.js';

const SIGNALS = ['pixelValues', 'inputValues', 'inputFeatures'] as const;

/** PEFT's `task_type` for each kind of head. */
const TASKS: Readonly<Record<string, string>> = {
  'sequence-classification': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'question-answering': 'QUESTION_ANS',
  none: 'FEATURE_EXTRACTION',
};

/** See `Lora.save`. */
export async function saveLora(adapter: LoraParts, folder: string | URL, options: SaveLoraOptions = {}): Promise<void> {
  const files = Object.entries(await loraFiles(adapter, options));
  const path = await pathOf(folder);
  const { join } = await nodeModule<typeof import('node:path')>('path');
  await writeInFolders(new Map(files.map(([name, bytes]) => [join(path, name), [bytes]])));
}

/** See `Lora.toFiles`. */
export async function loraFiles(
  adapter: LoraParts,
  options: SaveLoraOptions = {},
): Promise<Record<string, Uint8Array>> {
  const { baseModel = adapter.model.origin?.from ?? null } = checkOptions('save', options, { baseModel: 'string' });
  const tensors = await Promise.all(
    piecesOfLora(adapter).map(async (piece): Promise<[string, SafetensorsArray]> => {
      const { tensor, start, end } = piece;
      const columns = tensor.device.unscoped(() => tensor.columns(start, end));
      const data = toStored(piece, (await columns.data()) as Float32Array);
      columns.dispose();
      return [piece.name, { dtype: 'F32', shape: shapeOf(piece), data }];
    }),
  );
  const json = (value: object) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  const files: Record<string, Uint8Array> = {
    [ADAPTER_WEIGHTS]: serializeSafetensors(new Map(tensors), { format: 'pt' }),
    [ADAPTER_CONFIG]: json(configOf(adapter, baseModel)),
  };
  const head = labelledHead(adapter);
  if (head !== null) files[ADAPTER_HEAD] = json(head);
  for (const [name, bytes] of (await adapter.model.origin?.companions())?.files ?? [])
    if (/^(tokenizer|special_tokens|vocab|merges|chat_template|spiece|sentencepiece)/.test(name)) files[name] = bytes;
  return files;
}

/** The labels of an adapter's classifier, for which PEFT's files have no field. Null if there is no classifier. */
function labelledHead({ model, modulesToSave }: LoraParts): object | null {
  const { headKind: head, config } = model;
  const isClassifier = head === 'sequence-classification' || head === 'token-classification';
  if (!isClassifier || modulesToSave.length === 0) return null;
  return { head, labels: labelsOf(config), problemType: config.problem_type ?? undefined };
}

function configOf({ settings, model, parts, modulesToSave }: LoraParts, baseModel: string | null): object {
  const { r, alpha, dropout, rsLora, dora, bias, loraBias, rankPattern, alphaPattern, targetParameters } = settings;
  const isParameter = (target: LoraTarget) => isNamedBy(targetParameters, parameterOf(target));
  const writes = model.encoder === null ? 'CAUSAL_LM' : 'SEQ_2_SEQ_LM';
  // PEFT's class for SEQ_2_SEQ_LM names the input input_ids, which Whisper does not have.
  const isTextWriter = model.headKind === 'language-model' && model.takes('inputIds');
  // PEFT's class for features passes inputs_embeds, which models of sounds and images do not have.
  const readsSignals = SIGNALS.some((name) => model.takes(name));
  const known = model.headKind === 'none' && readsSignals ? null : TASKS[model.headKind];
  const task = known ?? (isTextWriter ? writes : null);
  return {
    peft_type: 'LORA',
    task_type: task,
    base_model_name_or_path: baseModel,
    r,
    lora_alpha: alpha,
    lora_dropout: dropout,
    use_rslora: rsLora,
    use_dora: dora,
    rank_pattern: rankPattern,
    alpha_pattern: alphaPattern,
    target_modules: targetNames(
      loraTargets(model),
      parts.flatMap(({ target }) => (isParameter(target) ? [] : [target])),
    ),
    target_parameters: targetParameters.length > 0 ? targetParameters : null,
    modules_to_save: modulesToSave.length > 0 ? modulesToSave : null,
    bias,
    lora_bias: loraBias,
    fan_in_fan_out: model.config.model_type === 'gpt2',
    inference_mode: true,
    init_lora_weights: true,
  };
}
