// Encoders of one kind of input. Models of texts and images have one or two of them.

import { checkDType, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import { MultiHeadAttention } from '../nn/attention.js';
import type { Randomness } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import type { Encoder } from '../nn/encoder-decoder.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { TransformerLayer } from '../nn/layer.js';
import { Module } from '../nn/module.js';
import { LayerNorm } from '../nn/norm.js';
import { PatchEmbedding, type PatchEmbeddingOptions } from '../nn/patch-embedding.js';
import { Sequences } from '../nn/sequences.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import type { TokenBatch } from '../nn/token-batch.js';
import { activationOf, dropoutOf, heightAndWidth } from './config-values.js';
import type { ModelInputs } from './inputs.js';
import type { Json, ModelConfig } from './model-config.js';

/** The output of a tower. */
export interface TowerOutput<Batch extends Sequences = Sequences> {
  /** float32 [N, hidden], the rows of `batch` end to end. */
  readonly features: Tensor;
  readonly batch: Batch;
  /** Rows of each sequence in padded form. Default: all sequences have the same number of rows. */
  readonly time?: number | undefined;
  /** Input of each layer or stage, and the output of the last one. */
  readonly hiddenStates: readonly Tensor[];
}

/** Makes one vector of each sequence from a tower's output, float32 [B, features]. */
export interface TowerPooler<Batch extends Sequences = Sequences> extends Module {
  forward(features: Tensor, batch: Batch): Tensor;
}

/** A Transformer over texts, with learned positions and a norm after the last layer. */
export class TextTower extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly encoder: Stack;
  readonly norm: LayerNorm;

  constructor(
    init: Initializer,
    config: ModelConfig,
    causal: boolean,
    /** Makes one vector of a text. */
    readonly pooler: TowerPooler<TokenBatch>,
    randomness: Randomness,
  ) {
    super();
    const dModel = config.size('hidden_size');
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.positions = new Embedding(init, config.size('max_position_embeddings'), dModel);
    this.encoder = towerEncoder(init, config, causal, randomness);
    this.norm = new LayerNorm(init, dModel, config.number('layer_norm_eps'));
  }

  /** Input of the first layer, float32 [N, hidden]. */
  embed({ ids, positions }: TokenBatch): Tensor {
    return this.tokens.forward(ids, { positions: this.positions.weight, positionIds: positions });
  }

  /** `sequences` are the rows of the batch again, if some are padding. */
  forward(batch: TokenBatch, sequences: Sequences = batch): TowerOutput<TokenBatch> {
    return atOnce(this.forwardInParts(batch, sequences));
  }

  /** Same as `forward`, yielding after each layer. */
  *forwardInParts(batch: TokenBatch, sequences: Sequences = batch): Generator<unknown, TowerOutput<TokenBatch>> {
    const hiddenStates: Tensor[] = [];
    const x = yield* this.encoder.forwardInParts(this.embed(batch), sequences, { hiddenStates });
    return { features: this.norm.forward(x), batch, hiddenStates };
  }
}

/** The inputs of a model that describe images. */
export const IMAGE_INPUTS = ['pixelValues', 'spatialShapes', 'pixelAttentionMask'] as const;
export type ImageInputs = Pick<ModelInputs, (typeof IMAGE_INPUTS)[number]>;

/** A Transformer over images. */
export interface ImageTower extends Encoder {
  readonly patches: { readonly channels: number; readonly image: GridSize };
  /** The layers; null if they are not a single stack. */
  readonly encoder: Stack | null;
  /** The attentions whose maps can be observed. */
  readonly attentions: readonly MultiHeadAttention[];
  /** Norm after the last layer. */
  readonly norm: LayerNorm | null;
  /** Makes one vector of an image. */
  readonly pooler: TowerPooler | null;
  /** The inputs that it reads. */
  readonly inputNames: readonly (keyof ImageInputs)[];
  /** Number of rows that an image of the size that the model was trained for becomes. */
  readonly maxLength: number;
  /** Input of the first layer, float32 [N, hidden]. Throws ShapeError, DTypeError, ArgumentError. */
  embed(images: ImageInputs): { x: Tensor; batch: Sequences };
  /** Takes the arguments of `embed` and throws its errors. */
  forward(images: ImageInputs): TowerOutput;
  /** Same as `forward`, yielding after each layer or stage. */
  forwardInParts(images: ImageInputs): Generator<unknown, TowerOutput>;
}

export interface VisionParts {
  readonly patches: PatchEmbedding;
  /** A module before the first layer: a norm, or dropout. */
  readonly start?: (Module & { forward(x: Tensor): Tensor }) | null | undefined;
  readonly encoder: Stack;
  /** Norm after the last layer. */
  readonly norm?: LayerNorm | null | undefined;
  /** Makes one vector of an image. */
  readonly pooler?: TowerPooler | null | undefined;
  /** Receives the grid of patches of each pass before the layers run. Positions may depend on it. */
  readonly onGrid?: ((grid: GridSize) => void) | undefined;
}

/** A Transformer over the patches of images. */
export class VisionTower extends Module implements ImageTower {
  readonly patches: PatchEmbedding;
  readonly start: (Module & { forward(x: Tensor): Tensor }) | null;
  readonly encoder: Stack;
  readonly norm: LayerNorm | null;
  readonly pooler: TowerPooler | null;
  readonly inputNames = ['pixelValues'] as const;
  readonly #onGrid: ((grid: GridSize) => void) | undefined;

  constructor({ patches, start = null, encoder, norm = null, pooler = null, onGrid }: VisionParts) {
    super();
    this.#onGrid = onGrid;
    this.patches = patches;
    this.start = start;
    this.encoder = encoder;
    this.norm = norm;
    this.pooler = pooler;
  }

