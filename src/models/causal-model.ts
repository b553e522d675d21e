import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import type { ExtendedSequence } from '../nn/extension.js';
import type { Initializer } from '../nn/init.js';
import { PositionShifts } from '../nn/position-shifts.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { type TokenBatch, unpaddedLength } from '../nn/token-batch.js';
import { add } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { imagePass, type Pass, rotationOf } from './image-pass.js';
import type { ImageReader } from './image-reader.js';
import { atPlaceholders, isImageId, type PlacedImage } from './image-tokens.js';
import {
  type ForwardOptions,
  hasPaddingInside,
  type ModelInputs,
  type ModelOutput,
  PaddedBatch,
  type PaddingUse,
  unpackMaps,
} from './inputs.js';
import { answerOutput, nextLabels, sequenceLoss, tokenLoss, wantsSpans } from './losses.js';
import type { FurtherLoss } from './mixtures.js';
import type { Json } from './model-config.js';
import type { PredictionHead } from './prediction-head.js';
import type { BatchLayout } from './pretrained-model.js';
import { PromptModel, splitAs } from './prompt-model.js';
import type { PredictorParts } from './token-predictor.js';

/** Inputs that tell images from text. */
const KINDS = ['tokenTypeIds', 'mmTokenTypeIds'] as const;

/** A language model: every token attends to the tokens before it. */
export abstract class CausalModel extends PromptModel {
  override readonly encoder = null;
  abstract override readonly decoder: Stack;
  abstract override readonly head: PredictionHead | null;
  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const answers = this.headKind === 'question-answering' ? (['startPositions', 'endPositions'] as const) : [];
    return ['inputIds', 'attentionMask', 'labels', ...answers, ...this.#imageInputNames];
  }

