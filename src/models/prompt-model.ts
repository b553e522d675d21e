import { checkKnown } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { inference } from '../nn/module.js';
import type { TokenBatch, Tokens } from '../nn/token-batch.js';
import { knownIds } from '../ops/host-ids.js';
import type { ImageReader } from './image-reader.js';
import { atIds, ImageTokens, isImageId, type PlacedImage, type ReadImages } from './image-tokens.js';
import { type ModelInputs, PaddedBatch } from './inputs.js';
import { type AdapterChoice, PretrainedModel } from './pretrained-model.js';

/** True for inputs of `forward`, in place of tokens. */
function isInputs(input: Tokens | ModelInputs): input is ModelInputs {
  return typeof input === 'object' && input !== null && 'inputIds' in input;
}

/** A model that reads texts, which may have images among their tokens. */
export abstract class PromptModel extends PretrainedModel {
  /** Reads images, whose rows are tokens; null for a model of text. */
  readonly images: ImageReader | null = null;
  /** The images that prompts name by ids. */
  readonly #imageTokens = new ImageTokens();

  override get readsImages(): boolean {
    return this.images !== null;
  }

  /**
   * Reads images for prompts. In a prompt, the ids of an image replace its placeholders. They are valid for
   * `generate`, `stream`, caches and servers until `dispose()`. Takes the inputs of `forward` that describe images.
   * Throws as `forward`.
   */
  readImages(inputs: ModelInputs): ReadImages {
    const { images } = this;
    if (images === null) throw new ArgumentError('readImages: the model reads no images');
    checkKnown('readImages', inputs, images.inputNames);
    const rows = this.device.unscoped(() => inference(this, () => images.read(inputs)));
    return this.#imageTokens.add(rows);
  }

  /** @internal Same as `readImages`, in slices: it gives way to the event loop between layers. */
  async readImagesAsync(inputs: ModelInputs): Promise<ReadImages> {
    const { images } = this;
    if (images === null) throw new ArgumentError('readImages: the model reads no images');
    checkKnown('readImages', inputs, images.inputNames);
    return this.#imageTokens.add(await inferenceAsync(this, () => images.readInParts(inputs)));
  }

  /**
   * The prompts of inputs with images: rows of ids in which the ids of images replace placeholders. The caller disposes
   * of the images. Throws as `forward`.
   */
  readPrompts({ inputIds, attentionMask, tokenTypeIds: _, mmTokenTypeIds: __, ...rest }: ModelInputs): {
    prompts: number[][];
    dispose(): void;
  } {
    const images = this.readImages(rest);
    try {
      const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask);
      const rows = this.rowsOf(padded.batch).map((row) => Array.from(row));
      padded.batch.dispose();
      const { placeholder } = this.images as ImageReader;
      return { prompts: atIds(rows, placeholder, images.ids), dispose: () => images.dispose() };
    } catch (error) {
      images.dispose();
      throw error;
    }
  }

  /**
   * Continues prompts; see `Model.generate`. A model that reads images also takes the inputs of `forward`, with
   * placeholders for images among `inputIds`.
   */
  override async generate(
    input: Tokens | ModelInputs,
    options: GenerateOptions & AdapterChoice = {},
  ): Promise<GenerateResult> {
    if (!isInputs(input)) return super.generate(input, options);
    const { prompts, dispose } = this.readPrompts(input);
    try {
      return await super.generate(prompts, options);
    } finally {
      dispose();
    }
  }

  /** Same as `generate`, yielding every token; see `Model.stream`. */
  override stream(
    input: Tokens | ModelInputs,
    options: GenerateOptions & AdapterChoice = {},
  ): AsyncGenerator<TokenEvent, GenerateResult, void> {
    return isInputs(input) ? this.#streamInputs(input, options) : super.stream(input, options);
  }

  async *#streamInputs(input: ModelInputs, options: GenerateOptions & AdapterChoice) {
    const { prompts, dispose } = this.readPrompts(input);
    try {
      return yield* super.stream(prompts, options);
    } finally {
      dispose();
    }
  }

  override dispose(): void {
    this.#imageTokens.dispose();
    super.dispose();
  }

  /** The images that the ids of each sequence name. */
  protected placedImages(batch: TokenBatch): PlacedImage[][] {
    if (!this.namesImages(batch.ids)) return batch.counts.map(() => []);
    return this.rowsOf(batch).map((row) => this.#imageTokens.locate(row));
  }

  /** The images that packed ids, int32 [N], name. */
  protected placedAmong(ids: Tensor): PlacedImage[] {
    return this.namesImages(ids) ? this.#imageTokens.locate(knownIds(ids) as Int32Array) : [];
  }

  /** int32 [N]: `ids` with any token for the rows of images, whose embeddings are replaced. */
  protected withoutImages(
    ids: Tensor,
    placedImages: readonly (readonly PlacedImage[])[],
    starts: ArrayLike<number>,
  ): Tensor {
    if (placedImages.every(({ length }) => length === 0)) return ids;
    const text = Int32Array.from(knownIds(ids) as Int32Array);
    const filler = this.settings.numberOrNull('pad_token_id') ?? 0;
    for (const [i, images] of placedImages.entries())
      for (const { start, count } of images)
        text.fill(filler, (starts[i] as number) + start, (starts[i] as number) + start + count);
    return this.device.tensor(text);
  }

  /** The ids of each sequence. Throws ArgumentError for computed ids. */
  protected rowsOf(batch: TokenBatch): Int32Array[] {
    const ids = knownIds(batch.ids);
    if (ids === null) throw new ArgumentError('forward: ids of images are computed, expected ids that the host wrote');
    return splitAs(batch, ids);
  }

  protected namesImages(ids: Tensor): boolean {
    return this.images !== null && (knownIds(ids)?.some(isImageId) ?? false);
  }
}

/**
 * The numbers of each sequence of a batch.
 *
 * @internal
 */
export function splitAs<List extends number[] | Int32Array>(batch: TokenBatch, all: List): List[] {
  const { counts, starts } = batch;
  return counts.map((count, i) => all.slice(starts[i], (starts[i] as number) + count) as List);
}
