// Loads the code that loads predictors at the first call.

import type { FeatureDraft } from '../generate/generate-options.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { Module } from '../nn/module.js';
import type { PredictorOptions } from './load-predictor.js';
import type { ModelLocation } from './open-source.js';

export type { PredictorOptions } from './load-predictor.js';

/**
 * Loads the layers that guess tokens for a model, for `draft` of `generate`. `model` may be packed, or another file of
 * the same model. `from` is a folder, a hub id, or files by name:
 *
 * - Qwen 3.5: the checkpoint of the model, which has a layer for multi-token prediction (`mtp.*`).
 * - Gemma 4: its draft model, such as `google/gemma-4-E2B-it-assistant`.
 *
 * ```ts
 * const draft = await loadPredictor(model, 'Qwen/Qwen3.5-0.8B');
 * const { sequences } = await model.generate([prompt], { draft, maxNewTokens: 100 });
 * draft.dispose();
 * ```
 *
 * Throws ArgumentError for a model of another family. Throws FormatError, naming the file, if the checkpoint has no
 * such layers, or layers of other sizes. Throws FetchError if the hub or the network fails.
 */
export async function loadPredictor(
  model: PretrainedModel,
  from: ModelLocation,
  options: PredictorOptions = {},
): Promise<Module & FeatureDraft> {
  const loader = await import('./load-predictor.js');
  return loader.loadPredictor(model, from, options);
}
