// A dry run of `loadModel`. It reads config, tokenizer and headers, and compares them with our model. No weights are
// read.

import type { Device } from '../core/device.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import { ModelConfig } from '../models/model-config.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import { packables, packing, type WeightFormat } from '../models/quantize.js';
import type { WeightEntry } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import { shapeOf } from '../nn/state-names.js';
import { formatOf, tileWords } from '../ops/packed.js';
import { architectureOf, modelOf } from './architectures.js';
import { type BlankModel, blankModel, type ModelFolder, openFolder } from './blank-model.js';
import type { HubOptions } from './hub-options.js';
import { loadCompanions } from './load-model.js';
import { checkOnnxChoice, type OnnxChoice } from './onnx/files.js';
import { openSource } from './open-source.js';
import { adapterBase, isAdapter } from './peft/adapter-folder.js';
import { adapterShapes } from './peft/adapter-tensors.js';
import { optionsOf } from './peft/load-lora.js';
import { ADAPTER_CONFIG, PEFT_PREFIX } from './peft/lora-parts.js';
import { loraTargets } from './peft/lora-targets.js';
import { ownNames } from './peft/module-names.js';
import { isOfHead, matchWeights, type WeightMatch } from './read-weights.js';
import { sentenceHead } from './sentence/head.js';
import { isColbert } from './sentence/layout.js';
import type { ModelSource } from './source.js';

/** Bytes of a model's weights in memory, for each value of the option `weights` of `loadModel`. */
export interface WeightMemory {
  readonly float32: number;
  readonly int8: number;
  readonly int4: number;
}

/** A tensor with another shape than in the model. */
interface Misshapen {
  readonly name: string;
  readonly shape: readonly number[];
  readonly expected: readonly number[];
}

/** The result of a dry run. */
export interface ModelReport {
  readonly name: string;
  /** True if `loadModel` would load the model. */
  readonly fits: boolean;
  /** The reason why the model cannot be read; null if the comparison was possible. */
  readonly problem: string | null;
  /** `model_type` and `architectures` of config.json. */
  readonly type: string | null;
  readonly architectures: readonly string[];
  readonly head: HeadKind | null;
  /** The settings of an adapter; null for a model. */
  readonly adapter: AdapterReport | null;
  readonly parameters: number;
  readonly memory: WeightMemory | null;
  /** Bytes of the stored weights, in total and by type. */
  readonly bytes: number;
  readonly types: Readonly<Record<string, { readonly tensors: number; readonly bytes: number }>>;
  /** Formats of packed weights that simdformer wrote; null if there are none. */
  readonly packed: readonly string[] | null;
  /** Parameters that the file lacks. */
  readonly missing: readonly string[];
  /** Parameters of a head that the file lacks. Loading initializes them at random, as transformers does. */
  readonly newHead: readonly string[];
  /** Tensors that the model does not use. */
  readonly unexpected: readonly string[];
  readonly misshapen: readonly Misshapen[];
  readonly tokenizer: boolean;
  readonly chatTemplate: boolean;
  readonly warnings: readonly string[];
}

interface AdapterReport {
  readonly kind: string;
  readonly base: string;
  readonly r: unknown;
  readonly alpha: unknown;
  readonly targets: readonly string[];
  readonly modulesToSave: readonly string[];
}

/** A report and the model that it describes, without values. The caller disposes of it. */
export interface CheckedModel {
  readonly report: ModelReport;
  /** The model with its own head; null if there is a problem. */
  readonly model: PretrainedModel | null;
  /** A second model without a head; null if the family has no such class. */
  readonly body: PretrainedModel | null;
  dispose(): void;
}

export interface CheckOptions extends HubOptions {
  readonly head?: HeadKind | undefined;
  readonly baseModel?: string | undefined;
  /** The variant of ONNX files, as in `loadModel`. Default: the file with the highest precision. */
  readonly dtype?: OnnxChoice | undefined;
}

/**
 * Compares a folder, a hub id, a URL or a GGUF file with the model that would be loaded. It reads only config,
 * tokenizer and headers. From servers it fetches them by range requests. Errors of the files and the hub are reported
 * as `problem`.
 */
