// Loads the code that loads predictors at the first call.

import type { PretrainedModel } from '../models/pretrained-model.js';
import type { TokenPredictor } from '../models/token-predictor.js';
import type { PredictorOptions } from './load-predictor.js';
import type { ModelLocation } from './open-source.js';

export type { PredictorOptions } from './load-predictor.js';

/**
 * Loads the layer of a checkpoint for multi-token prediction, which Qwen 3.5 has: `draft` of `generate` takes it. `from` is
 * the checkpoint of `model`: a folder, a hub id, or files by name. `model` may be another file of the same model.
 *
 * ```ts
 * const draft = await loadPredictor(model, 'Qwen/Qwen3.5-0.8B');
 * const { sequences } = await model.generate([prompt], { draft, maxNewTokens: 100 });
 * draft.dispose();
 * ```
 *
 * Throws ArgumentError for a model of another family. Throws FormatError, naming the file, if the checkpoint has no such
 * layer, or one of other sizes. Throws FetchError if the hub or the network fails.
 */
export async function loadPredictor(
  model: PretrainedModel,
  from: ModelLocation,
  options: PredictorOptions = {},
): Promise<TokenPredictor> {
  const loader = await import('./load-predictor.js');
  return loader.loadPredictor(model, from, options);
}
