import { ArgumentError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { type AttentionMaps, type AttentionsByKind, observeAttention } from '../inspect/attention-maps.js';
import { MultiHeadAttention } from '../nn/attention.js';
import { inference } from '../nn/module.js';
import type { Tokens } from '../nn/token-batch.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from './inputs.js';
import { sequenceLoss } from './losses.js';
import { checkHead, type PredictionHead } from './prediction-head.js';
import { type FamilyContext, type HeadKind, PretrainedModel } from './pretrained-model.js';
import { checkImages } from './towers.js';

/**
 * A model of images whose stages differ in their rows, columns and features, so that no single stack holds its layers.
 */
export abstract class ImageModel extends PretrainedModel {
  override readonly encoder = null;
  override readonly decoder = null;
  abstract override readonly head: PredictionHead | null;

  /** `heads` are those that the family supports. Throws FormatError for another one. */
  constructor(context: FamilyContext, heads: readonly HeadKind[]) {
    super(context);
    checkHead(context, heads);
  }

  /**
   * Outputs for images, yielding after each layer or stage. They include the features that a head reads, which
   * image-feature-extraction returns. `pixels`: float32 [B, channels, height, width].
   */
  protected abstract forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput>;

  /**
   * Scores of classes from one vector of each image, float32 [B, features], and the loss if there are labels. Nothing
   * for a model without a head.
   */
  protected classified(
    pooled: Tensor,
    { labels }: ModelInputs,
    options: ForwardOptions,
  ): Pick<ModelOutput, 'logits' | 'loss'> {
    if (this.head === null) return {};
    const logits = this.head.read(pooled);
    if (!labels || !(options.loss ?? true)) return { logits };
    return { logits, loss: sequenceLoss(logits, labels, this.settings) };
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return this.headKind === 'none' ? ['pixelValues'] : ['pixelValues', 'labels'];
  }

  protected override *runInParts(inputs: ModelInputs, options: ForwardOptions): Generator<unknown, ModelOutput> {
    return yield* this.forwardPixelsInParts(this.#images(inputs.pixelValues), inputs, options);
  }

  #images(pixels: Tensor | undefined): Tensor {
    const { num_channels: channels } = this.settings.values;
    return checkImages(pixels, typeof channels === 'number' ? channels : null);
  }

  override get attentions(): AttentionsByKind {
    const encoder = this.modules().filter((part) => part instanceof MultiHeadAttention);
    return { encoder, decoder: [], cross: [] };
  }

  protected override mapsOf({ encoder }: AttentionMaps): ModelOutput {
    return { attentions: [...encoder] };
  }

  /** `source`: images, float32 [B, channels, height, width]. See `PretrainedModel.attentionMaps`. */
  override attentionMaps(source: Tokens | Tensor | null): AttentionMaps {
    const pixels = this.#images(source as Tensor);
    return inference(this, () =>
      observeAttention(this.attentions, () => atOnce(this.forwardPixelsInParts(pixels, {}, {}))),
    );
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: the model reads images, expected forward() with pixelValues');
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  override get vocabSize(): number {
    return 0;
  }

  override get maxLength(): number {
    return 0;
  }

  override get startId(): number | null {
    return null;
  }

  override get endIds(): readonly number[] {
    return [];
  }
}