export async function checkModel(device: Device, from: string, options: CheckOptions = {}): Promise<CheckedModel> {
  try {
    const { head, baseModel, dtype, ...hub } = options;
    checkOnnxChoice(dtype);
    const source = await openSource(from, hub, true);
    if (await isAdapter(source)) return await checkAdapter(device, source, baseModel, options);
    if (baseModel !== undefined)
      throw new ArgumentError(`baseModel is given, but ${source.name} is not an adapter: omit it`);
    return await checkFolder(device, source, head, dtype);
  } catch (error) {
    if (!(error instanceof SimdformerError)) throw error;
    const report = { ...EMPTY, name: from, problem: error.message };
    return { report, model: null, body: null, dispose() {} };
  }
}

const EMPTY: Omit<ModelReport, 'name'> = {
  fits: false,
  problem: null,
  type: null,
  architectures: [],
  head: null,
  adapter: null,
  parameters: 0,
  memory: null,
  bytes: 0,
  types: {},
  packed: null,
  missing: [],
  newHead: [],
  unexpected: [],
  misshapen: [],
  tokenizer: false,
  chatTemplate: false,
  warnings: [],
};

async function checkFolder(
  device: Device,
  source: ModelSource,
  head: HeadKind | undefined,
  dtype: OnnxChoice | undefined,
): Promise<CheckedModel> {
  const folder = await openFolder(source, { head, dtype });
  const { config: json, packedName } = folder;
  if (json.format === 'simdformer')
    throw new FormatError(
      `${source.name} is a Transformer of simdformer, expected a model in the format of Hugging Face`,
    );
  const blank = await blankModel(device, folder, { head, dtype, headersOnly: true });
  const { model, stored } = blank;
  try {
    const { renamed, missing, misshapen, ...rest } = await compareWeights(source, folder, blank);
    const warnings = await addCompanions(folder, blank);
    const parts = blank.head === folder.modulesHead ? await addSentenceHead(source, folder, blank, dtype) : [];
    model.origin = {
      from: source.name,
      config: json,
      names: renamed,
      companions: async () => ({ files: new Map(), tensors: async () => [], savedConfig: async (same) => same }),
    };
    const body = bodyOf(blank, json);
    const { formats } = (json.quantization_config ?? {}) as { formats?: readonly string[] };
    const all = {
      missing: [...missing, ...parts.flatMap((part) => part.missing)],
      misshapen: [...misshapen, ...parts.flatMap((part) => part.misshapen)],
    };
    const report: ModelReport = {
      ...EMPTY,
      ...rest,
      ...all,
      name: source.name,
      fits: all.missing.length === 0 && all.misshapen.length === 0,
      head: model.headKind,
      type: String(json.model_type),
      architectures: [json.architectures ?? []].flat().map(String),
      warnings,
      packed: packedName !== null && formats ? formats : null,
      parameters: sizeOf(model),
      memory: memoryOf(model),
      ...storedSizes(stored.tensors.values()),
      tokenizer: model.tokenizer !== null,
      chatTemplate: await hasTemplate(source, model),
    };
    const dispose = () => {
      body?.dispose();
      model.dispose();
    };
    return { report, model, body, dispose };
  } catch (error) {
    model.dispose();
    throw error;
  } finally {
    stored.close();
  }
}

/** Compares the tensors of a folder with the model. `renamed` has the file's names of parameters. */
async function compareWeights(
  source: ModelSource,
  { config, packedName }: ModelFolder,
  { model, weights }: BlankModel,
): Promise<Pick<ModelReport, 'missing' | 'newHead' | 'misshapen' | 'unexpected'> & Pick<WeightMatch, 'renamed'>> {
  const needed = isColbert(config) ? { ...weights, unneeded: new Set(['linear.weight']) } : weights;
  const match = await matchWeights(model, source.name, needed, packedName !== null);
  return {
    renamed: match.renamed,
    missing: match.missing.filter((piece) => !isOfHead(piece)).map(({ name }) => name),
    newHead: match.missing.filter(isOfHead).map(({ name }) => name),
    misshapen: match.misshapen.map(({ piece, shape }) => ({ name: piece.name, shape, expected: shapeOf(piece) })),
    unexpected: match.unused,
  };
}

