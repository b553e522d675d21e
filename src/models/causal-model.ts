import { checkKnown } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import type { ExtendedSequence } from '../nn/extension.js';
import { inference } from '../nn/module.js';
import { PositionShifts } from '../nn/position-shifts.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { type TokenBatch, type Tokens, unpaddedLength } from '../nn/token-batch.js';
import { knownIds } from '../ops/host-ids.js';
import { gather } from '../ops/move.js';
import { imagePass, type Pass, rotationOf } from './image-pass.js';
import type { ImageReader } from './image-reader.js';
import { atIds, atPlaceholders, ImageTokens, isImageId, type PlacedImage, type ReadImages } from './image-tokens.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, PaddedBatch, unpackMaps } from './inputs.js';
import { answerOutput, nextLabels, sequenceLoss, tokenLoss, wantsSpans } from './losses.js';
import type { Json } from './model-config.js';
import type { PredictionHead } from './prediction-head.js';
import { type AdapterChoice, type BatchLayout, PretrainedModel } from './pretrained-model.js';

/** Inputs that tell images from text. */
const KINDS = ['tokenTypeIds', 'mmTokenTypeIds'] as const;

/** True for inputs of `forward`, in place of tokens. */
function isInputs(input: Tokens | ModelInputs): input is ModelInputs {
  return typeof input === 'object' && input !== null && 'inputIds' in input;
}

