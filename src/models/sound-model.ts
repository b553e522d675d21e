import { checkDType, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import { sameShape, Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Memory } from '../nn/decoder-state.js';
import type { LayerNorm } from '../nn/norm.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { rowsOf, type Tokens } from '../nn/token-batch.js';
import { argmax } from '../ops/axis.js';
import { add, mul } from '../ops/binary.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { ctcLoss } from '../ops/ctc-loss.js';
import { slice } from '../ops/move.js';
import { logSoftmax, softmax } from '../ops/softmax.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, type Rows, unpackMaps } from './inputs.js';
import { IGNORED, sequenceLoss } from './losses.js';
import type { PredictionHead } from './prediction-head.js';
import { PretrainedModel } from './pretrained-model.js';

/** Frames of sound: features [B · frames, d], and the sequences that they are. */
export interface Frames {
  readonly x: Tensor;
  readonly batch: Sequences;
}

/** How many samples, or columns of features, a batch of sounds has. */
export interface SoundSize {
  readonly longest: number;
  /** The number in each sound that is not padding. Null if none is padding. */
  readonly counts: readonly number[] | null;
}

/** A model that reads samples of sound, or features of them, as frames, and encodes these as a whole. */
export abstract class SoundModel extends PretrainedModel {
  abstract override readonly encoder: Stack;
  /** The norm after the last layer. It is not part of the hidden states. */
  abstract readonly endNorm: LayerNorm | null;
  override readonly decoder = null;
  abstract override readonly head: PredictionHead | null;

  /**
   * Weights of the input of each layer and the last one's output, whose mean the head reads; null for the latter alone.
   */
  protected readonly layerWeights: Tensor | null = null;

  /**
   * Returns the first layer's input, [B · frames, dModel]. `values`: float32 [B, samples], or [B, columns of features,
   * width]. `batch`: the frames, with padding marked. `counts`: numbers of samples or columns in each row that are not
   * padding; null if none is padding.
   */
  protected abstract embedSound(values: Tensor, batch: Sequences, counts: readonly number[] | null): Tensor;

  /** Returns the number of frames of the result for a number of samples, or of columns of features. */
  abstract framesOf(count: number): number;

  /** Returns the number of frames that the encoder reads. They are those of the result unless an adapter follows. */
  protected encodedFramesOf(count: number): number {
    return this.framesOf(count);
  }

  /** Same for the samples of a sound that padding follows. */
  protected ownEncodedFramesOf(count: number): number {
    return this.encodedFramesOf(count);
  }

  /** Changes the encoder's output before the head reads it. */
  protected adapt(frames: Frames, _size: SoundSize): Frames {
    return frames;
  }

  /** Further outputs of a model without a head, from its features, such as one vector of the sound. */
  protected pooled(_features: Tensor, _batch: Sequences): ModelOutput {
    return {};
  }

  /** Vectors of voices, their logits and, for `labels`, the loss; null for a model with another head. */
  protected voices(_features: Tensor, _batch: Sequences, _labels: ModelInputs['labels']): ModelOutput | null {
    return null;
  }

  /** Features of a column; null if the model reads samples. */
  get featureWidth(): number | null {
    return null;
  }

  /** The name of the sound among the inputs. */
  get soundInput(): 'inputValues' | 'inputFeatures' {
    return this.featureWidth === null ? 'inputValues' : 'inputFeatures';
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.head ? [this.soundInput, 'attentionMask', 'labels'] : [this.soundInput, 'attentionMask'];
  }

  protected override *runInParts(inputs: ModelInputs, options: ForwardOptions): Generator<unknown, ModelOutput> {
    const isRead = options.hiddenStates || this.layerWeights !== null;
    const hiddenStates: Tensor[] | undefined = isRead ? [] : undefined;
    const { x: features, batch } = yield* this.hear(inputs, hiddenStates);
    const rows = (x: Tensor) => x.reshape(batch.size, -1, x.shape.at(-1) as number); // [B, frames, d]
    const output: ModelOutput = {};
    if (hiddenStates && options.hiddenStates) output.hiddenStates = hiddenStates.map(rows);
    if (this.head === null) return { ...output, lastHiddenState: rows(features), ...this.pooled(features, batch) };
    const read = this.layerWeights ? weightedSum(hiddenStates as Tensor[], this.layerWeights) : features;
    const wantsLoss = inputs.labels !== undefined && (options.loss ?? true);
    const voices = this.voices(read, batch, wantsLoss ? inputs.labels : undefined);
    if (voices) return { ...output, ...voices };
    const logits = this.head.forward(read, batch);
    const isOfFrames = this.headKind === 'ctc' || this.headKind === 'frame-classification';
    output.logits = isOfFrames ? rows(logits) : logits;
    if (wantsLoss) output.loss = this.#lossOf(output.logits, batch, inputs.labels as Rows);
    return output;
  }

  #lossOf(logits: Tensor, batch: Sequences, labels: NonNullable<ModelInputs['labels']>): Tensor {
    if (this.headKind === 'ctc') return this.#spellingLoss(logits, batch, labels as Rows);
    if (this.headKind === 'frame-classification') return frameLoss(logits, labels);
    return sequenceLoss(logits, labels, this.settings);
  }

  /** CTC loss of logits [B, frames, vocabulary] and rows of labels; -100 and the blank are left out. */
  #spellingLoss(logits: Tensor, { isToken, counts }: Sequences, labels: Rows): Tensor {
    const blank = this.settings.number('pad_token_id');
    const isLabel = (id: number) => id !== IGNORED && id !== blank;
    const rows = rowsOf('labels', labels, null).rows.map((row) => Array.from(row).filter(isLabel));
    const longest = rows.reduce((max, row) => Math.max(max, row.length), 0);
    const padded = rows.flatMap((row) => [...row, ...Array<number>(longest - row.length).fill(0)]);
    const targets = this.device.tensor(Int32Array.from(padded), [rows.length, longest]);
    return ctcLoss(logSoftmax(logits), targets, {
      lengths: isToken?.map((row) => row.filter(Boolean).length) ?? counts,
      targetLengths: rows.map(({ length }) => length),
      blank,
      reduction: this.settings.text('ctc_loss_reduction') as 'sum' | 'mean',
      zeroInfinity: this.settings.flag('ctc_zero_infinity'),
    });
  }

  /** The encoder's adapted output for the sound among the inputs. Yields after each layer. */
  protected *hear(inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Frames> {
    return yield* this.#encode(this.#embed(inputs[this.soundInput], inputs.attentionMask), hiddenStates);
  }

  *#encode({ x, batch, size }: Frames & { size: SoundSize }, hiddenStates?: Tensor[]): Generator<unknown, Frames> {
    yield;
    const y = yield* this.encoder.forwardInParts(x, batch, { hiddenStates });
    return this.adapt({ x: this.endNorm?.forward(y) ?? y, batch }, size);
  }

  /** The sound as a tensor, [batch, samples] or [batch, columns, width]. Default: as it is given. */
  protected columnsOf(sound: unknown): Tensor {
    if (sound instanceof Tensor) return sound;
    const { soundInput: name, featureWidth: width } = this;
    const expected = width === null ? '[batch, samples]' : `[batch, columns, ${width}]`;
    throw new ArgumentError(`forward: ${name} is ${describeValue(sound)}, expected a tensor ${expected}`);
  }

  #embed(sound: unknown, mask?: Rows): Frames & { size: SoundSize } {
    const { soundInput: name, featureWidth: width } = this;
    const values = this.columnsOf(sound);
    checkDType('forward', name, values, 'float32');
    const [size, count, ...features] = values.shape as [number, number, ...number[]];
    const isFit = sameShape(features, width === null ? [] : [width]);
    const frames = isFit && values.shape.length > 1 ? this.framesOf(count) : 0;
    if (frames < 1) {
      const unit = width === null ? 'samples' : 'columns';
      const expected = width === null ? '[batch, samples]' : `[batch, columns, ${width}]`;
      const shapes = `${name} is ${describeShape(values.shape)}`;
      throw new ShapeError(`forward: ${shapes}, expected ${expected} with enough ${unit} for a frame`);
    }
    const { batch, counts } = this.#frames(size, this.encodedFramesOf(count), mask);
    return { x: this.embedSound(values, batch, counts), batch, size: { longest: count, counts } };
  }

  /** `frames` rows for each sound. Rows of padding are marked, and computed like the others. */
  #frames(size: number, frames: number, mask?: Rows): { batch: Sequences; counts: readonly number[] | null } {
    const all = Sequences.of(this.device, Array<number>(size).fill(frames));
    if (mask === undefined) return { batch: all, counts: null };
    const rows = rowsOf('attentionMask', mask, null).rows;
    if (rows.length !== size)
      throw new ShapeError(`forward: attentionMask has ${rows.length} rows, ${this.soundInput} has ${size}`);
    const counts = rows.map((row) => Array.from(row).filter((mark) => mark !== 0).length);
    const encodedCounts = counts.map((count) => Math.min(frames, this.ownEncodedFramesOf(count)));
    if (encodedCounts.every((count) => count === frames)) return { batch: all, counts };
    const isToken = encodedCounts.map((count) => Array.from({ length: frames }, (_, i) => i < count));
    return { batch: new Sequences(all.positions, all.lengths, all.counts, isToken), counts };
  }

  protected override mapsOf({ encoder }: AttentionMaps): ModelOutput {
    return { attentions: unpackMaps(encoder, null) };
  }

  protected override readSource(source: Tokens): Memory {
    const { x, batch } = atOnce(this.#encode(this.#embed(source)));
    return { hidden: x, batch };
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: the model reads sound, expected forward()');
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  override get startId(): number | null {
    return null;
  }

  override get endIds(): readonly number[] {
    return [];
  }
}

/**
 * The loss of logits [B, frames, classes]. `labels`: float32 of the same shape, the greatest in the class of a frame.
 */
function frameLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>): Tensor {
  if (!(labels instanceof Tensor))
    throw new ArgumentError(`forward: labels is ${describeValue(labels)}, expected a tensor [B, frames, classes]`);
  if (!sameShape(labels.shape, logits.shape))
    throw new ShapeError(`forward: labels is ${describeShape(labels.shape)}, expected ${describeShape(logits.shape)}`);
  const classes = logits.shape[2] as number;
  return crossEntropy(logits.reshape(-1, classes), argmax(labels.reshape(-1, classes), { axis: 1 }));
}

/** The mean of tensors of one shape by softmax(weights). */
function weightedSum(states: readonly Tensor[], weights: Tensor): Tensor {
  const shares = softmax(weights); // [states]
  return states.map((state, i) => mul(state, slice(shares, 0, i, i + 1))).reduce(add);
}
