import { checkKnown, checkOneOf, checkOptions, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import { Transformer } from '../models/families/transformer.js';
import type { Family } from '../models/family.js';
import { fractionsIn } from '../models/json-fractions.js';
import type { Json, ModelConfig } from '../models/model-config.js';
import { PROBLEM_TYPES, type ProblemType } from '../models/prediction-head.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import type { WeightFormat } from '../models/quantize.js';
import type { Packing } from '../models/read-packed.js';
import type { ActivationFormat } from '../nn/weight.js';
import { CACHE_TYPES, type CacheType } from '../ops/kv-cache.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { architectureOf, headKinds } from './architectures.js';
import { type BlankModel, blankModel, type ModelFolder, openFolder } from './blank-model.js';
import { generationOptions, ignoredSettings } from './generation-config.js';
import { checkHubOptions, type HubOptions, hubOptionNames } from './hub-options.js';
import { loadModelTokenizer } from './load-tokenizer.js';
import { checkOnnxChoice, type OnnxChoice, type Tower } from './onnx/files.js';
import { type ModelLocation, openSource } from './open-source.js';
import { checkPacking, packingOf } from './packed-options.js';
import { adapterBase, isAdapter } from './peft/adapter-folder.js';
import { loadProcessor, type Processor } from './processors/load-processor.js';
import { readWeights } from './read-weights.js';
import type { SentenceFolder } from './sentence/head.js';
import { isColbert } from './sentence/layout.js';
import type { ModelSource } from './source.js';
import { checkTower } from './tower.js';
import type { OnWarning } from './warnings.js';

/** A model with its tokenizer and processor, if its folder has them. */
export interface LoadedModel extends PretrainedModel {
  processor: Processor | null;
}

/** A model whose folder has a tokenizer. */
export type TextModel = LoadedModel & { tokenizer: PretrainedTokenizer };

/**
 * The type that `loadModel` returns where `Expected` is expected: that type if it is one of a whole model. Otherwise it
 * is LoadedModel, which parameters accept that need only a part of a model, such as that of `Chat`.
 */
export type ModelFor<Expected> = Expected extends LoadedModel | Transformer ? Expected : LoadedModel;

export interface LoadModelOptions extends HubOptions {
  /**
   * The head of the model. Default: by `architectures` of config.json; 'none' for a decoder of sentence-transformers.
   */
  head?: HeadKind | undefined;
  /**
   * The encoder to load alone, of a model that compares texts with images or sounds, such as CLIP, SigLIP or CLAP. ONNX
   * folders may have a file for each: `text_model.onnx`. Default: the whole model, or the encoder whose file the folder
   * has.
   */
  tower?: Tower | undefined;
  /** The labels of a new classification head. Default: those of config.json. */
  labels?: readonly string[] | undefined;
  /** The kind of prediction of a new head, transformers' `problem_type`: one label, several labels, or a number. */
  problemType?: ProblemType | undefined;
  /**
   * The format to which matrices are packed while they are read. 'auto' keeps the format of the file: 16-bit floats,
   * and the blocks of a GGUF file. See docs/packed-weights.md. Default: 'auto' for a GGUF file, otherwise 'float32'.
   */
  weights?: 'float32' | WeightFormat | 'auto' | undefined;
  /**
   * Type of activations in products with integer weights, as in `quantize`. 'int8' rounds them, 'float32' multiplies
   * with unpacked weights. Default: 'int8'.
   */
  activations?: ActivationFormat | undefined;
  /**
   * `weights` by the names of transformers.js. In a folder with only ONNX files it chooses the file instead: `q8` is
   * `model_quantized.onnx`. An object has a name for each file: `{ encoder_model: 'fp32', decoder_model_merged: 'q4'
   * }`. Default: the file with the highest precision.
   */
  dtype?: OnnxChoice | undefined;
  /**
   * The ONNX file without the ending of its variant, such as `onnx/model_v2` for `onnx/model_v2_q4.onnx`. Files with
   * the usual names are searched in its folder, too. Default: the usual names, in `onnx` and in the model's folder.
   */
  onnxFile?: string | undefined;
  /**
   * The format of keys and values in generation, which becomes the model's `cacheType`. 'float16' takes half of the
   * memory, 'int8' about a quarter. Default: 'float32'.
   */
  cacheType?: CacheType | undefined;
  /**
   * The language of a speech model that has an adapter for each (MMS): a part of the name of `adapter.fra.safetensors`.
   * Default: that of the folder's own weights.
   */
  targetLang?: string | undefined;
  /** The base model of an adapter, a folder or a hub id. Default: the one that the adapter names. */
  baseModel?: string | undefined;
  /**
   * Called with the text and the code of each warning, such as one about unused weights. Default: warnings are written
   * to stderr.
   */
  onWarning?: OnWarning | undefined;
}

/** The options of `loadModel` after all checks, with the defaults that do not depend on the files. */
interface CheckedOptions extends Omit<LoadModelOptions, Exclude<keyof HubOptions, 'signal'>> {
  readonly cacheType: CacheType;
  readonly onWarning: OnWarning;
  /** The options of the hub, without the signal: it aborts loading, but not saving, which opens the source again. */
  readonly hub: Omit<HubOptions, 'signal'>;
}

/** See load-later.ts. */
export async function loadModel<Model = LoadedModel>(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<ModelFor<Model>> {
  return (await openModel(device, from, options)) as ModelFor<Model>;
}

/** See load-later.ts. */
export async function loadTextModel(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<TextModel> {
  const model = await openModel(device, from, options);
  if (!(model instanceof Transformer) && model.tokenizer !== null) return model as TextModel;
  model.dispose();
  const [subject, fix] =
    model instanceof Transformer
      ? ['a Transformer, which may have two tokenizers', 'use loadModel<Transformer>']
      : [`of family ${model.config.model_type}, without a readable tokenizer`, 'add tokenizer.json, or use loadModel'];
  throw new FormatError(`loadTextModel: the model is ${subject}: ${fix}`);
}

async function openModel(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions,
): Promise<LoadedModel | Transformer> {
  if (typeof device?.unscoped !== 'function')
    throw new ArgumentError(`loadModel: device is ${describeValue(device)}, expected await createDevice()`);
  device.assertOpen('loadModel');
  const checked = checkLoadOptions(options);
  const { baseModel, targetLang, hub, signal } = checked;
  const source = await openSource(from, { ...hub, signal });
  if (await isAdapter(source)) return loadAdapted(device, source, baseModel, options);
  if (baseModel !== undefined)
    throw new ArgumentError(`loadModel: baseModel is given, but ${source.name} is not an adapter: omit it`);
  return loadFrom(device, await inLanguage(source, targetLang), from, checked);
}

/**
 * Loads the base of an adapter and adds the adapter to it. Options of the caller take precedence over settings of the
 * adapter.
 */
async function loadAdapted(
  device: Device,
  source: ModelSource,
  baseModel: string | undefined,
  { baseModel: _, revision: __, ...overrides }: LoadModelOptions,
): Promise<LoadedModel> {
  const { from, options } = await adapterBase(source, baseModel);
  const definedOptions = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const { onWarning = warn } = overrides;
  const aboutHead: string[] = [];
  // The adapter may contain the head that its base lacks.
  const onBaseWarning: OnWarning = (message, code) =>
    code === 'new-head' ? aboutHead.push(message) : onWarning(message, code);
  const all = { ...options, ...definedOptions, onWarning: onBaseWarning };
  const model = await loadModel(device, from, all).catch((cause: unknown) => {
    if (!(cause instanceof SimdformerError)) throw cause;
    throw new FormatError(
      `${source.name} is an adapter, and its base ${from} cannot be loaded (baseModel names another one): ${cause.message}`,
      { cause },
    );
  });
  try {
    const { loraFrom } = await import('./peft/load-lora.js');
    const { modulesToSave } = await loraFrom(model, source);
    if (modulesToSave.length === 0) for (const message of aboutHead) onWarning(message, 'new-head');
    if (await source.has('tokenizer.json')) model.tokenizer = await loadModelTokenizer(source);
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

async function loadFrom(
  device: Device,
  source: ModelSource,
  from: ModelLocation,
  options: CheckedOptions,
): Promise<LoadedModel | Transformer> {
  const opened = await openFolder(source, options);
  const { backbone, config, largerType, packedName } = opened;
  if (largerType !== null)
    options.onWarning(
      `${source.name} reads more than text (${largerType}): its language model is loaded alone`,
      'language-model-only',
    );
  const isPacked = packedName !== null || backbone.weights !== undefined;
  if (config.format === 'simdformer') {
    const model = await loadOwn(device, source, options, packingOf({ ...options, isPacked }));
    model.cacheType = options.cacheType;
    return model;
  }
  const folder: FamilyFolder = {
    ...opened,
    config: withTask(config, options),
    source,
    reopen: async () => inLanguage(await openSource(from, options.hub), options.targetLang),
    loadPart: async (part, head) => {
      const ofPart = { ...options, head, labels: undefined, problemType: undefined };
      return (await loadFrom(device, part, part.name, ofPart)) as PretrainedModel;
    },
    isPacked,
  };
  const blank = await blankModel(device, folder, options);
  const { model, stored } = blank;
  try {
    await fillModel(blank, folder, options);
  } catch (error) {
    model.dispose();
    throw error;
  } finally {
    stored.close();
  }
  model.cacheType = options.cacheType;
  return model.eval() as LoadedModel;
}

/** The folder as it is for a language; see `LoadModelOptions.targetLang`. */
async function inLanguage(source: ModelSource, language: string | undefined): Promise<ModelSource> {
  if (language === undefined) return source;
  return (await import('./target-language.js')).withTargetLanguage(source, language);
}

const PACKING_NAMES = ['weights', 'activations', 'dtype', 'onnxFile', 'cacheType'] as const;
const TASK_NAMES = ['head', 'tower', 'labels', 'problemType', 'baseModel', 'targetLang'] as const;
/** The names of `LoadModelOptions`. */
export const loadOptionNames = [...TASK_NAMES, ...PACKING_NAMES, 'onWarning', ...hubOptionNames] as const;

function checkLoadOptions(options: LoadModelOptions): CheckedOptions {
  const { revision, token, cacheDir, onProgress, ...loadOptions } = checkKnown('loadModel', options, loadOptionNames);
  const { head, labels, problemType, weights, activations, dtype, onnxFile, baseModel, targetLang, signal } =
    loadOptions;
  const { cacheType = 'float32', onWarning = warn } = loadOptions;
  if (typeof onWarning !== 'function')
    throw new ArgumentError(`loadModel: onWarning is ${describeValue(onWarning)}, expected a function`);
  const isLabel = (label: unknown) => typeof label === 'string';
  if (labels !== undefined && !(Array.isArray(labels) && labels.length > 0 && labels.every(isLabel)))
    throw new ArgumentError(`loadModel: labels is ${describeValue(labels)}, expected an array of one or more names`);
  const repeated = labels?.find((label, i) => labels.indexOf(label) < i);
  if (repeated !== undefined)
    throw new ArgumentError(`loadModel: labels has ${describeValue(repeated)} twice, expected different names`);
  if (head !== undefined) checkOneOf('loadModel', 'head', head, headKinds);
  if (problemType !== undefined) checkOneOf('loadModel', 'problemType', problemType, PROBLEM_TYPES);
  const texts = { baseModel: 'string', onnxFile: 'string', targetLang: 'string' } as const;
  checkOptions('loadModel', { baseModel, onnxFile, targetLang }, texts);
  const hub = { revision, token, cacheDir, onProgress };
  checkHubOptions('loadModel', { ...hub, signal });
  checkPacking(weights, activations);
  checkOnnxChoice(dtype);
  checkTower(loadOptions.tower);
  checkOneOf('loadModel', 'cacheType', cacheType, CACHE_TYPES);
  return { ...loadOptions, cacheType, onWarning, hub };
}

/** The folder of a model of a family, and functions that read more of it. */
interface FamilyFolder extends ModelFolder, Pick<SentenceFolder, 'source' | 'loadPart'> {
  /** Opens the source again, for files that are copied when the model is saved. */
  reopen(): Promise<ModelSource>;
  /** True if the file's weights are packed. Their format is kept by default. */
  readonly isPacked: boolean;
}

/** Reads the weights, the tokenizer and the processor, and records the model's source. */
async function fillModel(
  { family, model, config, weights, head, saved }: BlankModel,
  folder: FamilyFolder,
  { dtype, onWarning, signal, ...packing }: CheckedOptions,
): Promise<void> {
  const { backbone, layout, modulesHead, packedName, isPacked } = folder;
  if (model.decoder !== null) {
    const settings = family.readsImages ? { ...(saved.text_config as object), ...saved } : saved;
    await readGenerationConfig(backbone, settings, config, model, onWarning);
  }
  // If there are ONNX files, `dtype` has chosen one already.
  const pack = packingOf({ ...packing, dtype: weights.named === undefined ? dtype : undefined, isPacked });
  // ColBERT's projection of tokens is a module after the model.
  const usedWeights = isColbert(folder.config) ? { ...weights, unneeded: new Set(['linear.weight']) } : weights;
  if (pack !== null && weights.converted !== undefined)
    onWarning(
      `${backbone.name} has types that are not computed with as they are: in memory is ${weights.converted}`,
      'converted-weights',
    );
  for (const note of weights.notes ?? []) onWarning(`${backbone.name}: ${note}`, 'converted-weights');
  const reading = { pack, isPacked: packedName !== null, onWarning, signal };
  const names = await readWeights(model, backbone.name, usedWeights, reading);
  model.origin = {
    from: backbone.name,
    fractions: fractionsIn(await configText(backbone)),
    config: { ...saved, architectures: [architectureOf(family, folder.config, head)] },
    names,
    vocabulary: backbone.vocabulary,
    companions: async () => {
      const { readCompanions } = await import('./companion-files.js');
      const hasHead = head !== modulesHead && head !== 'none';
      const open = () => (backbone.weights ? backbone : folder.reopen());
      return readCompanions(await open(), layout, { hasHead, kept: model.keptNames });
    },
  };
  [model.tokenizer, model.processor] = await loadCompanions(backbone, family, config, onWarning);
  // The modules are used only if the model has the head that they need.
  if (head === modulesHead) {
    const { sentenceFiles, sentenceHead } = await import('./sentence/head.js');
    const { source, loadPart } = folder;
    model.sentenceHead = await sentenceHead({ source, layout, loadPart, model, weights });
    model.origin = { ...model.origin, elsewhere: sentenceFiles(model) };
  }
}

/** Loads a model that `Transformer.save` wrote. */
async function loadOwn(
  device: Device,
  source: ModelSource,
  { head, labels, problemType }: CheckedOptions,
  pack: Packing | null,
) {
  for (const [name, value] of Object.entries({ head, labels, problemType }))
    if (value !== undefined)
      throw new ArgumentError(
        `loadModel: ${name} is given, but ${source.name} is a Transformer, which has no such option: omit it`,
      );
  const files: Record<string, Uint8Array> = {};
  for (const name of ['config.json', 'model.safetensors', 'source-tokenizer.json', 'target-tokenizer.json'])
    if (await source.has(name)) files[name] = await source.bytes(name);
  const { modelFromFiles } = await import('../models/saved.js');
  return modelFromFiles(files, (sizes) => new Transformer(device, sizes, true), pack);
}

/**
 * Loads the tokenizer and the processor of a folder. A model works without them, on ids and numbers, so errors in their
 * files are only warnings.
 */
export async function loadCompanions(
  source: ModelSource,
  family: Family,
  { type, values: config }: ModelConfig,
  onWarning: OnWarning,
): Promise<[PretrainedTokenizer | null, Processor | null]> {
  const orNull = <T>(loading: Promise<T>): Promise<T | null> =>
    loading.catch((error: unknown) => {
      if (!(error instanceof FormatError)) throw error;
      onWarning(error.message, 'unreadable-file');
      return null;
    });
  return [await orNull(loadModelTokenizer(source, family)), await orNull(loadProcessor(source, type, config))];
}

const GENERATION = 'generation_config.json';

/** Sets the options of generation by generation_config.json, or by config.json (`fileConfig`) in older folders. */
async function readGenerationConfig(
  source: ModelSource,
  fileConfig: ModelConfig['values'],
  { values }: ModelConfig,
  model: PretrainedModel,
  onWarning: OnWarning,
) {
  const file = (await source.has(GENERATION)) ? await source.json(GENERATION) : null;
  // Defaults of a config class do not count for the tokens that begin and end a sequence, as in transformers.
  const start = fileConfig.decoder_start_token_id ?? fileConfig.bos_token_id ?? values.decoder_start_token_id;
  const { eos_token_id, forced_eos_token_id } = fileConfig;
  const config = { ...values, decoder_start_token_id: start, eos_token_id, forced_eos_token_id };
  model.generationConfig = generationOptions(file, config, model);
  model.generationFile = file ?? config;
  const ignored = ignoredSettings(file ?? fileConfig);
  if (ignored.length > 0)
    onWarning(`${source.name} asks for ${ignored.join(', ')}, which generate does not have`, 'ignored-setting');
}

/** Returns the text of config.json; an empty text for a GGUF file. */
async function configText(source: ModelSource): Promise<string> {
  return (await source.has('config.json')) && source.weights === undefined
    ? new TextDecoder().decode(await source.bytes('config.json'))
    : '';
}

function warn(message: string): void {
  console.warn(`simdformer: ${message}`);
}

/** Adds the labels and the kind of prediction that the caller requests to config.json. */
function withTask(config: Json, { labels, problemType }: CheckedOptions): Json {
  const id2label = labels && Object.fromEntries(labels.map((label, id) => [String(id), label]));
  const label2id = labels && Object.fromEntries(labels.map((label, id) => [label, id]));
  return {
    ...config,
    ...(labels && { id2label, label2id, num_labels: labels.length }),
    ...(problemType && { problem_type: problemType }),
  };
}
