import { checkShape } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import { Conv2d, ConvTranspose2d } from '../../nn/conv.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { gelu, relu } from '../../ops/activation.js';
import { attention } from '../../ops/attention.js';
import { add, scale, sub } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { interpolate } from '../../ops/interpolate.js';
import { matmul } from '../../ops/matmul.js';
import { concat, gather, permute, slice } from '../../ops/move.js';
import { pad } from '../../ops/pad.js';
import { cos, sin } from '../../ops/unary.js';
import { activationOf } from '../config-values.js';
import { type Keys, PositionedAttention } from '../detection.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type Prompts, SamPrompts } from '../sam-prompts.js';
import { checkPixels } from '../towers.js';

/** Epsilon of the norms in the neck and in the mask decoder. */
const EPS = 1e-6;

/**
 * SAM (Kirillov et al. 2023, arXiv 2304.02643): an encoder reads an image once. A small decoder then predicts masks of
 * the objects that points or boxes mark.
 */
export class Sam extends ImageModel {
  override readonly head = null;
  /** float32 [2, features]: fixed random directions of the waves that encode positions (random Fourier features). */
  readonly directions: Tensor;
  readonly visionEncoder: SamEncoder;
  readonly promptEncoder: SamPrompts;
  readonly maskDecoder: SamDecoder;

  constructor(context: FamilyContext) {
    super(context, ['none']);
    const { init, config } = context;
    const part = (name: string, defaults: Json) => new ModelConfig({ ...defaults, ...config.object(name) });
    const vision = part('vision_config', visionDefaults);
    const prompts = part('prompt_encoder_config', promptDefaults);
    this.directions = init.normal([2, vision.size('num_pos_feats')], vision.number('scale'));
    this.visionEncoder = new SamEncoder(init, vision, this.randomness);
    this.promptEncoder = new SamPrompts(init, prompts);
    this.maskDecoder = new SamDecoder(init, part('mask_decoder_config', decoderDefaults));
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelValues', 'imageEmbeddings', 'inputPoints', 'inputLabels', 'inputBoxes', 'inputMasks'];
  }

  /** Encodes points [..., 2], fractions of the image, as sines and cosines [..., 2 · features]. */
  readonly #wavesOf = (points: Tensor): Tensor => {
    const angles = scale(matmul(sub(scale(points, 2), 1), this.directions), 2 * Math.PI);
    return concat([sin(angles), cos(angles)], -1);
  };

  /**
   * Encodes images once for any number of prompts. `pixels`: float32 [B, channels, height, width]. Returns [B,
   * features, rows, columns].
   */
  imageEmbeddings(pixels: Tensor): Tensor {
    return this.device.scope(() => atOnce(this.imageEmbeddingsInParts(pixels)));
  }

  /** @internal Same as `imageEmbeddings`, yielding after each layer. The caller runs it in a scope. */
  *imageEmbeddingsInParts(pixels: Tensor): Generator<unknown, Tensor> {
    return contiguous(permute(yield* this.visionEncoder.forward(checkPixels(pixels), []), [0, 3, 1, 2]));
  }

  protected override *runInParts(inputs: ModelInputs, options: ForwardOptions): Generator<unknown, ModelOutput> {
    const { imageEmbeddings, pixelValues } = inputs;
    if (imageEmbeddings === undefined) return yield* super.runInParts(inputs, options);
    if (pixelValues !== undefined)
      throw new ArgumentError('forward: pixelValues and imageEmbeddings are given, expected one of them');
    const side = this.promptEncoder.grid;
    const [batch = 1] = imageEmbeddings.shape;
    checkShape('forward', 'imageEmbeddings', imageEmbeddings, [batch, this.visionEncoder.width, side, side]);
    return this.#segment(permute(imageEmbeddings, [0, 2, 3, 1]), inputs);
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const states: Tensor[] = [];
    const output = this.#segment(yield* this.visionEncoder.forward(pixels, states), inputs);
    return options.hiddenStates ? { ...output, visionHiddenStates: states } : output;
  }

  /** @internal Checkpoints contain the directions twice. */
  override ignores(name: string): boolean {
    return name === 'prompt_encoder.shared_embedding.positional_embedding';
  }

  /** ONNX exports take points, but neither boxes nor masks. */
  override isOptional(name: string): boolean {
    return /^prompt_encoder\.(mask_embed|point_embed\.[23])\./.test(name);
  }

  #checkPrompts({ inputBoxes: boxes, inputMasks: masks }: ModelInputs): void {
    const kinds = [boxes && ['inputBoxes', 'point_embed.2'], masks && ['inputMasks', 'mask_embed']] as const;
    for (const kind of kinds)
      if (kind && [...this.absent].some((name) => name.startsWith(`prompt_encoder.${kind[1]}.`)))
        throw new ArgumentError(
          `forward: ${kind[0]} need prompt_encoder.${kind[1]}, which the ONNX file lacks: give inputPoints, or load safetensors`,
        );
  }

  /** Predicts the masks. `image`: float32 [B, rows, columns, features], an encoded image. */
  #segment(image: Tensor, inputs: ModelInputs): ModelOutput {
    this.#checkPrompts(inputs);
    const batch = image.shape[0] as number;
    const prompts = this.promptEncoder.forward(inputs, batch, this.#wavesOf);
    const side = this.promptEncoder.grid;
    const centres = Float32Array.from({ length: side * side * 2 }, (_, i) => {
      const cell = Math.floor(i / 2);
      return ((i % 2 === 0 ? cell % side : Math.floor(cell / side)) + 0.5) / side;
    });
    const positions = this.#wavesOf(this.device.tensor(centres, [side * side, 2]));
    return this.maskDecoder.forward(image, positions, prompts);
  }

  protected override mapsOf(): ModelOutput {
    return {};
  }

  protected override get bodyName(): string {
    return 'sam';
  }

  protected override get stateNames(): StateNames {
    return { directions: ['shared_image_embedding.positional_embedding'] };
  }
}

