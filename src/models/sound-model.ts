import { checkDType, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { TraceInput } from '../inspect/trace-types.js';
import type { Memory } from '../nn/decoder-state.js';
import type { LayerNorm } from '../nn/norm.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { rowsOf, type Tokens } from '../nn/token-batch.js';
import { ctcLoss } from '../ops/ctc-loss.js';
import { logSoftmax } from '../ops/softmax.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, type Rows, unpackMaps } from './inputs.js';
import { IGNORED, sequenceLoss } from './losses.js';
import type { PredictionHead } from './prediction-head.js';
import { PretrainedModel } from './pretrained-model.js';

/** Frames of sound: features [B · frames, d], and the sequences that they are. */
interface Frames {
  readonly x: Tensor;
  readonly batch: Sequences;
}

/** A model that reads samples of sound as frames, and encodes these as a whole. */
export abstract class SoundModel extends PretrainedModel {
  abstract override readonly encoder: Stack;
  /** The norm after the last layer. It is no part of the hidden states. */
  abstract readonly endNorm: LayerNorm | null;
  override readonly decoder = null;
  abstract override readonly head: PredictionHead | null;

  /**
   * The first layer's input, [B · frames, dModel]. `values`: float32 [B, samples]. `batch`: the frames; those of padding
   * are marked.
   */
  protected abstract embedSound(values: Tensor, batch: Sequences): Tensor;

  /** Number of frames that so many samples make. */
  abstract framesOf(samples: number): number;

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.head ? ['inputValues', 'attentionMask', 'labels'] : ['inputValues', 'attentionMask'];
  }

  protected override run(inputs: ModelInputs, options: ForwardOptions): ModelOutput {
    const { x: embedded, batch } = this.#embed(inputs.inputValues, inputs.attentionMask);
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const features = this.#encode(embedded, batch, hiddenStates);
    const rows = (x: Tensor) => x.reshape(batch.size, batch.longest, -1); // [B, frames, d]
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map(rows);
    if (this.head === null) return { ...output, lastHiddenState: rows(features) };
    const logits = this.head.forward(features, batch);
    const isSpelled = this.headKind === 'ctc';
    output.logits = isSpelled ? rows(logits) : logits;
    if (!inputs.labels || !(options.loss ?? true)) return output;
    output.loss = isSpelled
      ? this.#spellingLoss(output.logits, batch, inputs.labels as Rows)
      : sequenceLoss(logits, inputs.labels, this.settings);
    return output;
  }

  /** CTC loss of logits [B, frames, vocabulary] and rows of labels; -100 is left out. */
  #spellingLoss(logits: Tensor, { isToken, counts }: Sequences, labels: Rows): Tensor {
    const rows = rowsOf('labels', labels, null).rows.map((row) => Array.from(row).filter((id) => id !== IGNORED));
    const longest = rows.reduce((most, row) => Math.max(most, row.length), 0);
    const padded = rows.flatMap((row) => [...row, ...Array<number>(longest - row.length).fill(0)]);
    const targets = this.device.tensor(Int32Array.from(padded), [rows.length, longest]);
    return ctcLoss(logSoftmax(logits), targets, {
      lengths: isToken?.map((row) => row.filter(Boolean).length) ?? counts,
      targetLengths: rows.map(({ length }) => length),
      blank: this.settings.number('pad_token_id'),
      reduction: this.settings.text('ctc_loss_reduction') as 'sum' | 'mean',
      zeroInfinity: this.settings.flag('ctc_zero_infinity'),
    });
  }

  #encode(x: Tensor, batch: Sequences, hiddenStates?: Tensor[]): Tensor {
    const y = this.encoder.forward(x, batch, { hiddenStates });
    return this.endNorm?.forward(y) ?? y;
  }

  #embed(values: unknown, mask?: Rows): Frames {
    if (!(values instanceof Tensor))
      throw new ArgumentError(`forward: inputValues is ${describeValue(values)}, expected a tensor [batch, samples]`);
    checkDType('forward', 'inputValues', values, 'float32');
    const [size, samples] = values.shape as [number, number];
    const frames = values.shape.length === 2 ? this.framesOf(samples) : 0;
    if (frames < 1) {
      const given = `inputValues is ${describeShape(values.shape)}`;
      throw new ShapeError(`forward: ${given}, expected [batch, samples] with enough samples for a frame`);
    }
    const batch = this.#frames(size, frames, mask);
    return { x: this.embedSound(values, batch), batch };
  }

  /** `frames` rows for each sound. Rows of padding are marked, and computed like the others. */
  #frames(size: number, frames: number, mask?: Rows): Sequences {
    const counts = Array<number>(size).fill(frames);
    const all = Sequences.of(this.device, counts);
    if (mask === undefined) return all;
    const rows = rowsOf('attentionMask', mask, null).rows;
    if (rows.length !== size)
      throw new ShapeError(`forward: attentionMask has ${rows.length} rows, inputValues has ${size}`);
    const own = rows.map((row) => this.framesOf(Array.from(row).filter((mark) => mark !== 0).length));
    if (own.every((count) => count === frames)) return all;
    const isToken = own.map((count) => Array.from({ length: frames }, (_, i) => i < count));
    return new Sequences(all.positions, all.lengths, counts, isToken);
  }

  protected override mapsOf({ encoder }: AttentionMaps): ModelOutput {
    return { attentions: unpackMaps(encoder, null) };
  }

  protected override readSource(source: Tokens): Memory {
    const { x, batch } = this.#embed(source);
    return { hidden: this.#encode(x, batch), batch };
  }

  /** @internal Input of the layers for samples, [1, samples]. */
  traceSource(source: readonly number[] | Tensor): TraceInput {
    const { x, batch } = this.#embed(source);
    return { embedding: { token: x, position: null, sum: x }, batch, stack: this.encoder, norm: this.endNorm };
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: the model reads sound, expected forward() with inputValues');
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