/** Adds the tokenizer and the processor to the model. Returns the warnings that loading would report. */
async function addCompanions(
  { backbone, largerType }: ModelFolder,
  { model, stored, family, config }: BlankModel,
): Promise<string[]> {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  [model.tokenizer, model.processor] = await loadCompanions(backbone, family, config, warn);
  if (largerType !== null) warn(`it reads more than text (${largerType}): its language model is loaded alone`);
  if (stored.converted !== undefined)
    warn(`some types are not computed with as they are: in memory is ${stored.converted}`);
  for (const note of stored.notes ?? []) warn(note);
  return warnings;
}

/** Adds the modules of sentence-transformers. Returns the reports of those that are models in folders of their own. */
async function addSentenceHead(
  source: ModelSource,
  { layout }: ModelFolder,
  { model, weights }: BlankModel,
  dtype: OnnxChoice | undefined,
): Promise<Pick<ModelReport, 'missing' | 'misshapen'>[]> {
  const reports: Pick<ModelReport, 'missing' | 'misshapen'>[] = [];
  const loadPart = async (part: ModelSource, head: HeadKind) => {
    const checked = await checkFolder(model.device, part, head, dtype);
    checked.body?.dispose();
    const inFolder = (name: string) => `${part.name.slice(source.name.length + 1)}/${name}`;
    const { missing, misshapen } = checked.report;
    reports.push({
      missing: missing.map(inFolder),
      misshapen: misshapen.map((tensor) => ({ ...tensor, name: inFolder(tensor.name) })),
    });
    return checked.model as PretrainedModel;
  };
  model.sentenceHead = await sentenceHead({ source, layout, model, weights, loadPart, headersOnly: true });
  return reports;
}

/** Makes the model without a head; null if the family has no such class. */
function bodyOf({ family, model, config }: BlankModel, json: ModelConfig['values']): PretrainedModel | null {
  if (model.headKind === 'none') return null;
  try {
    const Model = modelOf(family, architectureOf(family, json, 'none'), json);
    const body = new Model({
      init: new Initializer(model.device, 0, true),
      config: new ModelConfig(config.values),
      head: 'none',
    });
    body.tokenizer = model.tokenizer;
    body.processor = model.processor;
    return body;
  } catch (error) {
    if (error instanceof SimdformerError) return null;
    throw error;
  }
}

async function hasTemplate(source: ModelSource, { tokenizer }: PretrainedModel): Promise<boolean> {
  if (source.weights === undefined && (await source.has('chat_template.jinja'))) return true;
  const { chat_template: template } = (tokenizer?.config ?? {}) as { chat_template?: unknown };
  return template !== undefined && template !== null;
}

/** Returns the number of parameters (elements of all parameter tensors). */
export function sizeOf(model: PretrainedModel): number {
  return [...tensorsOf(model)].reduce((sum, { size }) => sum + size, 0);
}

const tensorsOf = (model: PretrainedModel) => new Set(model.statePieces().map(({ tensor }) => tensor));

/** Returns the bytes of a model's weights for each format. */
export function memoryOf(model: PretrainedModel): WeightMemory {
  const packed = packables(model);
  const packedTensors = new Set<unknown>(packed.map(({ weight }) => weight));
  const unpackedSize = [...tensorsOf(model)].reduce(
    (sum, tensor) => sum + (packedTensors.has(tensor) ? 0 : tensor.size),
    0,
  );
  const { device } = model;
  const as = (weights: WeightFormat) => {
    const format = formatOf(device, packing('checkModel', { weights }));
    const words = packed.map(({ weight, transposed }) => {
      const [first, second] = weight.shape as [number, number];
      return transposed ? tileWords(device, format, second, first) : tileWords(device, format, first, second);
    });
    return 4 * words.reduce((sum, count) => sum + count, unpackedSize);
  };
  return { float32: 4 * sizeOf(model), int8: as('int8'), int4: as('int4') };
}