/** A language model: every token attends to the tokens before it. */
export abstract class CausalModel extends PretrainedModel {
  override readonly encoder = null;
  abstract override readonly decoder: Stack;
  abstract override readonly head: PredictionHead | null;
  /** Reads images, whose rows are tokens; null for a model of text. */
  readonly images: ImageReader | null = null;
  /** The images that prompts name by ids. */
  readonly #imageTokens = new ImageTokens();

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const answers = this.headKind === 'question-answering' ? (['startPositions', 'endPositions'] as const) : [];
    const { images } = this;
    const ofImages = images ? [...images.inputNames, ...KINDS] : [];
    return ['inputIds', 'attentionMask', 'labels', ...answers, ...ofImages];
  }

  protected override run(inputs: ModelInputs, options: ForwardOptions, layout: BatchLayout): ModelOutput {
    // transformers' loss of answers runs over all places of a row, with padding.
    const padding = this.headKind === 'question-answering' && wantsSpans(inputs, options) ? 'kept' : 'dropped';
    const padded = PaddedBatch.from(this.device, 'inputIds', inputs.inputIds, inputs.attentionMask, padding);
    layout.target = padded;
    const { batch } = padded;
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const features = this.#features(padded, hiddenStates, inputs);
    const output: ModelOutput = {};
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => this.shownState(padded.unpack(state)));
    const { head } = this;
    if (head === null) {
      output.lastHiddenState = padded.unpack(features);
      const sentence = this.sentenceHead?.forward(features, batch);
      if (sentence) output.sentenceEmbedding = sentence;
      return output;
    }
    if (this.headKind === 'question-answering')
      return { ...output, ...answerOutput(head.forward(features, batch), padded, inputs, options.loss ?? true) };
    const labels = (options.loss ?? true) ? inputs.labels : undefined;
    if (this.headKind === 'sequence-classification') {
      const logits = this.logitsOf(gather(features, this.#lastTokens(padded)));
      if (labels) output.loss = sequenceLoss(logits, labels, this.settings);
      return { ...output, logits };
    }
    const isNext = this.headKind === 'language-model';
    const logits = isNext ? this.logitsOf(features) : head.forward(features, batch);
    if (labels) {
      const own = padded.pack('labels', labels as number[][]);
      output.loss = tokenLoss(logits, isNext ? nextLabels(own, batch.counts) : own);
    }
    return { ...output, logits: padded.unpack(logits) };
  }

  protected override passFeatures({ inputIds, attentionMask }: ModelInputs): Tensor {
    return this.#features(PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'dropped'));
  }

  /** The features of the last layer, float32 [N, hidden]. */
  /** A hidden state in transformers' layout. `state`: float32 [B, T, features]. */
  protected shownState(state: Tensor): Tensor {
    return state;
  }

  #features(padded: PaddedBatch, hiddenStates?: Tensor[], inputs: ModelInputs = {}): Tensor {
    const own = this.images ? [...this.images.inputNames, ...KINDS] : [];
    if (own.some((name) => inputs[name] !== undefined) || this.#namesImages(padded.batch))
      return this.#featuresWithImages(padded, hiddenStates, inputs);
    const x = this.embedTarget(padded.batch.ids, this.positionsOf(padded));
    return this.decoder.forward(x, padded.sequences, { hiddenStates });
  }

  #featuresWithImages(padded: PaddedBatch, hiddenStates: Tensor[] | undefined, inputs: ModelInputs): Tensor {
    const { batch } = padded;
    const images = this.images as ImageReader;
    const isGiven = images.inputNames.some((name) => inputs[name] !== undefined);
    const placed = isGiven
      ? atPlaceholders(this.#rowsOf(batch), images.placeholder, images.read(inputs))
      : this.#placed(batch);
    const given = inputs.tokenTypeIds ?? inputs.mmTokenTypeIds;
    const kinds = given && this.#split(batch, padded.pack('tokenTypeIds', given));
    return this.#passImages(batch, placed, this.positionsOf(padded), kinds, hiddenStates);
  }

  /** The features of whole sequences with images at `placed`. */
  #passImages(
    batch: TokenBatch,
    placed: readonly (readonly PlacedImage[])[],
    positions: Tensor,
    kinds?: readonly (readonly number[])[],
    hiddenStates?: Tensor[],
  ): Tensor {
    const { counts, starts } = batch;
    const embedded = this.#embedText(batch, placed, positions);
    const { twoSided } = this.images as ImageReader;
    const { x, inserted } = imagePass(this.decoder, embedded, { placed, counts, starts, kinds }, twoSided);
    const sequences = new Sequences(batch.positions, batch.lengths, counts, null, inserted);
    return this.decoder.forward(x, sequences, { hiddenStates });
  }

  /** The images that the ids of each sequence name. */
  #placed(batch: TokenBatch): PlacedImage[][] {
    if (!this.#namesImages(batch)) return batch.counts.map(() => []);
    return this.#rowsOf(batch).map((row) => this.#imageTokens.placed(row));
  }

  /** The embeddings of text, with those of any token in the places of images. */
  #embedText(batch: TokenBatch, placed: readonly (readonly PlacedImage[])[], positions: Tensor): Tensor {
    if (placed.every(({ length }) => length === 0)) return this.embedTarget(batch.ids, positions);
    const ids = Int32Array.from(knownIds(batch.ids) as Int32Array);
    const { starts } = batch;
    const filler = this.settings.numberOrNull('pad_token_id') ?? 0;
    for (const [i, images] of placed.entries())
      for (const { at, count } of images)
        ids.fill(filler, (starts[i] as number) + at, (starts[i] as number) + at + count);
    return this.embedTarget(this.device.tensor(ids), positions);
  }

  #rowsOf(batch: TokenBatch): Int32Array[] {
    const ids = knownIds(batch.ids);
    if (ids === null) throw new ArgumentError('forward: ids of images are computed, expected ids that the host wrote');
    return this.#split(batch, ids) as Int32Array[];
  }

  #split<List extends number[] | Int32Array>({ counts, starts }: TokenBatch, all: List): List[] {
    return counts.map((count, i) => all.slice(starts[i], (starts[i] as number) + count) as List);
  }

  #namesImages({ ids }: TokenBatch): boolean {
    return this.images !== null && (knownIds(ids)?.some(isImageId) ?? false);
  }

  protected override embedExtension(
    batch: TokenBatch,
    positions: Tensor,
    into: { parts: readonly ExtendedSequence[]; state: DecoderState },
  ): Pass {
    if (this.images === null) return super.embedExtension(batch, positions, into);
    const placed = this.#placed(batch);
    const embedded = this.#embedText(batch, placed, positions);
    const tokens = { placed, counts: batch.counts, starts: batch.starts, into };
    return imagePass(this.decoder, embedded, tokens, this.images.twoSided);
  }

  protected override get readsImages(): boolean {
    return this.images !== null;
  }

  override get positionShifts(): typeof PositionShifts | null {
    return this.images !== null && rotationOf(this.decoder) !== null ? PositionShifts : null;
  }

  /**
   * Reads images for prompts. In a prompt, the ids of an image take the place of its placeholders. They are valid for
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
      const rows = this.#rowsOf(padded.batch).map((row) => Array.from(row));
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
    options: GenerateOptions = {},
  ): AsyncGenerator<TokenEvent, GenerateResult, void> {
    return isInputs(input) ? this.#streamInputs(input, options) : super.stream(input, options);
  }

  async *#streamInputs(input: ModelInputs, options: GenerateOptions) {
    const { prompts, dispose } = this.readPrompts(input);
    try {
      return yield* super.stream(prompts, options);
    } finally {
      dispose();
    }
  }

  /**
   * The nearest place after `at`, or before it, at which a prompt can be cut. An image whose tokens see each other is
   * read in one piece.
   */
  cut(tokens: readonly number[], at: number, side: 'before' | 'after'): number {
    const { twoSided = 'none' } = this.images ?? {};
    if (twoSided === 'none' || at <= 0 || at >= tokens.length) return at;
    if (twoSided === 'prompt') {
      if (!tokens.some(isImageId)) return at;
      return side === 'after' ? tokens.length : 0;
    }
    const isInside = (place: number) => isImageId(tokens[place] ?? 0) && isImageId(tokens[place - 1] ?? 0);
    let place = at;
    while (isInside(place)) place += side === 'after' ? 1 : -1;
    return place;
  }

  override dispose(): void {
    this.#imageTokens.dispose();
    super.dispose();
  }

  protected override decodeBatch(batch: TokenBatch, memory: Memory | null): Tensor {
    if (!this.#namesImages(batch)) return super.decodeBatch(batch, memory);
    return this.#passImages(batch, this.#placed(batch), batch.positions);
  }

  /** int32 [N]: positions of tokens, and of padding if it is computed. */
  protected positionsOf({ batch }: PaddedBatch): Tensor {
    return batch.positions;
  }

  /** Rows of the last tokens that differ from the padding id. transformers ignores the mask here, too. */
  #lastTokens({ rows, batch: { counts } }: PaddedBatch): Tensor {
    const padId = this.settings.numberOrNull('pad_token_id');
    let start = 0;
    const ends = counts.map((count, i) => {
      const row = rows?.[i];
      const end = start + (row ? Math.max(1, unpaddedLength(row, padId)) : count) - 1;
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
  placesOf(padded: PaddedBatch): Tensor {
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

  /** With longrope, the length beyond which other frequencies apply. */
  get rereadLength(): number | null {
    const { rope_type: type, original_max_position_embeddings: length } = (this.config.rope_parameters ?? {}) as Json;
    return type === 'longrope' && typeof length === 'number' && length < this.maxLength ? length : null;
  }

  override get startId(): number | null {
    return this.settings.numberOrNull('bos_token_id');
  }
}
