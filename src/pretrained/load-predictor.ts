import { checkKnown, checkOneOf, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../core/errors.js';
import type { FeatureDraft } from '../generate/generate-options.js';
import { CausalModel } from '../models/causal-model.js';
import type { Gemma4 } from '../models/families/gemma4.js';
import { type Json, ModelConfig } from '../models/model-config.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { quantize, WEIGHT_FORMATS, type WeightFormat } from '../models/quantize.js';
import { TokenPredictor } from '../models/token-predictor.js';
import type { WeightEntry } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import type { Module } from '../nn/module.js';
import { completeConfig } from './config.js';
import { withSplitExperts } from './fused-experts.js';
import { checkHubOptions, type HubOptions, hubOptionNames } from './hub-options.js';
import { type ModelLocation, openSource } from './open-source.js';
import { openWeights } from './weights.js';

export interface PredictorOptions extends HubOptions {
  /** The format to which matrices are packed, as in `quantize`. Default: 'float32'. */
  weights?: 'float32' | WeightFormat | undefined;
}

/** Layers for guesses, as a module. */
type Draft = Module & FeatureDraft;

/** See load-predictor-later.ts. */
export async function loadPredictor(
  model: PretrainedModel,
  from: ModelLocation,
  options: PredictorOptions = {},
): Promise<Draft> {
  const { weights: format, ...hub } = checkKnown('loadPredictor', options, NAMES);
  checkHubOptions('loadPredictor', hub);
  if (format !== undefined) checkOneOf('loadPredictor', 'weights', format, FORMATS);
  if (!(isObject(model) && model instanceof CausalModel)) throw unsuitable(describeValue(model));
  const source = await openSource(from, hub);
  const config = (await source.has('config.json')) ? await source.json('config.json') : {};
  const { tensors, close } = await openWeights(source);
  let draft: Draft | null = null;
  try {
    const isGemma4 = String(model.config.model_type).startsWith('gemma4');
    draft = isGemma4 ? await assistantOf(model as unknown as Gemma4, config, tensors) : layerOf(model);
    const wanted = new Set(draft.statePieces().map(({ name }) => name));
    const draftTensors = new Map([...tensors].filter(([name]) => wanted.has(name) || LAYER.test(name)));
    if (draftTensors.size === 0)
      throw new FormatError(`${source.name} has no layers that guess tokens: no tensor begins with mtp.`);
    await read(draft, source.name, withSplitExperts(draftTensors, wanted), hub.signal);
    if (format !== undefined && format !== 'float32') quantize(draft, { weights: format });
    return draft.eval();
  } catch (error) {
    draft?.dispose();
    throw error;
  } finally {
    close();
  }
}

const FORMATS = ['float32', ...WEIGHT_FORMATS];
const NAMES = ['weights', ...hubOptionNames] as const;
/** Tensors of a layer for multi-token prediction, without those of the model itself. */
const LAYER = /^mtp\.(?!(embed_tokens|shared_head)\.)/;

/** The layer for multi-token prediction of the model's own checkpoint. */
function layerOf(model: CausalModel): TokenPredictor {
  const init = new Initializer(model.device, 0, true);
  const parts = model.predictorParts(init);
  if (parts === null) throw unsuitable(`a model of the family ${model.config.model_type}`);
  return new TokenPredictor(init, model, parts);
}

/** The draft model of a Gemma 4. */
async function assistantOf(model: Gemma4, config: Json, tensors: ReadonlyMap<string, WeightEntry>): Promise<Draft> {
  const { model_type: type, text_config: text } = config;
  if (!/^gemma4(_unified)?_assistant$/.test(String(type)) || !isObject(text))
    throw new FormatError(`config.json: model_type is ${describeValue(type)}, expected gemma4_assistant for a Gemma 4`);
  const { Gemma4Assistant } = await import('../models/families/gemma4-assistant.js');
  const settings = new ModelConfig(await completeConfig({ ...text, model_type: 'gemma4_text' }));
  const ordering = await tensors.get('masked_embedding.token_ordering')?.data();
  const init = new Initializer(model.device, 0, true);
  return new Gemma4Assistant(init, model, new ModelConfig(config), settings, ordering ?? []);
}

function unsuitable(what: string): ArgumentError {
  return new ArgumentError(`loadPredictor: model is ${what}, expected a Qwen 3.5 or a Gemma 4`);
}

async function read(
  draft: Draft,
  source: string,
  tensors: ReadonlyMap<string, WeightEntry>,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await draft.readState(tensors, signal);
  } catch (error) {
    if (error instanceof ArgumentError || error instanceof ShapeError)
      throw new FormatError(`${source}: ${error.message}`, { cause: error });
    throw error;
  }
}
