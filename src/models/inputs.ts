// What pretrained models are given, in Hugging Face's form: rows padded on the right or on the left, and masks. Inside,
// sequences are packed end to end, and padding is nowhere computed.

import { describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { isList } from '../core/kinds.js';
import { Tensor } from '../core/tensor.js';
import { Sequences } from '../nn/sequences.js';
import { packed, rowsOf, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { add, mul } from '../ops/binary.js';
import { concat, gather, unpack } from '../ops/move.js';

/** Rows of numbers, or a tensor [batch, time]. */
export type Rows = readonly (readonly number[] | Int32Array)[] | Tensor;

/** What `forward` of a pretrained model takes; which of it, its family says. */
export interface ModelInputs {
  /** Rows of token ids, int32 [B, T], or packed sequences. */
  inputIds?: Tokens | undefined;
  /** 1 for tokens, 0 for padding, which is on one side of each row. Default: all are tokens. */
  attentionMask?: Rows | undefined;
  /** The number of the segment of each token. Default 0. */
  tokenTypeIds?: Rows | undefined;
  decoderInputIds?: Tokens | undefined;
  decoderAttentionMask?: Rows | undefined;
  /**
   * What is to come out, for the loss: ids for each token, -100 where none is learnt; classes, or numbers, for each
   * sequence.
   */
  labels?: Rows | readonly number[] | readonly (readonly number[])[] | undefined;
  /** For question answering: the token at which the answer begins, and its last one. */
  startPositions?: readonly number[] | Tensor | undefined;
  endPositions?: readonly number[] | Tensor | undefined;
  /** float32 [B, channels, height, width] */
  pixelValues?: Tensor | undefined;
  /** float32 [B, mel bins, frames] */
  inputFeatures?: Tensor | undefined;
}

export interface ForwardOptions {
  /** Whether `hiddenStates` of every layer are given back. Default false. */
  hiddenStates?: boolean | undefined;
  /** Whether attention probabilities of every layer are given back. Default false. */
  attentions?: boolean | undefined;
  /** Whether the loss is computed. Default: if there are labels. */
  loss?: boolean | undefined;
}

/** What comes out, as tensors of the caller's scope; [B, T, …] is padded as the input was, with zeros. */
export interface ModelOutput {
  /** What the head gives: [B, T, vocabulary], [B, T, labels] or [B, labels]. */
  logits?: Tensor;
  /** A scalar, ready for `backward()`. */
  loss?: Tensor;
  lastHiddenState?: Tensor;
  poolerOutput?: Tensor;
  /** [B, features]: the vector of each text that sentence-transformers' `encode` gives, where its modules are there. */
  sentenceEmbedding?: Tensor;
  hiddenStates?: Tensor[];
  attentions?: Tensor[];
  startLogits?: Tensor;
  endLogits?: Tensor;
  encoderLastHiddenState?: Tensor;
  encoderHiddenStates?: Tensor[];
  encoderAttentions?: Tensor[];
  decoderHiddenStates?: Tensor[];
  decoderAttentions?: Tensor[];
  crossAttentions?: Tensor[];
  textEmbeds?: Tensor;
  imageEmbeds?: Tensor;
  logitsPerImage?: Tensor;
  logitsPerText?: Tensor;
  /** What each of two encoders gives by itself. */
  textModelOutput?: ModelOutput;
  visionModelOutput?: ModelOutput;
}

/** Padded rows, packed, and the way back. */
export class PaddedBatch {
  private constructor(
    readonly batch: TokenBatch,
    /** The place in its row at which each sequence begins. */
    readonly starts: readonly number[],
    /** The tokens of each sequence, if they were given as rows. */
    readonly rows: readonly ArrayLike<number>[] | null,
    /** Which of the rows' places are tokens, if padding is in the batch. */
    private readonly isToken: readonly (readonly boolean[])[] | null = null,
  ) {}

  /**
   * Packs rows by their mask; with `withPadding` what the mask hides is kept, for a loss that wants it, but is zero in
   * results. Throws ArgumentError, ShapeError if they do not fit together.
   */
  static from(
    device: Device,
    name: string,
    tokens: Tokens | undefined,
    mask: Rows | undefined,
    withPadding = false,
  ): PaddedBatch {
    if (tokens === undefined) throw new ArgumentError(`forward: ${name} is missing`);
    if (tokens instanceof TokenBatch || mask === undefined) {
      const batch = TokenBatch.from(device, name, tokens, null);
      const own = tokens instanceof TokenBatch ? null : rowsOf(name, tokens, null).rows;
      return new PaddedBatch(batch, Array<number>(batch.size).fill(0), own);
    }
    const { rows, time } = rowsOf(name, tokens, null);
    if (time === null) throw new ArgumentError(`forward: ${name} is packed, whose lengths say what a mask would`);
    const marks = rowsOf('attentionMask', mask, null).rows;
    if (marks.length !== rows.length)
      throw new ShapeError(`forward: attentionMask has ${marks.length} rows, ${name} has ${rows.length}`);
    const spans = rows.map((row, i) => spanOf(marks[i] as ArrayLike<number>, row.length, i));
    if (withPadding && spans.some(({ start, end }) => end - start < time)) {
      const isToken = spans.map(({ start, end }) => Array.from({ length: time }, (_, i) => i >= start && i < end));
      const batch = TokenBatch.from(device, name, tokens, null);
      return new PaddedBatch(batch, Array<number>(batch.size).fill(0), rows, isToken);
    }
    const kept = rows.map((row, i) => Array.from(row).slice(spans[i]?.start, spans[i]?.end));
    const batch = TokenBatch.from(device, name, packed(kept), null, time);
    return new PaddedBatch(
      batch,
      spans.map(({ start }) => start),
      kept,
    );
  }

  /** The sequences as layers take them. */
  get sequences(): Sequences {
    const { batch, isToken } = this;
    return isToken ? new Sequences(batch.positions, batch.lengths, batch.counts, isToken) : batch;
  }

  /** One number for each row of tokens, [N, 1], as [B, T] for a softmax over T, in which what is no row has no share. */
  scores(x: Tensor): Tensor {
    const { lengths, counts, longest, size } = this.batch;
    const padded = unpack(x, lengths, longest).reshape(size, longest);
    if (counts.every((count) => count === longest)) return padded;
    const hidden = counts.flatMap((count) => Array.from({ length: longest }, (_, i) => (i < count ? 0 : -1e30)));
    return add(padded, x.device.tensor(Float32Array.from(hidden), [size, longest]));
  }

  /** Numbers of rows that lie as the tokens do, packed as they are. Throws ShapeError for others. */
  pack(name: string, rows: Rows): number[] {
    const given = rowsOf(name, rows, null).rows;
    const { counts } = this.batch;
    if (given.length !== counts.length)
      throw new ShapeError(`forward: ${name} has ${given.length} rows, expected ${counts.length}`);
    return given.flatMap((row, i) => {
      const start = this.starts[i] as number;
      const end = start + (counts[i] as number);
      if (row.length < end)
        throw new ShapeError(`forward: row ${i} of ${name} has ${row.length} numbers, expected ${end}`);
      return Array.from(row).slice(start, end);
    });
  }

  /** [N, features] as [B, T, features], zero at padding; as it is, if the input was packed. */
  unpack(x: Tensor): Tensor {
    const { lengths, time, counts, size } = this.batch;
    if (time === null) return x;
    if (this.isToken) {
      const marks = Float32Array.from(this.isToken.flat(), Number);
      return mul(x.reshape(size, time, -1), x.device.tensor(marks, [size, time, 1]));
    }
    if (this.starts.every((start) => start === 0)) return unpack(x, lengths, time);
    const [total, features] = x.shape as [number, number];
    const rows = new Int32Array(size * time).fill(total); // a row of zeros behind the others
    let at = 0;
    for (const [i, count] of counts.entries())
      for (let place = 0; place < count; place++) rows[i * time + (this.starts[i] as number) + place] = at++;
    const padded = concat([x, x.device.zeros([1, features])]);
    return gather(padded, x.device.tensor(rows)).reshape(size, time, features);
  }
}

/** Probabilities [B, heads, queries, keys] of packed sequences as their rows were padded, zero at padding. */
export function unpackMaps(maps: readonly Tensor[], queries: PaddedBatch | null, keys = queries): Tensor[] {
  return maps.map((map) => unpackMap(map, queries, keys));
}

function unpackMap(map: Tensor, queries: PaddedBatch | null, keys: PaddedBatch | null): Tensor {
  const [size, heads, rows, columns] = map.shape as readonly number[] as [number, number, number, number];
  const [time, width] = [queries?.batch.time ?? rows, keys?.batch.time ?? columns];
  const starts = [queries, keys].map((batch) => batch?.starts ?? Array<number>(size).fill(0)) as [number[], number[]];
  if (time === rows && width === columns && starts.flat().every((start) => start === 0)) return map;
  const places = new Int32Array(size * heads * time * width).fill(map.size); // a zero behind the others
  for (let i = 0, from = 0; i < size; i++) {
    const [down, right] = [starts[0][i] as number, starts[1][i] as number];
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, from++)
          if (row + down < time && column + right < width)
            places[((i * heads + head) * time + row + down) * width + column + right] = from;
  }
  const values = concat([map.reshape(map.size, 1), map.device.zeros([1, 1])]);
  return gather(values, map.device.tensor(places)).reshape(size, heads, time, width);
}

/** Where the ones of a row of a mask are, which have no zeros between them. */
function spanOf(marks: ArrayLike<number>, length: number, row: number): { start: number; end: number } {
  if (marks.length !== length)
    throw new ShapeError(`forward: row ${row} of attentionMask has ${marks.length} numbers, expected ${length}`);
  const all = Array.from(marks);
  const start = all.indexOf(1);
  const end = all.lastIndexOf(1) + 1;
  if (start < 0) throw new ShapeError(`forward: row ${row} of attentionMask is all padding`);
  if (all.some((mark, i) => mark !== (i >= start && i < end ? 1 : 0))) {
    throw new ArgumentError(
      `forward: row ${row} of attentionMask hides tokens between others, expected ones with zeros before or after them`,
    );
  }
  return { start, end };
}

/** A number for each sequence. */
export function perSequence(name: string, values: unknown, count: number): number[] {
  const all = values instanceof Tensor ? Array.from(values.dataSync()) : isList(values) ? Array.from(values) : null;
  if (all === null)
    throw new ArgumentError(`forward: ${name} is ${describeValue(values)}, expected a number for each sequence`);
  const flat = all.flat() as number[];
  if (flat.length === count && flat.every((value) => typeof value === 'number')) return flat;
  throw new ShapeError(`forward: ${name} is ${describeShape([flat.length])}, expected ${count} numbers`);
}