/** A feed-forward network with SAM's names. */
class SamFeedForward extends FeedForward {
  protected override get stateNames(): StateNames {
    return { linear1: 'lin1', linear2: 'lin2' };
  }
}

/** A vision Transformer in which most layers attend within windows, and some to all patches. */
class SamEncoder extends Module {
  readonly projection: Conv2d;
  /** float32 [rows · columns, width], or null. */
  readonly positions: Tensor | null;
  readonly layers: readonly SamLayer[];
  readonly conv1: Conv2d;
  readonly layerNorm1: LayerNorm;
  readonly conv2: Conv2d;
  readonly layerNorm2: LayerNorm;
  /** Number of features of a patch. */
  readonly width: number;
  readonly #image: number;
  readonly #grid: number;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    this.width = config.size('output_channels');
    const [width, patch, image] = [config.size('hidden_size'), config.size('patch_size'), config.size('image_size')];
    this.#image = image;
    this.#grid = Math.floor(image / patch);
    const channels = config.size('num_channels');
    this.projection = new Conv2d(init, {
      inputs: channels,
      outputs: width,
      kernel: [patch, patch],
      stride: patch,
      channelsLast: true,
    });
    this.positions = config.flag('use_abs_pos') ? init.constant([this.#grid * this.#grid, width], 0) : null;
    const isGlobal = config.list('global_attn_indexes');
    this.layers = Array.from({ length: config.size('num_hidden_layers') }, (_, i) => {
      return new SamLayer(
        init,
        config,
        isGlobal.includes(i) ? 0 : config.number('window_size'),
        this.#grid,
        randomness,
      );
    });
    const outputs = config.size('output_channels');
    this.conv1 = new Conv2d(init, { inputs: width, outputs, kernel: [1, 1], channelsLast: true, bias: false });
    this.layerNorm1 = new LayerNorm(init, outputs, EPS);
    this.conv2 = new Conv2d(init, {
      inputs: outputs,
      outputs,
      kernel: [3, 3],
      padding: 1,
      channelsLast: true,
      bias: false,
    });
    this.layerNorm2 = new LayerNorm(init, outputs, EPS);
  }

  protected override get stateNames(): StateNames {
    return {
      projection: 'patch_embed.projection',
      positions: { name: 'pos_embed', leading: [1, this.#grid] },
      ...Object.fromEntries(['conv1', 'layer_norm1', 'conv2', 'layer_norm2'].map((name) => [name, `neck.${name}`])),
    };
  }

  /**
   * `pixels`: float32 [B, channels, image, image]. Returns float32 [B, rows, columns, channels]. Yields after each
   * layer.
   */
  *forward(pixels: Tensor, states: Tensor[]): Generator<unknown, Tensor> {
    const { device } = pixels;
    checkShape('forward', 'pixelValues', pixels, [
      pixels.shape[0] as number,
      this.projection.weight.shape[1] as number,
      this.#image,
      this.#image,
    ]);
    const patches = this.projection.forward(permute(pixels, [0, 2, 3, 1]));
    const [, rows, columns, width] = patches.shape as [number, number, number, number];
    let x = this.positions ? add(patches, this.positions.reshape(rows, columns, width)) : patches;
    states.push(x);
    for (const layer of this.layers) {
      x = device.scope(() => layer.forward(x));
      states.push(x);
      yield;
    }
    const narrow = this.layerNorm1.forward(this.conv1.forward(x));
    return this.layerNorm2.forward(this.conv2.forward(narrow));
  }
}

class SamLayer extends Module {
  readonly layerNorm1: LayerNorm;
  readonly attn: SamAttention;
  readonly layerNorm2: LayerNorm;
  readonly mlp: SamFeedForward;
  readonly #window: number;

  /** `window`: 0 for attention among all patches. */
  constructor(init: Initializer, config: ModelConfig, window: number, grid: number, randomness: Randomness) {
    super();
    const dModel = config.size('hidden_size');
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    this.#window = window;
    this.layerNorm1 = norm();
    this.attn = new SamAttention(init, config, window || grid, randomness);
    this.layerNorm2 = norm();
    const activation = activationOf(config.text('hidden_act'));
    this.mlp = new SamFeedForward(init, { dModel, dFF: config.size('mlp_dim'), activation });
  }

  /** `x`: float32 [B, rows, columns, width]. */
  forward(x: Tensor): Tensor {
    const normed = this.layerNorm1.forward(x);
    const mixed = add(x, this.#window > 0 ? this.#inWindows(normed) : this.attn.forward(normed));
    return add(mixed, this.mlp.forward(this.layerNorm2.forward(mixed)));
  }

  /**
   * Attention within square windows of patches. Zeros fill up windows at the right and lower edges; attention includes
   * them.
   */
  #inWindows(x: Tensor): Tensor {
    const size = this.#window;
    const [batch, rows, columns, width] = x.shape as [number, number, number, number];
    const [tall, wide] = [Math.ceil(rows / size), Math.ceil(columns / size)];
    const padded = pad(x, [0, 0, 0, wide * size - columns, 0, tall * size - rows]);
    const windows = permute(contiguous(padded).reshape(batch, tall, size, wide, size, width), [0, 1, 3, 2, 4, 5]);
    const seen = this.attn.forward(windows.reshape(batch * tall * wide, size, size, width));
    const whole = permute(seen.reshape(batch, tall, wide, size, size, width), [0, 1, 3, 2, 4, 5]);
    const joined = whole.reshape(batch, tall * size, wide * size, width);
    return slice(slice(joined, 1, 0, rows), 2, 0, columns);
  }
}

/**
 * Attention with decomposed relative positions. The bias of a score is the product of the query with trained vectors of
 * the row distance and of the column distance.
 */
class SamAttention extends Module {
  readonly qkv: Projection;
  readonly proj: Projection;
  /** `relPosH` and `relPosW`: float32 [2 · side - 1, features of a head], or null. */
  readonly relPosH: Tensor | null;
  readonly relPosW: Tensor | null;
  readonly #heads: number;
  readonly #dropout: Dropout;

  constructor(init: Initializer, config: ModelConfig, side: number, randomness: Randomness) {
    super();
    const [width, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    this.#heads = heads;
    this.qkv = new Linear(init, width, [width, width, width], config.flag('qkv_bias'));
    this.proj = new Linear(init, width, width);
    const distances = () => (config.flag('use_rel_pos') ? init.constant([2 * side - 1, width / heads], 0) : null);
    this.relPosH = distances();
    this.relPosW = distances();
    this.#dropout = new Dropout(config.number('attention_dropout'), randomness);
  }

  /** `x`: float32 [B, rows, columns, width]. */
  forward(x: Tensor): Tensor {
    const [batch, rows, columns, width] = x.shape as [number, number, number, number];
    const heads = this.#heads;
    const all = this.qkv.forward(contiguous(x).reshape(batch, rows * columns, width)); // [B, T, q | k | v]
    const [q, k, v] = [0, 1, 2].map((i) => contiguous(all.columns(i * width, (i + 1) * width))) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const bias = this.#biasOf(q, [rows, columns]);
    const mixed = attention(q, k, v, { heads, bias, dropout: this.#dropout.options });
    return this.proj.forward(mixed).reshape(x.shape);
  }

  /** Returns the biases of the scores, [B, heads, T, T], or null. T: rows · columns. */
  #biasOf(q: Tensor, [rows, columns]: readonly [number, number]): Tensor | null {
    const { relPosH, relPosW } = this;
    if (!relPosH || !relPosW) return null;
    const batch = q.shape[0] as number;
    const heads = this.#heads;
    const queries = permute(q.reshape(batch, rows, columns, heads, -1), [1, 2, 0, 3, 4]); // [rows, columns, B, heads, d]
    const d = queries.shape[4] as number;
    const down = matmul(queries.reshape(rows, columns * batch * heads, d), vectorsOf(relPosH, rows), {
      transposeB: true,
    });
    const byColumn = permute(queries, [1, 0, 2, 3, 4]).reshape(columns, rows * batch * heads, d);
    const across = matmul(byColumn, vectorsOf(relPosW, columns), { transposeB: true });
    const high = permute(down.reshape(rows, columns, batch, heads, rows), [2, 3, 0, 1, 4]); // [B, heads, rows, columns, rows]
    const wide = permute(across.reshape(columns, rows, batch, heads, columns), [2, 3, 1, 0, 4]);
    const tokens = rows * columns;
    const sum = add(high.reshape(batch, heads, tokens, rows, 1), wide.reshape(batch, heads, tokens, 1, columns));
    return sum.reshape(batch, heads, tokens, tokens);
  }
}

/** Returns the vector for the distance of each query and key on one axis, [size, size, features]. */
function vectorsOf(table: Tensor, size: number): Tensor {
  const [count, features] = table.shape as [number, number];
  const wanted = 2 * size - 1;
  const fitting =
    count === wanted
      ? table
      : interpolate(table.reshape(1, count, features), { size: wanted, mode: 'linear', channelsLast: true });
  const rows = Int32Array.from({ length: size * size }, (_, i) => Math.floor(i / size) - (i % size) + size - 1);
  return gather(fitting.reshape(wanted, features), table.device.tensor(rows)).reshape(size, size, features);
}

/**
 * The mask decoder. Tokens for the masks and their quality attend to the prompts and the image, and the image attends
 * to them.
 */
class SamDecoder extends Module {
  readonly iouToken: Tensor;
  readonly maskTokens: Tensor;
  readonly transformer: TwoWayTransformer;
  readonly upscaleConv1: ConvTranspose2d;
  readonly upscaleConv2: ConvTranspose2d;
  readonly upscaleLayerNorm: LayerNorm;
  readonly outputHypernetworksMlps: readonly SamHead[];
  readonly iouPredictionHead: SamHead;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const width = config.size('hidden_size');
    const masks = config.size('num_multimask_outputs') + 1;
    this.iouToken = init.normal([1, width], 1);
    this.maskTokens = init.normal([masks, width], 1);
    this.transformer = new TwoWayTransformer(init, config);
    const [inner, last] = [Math.floor(width / 4), Math.floor(width / 8)];
    const doubles = { stride: 2, channelsLast: true };
    this.upscaleConv1 = new ConvTranspose2d(init, { inputs: width, outputs: inner, kernel: [2, 2], ...doubles });
    this.upscaleConv2 = new ConvTranspose2d(init, { inputs: inner, outputs: last, kernel: [2, 2], ...doubles });
    this.upscaleLayerNorm = new LayerNorm(init, inner, EPS);
    this.outputHypernetworksMlps = Array.from({ length: masks }, () => new SamHead(init, width, width, last, 3));
    const [hidden, depth] = [config.size('iou_head_hidden_dim'), config.size('iou_head_depth')];
    this.iouPredictionHead = new SamHead(init, width, hidden, masks, depth);
  }

  protected override get stateNames(): StateNames {
    return { iou_token: 'iou_token.weight', mask_tokens: 'mask_tokens.weight' };
  }

  /** `image`: float32 [B, rows, columns, C]. `positions`: [rows · columns, C]. */
  forward(image: Tensor, positions: Tensor, { sparse, dense }: Prompts): ModelOutput {
    const { device } = image;
    const [batch, rows, columns, width] = image.shape as [number, number, number, number];
    const prompts = sparse?.shape[1] ?? 1;
    const every = batch * prompts;
    const outputTokens = concat([this.iouToken, this.maskTokens]);
    const start = add(outputTokens, device.zeros([every, 1, 1])); // [B · prompts, masks + 1, C]
    const tokens = sparse ? concat([start, sparse.reshape(every, -1, width)], 1) : start;
    const map = add(image.reshape(batch, rows * columns, width), dense);
    const images = Int32Array.from({ length: every }, (_, i) => Math.floor(i / prompts));
    const repeated = prompts === 1 ? map : gather(map, device.tensor(images)); // [B · prompts, rows · columns, C]
    const { queries, keys } = this.transformer.forward(tokens, repeated, positions);
    const small = gelu(
      this.upscaleLayerNorm.forward(this.upscaleConv1.forward(keys.reshape(every, rows, columns, width))),
    );
    const large = gelu(this.upscaleConv2.forward(small)); // [B · prompts, 4 · rows, 4 · columns, C / 8]
    const [, height, wide, features] = large.shape as [number, number, number, number];
    const count = this.outputHypernetworksMlps.length;
    const weights = this.outputHypernetworksMlps.map((head, i) => head.forward(slice(queries, 1, i + 1, i + 2)));
    const all = matmul(concat(weights, 1), large.reshape(every, height * wide, features), { transposeB: true });
    // The first mask is for unambiguous prompts. It is left out, as in transformers by default.
    const masks = slice(all, 1, 1, count);
    const scores = this.iouPredictionHead.forward(slice(queries, 1, 0, 1)).reshape(batch, prompts, count);
    return {
      iouScores: contiguous(scores.columns(1, count)),
      predMasks: masks.reshape(batch, prompts, count - 1, height, wide),
    };
  }
}

/** Projections with ReLU between them (a multilayer perceptron). */
class SamHead extends Module {
  readonly projIn: Projection;
  readonly projOut: Projection;
  readonly layers: readonly Projection[];

  constructor(init: Initializer, inputs: number, hidden: number, outputs: number, depth: number) {
    super();
    this.projIn = new Linear(init, inputs, hidden);
    this.projOut = new Linear(init, hidden, outputs);
    this.layers = Array.from({ length: Math.max(0, depth - 2) }, () => new Linear(init, hidden, hidden));
  }

  forward(x: Tensor): Tensor {
    const start = relu(this.projIn.forward(x));
    return this.projOut.forward(this.layers.reduce((y, layer) => relu(layer.forward(y)), start));
  }
}

class TwoWayTransformer extends Module {
  readonly layers: readonly TwoWayLayer[];
  readonly finalAttnTokenToImage: PositionedAttention;
  readonly layerNormFinalAttn: LayerNorm;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const [width, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const inner = Math.floor(width / config.size('attention_downsample_rate'));
    const depth = config.size('num_hidden_layers');
    this.layers = Array.from({ length: depth }, (_, i) => new TwoWayLayer(init, config, i === 0));
    this.finalAttnTokenToImage = new PositionedAttention(init, width, heads, null, inner);
    this.layerNormFinalAttn = new LayerNorm(init, width);
  }

  forward(tokens: Tensor, image: Tensor, positions: Tensor): { queries: Tensor; keys: Tensor } {
    let [queries, keys] = [tokens, image];
    for (const layer of this.layers) ({ queries, keys } = layer.forward(queries, keys, tokens, positions));
    const seen = this.finalAttnTokenToImage.forward(queries, tokens, { x: keys, positions, mask: null });
    return { queries: this.layerNormFinalAttn.forward(seen, queries), keys };
  }
}

class TwoWayLayer extends Module {
  readonly selfAttn: PositionedAttention;
  readonly layerNorm1: LayerNorm;
  readonly crossAttnTokenToImage: PositionedAttention;
  readonly layerNorm2: LayerNorm;
  readonly mlp: SamFeedForward;
  readonly layerNorm3: LayerNorm;
  readonly layerNorm4: LayerNorm;
  readonly crossAttnImageToToken: PositionedAttention;
  readonly #isFirst: boolean;

  constructor(init: Initializer, config: ModelConfig, isFirst: boolean) {
    super();
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const inner = Math.floor(dModel / 2); // transformers ignores the rate of the config
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    this.#isFirst = isFirst;
    this.selfAttn = new PositionedAttention(init, dModel, heads);
    this.layerNorm1 = norm();
    this.crossAttnTokenToImage = new PositionedAttention(init, dModel, heads, null, inner);
    this.layerNorm2 = norm();
    const activation = activationOf(config.text('hidden_act'));
    this.mlp = new SamFeedForward(init, { dModel, dFF: config.size('mlp_dim'), activation });
    this.layerNorm3 = norm();
    this.layerNorm4 = norm();
    this.crossAttnImageToToken = new PositionedAttention(init, dModel, heads, null, inner);
  }

  /** `tokens`: positions of the queries. `positions`: positions of the keys. */
  forward(queries: Tensor, keys: Tensor, tokens: Tensor, positions: Tensor): { queries: Tensor; keys: Tensor } {
    const withTokens = this.#isFirst
      ? this.layerNorm1.forward(this.selfAttn.forward(queries, null))
      : this.layerNorm1.forward(this.selfAttn.forward(queries, tokens), queries);
    const image: Keys = { x: keys, positions, mask: null };
    const seen = this.layerNorm2.forward(this.crossAttnTokenToImage.forward(withTokens, tokens, image), withTokens);
    const fed = this.layerNorm3.forward(this.mlp.forward(seen), seen);
    const prompts: Keys = { x: fed, positions: tokens, mask: null };
    const back = this.crossAttnImageToToken.forward(keys, positions, prompts);
    return { queries: fed, keys: this.layerNorm4.forward(back, keys) };
  }
}

const visionDefaults: Json = {
  hidden_size: 768,
  output_channels: 256,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  num_channels: 3,
  image_size: 1024,
  patch_size: 16,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
  attention_dropout: 0,
  qkv_bias: true,
  mlp_dim: 3072,
  use_abs_pos: true,
  use_rel_pos: true,
  window_size: 14,
  global_attn_indexes: [2, 5, 8, 11],
  num_pos_feats: 128,
  scale: 128,
};
const promptDefaults: Json = {
  hidden_size: 256,
  image_size: 1024,
  patch_size: 16,
  mask_input_channels: 16,
  num_point_embeddings: 4,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
};
const decoderDefaults: Json = {
  hidden_size: 256,
  hidden_act: 'relu',
  mlp_dim: 2048,
  num_hidden_layers: 2,
  num_attention_heads: 8,
  attention_downsample_rate: 2,
  num_multimask_outputs: 3,
  iou_head_depth: 3,
  iou_head_hidden_dim: 256,
  layer_norm_eps: 1e-6,
};

export const sam: Family = {
  model: Sam,
  className: 'Sam',
  defaults: { vision_config: {}, prompt_encoder_config: {}, mask_decoder_config: {} },
};
