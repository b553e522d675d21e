// Parts that all kinds of `mmproj` files share: their description, and readers of sizes and names.

import { FormatError } from '../../core/errors.js';
import type { GgufFamily, GgufSettings } from '../../models/family.js';
import type { Json } from '../../models/model-config.js';
import type { GgufMetadata } from './metadata.js';

/** The values of an `mmproj` file, and ids of the vocabulary. */
export interface ProjectorValues {
  readonly vision: GgufSettings;
  readonly metadata: GgufMetadata;
  /** The config of the language model. */
  readonly text: Json;
  /** The id of a token. Throws FormatError if the vocabulary does not have it. */
  id(token: string): number;
}

/** A weight of the checkpoint whose values have another order or shape in the file. */
export interface Arranged {
  readonly name: string;
  readonly shape: readonly number[];
  /** Names of the file's tensors that it consists of. */
  readonly of: readonly string[];
  /** Returns all values in the checkpoint's order, from the values of each tensor. */
  order(values: readonly [Float32Array, ...Float32Array[]]): Float32Array;
}

/** A kind of `mmproj` files, by `clip.projector_type` and the language model. */
export interface Projector {
  /** `model_type` of the whole model. */
  readonly type: string;
  /** Supported model types of its language model. */
  readonly texts: readonly string[];
  /** Prefix of the language model's weights in place of `model.`, and name of the output head. */
  readonly text: string;
  readonly head: string;
  gguf(vision: GgufSettings): GgufFamily;
  arranged?(vision: GgufSettings): readonly Arranged[];
  config(values: ProjectorValues): Json;
  preprocessor(values: ProjectorValues): Json;
}

/** Returns names of modules in a layer, by names of tensors. */
export const ofLayers = (layer: string, names: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([name, moduleName]) => [`v.blk.*.${name}`, `${layer}.${moduleName}`]));

/** The sizes of a tower. */
export const sizesOf = (vision: GgufSettings): Json => ({
  hidden_size: vision.needed('embedding_length'),
  intermediate_size: vision.needed('feed_forward_length'),
  num_hidden_layers: vision.needed('block_count'),
  num_attention_heads: vision.needed('attention.head_count'),
  patch_size: vision.needed('patch_size'),
});

/** The name of the activation. ggml's GELU is the approximation by tanh. */
export function activationOf({ metadata }: ProjectorValues): string {
  if (metadata.flag('clip.use_gelu')) return 'gelu_pytorch_tanh';
  return metadata.flag('clip.use_silu') ? 'silu' : 'quick_gelu';
}

/** The sizes of a tensor. Throws FormatError if it is missing or has another number of dimensions. */
export function shapeOf({ tensors }: GgufSettings, name: string, dimensions: number): readonly number[] {
  const shape = tensors.get(name)?.shape;
  if (shape === undefined) throw new FormatError(`the file has no tensor ${name}`);
  if (shape.length === dimensions) return shape;
  throw new FormatError(`tensor ${name} has ${shape.length} dimensions, expected ${dimensions}`);
}