  get #imageInputNames(): (keyof ModelInputs)[] {
    return this.images ? [...this.images.inputNames, ...KINDS] : [];
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const padding = this.#paddingUse(inputs, options);
    const padded = PaddedBatch.from(this.device, 'inputIds', inputs.inputIds, inputs.attentionMask, padding);
    layout.target = padded;
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const wantsLoss = (options.loss ?? true) && inputs.labels !== undefined && this.headKind === 'language-model';
    const pass = this.#features(padded, hiddenStates, inputs);
    const { result: features, loss: further } =
      wantsLoss && this.furtherLoss
        ? yield* this.furtherLoss(pass, (x) => padded.ofTokens(x).x)
        : { result: yield* pass, loss: null };
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => this.shownState(padded.unpack(state)));
    return { ...output, ...this.#headOutput(features, padded, inputs, options.loss ?? true, further) };
  }

  /** The outputs of the head for `features`, [N, hidden]. `further`: a loss that is added to that of the tokens. */
  #headOutput(
    features: Tensor,
    padded: PaddedBatch,
    inputs: ModelInputs,
    withLoss: boolean,
    further: Tensor | null,
  ): ModelOutput {
    const { head, headKind } = this;
    const { batch } = padded;
    if (head === null) return this.#bareOutput(features, padded);
    if (headKind === 'question-answering') return answerOutput(head.forward(features, batch), padded, inputs, withLoss);
    const labels = withLoss ? inputs.labels : undefined;
    if (headKind === 'sequence-classification') {
      const logits = this.logitsOf(gather(features, this.#lastTokens(padded)));
      return labels ? { loss: sequenceLoss(logits, labels, this.settings), logits } : { logits };
    }
    const isNext = headKind === 'language-model';
    const logits = isNext ? this.logitsOf(features) : head.forward(features, batch); // [N, vocabulary or labels]
    const output: ModelOutput = { logits: padded.unpack(logits) };
    if (labels) {
      const packedLabels = padded.pack('labels', labels as number[][]);
      const loss = tokenLoss(logits, isNext ? nextLabels(packedLabels, batch.counts) : packedLabels);
      output.loss = further === null ? loss : add(loss, further);
    }
    return output;
  }

  /** The output of a model without a head. */
  #bareOutput(features: Tensor, padded: PaddedBatch): ModelOutput {
    const lastHiddenState = padded.unpack(features);
    const sentenceEmbedding = this.sentenceHead?.forward(features, padded.batch);
    return sentenceEmbedding ? { lastHiddenState, sentenceEmbedding } : { lastHiddenState };
  }

  protected override passFeaturesInParts(
    { inputIds, attentionMask }: ModelInputs,
    hiddenStates?: Tensor[],
  ): Generator<unknown, Tensor> {
    return this.#features(PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'dropped'), hiddenStates);
  }

  /** Runs a pass and returns its additional loss, which is added to the loss of the tokens. Null if there is none. */
  protected get furtherLoss(): FurtherLoss | null {
    return null;
  }

  /** A hidden state in transformers' layout. `state`: float32 [B, T, features]. */
  protected shownState(state: Tensor): Tensor {
    return state;
  }

  /** The features of the last layer, float32 [N, hidden]. */
  *#features(padded: PaddedBatch, hiddenStates?: Tensor[], inputs: ModelInputs = {}): Generator<unknown, Tensor> {
    if (this.#imageInputNames.some((name) => inputs[name] !== undefined) || this.namesImages(padded.batch.ids))
      return this.#featuresWithImages(padded, hiddenStates, inputs);
    const x = this.embedTarget(padded.batch.ids, this.positionsOf(padded));
    return yield* this.decoder.forwardInParts(x, this.sequencesOf(padded), { hiddenStates });
  }

  #featuresWithImages(padded: PaddedBatch, hiddenStates: Tensor[] | undefined, inputs: ModelInputs): Tensor {
    const { batch } = padded;
    const images = this.images as ImageReader;
    const isGiven = images.inputNames.some((name) => inputs[name] !== undefined);
    const placedImages = isGiven
      ? atPlaceholders(this.rowsOf(batch), images.placeholder, images.read(inputs))
      : this.placedImages(batch);
    const tokenKinds = inputs.tokenTypeIds ?? inputs.mmTokenTypeIds;
    const kinds = tokenKinds && splitAs(batch, padded.pack('tokenTypeIds', tokenKinds));
    return this.#passImages(batch, placedImages, this.positionsOf(padded), kinds, hiddenStates);
  }

  /** The features of whole sequences with images at `placedImages`. */
  #passImages(
    batch: TokenBatch,
    placedImages: readonly (readonly PlacedImage[])[],
    positions: Tensor,
    kinds?: readonly (readonly number[])[],
    hiddenStates?: Tensor[],
  ): Tensor {
    const { counts, starts } = batch;
    const embedded = this.#embedText(batch, placedImages, positions);
    const { twoSided } = this.images as ImageReader;
    const { x, imageEffects } = imagePass(this.decoder, embedded, { placedImages, counts, starts, kinds }, twoSided);
    const sequences = new Sequences(batch.positions, batch.lengths, counts, null, imageEffects);
    return this.decoder.forward(x, sequences, { hiddenStates });
  }

  /** The embeddings of text, with those of any token for the rows of images. */
  #embedText(batch: TokenBatch, placedImages: readonly (readonly PlacedImage[])[], positions: Tensor): Tensor {
    return this.embedTarget(this.withoutImages(batch.ids, placedImages, batch.starts), positions);
  }

  protected override embedExtension(
    batch: TokenBatch,
    positions: Tensor,
    into: { parts: readonly ExtendedSequence[]; state: DecoderState },
  ): Pass {
    if (this.images === null) return super.embedExtension(batch, positions, into);
    const placedImages = this.placedImages(batch);
    const embedded = this.#embedText(batch, placedImages, positions);
    const tokens = { placedImages, counts: batch.counts, starts: batch.starts, into };
    return imagePass(this.decoder, embedded, tokens, this.images.twoSided);
  }

  override get positionShifts(): typeof PositionShifts | null {
    return this.images !== null && rotationOf(this.decoder) !== null ? PositionShifts : null;
  }

  /**
   * Returns the split position nearest to `index`, on the given side. An image with bidirectional attention is not
   * split.
   */
  splitPoint(tokens: readonly number[], index: number, side: 'before' | 'after'): number {
    const { twoSided = 'none' } = this.images ?? {};
    if (twoSided === 'none' || index <= 0 || index >= tokens.length) return index;
    if (twoSided === 'prompt') {
      if (!tokens.some(isImageId)) return index;
      return side === 'after' ? tokens.length : 0;
    }
    const isInside = (position: number) => isImageId(tokens[position] ?? 0) && isImageId(tokens[position - 1] ?? 0);
    let position = index;
    while (isInside(position)) position += side === 'after' ? 1 : -1;
    return position;
  }

  protected override decodeBatch(batch: TokenBatch, memory: Memory | null): Tensor {
    if (!this.namesImages(batch.ids)) return super.decodeBatch(batch, memory);
    return this.#passImages(batch, this.placedImages(batch), batch.positions);
  }

  /** The sequences as layers take them. */
  protected sequencesOf(padded: PaddedBatch): Sequences {
    return padded.sequences;
  }

  /** int32 [N]: positions of tokens, and of padding if it is computed. */
  protected positionsOf({ batch }: PaddedBatch): Tensor {
    return batch.positions;
  }

  /**
   * transformers averages the loss of answer spans over all positions of a row. Its classifiers read the last token
   * that differs from the padding id, even if the mask hides it. The positions of images allow no padding.
   */
  #paddingUse(inputs: ModelInputs, options: ForwardOptions): PaddingUse {
    if (this.headKind === 'question-answering' && wantsSpans(inputs, options)) return 'kept';
    const usual = this.images ? 'dropped' : 'keptIfInside';
    if (this.headKind !== 'sequence-classification') return usual;
    const padId = this.settings.numberOrNull('pad_token_id');
    // Without a padding id, transformers takes one row.
    return (rows, isToken) =>
      (usual === 'keptIfInside' && isToken.some(hasPaddingInside)) ||
      ((padId !== null || rows.length === 1) && rows.some((row, i) => isToken[i]?.[lastIndex(row, padId)] === false));
  }

  /** Rows of the tokens that a classifier reads. */
  #lastTokens({ rows, batch: { counts } }: PaddedBatch): Tensor {
    const padId = this.settings.numberOrNull('pad_token_id');
    let start = 0;
    const ends = counts.map((count, i) => {
      const row = rows?.[i];
      const end = start + (row ? lastIndex(row, padId) : count - 1);
      start += count;
      return end;
    });
    return this.device.tensor(Int32Array.from(ends));
  }

  protected override mapsOf({ decoder }: AttentionMaps, _: ModelOutput, { target }: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(decoder, target) };
  }

  /** @internal `embedTarget` for a model that this one is a part of. */
  embedTokens(ids: Tensor, positions: Tensor): Tensor {
    return this.embedTarget(ids, positions);
  }

  /** @internal `positionsOf` for a model that this one is a part of. */
  positionIdsOf(padded: PaddedBatch): Tensor {
    return this.positionsOf(padded);
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.embedTarget(ids, positions);
  }

  /** With RoPE's type `dynamic`, the maximum is multiplied by its factor, because its angles are stretched. */
  override get maxLength(): number {
    const { rope_type: type, factor } = (this.config.rope_parameters ?? {}) as Json;
    return type === 'dynamic' && typeof factor === 'number' ? Math.floor(factor * super.maxLength) : super.maxLength;
  }

  /** @internal The parts of the family's layer for multi-token prediction; null if it has none. */
  predictorParts(_init: Initializer): PredictorParts | null {
    return null;
  }

  override get startId(): number | null {
    return this.settings.numberOrNull('bos_token_id');
  }
}

/** Index of the last token that differs from the padding id; 0 if there is none. */
function lastIndex(row: ArrayLike<number>, padId: number | null): number {
  return Math.max(1, unpaddedLength(row, padId)) - 1;
}
