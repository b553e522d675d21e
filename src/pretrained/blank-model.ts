// Makes a model from a folder without reading its weights: parameters with names and shapes, and the files that have
// their values.

import { checkOneOf, isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Family } from '../models/family.js';
import { type Json, ModelConfig } from '../models/model-config.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import { familyOfConfig } from '../models/registry.js';
import { isTable } from '../models/retrieval/module-folder.js';
import type { Weights } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import { architectureOf, headKinds, headOf, modelOf } from './architectures.js';
import { completeConfig } from './config.js';
import type { OnnxChoice } from './onnx/files.js';
import { hasOwnOutput } from './own-output.js';
import { inPresentForm } from './present-form.js';
import {
  headOfLayout,
  isColbert,
  isModel2vec,
  partOf,
  type SentenceLayout,
  sentenceLayout,
} from './sentence/layout.js';
import type { ModelSource } from './source.js';
import { textWeights } from './text-config.js';
import { openWeights } from './weights.js';

/** The folder of the model itself, and the modules of sentence-transformers after it. */
export interface Backbone {
  readonly backbone: ModelSource;
  readonly layout: SentenceLayout | null;
  /** The head whose output the modules read; null if there are no modules. */
  readonly sentence: HeadKind | null;
}

export async function backboneOf(source: ModelSource): Promise<Backbone> {
  const layout = await sentenceLayout(source);
  const config = (await source.has('config.json')) ? await source.json('config.json') : {};
  if (layout === null) {
    if (isModel2vec(config)) return { backbone: await staticPart(source), layout, sentence: 'none' };
    return { backbone: source, layout, sentence: isColbert(config) ? 'none' : null };
  }
  const sentence = await headOfLayout(source, layout);
  const { path, type } = layout.backbone;
  const part = partOf(source, path);
  return { backbone: isTable(type) ? await staticPart(part) : part, layout, sentence };
}

/** Static embeddings as the files of a model. */
async function staticPart(source: ModelSource): Promise<ModelSource> {
  return (await import('./sentence/static-source.js')).staticSource(source);
}

/** A model's files, and options for reading them. */
export interface BlankSource {
  readonly source: ModelSource;
  /** The content of config.json, and the config with the requested labels. */
  readonly json: Json;
  readonly labelled: Json;
  /** True if the model is the language model of a larger model. */
  readonly isPart: boolean;
  /** The name of the file with packed weights that simdformer wrote; null if there is none. */
  readonly file: string | null;
  /** The head that the caller requests, and the head whose output modules of sentence-transformers read. */
  readonly head: HeadKind | undefined;
  readonly sentence: HeadKind | null;
  /** The variant of ONNX files. */
  readonly dtype: OnnxChoice | undefined;
  /** The ONNX file that the caller requests, as in `loadModel`. */
  readonly onnxFile?: string | undefined;
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
export async function blankModel(device: Device, from: BlankSource): Promise<BlankModel> {
  const { source, json, file } = from;
  const quantization = file === null && source.weights === undefined ? await quantizationIn(source, json) : null;
  const labelled = quantization === null ? from.labelled : withoutQuantization(from.labelled);
  // sentence-transformers may use a model with another head than its class has.
  const head = from.head ?? from.sentence ?? headOf(json);
  const family = await familyOfConfig(json);
  const values = await completeConfig(labelled);
  checkOneOf('loadModel', 'head', head, headKinds);
  const stored = await storedWeights(family, from);
  const init = new Initializer(device, 0, true);
  try {
    stored.check?.(device);
    const weights =
      quantization === null || stored.named !== undefined ? stored : await dequantized(stored, quantization);
    const untied = (await isUntied(values, weights, device, { ...from, head })) ? { tie_word_embeddings: false } : {};
    const config = new ModelConfig({ ...values, ...impliedSettings(family, stored, json), ...untied });
    const Model = modelOf(family, architectureOf(family, json, head), json);
    const model = new Model({ init, config, head });
    const saved = { ...(head === 'question-answering' ? withoutLabels(labelled) : labelled), ...untied };
    return { family, model, config, head, weights, stored, saved };
  } catch (error) {
    init.dispose(); // parts may own tensors when a later part refuses a setting
    stored.close();
    throw error;
  }
}

/** Opens the weights in their stored form, by the names of the family's present files. */
async function storedWeights(family: Family, from: BlankSource): Promise<Weights> {
  const { source, file, dtype, onnxFile } = from;
  const all = await openWeights(source, { single: file ?? undefined, dtype, onnxFile, family });
  const opened = source.replacements ? await replaced(all, source.replacements()) : all;
  return from.isPart ? textWeights(opened) : named(opened, family);
}

/** True if config.json ties the output projection to the embedding, but the file has a projection of its own. */
async function isUntied(
  config: Json,
  { tensors }: Weights,
  device: Device,
  from: BlankSource & { readonly head: HeadKind },
): Promise<boolean> {
  const mayDiffer = config.tie_word_embeddings && from.file === null;
  return !!mayDiffer && hasOwnOutput(tensors, from.head, from.headersOnly ? null : device, from.signal);
}

/** A model is saved in the format that it has in memory, so the file's quantization settings are dropped. */
function withoutQuantization(config: Json): Json {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !QUANTIZATION.includes(key)));
}

/** Weights, of which some are replaced. */
async function replaced(weights: Weights, opening: Promise<Weights>): Promise<Weights> {
  const others = await opening.catch((error: unknown) => {
    weights.close();
    throw error;
  });
  const close = () => {
    weights.close();
    others.close();
  };
  return { ...weights, tensors: new Map([...weights.tensors, ...others.tensors]), close };
}

/** Settings that config.json lacks, and that the file's tensors imply. */
function impliedSettings({ impliedBy }: Family, { tensors }: Weights, given: Json): Json {
  const implied = Object.entries(impliedBy?.([...tensors.keys()]) ?? {});
  return Object.fromEntries(implied.filter(([name]) => given[name] === undefined));
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

/** Returns the description of quantized weights, from config.json or from AutoGPTQ's own file. */
async function quantizationIn(source: ModelSource, json: Json): Promise<Json | null> {
  const { quantization_config: config, compression_config: older } = json;
  if (isObject(config ?? older)) return (config ?? older) as Json;
  return (await source.has('quantize_config.json')) ? source.json('quantize_config.json') : null;
}

/**
 * Removes the labels of a classifier. For a question-answering head, transformers would expect one output per label.
 */
function withoutLabels(config: Record<string, unknown>): Record<string, unknown> {
  const { id2label, label2id: _, num_labels: count, ...others } = config;
  return (isObject(id2label) ? Object.keys(id2label).length : count) === 2 ? config : others;
}
