// Makes a model from a folder without reading its weights: parameters with names and shapes, and the files that have
// their values.

import { checkOneOf, isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import { FormatError } from '../core/errors.js';
import type { Family } from '../models/family.js';
import { type Json, ModelConfig } from '../models/model-config.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import { familyOfConfig } from '../models/registry.js';
import { isTable } from '../models/retrieval/module-folder.js';
import { packedFile } from '../models/saved-packing.js';
import type { Weights } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import { architectureOf, headKinds, headOf, modelOf } from './architectures.js';
import { completeConfig } from './config.js';
import type { Tower } from './onnx/files.js';
import { hasOwnOutput } from './own-output.js';
import { inPresentForm } from './present-form.js';
import { QUANTIZED_PART } from './quantized/names.js';
import {
  headOfLayout,
  isColbert,
  isModel2vec,
  partOf,
  type SentenceLayout,
  sentenceLayout,
} from './sentence/layout.js';
import type { ModelSource } from './source.js';
import { textConfig, textWeights } from './text-config.js';
import { type FolderOptions, loneTower, towerConfig, towerWeights } from './tower.js';
import { openWeights } from './weights.js';

/** A model's folder: its parts and its config. */
export interface ModelFolder {
  /** The folder of the model itself, which modules of sentence-transformers may follow. */
  readonly backbone: ModelSource;
  /** The modules of sentence-transformers; null if there is no list of them. */
  readonly layout: SentenceLayout | null;
  /** The head whose output the modules read; null if there are no modules. */
  readonly modulesHead: HeadKind | null;
  /** The content of config.json. For a language model that is loaded alone: its part of config.json. */
  readonly config: Json;
  /** The `model_type` of the larger model whose language model is loaded alone; null if the whole model is loaded. */
  readonly largerType: string | null;
  /** The name of the file with packed weights that simdformer wrote; null if there is none. */
  readonly packedName: string | null;
  /** The encoder of `config`, if it is loaded alone; null for a whole model. */
  readonly tower: Tower | null;
  /** The head of an encoder that is all that the folder has, whatever head is requested; null for other folders. */
  readonly loneHead: HeadKind | null;
}

/** Finds the parts of a folder. `options` are those of the caller. Throws FormatError, ArgumentError. */
export async function openFolder(source: ModelSource, options: FolderOptions): Promise<ModelFolder> {
  const parts = await partsOf(source);
  const whole = await parts.backbone.json('config.json');
  const { head } = options;
  const lone = options.tower || parts.layout ? null : await loneTower(parts.backbone, whole, options);
  const tower = options.tower ?? lone;
  if (tower !== null) {
    const config = await towerConfig(whole, tower, lone ? undefined : head);
    const packedName = packedFile(whole);
    return { ...parts, config, largerType: null, packedName, tower, loneHead: lone && headOf(config) };
  }
  const text = await textConfig(whole, head);
  const config = text ?? whole;
  return {
    ...parts,
    config,
    largerType: text && String(whole.model_type),
    packedName: packedFile(config),
    tower,
    loneHead: null,
  };
}

async function partsOf(source: ModelSource): Promise<Pick<ModelFolder, 'backbone' | 'layout' | 'modulesHead'>> {
  const layout = await sentenceLayout(source);
  const config = (await source.has('config.json')) ? await source.json('config.json') : {};
  if (layout === null) {
    if (isModel2vec(config)) return { backbone: await staticPart(source), layout, modulesHead: 'none' };
    return { backbone: source, layout, modulesHead: isColbert(config) ? 'none' : null };
  }
  const modulesHead = await headOfLayout(source, layout);
  const { path, type } = layout.backbone;
  const part = partOf(source, path);
  return { backbone: isTable(type) ? await staticPart(part) : part, layout, modulesHead };
}

/** Static embeddings as the files of a model. */
async function staticPart(source: ModelSource): Promise<ModelSource> {
  return (await import('./sentence/static-source.js')).staticSource(source);
}

export interface BlankOptions extends FolderOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * True if only headers may be read. The output projection is then tied to the embedding if config.json says so, even
   * if the file contains one.
   */
  readonly headersOnly?: boolean | undefined;
}

export interface BlankModel {
  readonly family: Family;
  readonly model: PretrainedModel;
  readonly config: ModelConfig;
  readonly head: HeadKind;
  /** Weights by the model's names. Weights that other libraries have quantized are converted to floats. */
  readonly weights: Weights;
  /** The weights in their stored form. The caller closes them after reading. */
  readonly stored: Weights;
  /** The config that `save` writes. */
  readonly saved: Json;
}

/** Settings of config.json that describe quantized weights. */
const QUANTIZATION = ['quantization_config', 'compression_config'];

