// A model of a folder before its weights are read: parameters with names and shapes, and the files that have their values.

import { checkOneOf, isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Family } from '../models/family.js';
import { type Json, ModelConfig } from '../models/model-config.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import { familyOfConfig } from '../models/registry.js';
import type { Weights } from '../models/weight-entry.js';
import { Initializer } from '../nn/init.js';
import { architectureOf, headKinds, headOf, modelOf } from './architectures.js';
import { completeConfig } from './config.js';
import type { OnnxChoice } from './onnx/files.js';
import { hasOwnOutput } from './own-output.js';
import { isColbert, isModel2vec } from './sentence/head.js';
import { headOfLayout, partOf, type SentenceLayout, sentenceLayout } from './sentence/layout.js';
import { staticSource } from './sentence/static-source.js';
import type { ModelSource } from './source.js';
import { textWeights } from './text-config.js';
import { openWeights } from './weights.js';

/** The folder of the model itself, and the modules of sentence-transformers around it. */
export interface Backbone {
  readonly backbone: ModelSource;
  readonly layout: SentenceLayout | null;
  /** The head that the modules work on; null if there are none. */
  readonly sentence: HeadKind | null;
}

export async function backboneOf(source: ModelSource): Promise<Backbone> {
  const layout = await sentenceLayout(source);
  const config = (await source.has('config.json')) ? await source.json('config.json') : {};
  if (layout === null) {
    if (isModel2vec(config)) return { backbone: await staticSource(source), layout, sentence: 'none' };
    return { backbone: source, layout, sentence: isColbert(config) ? 'none' : null };
  }
  const sentence = await headOfLayout(source, layout);
  const { path, type } = layout.backbone;
  const part = partOf(source, path);
  return { backbone: type.endsWith('StaticEmbedding') ? await staticSource(part) : part, layout, sentence };
}

/** A model's files, and how they are read. */
export interface BlankSource {
  readonly source: ModelSource;
  /** The config, and the same with the labels that were asked for. */
  readonly json: Json;
  readonly labelled: Json;
  /** True if the model is the language model of a larger one. */
  readonly isPart: boolean;
  /** The file of packed weights of ours, if it is one. */
  readonly file: string | null;
  /** The head that the caller asks for, and the head that modules of sentence-transformers work on. */
  readonly head: HeadKind | undefined;
  readonly sentence: HeadKind | null;
  /** The variant of ONNX files. */
  readonly dtype: OnnxChoice | undefined;
  readonly signal?: AbortSignal | undefined;
  /** True if only headers may be read. An output projection in the file then counts as tied if config.json says so. */
  readonly headersOnly?: boolean | undefined;
}

export interface BlankModel {
  readonly family: Family;
  readonly model: PretrainedModel;
  readonly config: ModelConfig;
  readonly head: HeadKind;
  /** Weights by the model's names; floats if other libraries have quantized them. */
  readonly weights: Weights;
  /** The weights as they are stored. Close it when they are read. */
  readonly stored: Weights;
  /** The config with which the model is saved. */
  readonly saved: Json;
}

/** Settings of config.json that describe quantized weights. */
const QUANTIZATION = ['quantization_config', 'compression_config'];

/** Makes the model of a folder, whose parameters take no memory yet. Throws FormatError. */
export async function blankModel(device: Device, from: BlankSource): Promise<BlankModel> {
  const { source, json, labelled: given, file, signal, headersOnly = false } = from;
  const quantization = file === null && source.weights === undefined ? await quantizationIn(source, json) : null;
  // The model is saved as what it has in memory.
  const labelled = Object.fromEntries(
    Object.entries(given).filter(([key]) => !(quantization && QUANTIZATION.includes(key))),
  );
  // The class of a model that sentence-transformers reads may have another head.
  const head = from.head ?? from.sentence ?? headOf(json);
  const family = await familyOfConfig(json);
  const values = await completeConfig(labelled);
  checkOneOf('loadModel', 'head', head, headKinds);
  const opened = await openWeights(source, { single: file ?? undefined, dtype: from.dtype });
  const stored = from.isPart ? textWeights(opened) : named(opened, family.fileName);
  try {
    stored.check?.(device);
    const weights =
      quantization === null || stored.named !== undefined ? stored : await dequantized(stored, quantization);
    // GGUF files have no config.json; their config is derived from their tensors and settings.
    const mayDiffer = values.tie_word_embeddings && source.weights === undefined && file === null;
    const isUntied = mayDiffer && (await hasOwnOutput(weights.tensors, headersOnly ? null : device, signal));
    const untied = isUntied ? { tie_word_embeddings: false } : {};
    const config = new ModelConfig({ ...values, ...untied });
    const Model = modelOf(family, architectureOf(family, json, head), json);
    const model = new Model({ init: new Initializer(device, 0, true), config, head });
    const saved = { ...(head === 'question-answering' ? withoutLabels(labelled) : labelled), ...untied };
    return { family, model, config, head, weights, stored, saved };
  } catch (error) {
    stored.close();
    throw error;
  }
}

/** Weights by the names that a family's files have today. */
function named(weights: Weights, fileName: Family['fileName']): Weights {
  if (fileName === undefined) return weights;
  return { ...weights, tensors: new Map([...weights.tensors].map(([name, entry]) => [fileName(name), entry])) };
}

/** Weights in the format of another library become float32. Their reader is loaded when it is needed. */
async function dequantized(weights: Weights, config: Json): Promise<Weights> {
  const { dequantizing } = await import('./quantized/index.js');
  return dequantizing(weights, config);
}

/** The description of quantized weights: in config.json, or in the file that AutoGPTQ wrote beside it. */
async function quantizationIn(source: ModelSource, json: Json): Promise<Json | null> {
  const { quantization_config: config, compression_config: older } = json;
  if (isObject(config ?? older)) return (config ?? older) as Json;
  return (await source.has('quantize_config.json')) ? source.json('quantize_config.json') : null;
}

/** Without labels of a classifier, as many of which transformers would expect where answers begin and end. */
function withoutLabels(config: Record<string, unknown>): Record<string, unknown> {
  const { id2label, label2id: _, num_labels: count, ...others } = config;
  return (isObject(id2label) ? Object.keys(id2label).length : count) === 2 ? config : others;
}
