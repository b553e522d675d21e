// The base of all processors of vision-language models: settings, normalization, and the form of a ready image.

import { atOnce } from '../../../core/slices.js';
import type { Features } from '../features.js';
import { type ImageBytes, rgbOf } from '../image.js';
import { isResample, type Pixels } from '../resize.js';
import { type Json, Settings } from '../settings.js';

/** A mean and a deviation of 0.5 for each colour. */
export const HALVES = [0.5, 0.5, 0.5];
/** CLIP's mean and standard deviation of colours. */
export const CLIP_COLORS = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };
/** Maximum of ids, and of pixels per side or image, in a settings file. */
export const MAX_COUNT = 1 << 26;

/** A part of an image's placeholder: text, a token by id, or a number of image features. */
export type PromptPiece = string | { readonly token: number } | { readonly rows: number };

/** An image in the form that a model reads. */
export interface ReadyImage {
  readonly pixelValues: Features;
  /** Further inputs of the model. Lists have a row for each image or tile. */
  readonly spatialShapes?: readonly (readonly number[])[] | undefined;
  readonly pixelAttentionMask?: readonly (readonly number[])[] | undefined;
  readonly imageGridThw?: readonly (readonly number[])[] | undefined;
  /** Column and row of each patch, -1 for padding. */
  readonly imagePositionIds?: readonly (readonly [column: number, row: number])[] | undefined;
  /** The placeholder of the image in the prompt. */
  readonly pieces: readonly PromptPiece[];
}

/** Prepares images for a vision-language model. */
export abstract class ImageTextProcessor {
  protected readonly settings: Settings;
  protected readonly resample: number;
  readonly #scale: number;
  readonly #mean: readonly number[];
  readonly #std: readonly number[];

  /** `config`: the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(
    protected readonly config: Json,
    where: string,
    defaults: { readonly resample: number; readonly mean: readonly number[]; readonly std: readonly number[] },
  ) {
    const settings = new Settings(where, config);
    this.settings = settings;
    this.resample = settings.number('resample', defaults.resample);
    if (!isResample(this.resample)) settings.refuse('resample', this.resample, "a number of PIL's, from 0 to 5");
    this.#scale = settings.boolean('do_rescale', true) ? settings.number('rescale_factor', 1 / 255) : 1;
    const normalizes = settings.boolean('do_normalize', true);
    this.#mean = normalizes ? settings.channels('image_mean', defaults.mean) : [0, 0, 0];
    this.#std = normalizes ? settings.channels('image_std', defaults.std) : [1, 1, 1];
    if (this.#std.includes(0)) settings.refuse('image_std', config.image_std, 'numbers other than 0');
  }

  /** False if prompts already have all special tokens, so that the tokenizer must not add any. */
  readonly addsSpecial: boolean = true;
  /** The placeholder that chat templates write for an image: a token's id, or its text. */
  abstract readonly mark: number | string;

  /** Converts an image to the model's inputs. Pauses after every few milliseconds of work. */
  protected abstract prepareImage(image: Pixels): Generator<undefined, ReadyImage>;

  /** Throws ArgumentError if the value is not an image, or cannot be resized. */
  process(image: ImageBytes): ReadyImage {
    return atOnce(this.processInParts(image));
  }

  /** @internal Same as `process`, with a pause after every few milliseconds of work. */
  *processInParts(image: ImageBytes): Generator<undefined, ReadyImage> {
    return yield* this.prepareImage(yield* rgbOf(image));
  }

  /** A prompt with `count` images for models without a chat template. `mark`: the text of an image token. */
  prompt(text: string, count: number, mark: string, _begin: string): string {
    return text.includes(mark) ? text : mark.repeat(count) + text;
  }

  /** The normalized value of each byte, by channel. */
  protected values(): Float32Array[] {
    return [0, 1, 2].map((channel) => {
      const [mean, std] = [this.#mean[channel] as number, this.#std[channel] as number];
      return Float32Array.from({ length: 256 }, (_, byte) => (byte * this.#scale - mean) / std);
    });
  }

  /** Images of equal size as float32 [images, 3, height, width]. */
  protected *planes(images: readonly Pixels[]): Generator<undefined, Features> {
    const { width, height } = images[0] as Pixels;
    const values = this.values();
    const size = width * height;
    const data = new Float32Array(images.length * 3 * size);
    for (const [i, { data: bytes }] of images.entries())
      for (let channel = 0; channel < 3; channel++) {
        const channelValues = values[channel] as Float32Array;
        const start = (i * 3 + channel) * size;
        for (let pixel = 0; pixel < size; pixel++)
          data[start + pixel] = channelValues[bytes[pixel * 3 + channel] as number] as number;
        yield;
      }
    return { data, shape: [images.length, 3, height, width] };
  }

  /** One side of a size in a settings file, in pixels. */
  protected side(name: string, key: string, fallback: number): number {
    const setting = this.config[name];
    const value = typeof setting === 'object' && setting !== null ? (setting as Json)[key] : setting;
    return new Settings(`${name} of the image processor`, { [key]: value ?? fallback }).count(key, fallback, MAX_COUNT);
  }
}
