// Reads adapters that PEFT wrote, or this package.

import { checkOptions, describeValue } from '../core/check.js';
import { FormatError, ShapeError } from '../core/errors.js';
import { sameShape } from '../core/tensor.js';
import { parseSafetensors, type SafetensorsEntry } from '../io/safetensors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { type StatePiece, shapeOf } from '../nn/state-names.js';
import { spread } from '../nn/stored-layout.js';
import { type ModelFileSet, openSource } from '../pretrained/open-source.js';
import { Lora, type LoraOptions } from './lora.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, piecesOfLora } from './lora-parts.js';

/**
 * Reads an adapter that PEFT or `Lora.save` wrote, from a folder, the hub or files by name, and puts it on a model, which has
 * it switched on. Throws FormatError for what is damaged, of another model, or of a kind that is not supported.
 */
export async function loadLora(
  model: PretrainedModel,
  from: string | URL | ModelFileSet,
  options: Pick<LoraOptions, 'name'> & { signal?: AbortSignal | undefined } = {},
): Promise<Lora> {
  const { name, signal } = checkOptions('loadLora', options, { name: 'any', signal: 'signal' });
  const source = await openSource(from, { signal });
  const settings = settingsOf(await source.json(ADAPTER_CONFIG), source.name);
  const { tensors } = parseSafetensors(await source.bytes(ADAPTER_WEIGHTS));
  const ranks = new Map<string, number>();
  for (const [key, { shape }] of tensors) {
    const target = /^base_model\.model\.(.*)\.lora_A\.weight$/.exec(key)?.[1];
    if (target !== undefined) ranks.set(target, shape[0] as number);
  }
  if (ranks.size === 0) throw new FormatError(`${source.name}: ${ADAPTER_WEIGHTS} has no matrices of LoRA`);
  const adapter = new Lora(model, { ...settings, name }, ranks);
  try {
    readPieces(piecesOfLora(adapter), tensors, source.name);
  } catch (error) {
    adapter.dispose();
    throw error;
  }
  return adapter;
}

function readPieces(pieces: StatePiece[], tensors: ReadonlyMap<string, SafetensorsEntry>, source: string): void {
  const unused = new Set(tensors.keys());
  for (const piece of pieces) {
    const entry = tensors.get(piece.name);
    if (entry === undefined) throw new FormatError(`${source}: ${ADAPTER_WEIGHTS} has no ${piece.name}`);
    const expected = shapeOf(piece);
    if (!sameShape(entry.shape, expected))
      throw new ShapeError(`${source}: ${piece.name} is [${entry.shape}], expected [${expected}] by the model`);
    unused.delete(piece.name);
    spread(piece, Float32Array.from(entry.data() as Float32Array));
  }
  if (unused.size > 0) throw new FormatError(`${source}: the model has no ${[...unused].slice(0, 5).join(', ')}`);
}

/** What of PEFT's settings changes numbers and is not supported has to be as it is here. */
const EXPECTED: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ['LORA'],
  bias: ['none', null, undefined],
  lora_bias: [false, null, undefined],
  use_qalora: [false, null, undefined],
  layer_replication: [null, undefined],
  trainable_token_indices: [null, undefined],
  target_parameters: [null, undefined],
  alora_invocation_tokens: [null, undefined],
};

function settingsOf(config: Readonly<Record<string, unknown>>, source: string): LoraOptions {
  for (const [key, known] of Object.entries(EXPECTED)) {
    const value = config[key];
    if (known.includes(value) || (Array.isArray(value) && value.length === 0)) continue;
    throw new FormatError(`${source}: ${ADAPTER_CONFIG} has ${key} ${describeValue(value)}, expected ${known[0]}`);
  }
  if (Object.keys(Object(config.alpha_pattern)).length > 0)
    throw new FormatError(`${source}: ${ADAPTER_CONFIG} has an alpha_pattern, which is not supported`);
  const { r, lora_alpha, lora_dropout, modules_to_save } = config;
  return {
    r: r as number,
    alpha: lora_alpha as number,
    dropout: (lora_dropout as number | undefined) ?? 0,
    rsLora: config.use_rslora === true,
    dora: config.use_dora === true,
    modulesToSave: Array.isArray(modules_to_save) ? modules_to_save : [],
  };
}