/** Returns the bytes of stored entries, in total and by type. */
function storedSizes(entries: Iterable<WeightEntry>): Pick<ModelReport, 'bytes' | 'types'> {
  const types: Record<string, { tensors: number; bytes: number }> = {};
  let bytes = 0;
  for (const entry of entries) {
    const { byteLength: ofEntry = 4 * entry.size } = entry as { byteLength?: number };
    const { type, byteLength } = entry.file ?? { type: entry.dtype, byteLength: ofEntry };
    const sum = types[type] ?? { tensors: 0, bytes: 0 };
    types[type] = { tensors: sum.tensors + 1, bytes: sum.bytes + byteLength };
    bytes += byteLength;
  }
  return { bytes, types };
}

/** Checks an adapter: its base, and the shapes of its matrices. */
async function checkAdapter(
  device: Device,
  source: ModelSource,
  baseModel: string | undefined,
  { head: wanted, baseModel: _, revision: __, ...hub }: CheckOptions,
): Promise<CheckedModel> {
  const config = await source.json(ADAPTER_CONFIG);
  const { from, options } = await adapterBase(source, baseModel);
  const texts = (value: unknown) => [value ?? []].flat().map(String);
  const adapter: AdapterReport = {
    kind: `${config.peft_type}`,
    base: `${baseModel ?? config.base_model_name_or_path}`,
    r: config.r,
    alpha: config.lora_alpha,
    targets: texts(config.target_modules),
    modulesToSave: texts(config.modules_to_save),
  };
  const base = await checkModel(device, from, { ...hub, revision: options.revision, head: wanted ?? options.head });
  const { model } = base;
  const about = { name: source.name, adapter };
  if (model === null) {
    const problem = `its base cannot be read (baseModel names another one): ${base.report.problem}`;
    return { ...base, report: { ...base.report, ...about, problem } };
  }
  try {
    optionsOf(config, source.name);
    const shapes = await adapterShapes(source);
    const names = ownNames(
      model,
      [...shapes.keys()].map((key) => key.replace(PEFT_PREFIX, '')),
    );
    const stored = new Set(names.values());
    const found = adapterFit(model, shapes, names);
    const { fits } = base.report;
    const report = {
      ...base.report,
      ...about,
      ...found,
      newHead: base.report.newHead.filter((name) => !stored.has(name)),
      fits: fits && found.misshapen.length + found.unexpected.length === 0,
    };
    return { ...base, report };
  } catch (error) {
    base.dispose();
    throw error;
  }
}

/**
 * Compares the matrices of LoRA with the modules that they change, and saved parameters with those of the model.
 * `names` has our name for each name in the file.
 */
function adapterFit(
  model: PretrainedModel,
  shapes: ReadonlyMap<string, readonly number[]>,
  names: ReadonlyMap<string, string | null>,
): Pick<ModelReport, 'unexpected' | 'misshapen'> {
  const targets = new Map(loraTargets(model).map((target) => [target.name, target]));
  const parameters = new Map(model.statePieces().map((piece) => [piece.name, shapeOf(piece)]));
  const misshapen: Misshapen[] = [];
  const unexpected: string[] = [];
  for (const [name, modelName] of names) {
    const [, path, side] = /^(.*)\.lora_(A|B)\.weight$/.exec(modelName ?? '') ?? [];
    const shape = shapes.get(PEFT_PREFIX + name) ?? [];
    if (path === undefined) {
      const expected = parameters.get(modelName ?? '') ?? shape;
      if (`${shape}` !== `${expected}`) misshapen.push({ name, shape, expected });
      continue;
    }
    const target = targets.get(path);
    if (target === undefined) {
      unexpected.push(name);
      continue;
    }
    const [inputs] = target.module.weight.shape as [number, number];
    const expected = side === 'A' ? [shape[0] ?? 0, inputs] : [target.end - target.start, shape[1] ?? 0];
    if (`${shape}` !== `${expected}`) misshapen.push({ name, shape, expected });
  }
  return { unexpected, misshapen };
}
