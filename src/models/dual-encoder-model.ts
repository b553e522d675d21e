import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { TokenBatch } from '../nn/token-batch.js';
import { add, div, mul, scale } from '../ops/binary.js';
import { matmul } from '../ops/matmul.js';
import { transpose } from '../ops/move.js';
import { norm } from '../ops/statistics.js';
import { exp } from '../ops/unary.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, unpackMaps } from './inputs.js';
import { tokenLoss } from './losses.js';
import type { BatchLayout } from './pretrained-model.js';
import { TowerModel, type TowerRun } from './tower-model.js';
import type { TextTower } from './towers.js';

/** Comparison of the vectors of texts and images. */
export interface Contrast {
  /** Both normalized to length 1. */
  readonly embeds: readonly [text: Tensor, image: Tensor];
  /** [texts, images] */
  readonly logits: Tensor;
}

/**
 * A model with an encoder for texts and one for images, whose vectors are compared; or only one of them. Inputs of one
 * kind give the output of that encoder.
 */
export abstract class DualEncoderModel extends TowerModel {
  /** Compares texts [texts, d] with images [images, d]. */
  protected abstract compare(texts: Tensor, images: Tensor): Contrast;
  /** The loss of logits [n, n], where text i belongs to image i. */
  protected abstract contrastLoss(logits: Tensor): Tensor;

  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const { text, vision } = this;
    const given = this.givenKinds(inputs);
    if (!text || !vision || !given.text || !given.images) {
      if (text && vision && options.loss)
        throw new ArgumentError('forward: a loss is asked for, expected texts and images');
      return yield* super.runInParts(inputs, options, layout);
    }
    const read = yield* this.readText(text, inputs, options, layout);
    const seen = yield* this.readImages(vision, inputs, options, layout);
    const [texts, images] = [projected(read, this.textProjection), projected(seen, this.visualProjection)];
    const { logits, embeds } = this.compare(texts, images);
    const output: ModelOutput = {
      logitsPerText: logits,
      logitsPerImage: transpose(logits),
      textEmbeds: embeds[0],
      imageEmbeds: embeds[1],
      textModelOutput: { ...read.output, poolerOutput: texts },
      visionModelOutput: { ...seen.output, poolerOutput: images },
    };
    if (wantsLoss(texts, images, 'images', options)) output.loss = this.contrastLoss(logits);
    return output;
  }

  /** @internal The vectors of texts before they are normalized. See `TextReader`. */
  textVectors(features: Tensor, batch: TokenBatch): Tensor {
    const pooled = (this.text as TextTower).pooler.forward(features, batch);
    return this.textProjection?.forward(pooled) ?? pooled;
  }

  protected override mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput {
    const { textModelOutput, visionModelOutput } = output;
    if (!textModelOutput || !visionModelOutput) return super.mapsOf(maps, output, layout);
    const layers = this.text?.encoder.layers.length;
    return {
      textModelOutput: { ...textModelOutput, attentions: unpackMaps(maps.encoder.slice(0, layers), layout.source) },
      visionModelOutput: {
        ...visionModelOutput,
        attentions: unpackMaps(maps.encoder.slice(layers), layout.images ?? null),
      },
    };
  }
}

/**
 * True if the options ask for a loss, or if they leave it open and there are as many texts as `others`. Throws
 * ArgumentError if a loss is asked for and their numbers differ.
 */
export function wantsLoss(texts: Tensor, others: Tensor, kind: string, { loss }: ForwardOptions): boolean {
  const counts = [texts.shape[0], others.shape[0]];
  const isPaired = counts[0] === counts[1];
  if (loss && !isPaired)
    throw new ArgumentError(
      `forward: there are ${counts[0]} texts and ${counts[1]} ${kind}, expected as many for a loss`,
    );
  return loss ?? isPaired;
}

/** Mean of two cross entropies of logits [texts, others], where text i belongs to item i of the others. */
export function pairLoss(perText: Tensor, perOther: Tensor = perText): Tensor {
  const diagonal = Array.from({ length: perText.shape[0] as number }, (_, i) => i);
  return scale(add(tokenLoss(perText, diagonal), tokenLoss(transpose(perOther), diagonal)), 1 / 2);
}

/** Cosines of texts [texts, d] and images [images, d], times e^`logScale`, plus `bias` if it is given. */
export function contrast(text: Tensor, image: Tensor, logScale: Tensor, bias: Tensor | null = null): Contrast {
  const [texts, images] = [text, image].map((x) => div(x, norm(x, { axis: -1, keepDims: true }))) as [Tensor, Tensor];
  const scaled = mul(matmul(texts, images, { transposeB: true }), exp(logScale));
  return { embeds: [texts, images], logits: bias ? add(scaled, bias) : scaled };
}

function projected({ pooled }: TowerRun, projection: { forward(x: Tensor): Tensor } | null): Tensor {
  if (pooled === null)
    throw new ArgumentError('forward: images have no vector to compare, as vision_use_head of the config is false');
  return projection?.forward(pooled) ?? pooled;
}
