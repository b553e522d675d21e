import { ArgumentError } from '../core/errors.js';
import { lastOf, Tensor } from '../core/tensor.js';
import type { AttentionMaps, AttentionsByKind } from '../inspect/attention-maps.js';
import type { Memory } from '../nn/decoder-state.js';
import type { Encoder } from '../nn/encoder-decoder.js';
import type { Linear } from '../nn/linear.js';
import type { Tokens } from '../nn/token-batch.js';
import { unpack } from '../ops/move.js';
import {
  type ForwardOptions,
  type ModelInputs,
  type ModelOutput,
  PaddedBatch,
  type PaddingUse,
  unpackMaps,
} from './inputs.js';
import { sequenceLoss } from './losses.js';
import { checkHead, type PredictionHead } from './prediction-head.js';
import { type BatchLayout, type FamilyContext, type HeadKind, PretrainedModel } from './pretrained-model.js';
import type { ImageTower, TextTower, TowerOutput } from './towers.js';

/** Result of a tower, also in the form that users see. */
export interface TowerRun {
  readonly output: ModelOutput;
  readonly tower: TowerOutput;
  readonly pooled: Tensor | null;
}

/** A model of images or of texts, read by an encoder. */
export abstract class TowerModel extends PretrainedModel {
  abstract readonly text: TextTower | null;
  abstract readonly vision: ImageTower | null;
  /** Projections of texts and images to a common space. */
  readonly textProjection: Linear | null = null;
  readonly visualProjection: Linear | null = null;
  abstract override readonly head: PredictionHead | null;
  override readonly decoder = null;

  /** `heads` are those that it supports besides 'none'. Throws FormatError for another one. */
  constructor(context: FamilyContext, heads: readonly HeadKind[]) {
    super(context);
    checkHead(context, ['none', ...heads]);
  }

  override get encoder(): Encoder | null {
    const { text, vision } = this;
    return text && vision ? null : ((text ?? vision)?.encoder ?? vision);
  }

  override get attentions(): AttentionsByKind {
    const texts = this.text?.encoder.layers.flatMap((layer) => layer.selfAttentions) ?? [];
    return { encoder: [...texts, ...(this.vision?.attentions ?? [])], decoder: [], cross: [] };
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    const names: (keyof ModelInputs)[] = [];
    if (this.text) names.push('inputIds', 'attentionMask');
    if (this.vision) names.push(...this.vision.inputNames);
    if (this.head) names.push('labels');
    return names;
  }

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { text: hasText, images: hasImages } = this.givenKinds(inputs);
    const text = hasText && this.text && (yield* this.readText(this.text, inputs, options, layout));
    const vision = hasImages && this.vision && (yield* this.readImages(this.vision, inputs, options, layout));
    const { output, tower, pooled } = (text || vision) as TowerRun;
    if (this.head !== null) {
      const logits = this.head.forward(tower.features, tower.batch);
      const { hiddenStates } = output;
      const predicted: ModelOutput = hiddenStates ? { logits, hiddenStates } : { logits };
      if (inputs.labels && (options.loss ?? true)) predicted.loss = sequenceLoss(logits, inputs.labels, this.settings);
      return predicted;
    }
    const projection = text ? this.textProjection : this.visualProjection;
    if (!projection || !pooled) return output;
    const { poolerOutput: _, ...rest } = output;
    return { ...rest, [text ? 'textEmbeds' : 'imageEmbeds']: projection.forward(pooled) };
  }

  /** The kinds of inputs that a pass reads: both towers, or one if only its inputs are given. */
  protected givenKinds({ inputIds, pixelValues }: ModelInputs): { readonly text: boolean; readonly images: boolean } {
    const hasBoth = this.text !== null && this.vision !== null && !inputIds === !pixelValues;
    return { text: hasBoth || !pixelValues, images: hasBoth || !inputIds };
  }

  /** Handling of padding in texts. */
  protected get textPadding(): PaddingUse {
    return 'keptIfLeading';
  }

  /** Reads texts, yielding after each layer. */
  protected *readText(
    text: TextTower,
    { inputIds, attentionMask }: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, TowerRun> {
    const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, this.textPadding);
    layout.source = padded;
    const tower = yield* text.forwardInParts(this.toBatch('inputIds', padded.batch), padded.sequences);
    const pooled = text.pooler.forward(tower.features, padded.batch);
    return outputOf(tower, pooled, options, (x) => padded.unpack(x));
  }

  /** Reads images, yielding after each layer or stage. */
  protected *readImages(
    vision: ImageTower,
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, TowerRun> {
    const tower = yield* vision.forwardInParts(inputs);
    const pooled =
      this.head === null && !this.lacksPooler ? (vision.pooler?.forward(tower.features, tower.batch) ?? null) : null;
    const { batch, time } = tower;
    if (time) layout.images = { batch: { time } };
    // Stages may differ in their numbers of rows, which are equal for all images.
    const padded = (x: Tensor) => (time ? unpack(x, batch.lengths, time) : x.reshape(batch.size, -1, lastOf(x.shape)));
    return outputOf(tower, pooled, options, padded);
  }

  /** The features of texts, after the norm. */
  protected override *passFeaturesInParts(inputs: ModelInputs): Generator<unknown, Tensor> {
    const text = this.#towerOf('text');
    const { features } = yield* text.forwardInParts(this.toBatch('inputIds', inputs.inputIds as Tokens));
    return features;
  }

  protected override mapsOf({ encoder }: AttentionMaps, _output: ModelOutput, layout: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(encoder, layout.source ?? layout.images ?? null) };
  }

  /** A tensor of four dimensions holds images; any other source is text. */
  protected override readSource(source: Tokens): Memory {
    const isImage = source instanceof Tensor && source.shape.length === 4;
    const { features: hidden, batch } = isImage
      ? this.#towerOf('vision').forward({ pixelValues: source })
      : this.#towerOf('text').forward(this.toBatch('source', source));
    return { hidden, batch };
  }

  protected override get readsSource(): boolean {
    return true;
  }

  #towerOf<Kind extends 'text' | 'vision'>(kind: Kind): NonNullable<this[Kind]> {
    const tower = this[kind];
    if (tower) return tower;
    const expected = kind === 'text' ? 'images, a tensor [batch, channels, height, width]' : 'rows of ids';
    throw new ArgumentError(`source: the model reads no ${kind === 'text' ? 'text' : 'images'}, expected ${expected}`);
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: give this model its inputs by forward()');
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  override get vocabSize(): number {
    return this.text?.tokens.weight.shape[0] ?? 0;
  }

  override get maxLength(): number {
    return this.text?.positions.weight.shape[0] ?? this.vision?.maxLength ?? 0;
  }

  override get startId(): number | null {
    return null;
  }

  override get endIds(): readonly number[] {
    return [];
  }
}

function outputOf(
  tower: TowerOutput,
  pooled: Tensor | null,
  { hiddenStates }: ForwardOptions,
  padded: (x: Tensor) => Tensor,
): TowerRun {
  const output: ModelOutput = { lastHiddenState: padded(tower.features) };
  if (pooled) output.poolerOutput = pooled;
  if (hiddenStates) output.hiddenStates = tower.hiddenStates.map(padded);
  return { output, tower, pooled };
}
