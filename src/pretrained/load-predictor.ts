import { checkKnown, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../core/errors.js';
import { CausalModel } from '../models/causal-model.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { packing, quantize, type WeightFormat } from '../models/quantize.js';
import { TokenPredictor } from '../models/token-predictor.js';
import type { WeightEntry } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import { withSplitExperts } from './fused-experts.js';
import { checkHubOptions, type HubOptions } from './hub-options.js';
import { type ModelLocation, openSource } from './open-source.js';
import { openWeights } from './weights.js';

export interface PredictorOptions extends HubOptions {
  /** The format to which the layer's matrices are packed, as in `quantize`. Default: 'float32'. */
  weights?: 'float32' | WeightFormat | undefined;
}

const PREFIX = 'mtp.';
/** Tensors of checkpoints that are those of the model itself. */
const SHARED = /^mtp\.(embed_tokens|shared_head)\./;

/** See load-predictor-later.ts. */
export async function loadPredictor(
  model: PretrainedModel,
  from: ModelLocation,
  options: PredictorOptions = {},
): Promise<TokenPredictor> {
  const { weights: format, ...hub } = checkKnown('loadPredictor', options, NAMES);
  checkHubOptions('loadPredictor', hub);
  if (format !== undefined && format !== 'float32') packing('loadPredictor', { weights: format }); // refuses others
  const isModel = isObject(model) && model instanceof CausalModel;
  const init = isModel ? new Initializer(model.device, 0, true) : null;
  const parts = init && (model as CausalModel).predictorParts(init);
  if (init === null || parts === null) {
    const what = isModel ? `a model of the family ${model.config.model_type}` : describeValue(model);
    throw new ArgumentError(`loadPredictor: model is ${what}, expected one of Qwen 3.5`);
  }
  const source = await openSource(from, hub);
  const opened = await openWeights(source);
  const predictor = new TokenPredictor(init, model as CausalModel, parts);
  try {
    const wanted = new Set(predictor.statePieces().map(({ name }) => name));
    const own = [...opened.tensors].filter(([name]) => name.startsWith(PREFIX) && !SHARED.test(name));
    if (own.length === 0)
      throw new FormatError(`${source.name} has no layer for multi-token prediction: no tensor begins with ${PREFIX}`);
    await read(predictor, source.name, withSplitExperts(new Map(own), wanted), hub.signal);
    if (format !== undefined && format !== 'float32') quantize(predictor, { weights: format });
    return predictor.eval();
  } catch (error) {
    predictor.dispose();
    throw error;
  } finally {
    opened.close();
  }
}

const NAMES = ['weights', 'revision', 'token', 'cacheDir', 'onProgress', 'signal'] as const;

async function read(
  predictor: TokenPredictor,
  source: string,
  tensors: ReadonlyMap<string, WeightEntry>,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await predictor.readState(tensors, signal);
  } catch (error) {
    if (error instanceof ArgumentError || error instanceof ShapeError)
      throw new FormatError(`${source}: ${error.message}`, { cause: error });
    throw error;
  }
}
