// The vision Transformer (Dosovitskiy et al. 2020, arXiv 2010.11929), made of the package's parts. Patches of an image
// are its tokens. After the last layer, the class token tells the content of the image.

import type { Device, Tensor } from '../../src/index.js';
import {
  Dropout,
  FeedForward,
  Initializer,
  LayerNorm,
  Linear,
  Module,
  MultiHeadAttention,
  PatchEmbedding,
  Sequences,
  Stack,
  TransformerLayer,
} from '../../src/nn/index.js';
import { crossEntropy, gather } from '../../src/ops/index.js';
import type { Trainable } from '../../src/train/index.js';

export interface ViTOptions {
  /** Pixels of a side of the images, which have one channel, and of a patch. */
  readonly image: number;
  readonly patch: number;
  readonly classes: number;
  readonly dModel?: number;
  readonly heads?: number;
  readonly layers?: number;
  readonly dropout?: number;
  readonly seed?: number;
}

/** A model that `fit` trains. An example is an image, pixel by pixel, and the number of its class. */
export class ViT extends Module implements Trainable<Float32Array> {
  readonly patches: PatchEmbedding;
  readonly dropout: Dropout;
  readonly encoder: Stack;
  readonly classifier: Linear;
  readonly image: number;
  readonly #randomness = { seed: 0, streams: 0 };

  constructor(
    readonly device: Device,
    { image, patch, classes, dModel = 64, heads = 4, layers = 2, dropout = 0, seed = 0 }: ViTOptions,
  ) {
    super();
    this.image = image;
    const init = new Initializer(device, seed);
    const randomness = this.#randomness;
    const norm = () => new LayerNorm(init, dModel);
    const drop = () => new Dropout(dropout, randomness);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { dModel, heads }),
        feedForward: () => new FeedForward(init, { dModel, dFF: 4 * dModel, activation: 'gelu' }),
        norm,
        dropout: drop,
        wiring: 'pre',
        randomness,
      });
    this.patches = new PatchEmbedding(init, { dModel, channels: 1, image: [image, image], patch: [patch, patch] });
    this.dropout = drop();
    this.encoder = new Stack(layers, layer, norm);
    this.classifier = new Linear(init, dModel, classes);
  }

  /** Logits, float32 [B, classes]. */
  forward(images: readonly Float32Array[]): Tensor {
    return this.device.scope(() => this.#logits(images));
  }

  #logits(images: readonly Float32Array[]): Tensor {
    const { device, image } = this;
    const pixels = device.tensor(centred(images), [images.length, 1, image, image]);
    const tokens = this.patches.forward(pixels);
    const [count, length, dModel] = tokens.shape as [number, number, number];
    const rows = this.dropout.forward(tokens.reshape(count * length, dModel));
    const features = this.encoder.forward(rows, Sequences.of(device, Array<number>(count).fill(length)));
    const classTokens = Int32Array.from({ length: count }, (_, i) => i * length);
    return this.classifier.forward(gather(features, device.tensor(classTokens)));
  }

  loss(source: readonly Float32Array[] | null, target: readonly (readonly number[])[]): Tensor {
    const labels = this.device.tensor(Int32Array.from(target, ([label]) => label as number));
    return crossEntropy(this.forward(source ?? []), labels);
  }

  /** Seeds dropout. `fit` calls it before each batch. */
  seedDropout(seed: number): void {
    this.#randomness.seed = seed;
  }

  /** The class of each image that has the largest logit. */
  async classify(images: readonly Float32Array[]): Promise<number[]> {
    const logits = this.device.noGrad(() => this.forward(images));
    const values = await logits.data();
    const classes = logits.shape[1] as number;
    logits.dispose();
    return images.map((_, i) => {
      const row = values.subarray(i * classes, (i + 1) * classes);
      return row.indexOf(Math.max(...row));
    });
  }

  /** How much the class token of the last layer looks at each patch, row by row: a list for each head. */
  async attentionOf(image: Float32Array): Promise<number[][]> {
    const { device } = this;
    const [selfAttn] = (this.encoder.layers.at(-1) as TransformerLayer).selfAttentions as [MultiHeadAttention];
    const weights = device.noGrad(() =>
      device.scope(() => {
        const seen: Tensor[] = []; // [1, heads, tokens, tokens]
        selfAttn.observe = ({ weights }) => seen.push(weights());
        this.#logits([image]);
        selfAttn.observe = null;
        return seen[0] as Tensor;
      }),
    );
    const values = await weights.data();
    const [, heads, tokens] = weights.shape as [number, number, number];
    weights.dispose();
    return Array.from({ length: heads }, (_, head) => {
      const row = head * tokens * tokens; // the class token is the first
      return Array.from(values.subarray(row + 1, row + tokens));
    });
  }
}

/** Images end to end, with pixels from -1 to 1, as vision Transformers usually see them. */
function centred(images: readonly Float32Array[]): Float32Array {
  const size = images[0]?.length ?? 0;
  const all = new Float32Array(images.length * size);
  for (const [i, image] of images.entries())
    all.set(
      image.map((value) => 2 * value - 1),
      i * size,
    );
  return all;
}
