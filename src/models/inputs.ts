// Inputs of pretrained models in Hugging Face's form: rows padded at the right or left, and masks. Models pack
// sequences end to end and do not compute padding.

import { describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { isList } from '../core/kinds.js';
import { Tensor } from '../core/tensor.js';
import { Sequences } from '../nn/sequences.js';
import { packed, rowsOf, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { add, mul } from '../ops/binary.js';
import { concat, gather, unpack } from '../ops/move.js';

/** Objects in an image, for the loss of detectors. */
export interface DetectionTarget {
  /** Class of each object. */
  readonly classLabels: readonly number[];
  /** [centre x, centre y, width, height] of each object, as shares of the image. */
  readonly boxes: readonly (readonly number[])[];
  /** For segmentation: the mask of each object, 1 inside and 0 outside, [objects, height, width]. */
  readonly masks?: readonly (readonly (readonly number[])[])[] | Tensor | undefined;
}

/** Rows of numbers, or a tensor [batch, time]. */
export type Rows = readonly (readonly number[] | Int32Array)[] | Tensor;

/** Inputs of a pretrained model's `forward`. Its family determines which of them it takes. */
export interface ModelInputs {
  /** Rows of token ids, int32 [B, T], or packed sequences. */
  inputIds?: Tokens | undefined;
  /**
   * 1 for tokens, 0 for padding, [B, T]. Default: all are tokens. Encoders take any mask. Padding after the tokens
   * changes nothing. Padding before or between tokens keeps its positions, and a head that reads the first token may
   * read padding, as in transformers. Decoders without an encoder count positions from the first token, as `generate`
   * does. GPT-2, Hunyuan and Ministral 3 include padding in positions, as in transformers, because their results depend
   * on absolute positions. Models that read images among tokens take no padding between tokens.
   */
  attentionMask?: Rows | undefined;
  /** Index of the segment of each token, [B, T]. Default: 0. */
  tokenTypeIds?: Rows | undefined;
  /**
   * Longformer and LED: 1 for tokens that attend to all others and are seen by all, [B, T]. Default: see the family.
   */
  globalAttentionMask?: Rows | undefined;
  decoderInputIds?: Tokens | undefined;
  decoderAttentionMask?: Rows | undefined;
  /**
   * Expected outputs for the loss: an id for each token (-100: not learned), classes or numbers for each sequence, or
   * the objects in each image.
   */
  labels?: Rows | readonly number[] | readonly (readonly number[])[] | readonly DetectionTarget[] | undefined;
  /** For pretraining: 1 if the second text does not follow the first one, for each sequence. */
  nextSentenceLabel?: readonly number[] | undefined;
  /** ALBERT's pretraining: 1 if the two texts are in reverse order, for each sequence. */
  sentenceOrderLabel?: readonly number[] | undefined;
  /** For question answering: index of the first token of the answer, and of its last one. */
  startPositions?: readonly number[] | Tensor | undefined;
  endPositions?: readonly number[] | Tensor | undefined;
  /**
   * LayoutLMv3: the box of each token, [B, T, 4], left, upper, right and lower edge in thousandths of the page.
   * Default: 0.
   */
  bbox?: readonly (readonly (readonly number[])[])[] | Tensor | undefined;
  /**
   * Pixels of images, float32 [B, channels, height, width]. For lists of patches: float32 [B, patches, height · width ·
   * channels of a patch], or [N, …] end to end.
   */
  pixelValues?: Tensor | undefined;
  /** Rows and columns of each image's patches, [B, 2], for models that read lists of patches. */
  spatialShapes?: Rows | undefined;
  /**
   * 1 for patches, 0 for padding after them, [B, patches]. Default: as `spatialShapes` imply. Of pixels: int32 [images,
   * height, width]. Default: all are pixels.
   */
  pixelAttentionMask?: Rows | undefined;
  /** Frames, rows and columns of each image's patches, [images, 3]. */
  imageGridThw?: Rows | undefined;
  /** Column and row of each patch, int32 [images, patches, 2]; -1 for padding. */
  imagePositionIds?: Tensor | undefined;
  /** Kind of each token, [B, T]: 0 for text, 1 for images. Default: by the placeholders. */
  mmTokenTypeIds?: Rows | undefined;
  /**
   * 1 for pixels, 0 for padding below and to the right of an image, int32 or float32 [B, height, width]. Default: all
   * are pixels.
   */
  pixelMask?: Tensor | undefined;
  /** CLIPSeg: images of what to mark, float32 [B, channels, height, width], in place of texts. */
  conditionalPixelValues?: Tensor | undefined;
  /** SAM: encoded images, float32 [B, features, rows, columns], in place of `pixelValues`. */
  imageEmbeddings?: Tensor | undefined;
  /**
   * Points that mark the objects of masks, in pixels of `pixelValues`: float32 [B, prompts, points, 2], column and row.
   */
  inputPoints?: Tensor | undefined;
  /**
   * Kinds of points, int32 [B, prompts, points]: 1 for the object, 0 for the background, -10 for padding. Default: 1.
   */
  inputLabels?: Tensor | undefined;
  /** Boxes around the objects of masks, float32 [B, prompts, 4]: column and row of two corners. */
  inputBoxes?: Tensor | undefined;
  /** Earlier masks, float32 [B, 1, height, width]: four times the grid of an encoded image. */
  inputMasks?: Tensor | undefined;
  /** float32 [B, mel bins, frames], or [B, columns, features], or for CLAP [B, channels, frames, mel bins]. */
  inputFeatures?: Tensor | undefined;
  /** CLAP with fusion: 1 for each recording whose features are its whole and crops of it, else 0, [B, 1]. */
  isLonger?: Rows | undefined;
  /** Samples of sound, float32 [B, samples]. */
  inputValues?: Tensor | undefined;
  /** Number of the voice, for models of several speakers. Default: none. */
  speakerId?: number | undefined;
  /** Vectors of voices, float32 [B | 1, features]. */
  speakerEmbeddings?: Tensor | undefined;
  /** Frames of speech, float32 [B, frames, bins]. */
  spectrogram?: Tensor | undefined;
}

export interface ForwardOptions {
  /** True to return `hiddenStates` of every layer. Default: false. */
  hiddenStates?: boolean | undefined;
  /** True to return attention probabilities of every layer. Default: false. */
  attentions?: boolean | undefined;
  /** True to compute the loss. Default: true if there are labels. */
  loss?: boolean | undefined;
}

/** Outputs, as tensors of the caller's scope. [B, T, …] is padded with zeros as the input was. */
export interface ModelOutput {
  /** The head's output: [B, T, vocabulary], [B, T, labels] or [B, labels]. */
  logits?: Tensor;
  /** float32 [batch, size]: a vector of each voice, of models with the head 'x-vector'. */
  embeddings?: Tensor;
  /** The loss, a scalar with gradients. */
  loss?: Tensor;
  lastHiddenState?: Tensor;
  poolerOutput?: Tensor;
  /**
   * Shape [B, features]: the vector of each text, as sentence-transformers' `encode` returns it, if the model has its
   * modules.
   */
  sentenceEmbedding?: Tensor;
  hiddenStates?: Tensor[];
  attentions?: Tensor[];
  /** For pretraining: logits of words, [B, T, vocabulary], and of the order of two texts, [B, 2]. */
  predictionLogits?: Tensor;
  seqRelationshipLogits?: Tensor;
  sopLogits?: Tensor;
  startLogits?: Tensor;
  endLogits?: Tensor;
  encoderLastHiddenState?: Tensor;
  encoderHiddenStates?: Tensor[];
  encoderAttentions?: Tensor[];
  decoderHiddenStates?: Tensor[];
  decoderAttentions?: Tensor[];
  crossAttentions?: Tensor[];
  /** Depth of each pixel, [B, height, width]: inverse and relative, or in metres, as the model says. */
  predictedDepth?: Tensor;
  /** Larger or cleaner images, [B, channels, height, width], mostly from 0 to 1. */
  reconstruction?: Tensor;
  /** Samples of speech from -1 to 1, [B, samples], zero after the end of shorter ones. */
  waveform?: Tensor;
  /** int32 [B]: the number of samples of each row of `waveform`. */
  sequenceLengths?: Tensor;
  /** Frames of speech before they become samples. */
  spectrogram?: Tensor;
  textEmbeds?: Tensor;
  imageEmbeds?: Tensor;
  audioEmbeds?: Tensor;
  /**
   * Logits of masks, [B, prompts, masks, height, width], and their predicted quality, [B, prompts, masks]. Detectors
   * have a mask for each query, [B, queries, height, width].
   */
  predMasks?: Tensor;
  iouScores?: Tensor;
  visionHiddenStates?: Tensor[];
  /** Shape [B, queries, 4]: centre x, centre y, width and height of each box, as shares of the image. */
  predBoxes?: Tensor;
  /** Shape [B, patches]: the score of each patch as an object of any kind, and its vector, [B, patches, features]. */
  objectnessLogits?: Tensor;
  classEmbeds?: Tensor;
  /** Scores and boxes of queries before the first layer of a decoder, and after each of its layers. */
  initReferencePoints?: Tensor;
  encTopkLogits?: Tensor;
  encTopkBboxes?: Tensor;
  intermediateLogits?: Tensor;
  intermediateReferencePoints?: Tensor;
  /** RF-DETR: scores and boxes of the queries before the decoder, and the output of each of its layers. */
  encOutputsClass?: Tensor;
  encOutputsCoordLogits?: Tensor;
  intermediateHiddenStates?: Tensor;
  /** The map that a decoder reads, [B, features, height, width]. */
  backboneFeatures?: Tensor;
  logitsPerImage?: Tensor;
  logitsPerAudio?: Tensor;
  logitsPerText?: Tensor;
  /** Output of each of two encoders. */
  textModelOutput?: ModelOutput;
  visionModelOutput?: ModelOutput;
  audioModelOutput?: ModelOutput;
}

/**
 * Handling of padding. 'dropped': not computed. 'kept': computed like tokens, for a loss that reads its outputs.
 * 'keptIfLeading': computed only if a row has padding before a token. Such padding changes the positions of tokens.
 * 'keptIfInside': computed only if a row has padding between tokens, which changes their distances. A function decides
 * by the ids of all rows, and by which of them are tokens.
 */
export type PaddingUse =
  | 'dropped'
  | 'kept'
  | 'keptIfLeading'
  | 'keptIfInside'
  | ((rows: readonly ArrayLike<number>[], isToken: readonly (readonly boolean[])[]) => boolean);

/** Padded rows in packed form, and the way back. */
export class PaddedBatch {
  private constructor(
    readonly batch: TokenBatch,
    /** Column in its row at which each sequence begins. */
    readonly starts: readonly number[],
    /** Tokens of each sequence, if they were given as rows. */
    readonly rows: readonly ArrayLike<number>[] | null,
    /** Marks the tokens in each row, if the batch includes padding. */
    readonly isToken: readonly (readonly boolean[])[] | null = null,
  ) {}

  /**
   * Packs rows by their mask. Results are zero where the mask is 0, whether padding is computed or not. Throws
   * ArgumentError or ShapeError if rows and mask do not fit.
   */
  static from(
    device: Device,
    name: string,
    tokens: Tokens | undefined,
    mask: Rows | undefined,
    padding: PaddingUse = 'dropped',
  ): PaddedBatch {
    if (tokens === undefined) throw new ArgumentError(`forward: ${name} is missing`);
    if (tokens instanceof TokenBatch || mask === undefined) {
      const batch = TokenBatch.from(device, name, tokens, null);
      const originalRows = tokens instanceof TokenBatch ? null : rowsOf(name, tokens, null).rows;
      return new PaddedBatch(batch, Array<number>(batch.size).fill(0), originalRows);
    }
    const { rows, time } = rowsOf(name, tokens, null);
    if (time === null) throw new ArgumentError(`forward: ${name} is packed, whose lengths say what a mask would`);
    const masks = rowsOf('attentionMask', mask, null).rows;
    if (masks.length !== rows.length)
      throw new ShapeError(`forward: attentionMask has ${masks.length} rows, ${name} has ${rows.length}`);
    const seen = rows.map((row, i) => tokensOf(masks[i] as ArrayLike<number>, row.length, i));
    if (typeof padding === 'function' ? padding(rows, seen) : seen.some((row) => hasPadding(row, padding))) {
      if (seen.some((row) => row.length < time))
        throw new ShapeError(`forward: rows of ${name} differ in length, expected ${time} tokens and padding in each`);
      const batch = TokenBatch.from(device, name, tokens, null);
      return new PaddedBatch(batch, Array<number>(batch.size).fill(0), rows, seen);
    }
    const spans = seen.map(spanOf);
    const kept = rows.map((row, i) => Array.prototype.slice.call(row, spans[i]?.start, spans[i]?.end) as number[]);
    const batch = TokenBatch.from(device, name, packed(kept), null, time);
    return new PaddedBatch(
      batch,
      spans.map(({ start }) => start),
      kept,
    );
  }

  /** int32 [N]: column of each token in its row, counting padding before it. */
  get columns(): Tensor {
    const { batch, starts } = this;
    if (starts.every((start) => start === 0)) return batch.positions;
    const shifts = batch.counts.flatMap((count, i) => Array<number>(count).fill(starts[i] as number));
    return add(batch.positions, batch.ids.device.tensor(Int32Array.from(shifts)));
  }

  /** int32 [N]: positions that count tokens other than the padding id; tokens with that id have −1. */
  positionsWithout(padId: number): Tensor {
    const { batch } = this;
    const rows = this.rows?.map((row) => Array.from(row)) ?? [];
    if (!rows.some((row) => row.includes(padId))) return batch.positions;
    const indices = rows.flatMap((row) => {
      let next = 0;
      return row.map((id) => (id === padId ? -1 : next++));
    });
    return batch.ids.device.tensor(Int32Array.from(indices));
  }

  /** The sequences with columns as positions, which counts padding before them. */
  get sequencesInColumns(): Sequences {
    const { batch, isToken } = this;
    return new Sequences(this.columns, batch.lengths, batch.counts, isToken);
  }

  /** The sequences as layers take them. */
  get sequences(): Sequences {
    const { batch, isToken } = this;
    return isToken ? new Sequences(batch.positions, batch.lengths, batch.counts, isToken) : batch;
  }

  /** Rows of tokens, float32 [N, features], without those of padding. */
  ofTokens(x: Tensor): { x: Tensor; batch: Sequences } {
    const { batch, isToken } = this;
    if (isToken === null) return { x, batch };
    const indices = isToken.flat().flatMap((isReal, i) => (isReal ? [i] : []));
    const counts = isToken.map((row) => row.filter(Boolean).length);
    return { x: gather(x, x.device.tensor(Int32Array.from(indices))), batch: Sequences.of(x.device, counts) };
  }

  /** One number per token, [N, 1], as [B, T] for a softmax over T, in which positions without a row have no share. */
  scores(x: Tensor): Tensor {
    const { lengths, counts, longest, size } = this.batch;
    const padded = unpack(x, lengths, longest).reshape(size, longest);
    if (counts.every((count) => count === longest)) return padded;
    const hidden = counts.flatMap((count) => Array.from({ length: longest }, (_, i) => (i < count ? 0 : -1e30)));
    return add(padded, x.device.tensor(Float32Array.from(hidden), [size, longest]));
  }

  /** Numbers in rows like the tokens', packed. Throws ShapeError for other rows. */
  pack(name: string, rows: Rows): number[] {
    const idRows = rowsOf(name, rows, null).rows;
    const { counts } = this.batch;
    if (idRows.length !== counts.length)
      throw new ShapeError(`forward: ${name} has ${idRows.length} rows, expected ${counts.length}`);
    return idRows.flatMap((row, i) => {
      const start = this.starts[i] as number;
      const end = start + (counts[i] as number);
      if (row.length < end)
        throw new ShapeError(`forward: row ${i} of ${name} has ${row.length} numbers, expected ${end}`);
      return Array.from(row).slice(start, end);
    });
  }

  /** float32 [B, T, 1]: 1 for tokens, 0 for padding; null if no padding is computed. */
  get tokenMask(): Tensor | null {
    const { size, longest } = this.batch;
    return this.sequences.tokenMask?.reshape(size, longest, 1) ?? null;
  }

  /** [N, features] as [B, T, features], zero at padding. Unchanged if the input was packed. */
  unpack(x: Tensor): Tensor {
    const { lengths, time, counts, size } = this.batch;
    if (time === null) return x;
    const mask = this.tokenMask;
    if (mask) return mul(x.reshape(size, time, -1), mask);
    if (this.starts.every((start) => start === 0)) return unpack(x, lengths, time);
    const [total, features] = x.shape as [number, number];
    const rows = new Int32Array(size * time).fill(total); // a row of zeros after the others
    let next = 0;
    for (const [i, count] of counts.entries())
      for (let position = 0; position < count; position++)
        rows[i * time + (this.starts[i] as number) + position] = next++;
    const padded = concat([x, x.device.zeros([1, features])]);
    return gather(padded, x.device.tensor(rows)).reshape(size, time, features);
  }
}

/** The length of a batch's rows, the columns at which sequences begin, by default 0, and the tokens if padding counts. */
export interface RowLayout extends Partial<Pick<PaddedBatch, 'starts' | 'tokenMask'>> {
  readonly batch: { readonly time: number | null };
}

/** Probabilities [B, heads, queries, keys] of packed sequences, padded as their rows were, with zeros. */
export function unpackMaps(maps: readonly Tensor[], queries: RowLayout | null, keys = queries): Tensor[] {
  return maps.map((map) => unpackMap(map, queries, keys));
}

function unpackMap(map: Tensor, queries: RowLayout | null, keys: RowLayout | null): Tensor {
  const [size, heads, rows, columns] = map.shape as readonly number[] as [number, number, number, number];
  const [time, width] = [queries?.batch.time ?? rows, keys?.batch.time ?? columns];
  const mask = queries?.tokenMask;
  const shown = mask ? mul(map, mask.reshape(size, 1, rows, 1)) : map;
  const starts = [queries, keys].map((batch) => batch?.starts ?? Array<number>(size).fill(0)) as [number[], number[]];
  if (time === rows && width === columns && starts.flat().every((start) => start === 0)) return shown;
  const indices = new Int32Array(size * heads * time * width).fill(map.size); // a zero after the others
  for (let i = 0, from = 0; i < size; i++) {
    const [down, right] = [starts[0][i] as number, starts[1][i] as number];
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, from++)
          if (row + down < time && column + right < width)
            indices[((i * heads + head) * time + row + down) * width + column + right] = from;
  }
  const values = concat([shown.reshape(map.size, 1), map.device.zeros([1, 1])]);
  return gather(values, map.device.tensor(indices)).reshape(size, heads, time, width);
}

/** Marks the tokens in a row of a mask. */
function tokensOf(mask: ArrayLike<number>, length: number, row: number): boolean[] {
  if (mask.length !== length)
    throw new ShapeError(`forward: row ${row} of attentionMask has ${mask.length} numbers, expected ${length}`);
  const isToken: boolean[] = [];
  for (let i = 0; i < length; i++) {
    const value = mask[i];
    if (value !== 0 && value !== 1)
      throw new ArgumentError(`forward: row ${row} of attentionMask has ${value}, expected 0 or 1`);
    isToken.push(value === 1);
  }
  if (!isToken.includes(true)) throw new ShapeError(`forward: row ${row} of attentionMask is all padding`);
  return isToken;
}

/** True if a row has padding that is computed. */
function hasPadding(isToken: readonly boolean[], padding: Extract<PaddingUse, string>): boolean {
  if (padding === 'dropped') return false;
  if (padding === 'keptIfInside') return hasPaddingInside(isToken);
  const first = isToken.indexOf(false);
  return first >= 0 && (padding === 'kept' || first < isToken.lastIndexOf(true));
}

/** True if a row has padding between tokens. */
export function hasPaddingInside(isToken: readonly boolean[]): boolean {
  return isToken.slice(isToken.indexOf(true), isToken.lastIndexOf(true)).includes(false);
}

/** Range of a row's tokens, without padding between them. */
function spanOf(isToken: readonly boolean[], row: number): { start: number; end: number } {
  if (!hasPaddingInside(isToken)) return { start: isToken.indexOf(true), end: isToken.lastIndexOf(true) + 1 };
  throw new ArgumentError(
    `forward: row ${row} of attentionMask hides tokens between others, expected ones with zeros before or after them; remove the hidden tokens`,
  );
}

/** One number for each sequence. */
export function perSequence(name: string, values: unknown, count: number): number[] {
  const all = values instanceof Tensor ? Array.from(values.dataSync()) : isList(values) ? Array.from(values) : null;
  if (all === null)
    throw new ArgumentError(`forward: ${name} is ${describeValue(values)}, expected a number for each sequence`);
  const flat = all.flat() as number[];
  if (flat.length === count && flat.every((value) => typeof value === 'number')) return flat;
  throw new ShapeError(`forward: ${name} is ${describeShape([flat.length])}, expected ${count} numbers`);
}
