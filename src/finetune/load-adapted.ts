// A model and an adapter of it, from the folder of the adapter alone.

import type { Device } from '../core/device.js';
import { FormatError } from '../core/errors.js';
import { parseSafetensors } from '../io/safetensors.js';
import type { HeadKind } from '../models/pretrained-model.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../pretrained/load-later.js';
import { openSource } from '../pretrained/open-source.js';
import { loadLora } from './load-lora.js';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from './lora-parts.js';

/** What `simdformer finetune` leaves beside a model or an adapter. */
export const SETTINGS = 'finetune.json';

/** Heads by PEFT's `task_type`. */
const HEADS: Readonly<Record<string, HeadKind>> = {
  SEQ_CLS: 'sequence-classification',
  TOKEN_CLS: 'token-classification',
  QUESTION_ANS: 'question-answering',
};

/**
 * Loads the model that an adapter of PEFT or `Lora.save` is for, whose folder or id its `base_model_name_or_path` is, with the
 * head that it brings, and puts the adapter on. `weights`: by default what `simdformer finetune` packed them as. Throws as `loadModel` and `loadLora`.
 */
export async function loadAdapted(
  device: Device,
  folder: string | URL,
  options: Pick<LoadModelOptions, 'weights' | 'onWarning' | 'signal'> & {
    /** Instead of the adapter's own. */ baseModel?: string | undefined;
  } = {},
): Promise<LoadedModel> {
  const { baseModel, ...loading } = options;
  const { signal } = options;
  const source = await openSource(folder, { signal });
  const config = await source.json(ADAPTER_CONFIG);
  const base = baseModel ?? config.base_model_name_or_path;
  if (typeof base !== 'string')
    throw new FormatError(`${source.name}: ${ADAPTER_CONFIG} has no base_model_name_or_path, the model that it is for`);
  const head = HEADS[String(config.task_type)];
  const settings = (await source.has(SETTINGS)) ? await source.json(SETTINGS) : {};
  const { head: known, weights } = settings as { head?: LoadModelOptions; weights?: LoadModelOptions['weights'] };
  const { tensors } = parseSafetensors(await source.bytes(ADAPTER_WEIGHTS));
  const matrix = [...tensors].find(([name]) => /\.(classifier|score|out_proj)\.weight$/.test(name))?.[1];
  const labels = head && matrix && Array.from({ length: matrix.shape[0] as number }, (_, i) => `LABEL_${i}`);
  const model = await loadModel<LoadedModel>(device, base, { head, labels, weights, ...known, ...loading });
  try {
    await loadLora(model, folder, { signal });
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}
