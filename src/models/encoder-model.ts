import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { bceWithLogits } from '../ops/losses.js';
import {
  type ForwardOptions,
  type ModelInputs,
  type ModelOutput,
  PaddedBatch,
  type PaddingUse,
  unpackMaps,
} from './inputs.js';
import { answerOutput, sequenceLoss, tokenLoss, wantsSpans } from './losses.js';
import type { PredictionHead } from './prediction-head.js';
import { type BatchLayout, PretrainedModel } from './pretrained-model.js';
import { TextEmbeddings } from './text-embeddings.js';

/** A model that reads a text as a whole, as BERT and its descendants do. */
export abstract class EncoderModel extends PretrainedModel {
  abstract override readonly encoder: Stack;
  override readonly decoder = null;
  /** Makes one vector of a sequence, in addition to the head. */
  readonly pooler: PredictionHead | null = null;
  abstract override readonly head: PredictionHead | null;
  /** True if `tokenTypeIds` is an input. */
  protected readonly readsTypes: boolean = true;

  /**
   * Embeddings of tokens, float32 [N, hidden]. `ids`, `positions` (from 0) and `types` (segments, null if all are 0)
   * are int32 [N].
   */
  protected abstract embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor;

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const types = this.readsTypes ? (['tokenTypeIds'] as const) : [];
    return ['inputIds', 'attentionMask', ...types, 'labels', 'startPositions', 'endPositions'];
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const padding = this.paddingUse(inputs, options);
    const padded = PaddedBatch.from(this.device, 'inputIds', inputs.inputIds, inputs.attentionMask, padding);
    layout.source = padded;
    const { batch } = padded;
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const features = yield* this.#features(padded, inputs, hiddenStates);
    const pooled = this.lacksPooler ? null : this.pooler?.forward(features, batch);
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => padded.unpack(state));
    if (this.head === null) {
      output.lastHiddenState = padded.unpack(features);
      if (pooled) output.poolerOutput = pooled;
      if (this.sentenceHead) {
        const unpadded = padded.ofTokens(features);
        const sentence = this.sentenceHead.forward(unpadded.x, unpadded.batch);
        if (sentence) output.sentenceEmbedding = sentence;
      }
      return output;
    }
    return { ...output, ...this.headOutput(this.head, features, padded, inputs, options) };
  }

  /** transformers averages the loss of answer spans over all positions of a row, padding included. */
  protected paddingUse(inputs: ModelInputs, options: ForwardOptions): PaddingUse {
    return this.headKind === 'question-answering' && wantsSpans(inputs, options) ? 'kept' : 'keptIfLeading';
  }

  protected override passFeaturesInParts(inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Tensor> {
    const { inputIds, attentionMask } = inputs;
    const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'kept');
    return this.#features(padded, inputs, hiddenStates);
  }

  /** The features of the last layer, float32 [N, hidden]. */
  *#features(padded: PaddedBatch, inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Tensor> {
    const { batch } = padded;
    if (padded.isToken === null) this.#checkLengths(batch.counts);
    const types = inputs.tokenTypeIds && Int32Array.from(padded.pack('tokenTypeIds', inputs.tokenTypeIds));
    const segments = types ? this.device.tensor(types) : null;
    const x = this.embed(batch.ids, this.positionsOf(padded), segments);
    return yield* this.encoder.forwardInParts(x, this.sequencesOf(padded, inputs), { hiddenStates });
  }

  /** The sequences as the layers take them. */
  protected sequencesOf(padded: PaddedBatch, _inputs: ModelInputs): Sequences {
    return padded.sequences;
  }

  /** The loss of classes of sequences, logits [B, labels]. */
  protected sequenceLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>): Tensor {
    return sequenceLoss(logits, labels, this.settings);
  }

  /** The head's outputs for packed features, and the loss if it is wanted. */
  protected headOutput(
    head: PredictionHead,
    features: Tensor,
    padded: PaddedBatch,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): ModelOutput {
    const { batch } = padded;
    const logits = head.forward(features, padded.sequences);
    const { labels } = inputs;
    const wanted = options.loss ?? true;
    switch (this.headKind) {
      case 'question-answering':
        return answerOutput(logits, padded, inputs, wanted);
      case 'sequence-classification': {
        const output: ModelOutput = { logits };
        if (wanted && labels) output.loss = this.sequenceLoss(logits, labels);
        return output;
      }
      case 'next-sentence': {
        const output: ModelOutput = { logits };
        if (wanted && labels) output.loss = tokenLoss(logits, (labels as number[] | number[][]).flat());
        return output;
      }
      case 'discriminator': {
        const output: ModelOutput = { logits: padded.unpack(logits).reshape(batch.size, -1) };
        if (wanted && labels) {
          const targets = this.device.tensor(padded.pack('labels', labels as number[][]), logits.shape);
          output.loss = bceWithLogits(padded.ofTokens(logits).x, padded.ofTokens(targets).x);
        }
        return output;
      }
      default: {
        const output: ModelOutput = { logits: padded.unpack(logits) };
        if (wanted && labels) output.loss = tokenLoss(logits, padded.pack('labels', labels as number[][]));
        return output;
      }
    }
  }

  /** Throws ShapeError for a sequence that is longer than the table of positions. */
  #checkLengths(counts: readonly number[]): void {
    const limit = this.positionLimit;
    const long = counts.findIndex((count) => count > limit);
    if (long < 0) return;
    throw new ShapeError(
      `forward: sequence ${long} of inputIds has ${counts[long]} tokens, but the model reads ${limit}: cut it, ` +
        'for example by encodeBatch(texts, { truncation: true, maxLength: model.maxLength })',
    );
  }

  /** Number of positions that were learned; Infinity if positions are computed. */
  protected get positionLimit(): number {
    const { embeddings } = this as { embeddings?: unknown };
    return embeddings instanceof TextEmbeddings ? embeddings.positionLimit : Number.POSITIVE_INFINITY;
  }

  override get maxLength(): number {
    return Math.min(super.maxLength, this.positionLimit);
  }

  protected override mapsOf({ encoder }: AttentionMaps, _: ModelOutput, { source }: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(encoder, source) };
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.embed(ids, positions, null);
  }

  /** int32 [N]: positions of tokens. */
  protected positionsOf({ batch }: PaddedBatch): Tensor {
    return batch.positions;
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