/** Makes the model of a folder. Its parameters take no memory yet. Throws FormatError. */
export async function blankModel(device: Device, folder: ModelFolder, options: BlankOptions): Promise<BlankModel> {
  const { backbone, config: fileConfig, packedName } = folder;
  const isOwnFormat = packedName !== null || backbone.weights !== undefined;
  const quantization = isOwnFormat ? null : await quantizationIn(backbone, fileConfig);
  const plain = quantization === null ? fileConfig : withoutQuantization(fileConfig);
  // sentence-transformers may use a model with another head than its class has.
  const head = folder.loneHead ?? options.head ?? folder.modulesHead ?? headOf(fileConfig);
  const family = await familyOfConfig(fileConfig);
  const values = await completeConfig(plain);
  checkOneOf('loadModel', 'head', head, headKinds);
  const stored = await storedWeights(family, folder, options);
  const init = new Initializer(device, 0, true);
  try {
    stored.check?.(device);
    const isPlain = quantization === null || stored.named !== undefined;
    if (quantization === null && !isOwnFormat && stored.named === undefined) checkPlain(stored);
    const weights = isPlain ? stored : await dequantized(stored, quantization);
    const mayDiffer = values.tie_word_embeddings && packedName === null;
    const { headersOnly, signal } = options;
    const isUntied = mayDiffer && (await hasOwnOutput(weights.tensors, headersOnly ? null : device, signal));
    const untied = isUntied ? { tie_word_embeddings: false } : {};
    const config = new ModelConfig({ ...values, ...impliedSettings(family, stored, fileConfig), ...untied });
    const Model = modelOf(family, architectureOf(family, fileConfig, head), fileConfig);
    const model = new Model({ init, config, head });
    const saved = { ...(head === 'question-answering' ? withoutLabels(plain) : plain), ...untied };
    return { family, model, config, head, weights, stored, saved };
  } catch (error) {
    init.dispose(); // parts may own tensors when a later part refuses a setting
    stored.close();
    throw error;
  }
}

/** Opens the weights in their stored form, by the names of the family's present files. */
async function storedWeights(
  family: Family,
  { backbone, packedName, largerType, tower }: ModelFolder,
  { dtype, onnxFile }: BlankOptions,
): Promise<Weights> {
  const single = packedName ?? undefined;
  const whole = await openWeights(backbone, { single, dtype, onnxFile, tower: tower ?? undefined, family });
  const all = tower === null ? whole : towerWeights(whole, tower);
  const opened = backbone.replacements ? await replaced(all, backbone.replacements()) : all;
  return largerType === null ? named(opened, family) : textWeights(opened);
}

/** A model is saved in the format that it has in memory, so the file's quantization settings are dropped. */
function withoutQuantization(config: Json): Json {
  const entries = Object.entries(config).filter(([key]) => !QUANTIZATION.includes(key));
  const inner = (key: string, value: unknown) =>
    key === 'text_config' && isObject(value) ? withoutQuantization(value) : value;
  return Object.fromEntries(entries.map(([key, value]) => [key, inner(key, value)]));
}

/** Weights, of which some are replaced. */
async function replaced(weights: Weights, opening: Promise<Weights>): Promise<Weights> {
  const otherWeights = await opening.catch((error: unknown) => {
    weights.close();
    throw error;
  });
  const close = () => {
    weights.close();
    otherWeights.close();
  };
  return { ...weights, tensors: new Map([...weights.tensors, ...otherWeights.tensors]), close };
}

/** Settings that config.json lacks, and that the file's tensors imply. */
function impliedSettings({ impliedBy }: Family, { tensors, foldedNames = [] }: Weights, fileConfig: Json): Json {
  const implied = Object.entries(impliedBy?.([...tensors.keys(), ...foldedNames]) ?? {});
  return Object.fromEntries(implied.filter(([name]) => fileConfig[name] === undefined));
}

/** Renames weights of old files to the family's present names. */
function named(weights: Weights, family: Family): Weights {
  return family.fileName === undefined ? weights : { ...weights, tensors: inPresentForm(weights.tensors, family) };
}

/** Converts weights in the format of another library to float32. The code for that is loaded on demand. */
async function dequantized(weights: Weights, config: Json): Promise<Weights> {
  const { dequantizing } = await import('./quantized/index.js');
  return dequantizing(weights, config);
}

/** Returns the description of quantized weights: from config.json, or from a file of AutoGPTQ or AutoAWQ. */
async function quantizationIn(source: ModelSource, json: Json): Promise<Json | null> {
  const { text_config: text } = json;
  const places = [json, isObject(text) ? text : {}].flatMap((each) => QUANTIZATION.map((name) => each[name]));
  const found = places.find(isObject);
  if (found !== undefined) return found;
  for (const file of ['quantize_config.json', 'quant_config.json'])
    if (await source.has(file)) return source.json(file);
  return null;
}

/** Throws FormatError for quantized weights in a folder without a description of them. */
function checkPlain({ tensors }: Weights): void {
  const name = [...tensors.keys()].find((each) => QUANTIZED_PART.test(each));
  if (name !== undefined)
    throw new FormatError(
      `${name} is part of a quantized weight, but config.json has no quantization_config: copy it from the original folder`,
    );
}

/**
 * Removes the labels of a classifier. For a question-answering head, transformers would expect one output per label.
 */
function withoutLabels(config: Record<string, unknown>): Record<string, unknown> {
  const { id2label, label2id: _, num_labels: count, ...remaining } = config;
  return (isObject(id2label) ? Object.keys(id2label).length : count) === 2 ? config : remaining;
}
