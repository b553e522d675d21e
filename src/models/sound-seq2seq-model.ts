import { checkDType, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import type { SourceShape } from '../generate/generative.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Memory } from '../nn/decoder-state.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { rowsOf, type Tokens } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import { type ModelInputs, type ModelOutput, type Rows, unpackMaps } from './inputs.js';
import type { BatchLayout } from './pretrained-model.js';
import { type EncodedSource, Seq2SeqModel } from './seq2seq-model.js';

/** Frames of sound: features [B · frames, d], and the sequences that they are. */
interface Frames {
  readonly x: Tensor;
  readonly batch: Sequences;
}

/** Only memory limits the number of frames of a recording. */
const MAX_FRAMES = 1 << 20;

/** A model that reads samples of sound as frames, and writes their text. Sounds have any length. */
export abstract class SoundSeq2SeqModel extends Seq2SeqModel {
  abstract override readonly encoder: Stack;

  /**
   * The first layer's input, [B · frames, dModel]. `values`: float32 [B, samples]. `samples`: how many samples of each
   * row are not padding; null for all.
   */
  protected abstract embedSound(values: Tensor, samples: readonly number[] | null): Tensor;

  /** Returns the number of frames for a number of samples. */
  abstract framesOf(samples: number): number;

  /**
   * Returns the number of frames, among `frames`, that contain sound. `samples`: number of samples that are not
   * padding.
   */
  protected abstract soundFramesOf(samples: number, frames: number): number;

  /** The encoder's output for that of its layers, [B · frames, d]. */
  protected withPositions(hidden: Tensor, _batch: Sequences): Tensor {
    return hidden;
  }

  /** Rows that the decoder attends to, for the encoder's output [N, d]. */
  protected bridge(hidden: Tensor): Tensor {
    return hidden;
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputValues', 'attentionMask', 'decoderInputIds', 'decoderAttentionMask', 'labels'];
  }

  protected override encodeInputs(
    { inputValues, attentionMask }: ModelInputs,
    hiddenStates: Tensor[] | undefined,
  ): EncodedSource {
    const { x, batch } = this.#embed(inputValues, attentionMask);
    const hidden = this.withPositions(this.encoder.forward(x, batch, { hiddenStates }), batch);
    hiddenStates?.splice(-1, 1, hidden);
    const unpack = (y: Tensor) => y.reshape(batch.size, batch.longest, -1); // [B, frames, d]
    return { memory: this.#memoryOf(hidden, batch), unpack, encoderHidden: hidden };
  }

  /** The frames that are not padding, to which the decoder attends. */
  #memoryOf(hidden: Tensor, batch: Sequences): Memory {
    const { isToken } = batch;
    if (isToken === null) return { hidden: this.bridge(hidden), batch };
    const indices = isToken.flat().flatMap((isFrame, i) => (isFrame ? [i] : []));
    const frameBatch = Sequences.of(
      this.device,
      isToken.map((row) => row.filter(Boolean).length),
    );
    return { hidden: this.bridge(gather(hidden, this.device.tensor(Int32Array.from(indices)))), batch: frameBatch };
  }

  #embed(values: unknown, mask?: Rows): Frames {
    if (!(values instanceof Tensor))
      throw new ArgumentError(`forward: inputValues is ${describeValue(values)}, expected a tensor [batch, samples]`);
    checkDType('forward', 'inputValues', values, 'float32');
    const [size, samples] = values.shape as [number, number];
    const frames = values.shape.length === 2 ? this.framesOf(samples) : 0;
    if (frames < 1) {
      const shapes = `inputValues is ${describeShape(values.shape)}`;
      throw new ShapeError(`forward: ${shapes}, expected [batch, samples] with enough samples for a frame`);
    }
    const counts = mask === undefined ? null : this.#countsOf(mask, size, samples);
    const all = Sequences.of(this.device, Array<number>(size).fill(frames));
    const isToken = counts?.map((count) => {
      const encodedFrames = this.soundFramesOf(count, frames);
      return Array.from({ length: frames }, (_, i) => i < encodedFrames);
    });
    const hasPadding = isToken?.flat().includes(false) ?? false;
    const batch = hasPadding ? new Sequences(all.positions, all.lengths, all.counts, isToken) : all;
    return { x: this.embedSound(values, counts), batch };
  }

  /** Number of samples of each row that the mask shows. Padding is at the end. */
  #countsOf(mask: Rows, size: number, samples: number): number[] {
    const { rows } = rowsOf('attentionMask', mask, null);
    if (rows.length !== size)
      throw new ShapeError(`forward: attentionMask has ${rows.length} rows, inputValues has ${size}`);
    return rows.map((row, i) => {
      const marks = Array.from(row);
      const count = marks.lastIndexOf(1) + 1;
      if (marks.length !== samples || count === 0)
        throw new ShapeError(
          `forward: row ${i} of attentionMask has ${marks.length} numbers, expected ${samples}, ones before zeros`,
        );
      if (marks.some((mark, index) => mark !== (index < count ? 1 : 0)))
        throw new ArgumentError(`forward: row ${i} of attentionMask is not ones with zeros after them`);
      return count;
    });
  }

  /**
   * `source`: float32 [B, samples], or [B, frames, dModel] as an encoder's output. The result belongs to the current
   * scope. Throws as `forward`.
   */
  override encode(source: Tokens): Memory;
  override encode(source: string | readonly string[]): never;
  override encode(source: unknown): Memory {
    return this.device.scope(() => atOnce(this.encodeInParts(source)));
  }

  /** @internal See `Model.encodeInParts`. */
  override *encodeInParts(source: unknown): Generator<unknown, Memory> {
    this.beginPass();
    if (!(source instanceof Tensor && source.shape.length === 3)) return yield* this.#read(source);
    const [size, frames] = source.shape as [number, number, number];
    const batch = Sequences.of(this.device, Array<number>(size).fill(frames));
    return this.#memoryOf(source.reshape(size * frames, -1), batch);
  }

  /** Yields after each layer. */
  *#read(values: unknown): Generator<unknown, Memory> {
    const { x, batch } = this.#embed(values);
    yield;
    return this.#memoryOf(this.withPositions(yield* this.encoder.forwardInParts(x, batch), batch), batch);
  }

  /** Sources are samples of any number. */
  get featureShape(): SourceShape {
    return [null];
  }

  /** Shape of an encoder's output, which is also accepted as a source. */
  abstract get encodedShape(): SourceShape;

  /** Number of frames of samples, or of an encoder's output, of this shape. */
  sourceRows(shape: readonly number[]): number {
    return shape.length === 2 ? (shape[0] as number) : this.framesOf(shape[0] as number);
  }

  override get maxSourceLength(): number {
    return MAX_FRAMES;
  }

  protected override readSource(source: unknown): Memory {
    return atOnce(this.#read(source));
  }

  protected override mapsOf(maps: AttentionMaps, _: ModelOutput, { target }: BatchLayout): ModelOutput {
    return {
      encoderAttentions: unpackMaps(maps.encoder, null),
      decoderAttentions: unpackMaps(maps.decoder, target),
      crossAttentions: unpackMaps(maps.cross, target, null),
    };
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: the model reads sound, not tokens');
  }
}