  get layers(): readonly TransformerLayer[] {
    return this.encoder.layers;
  }

  get attentions(): readonly MultiHeadAttention[] {
    return this.encoder.layers.flatMap((layer) => layer.selfAttentions);
  }

  get maxLength(): number {
    const [rows, columns] = this.patches.grid(this.patches.image);
    return this.patches.prefix + rows * columns;
  }

  /** `pixelValues` is float32 [B, channels, height, width]. */
  embed({ pixelValues }: ImageInputs): { x: Tensor; batch: Sequences } {
    const pixels = checkPixels(pixelValues);
    const embedded = this.patches.forward(pixels);
    const [size, count, dModel] = embedded.shape as [number, number, number];
    this.#onGrid?.(this.patches.grid(pixels.shape.slice(2) as [number, number]));
    const batch = Sequences.of(pixels.device, Array<number>(size).fill(count));
    const rows = embedded.reshape(size * count, dModel);
    return { x: this.start?.forward(rows) ?? rows, batch };
  }

  forward(images: ImageInputs): TowerOutput {
    return atOnce(this.forwardInParts(images));
  }

  *forwardInParts(images: ImageInputs): Generator<unknown, TowerOutput> {
    const hiddenStates: Tensor[] = [];
    const { x: embedded, batch } = this.embed(images);
    const x = yield* this.encoder.forwardInParts(embedded, batch, { hiddenStates });
    return { features: this.norm?.forward(x) ?? x, batch, hiddenStates };
  }
}

/** Throws ArgumentError for pixels that are not a tensor, and DTypeError for a tensor other than float32. */
export function checkPixels(pixels: Tensor | undefined): Tensor {
  if (!(pixels instanceof Tensor))
    throw new ArgumentError(`forward: pixelValues is ${describeValue(pixels)}, expected a tensor`);
  checkDType('forward', 'pixelValues', pixels, 'float32');
  return pixels;
}

/** Checks images [B, channels, height, width]. `channels`: null if any number is accepted. Throws ShapeError. */
export function checkImages(pixels: Tensor | undefined, channels: number | null): Tensor {
  const images = checkPixels(pixels);
  if (images.shape.length === 4 && (channels === null || images.shape[1] === channels)) return images;
  const expected = `[B, ${channels ?? 'channels'}, height, width]`;
  throw new ShapeError(`forward: pixelValues is ${describeShape(images.shape)}, expected ${expected}`);
}

/** Patch embedding that a config describes. */
export function patchesOf(
  init: Initializer,
  config: ModelConfig,
  { dModel = config.size('hidden_size'), ...options }: Partial<PatchEmbeddingOptions> = {},
): PatchEmbedding {
  return new PatchEmbedding(init, {
    dModel,
    channels: config.size('num_channels'),
    image: heightAndWidth(config, 'image_size'),
    patch: heightAndWidth(config, 'patch_size'),
    ...options,
  });
}

/** Pre-norm layers, as in CLIP. */
export function towerEncoder(init: Initializer, config: ModelConfig, causal: boolean, randomness: Randomness): Stack {
  const dModel = config.size('hidden_size');
  const layer = () =>
    new TransformerLayer({
      selfAttn: () =>
        new MultiHeadAttention(init, {
          dModel,
          heads: config.size('num_attention_heads'),
          causal,
          dropout: dropoutOf(config, 'attention_dropout', randomness),
        }),
      feedForward: () => towerFeedForward(init, config),
      norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
      wiring: 'pre',
      randomness,
    });
  return new Stack(config.size('num_hidden_layers'), layer, null);
}

export function towerFeedForward(init: Initializer, config: ModelConfig): FeedForward {
  const [dModel, dFF] = [config.size('hidden_size'), config.size('intermediate_size')];
  return new FeedForward(init, { dModel, dFF, activation: activationOf(config.text('hidden_act')) });
}

/** Names of a tower's parts in CLIP and SigLIP. */
export function towerNames(tower: 'text' | 'vision'): StateNames {
  const [inner, embeddings] = [`${tower}_model.encoder.layers.*`, `${tower}_model.embeddings`];
  return {
    [`${tower}.tokens`]: `${embeddings}.token_embedding`,
    [`${tower}.patches.projection`]: `${embeddings}.patch_embedding`,
    [`${tower}.patches.class_token`]: `${embeddings}.class_embedding`,
    [`${tower}.patches.positions`]: `${embeddings}.position_embedding.weight`,
    [`${tower}.positions`]: `${embeddings}.position_embedding`,
    [`${tower}.encoder.layers.*.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${inner}.self_attn.${name}_proj`),
    [`${tower}.encoder.layers.*.self_attn.out_proj`]: `${inner}.self_attn.out_proj`,
    [`${tower}.encoder.layers.*.norm1`]: `${inner}.layer_norm1`,
    [`${tower}.encoder.layers.*.norm2`]: `${inner}.layer_norm2`,
    [`${tower}.encoder.layers.*.feed_forward.linear1`]: `${inner}.mlp.fc1`,
    [`${tower}.encoder.layers.*.feed_forward.linear2`]: `${inner}.mlp.fc2`,
    [`${tower}.norm`]: `${tower}_model.${tower === 'text' ? 'final_layer_norm' : 'post_layernorm'}`,
  };
}

/** transformers' defaults for settings of CLIP's and SigLIP's towers. */
export const towerDefaults: Json = {
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  attention_dropout: 0,
};
export const towerTokens: Json = { pad_token_id: 1, bos_token_id: 49406, eos_token_id: 49407 };
