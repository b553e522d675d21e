// Images as tokens of a language model: towers and projections give rows that replace placeholders.

import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { GridSize } from '../nn/interpolation.js';
import { Module } from '../nn/module.js';
import type { StateNames } from '../nn/state-names.js';
import type { ModelInputs } from './inputs.js';
import { ModelConfig } from './model-config.js';
import type { FamilyContext } from './pretrained-model.js';

/** Rows of images, in the order of their placeholders. */
export interface ImageRows {
  /** float32 [N, dModel], the rows of all images end to end. */
  readonly rows: Tensor;
  /** Number of rows of each image. */
  readonly counts: readonly number[];
  /** Rows and columns of each image, if positions follow them. */
  readonly grids?: readonly GridSize[] | undefined;
  /** float32 [N, dModel] each: features that the first layers of the decoder add. */
  readonly added?: readonly Tensor[] | undefined;
}

/**
 * Tokens that attend to later ones. 'none': no token does. 'image': tokens of an image attend to the whole image,
 * within the windows of layers. 'nearby': the same, but only in layers with windows. 'prompt': tokens of a prompt with
 * an image attend to the whole prompt.
 */
export type BidirectionalScope = 'none' | 'image' | 'nearby' | 'prompt';

/** Reads images for a language model. */
export abstract class ImageReader extends Module {
  /** The inputs that it reads. The first one says if there are images. */
  abstract readonly inputNames: readonly (keyof ModelInputs)[];
  /** Id of the token that stands for each row of an image. */
  abstract readonly placeholder: number;
  readonly twoSided: BidirectionalScope = 'none';

  /** Throws ArgumentError, ShapeError or DTypeError for inputs that are not valid images for the model. */
  read(inputs: ModelInputs): ImageRows {
    return atOnce(this.readInParts(inputs));
  }

  /** Same as `read`, yielding after each layer or stage. */
  abstract readInParts(inputs: ModelInputs): Generator<unknown, ImageRows>;
}

/** Settings of the whole model that its language model shares. */
export const SHARED_SETTINGS = [
  'tie_word_embeddings',
  'dtype',
  'torch_dtype',
  'quantization_config',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/** The context of the language model of a larger one. `changes` are settings that the larger one gives it. */
export function textContext(context: FamilyContext, changes: Readonly<Record<string, unknown>> = {}): FamilyContext {
  const { config } = context;
  const shared = SHARED_SETTINGS.filter((key) => config.values[key] != null).map((key) => [key, config.values[key]]);
  const values = { ...config.object('text_config'), ...Object.fromEntries(shared), ...changes };
  return { ...context, config: new ModelConfig(values), whole: config };
}

/** The settings of the model's images. */
export function visionConfig({ config }: FamilyContext): ModelConfig {
  return new ModelConfig(config.object('vision_config'));
}

/** Names with other beginnings, of paths and of tensors in files. */
export function renamed(
  names: StateNames,
  path: readonly [from: string, to: string],
  name: readonly [from: string, to: string],
): StateNames {
  const change = (text: string, [from, to]: readonly [string, string]) =>
    text.startsWith(from) ? to + text.slice(from.length) : text;
  const changed = <T extends string | null>(text: T) => text && change(text, name);
  const target = (stored: StateNames[string]): StateNames[string] => {
    if (typeof stored === 'string') return change(stored, name);
    if ('name' in stored) return { ...stored, name: target(stored.name) as typeof stored.name };
    return stored.map(changed);
  };
  return Object.fromEntries(Object.entries(names).map(([key, stored]) => [change(key, path), target(stored)]));
}
