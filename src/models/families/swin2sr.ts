import { FormatError, ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadAttention, MultiHeadOptions, RotaryContext } from '../../nn/attention.js';
import type { Conv2d } from '../../nn/conv.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm, type Norm, PlainRMSNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, sigmoid } from '../../ops/activation.js';
import { add, mul, scale, sub } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { interpolate } from '../../ops/interpolate.js';
import { gather, permute, slice } from '../../ops/move.js';
import { pixelShuffle } from '../../ops/pixel-shuffle.js';
import { clamp, exp, leakyRelu } from '../../ops/unary.js';
import { activationOf, dropBranch, dropoutOf, heightAndWidth } from '../config-values.js';
import { conv } from '../depth-neck.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { DistanceAttention, type Windows, windowsOf } from './swin.js';

/** The mean color of DIV2K, the images of its training. */
const MEAN = [0.4488, 0.4371, 0.404];
/** Features of the maps of most upsamplers. */
const WIDTH = 64;

/**
 * Swin2SR (Conde et al. 2022, arXiv 2209.11345): larger or cleaner images. Layers of Swin v2 (arXiv 2111.09883) work at
 * one resolution, with a convolution after each stage. Maps are [B, H, W, features].
 */
export class Swin2SR extends ImageModel {
  readonly first: Conv2d;
  readonly patches: Conv2d;
  readonly patchNorm: LayerNorm;
  readonly dropout: Dropout;
  readonly stages: readonly Swin2SRStage[];
  readonly norm: LayerNorm;
  readonly last: Conv2d;
  /** Makes the image of the last map. Null without a head. */
  readonly upsampler: Upsampler | null;
  override readonly head = null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-super-resolution']);
    const { init, config, head } = context;
    config.expect('patch_size', 1);
    config.expect('use_absolute_embeddings', false); // transformers' table has another size
    const [width, eps] = [config.size('embed_dim'), config.number('layer_norm_eps')];
    this.first = conv(init, config.size('num_channels'), width, 3);
    this.patches = conv(init, width, width, 1);
    this.patchNorm = new LayerNorm(init, width);
    this.dropout = new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    const depths = config.sizes('depths');
    const heads = config.sizes('num_heads', depths.length);
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    let made = 0;
    this.stages = depths.map((depth, i) => {
      const layer = () => layerOf(init, config, this.randomness, heads[i] as number, made++ / Math.max(1, total - 1));
      return new Swin2SRStage(init, config, Array.from({ length: depth }, layer));
    });
    this.norm = new LayerNorm(init, width, eps);
    this.last = conv(init, width, width, 3);
    this.upsampler = head === 'none' ? null : upsamplerOf(init, config);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelValues'];
  }

  /** Attention of the last layer of each stage. transformers returns the maps of these layers. */
  override get attentions() {
    const encoder = this.stages.flatMap(
      ({ layers }): readonly MultiHeadAttention[] => layers.at(-1)?.selfAttentions ?? [],
    );
    return { encoder, decoder: [], cross: [] };
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    _inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const { settings, upsampler } = this;
    const range = settings.number('img_range');
    const image = permute(pixels, [0, 2, 3, 1]);
    const padded = reflected(image, settings.size('window_size'));
    const mean = this.#mean(pixels);
    const normed = scale(mean ? sub(padded, mean) : padded, range);
    const shallow = this.first.forward(normed);
    const [count, height, width, features] = shallow.shape as [number, number, number, number];
    let x = this.dropout.forward(this.patchNorm.forward(this.patches.forward(shallow)));
    const rows = (map: Tensor) => map.reshape(count, height * width, features);
    const hiddenStates = [rows(x)];
    const batch = Sequences.of(pixels.device, Array<number>(count).fill(height * width));
    const [window, shift] = windowAndShift(settings);
    const windows = [0, shift].map((offset) => windowsOf(x, count, [height, width], window, offset));
    for (const stage of this.stages) {
      x = yield* stage.forward(x, batch, windows);
      hiddenStates.push(rows(x));
    }
    const deep = add(this.last.forward(this.norm.forward(x)), shallow);
    const output: ModelOutput = options.hiddenStates ? { hiddenStates } : {};
    output.lastHiddenState = permute(deep, [0, 3, 1, 2]);
    if (upsampler === null) return output;
    const made = scale(upsampler.forward(deep, image), 1 / range);
    const factor = settings.size('upscale');
    const [rowsOut, columnsOut] = [1, 2].map((axis) => (image.shape[axis] as number) * factor) as [number, number];
    const shown = cropped(mean ? add(made, mean) : made, rowsOut, columnsOut);
    return { ...output, reconstruction: permute(shown, [0, 3, 1, 2]) };
  }

  /** The mean of colors, [3]. Null for other images. */
  #mean({ device }: Tensor): Tensor | null {
    const { values } = this.settings;
    const channels = values.num_channels;
    return channels === 3 && (values.num_channels_out ?? 3) === 3 ? device.tensor(Float32Array.from(MEAN)) : null;
  }

  protected override get bodyName(): string {
    return 'swin2sr';
  }

  protected override get stateNames(): StateNames {
    const stage = 'swin2sr.encoder.stages.*';
    const [path, layer] = ['stages.*.layers.*', `${stage}.layers.*`];
    const attention = `${layer}.attention.self`;
    const isSingle = this.settings.text('resi_connection') === '1conv';
    return {
      first: 'swin2sr.first_convolution',
      patches: 'swin2sr.embeddings.patch_embeddings.projection',
      patch_norm: 'swin2sr.embeddings.patch_embeddings.layernorm',
      norm: 'swin2sr.layernorm',
      last: 'swin2sr.conv_after_body',
      'stages.*.convs.0': `${stage}.conv${isSingle ? '' : '.0'}`,
      'stages.*.convs.1': `${stage}.conv.2`,
      'stages.*.convs.2': `${stage}.conv.4`,
      'stages.*.patches': `${stage}.patch_embed.projection`,
      [`${path}.self_attn.qkv.bias`]: [`${attention}.query.bias`, null, `${attention}.value.bias`],
      [`${path}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${attention}.${name}`),
      [`${path}.self_attn.logit_scale`]: `${attention}.logit_scale`,
      [`${path}.self_attn.bias1`]: `${attention}.continuous_position_bias_mlp.0`,
      [`${path}.self_attn.bias2`]: `${attention}.continuous_position_bias_mlp.2`,
      [`${path}.self_attn.out_proj`]: `${layer}.attention.output.dense`,
      [`${path}.norm1`]: `${layer}.layernorm_before`,
      [`${path}.norm2`]: `${layer}.layernorm_after`,
      [`${path}.feed_forward.linear1`]: `${layer}.intermediate.dense`,
      [`${path}.feed_forward.linear2`]: `${layer}.output.dense`,
      'upsampler.cleaning': 'final_convolution',
      'upsampler.steps.*': `upsample.upsample.convolution${this.settings.size('upscale') === 3 ? '' : '_*'}`,
      'upsampler.conv_after_aux': 'upsample.conv_after_aux.0',
      upsampler: 'upsample',
    };
  }
}

/** Size of the windows, and the shift of every second layer. Images of one window in training have no shift. */
function windowAndShift(config: ModelConfig): [window: number, shift: number] {
  const [size, [rows]] = [config.size('window_size'), heightAndWidth(config, 'image_size')];
  return [Math.min(rows, size), rows <= size ? 0 : Math.floor(size / 2)];
}

function layerOf(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  heads: number,
  share: number,
): TransformerLayer {
  const dModel = config.size('embed_dim');
  const dropout = dropoutOf(config, 'attention_probs_dropout_prob', randomness);
  const bias = config.flag('qkv_bias');
  const attention = { dModel, heads, bias: [bias, false, bias] as const, outBias: true, dropout };
  const dFF = Math.trunc(config.number('mlp_ratio') * dModel);
  return new TransformerLayer({
    selfAttn: () => new CosineAttention(init, attention, windowAndShift(config)[0]),
    feedForward: () => new FeedForward(init, { dModel, dFF, activation: activationOf(config.text('hidden_act')) }),
    norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
    dropout: () => dropBranch(config, randomness, share),
    wiring: 'branch',
    randomness,
  });
}

/** The largest factor of the cosines, as a logarithm. */
const MAX_SCALE = Math.log(100);
/** Hidden features of the network that makes biases. */
const BIAS_WIDTH = 512;

/** Attention by the cosines of queries and keys. A network makes biases of distances (sections 3.2 and 3.3). */
class CosineAttention extends DistanceAttention {
  /** float32 [heads, 1, 1]: logarithms of the factors of the cosines. */
  readonly logitScale: Tensor;
  readonly bias1: Linear;
  readonly bias2: Linear;

  constructor(init: Initializer, options: MultiHeadOptions, side: number) {
    const headSize = options.dModel / options.heads;
    // Root mean squares are lengths divided by √headSize.
    const norm = () => new PlainRMSNorm(1e-24);
    super(init, { ...options, qNorm: norm, kNorm: norm, scale: 1 / headSize }, side);
    this.logitScale = init.constant([options.heads, 1, 1], Math.log(10));
    this.bias1 = new Linear(init, 2, BIAS_WIDTH);
    this.bias2 = new Linear(init, BIAS_WIDTH, options.heads, false);
  }

  protected override normalizeAndRotate(part: Tensor, norm: Norm | null, context: RotaryContext): Tensor {
    const unit = super.normalizeAndRotate(part, norm, context); // [N, heads · d]
    if (norm !== this.qNorm) return unit;
    const factors = exp(clamp(this.logitScale, { max: MAX_SCALE })).reshape(this.heads, 1);
    return mul(unit.reshape(-1, this.heads, this.headSize), factors).reshape(unit.shape);
  }

  protected override distanceTable(): Tensor {
    const reach = 2 * this.side - 1;
    const coordinate = (index: number) => {
      const share = (8 * (index - this.side + 1)) / Math.max(1, this.side - 1);
      return (Math.sign(share) * Math.log2(Math.abs(share) + 1)) / 3;
    };
    const coordinates = Float32Array.from({ length: 2 * reach * reach }, (_, i) => {
      const distance = Math.floor(i / 2);
      return coordinate(i % 2 === 0 ? Math.floor(distance / reach) : distance % reach);
    });
    const table = this.logitScale.device.tensor(coordinates, [reach * reach, 2]);
    return scale(sigmoid(this.bias2.forward(relu(this.bias1.forward(table)))), 16);
  }
}

/** Layers, and convolutions of their result (residual Swin Transformer block of SwinIR, arXiv 2108.10257). */
class Swin2SRStage extends Module {
  readonly layers: readonly TransformerLayer[];
  readonly convs: readonly Conv2d[];
  readonly patches: Conv2d;

  constructor(init: Initializer, config: ModelConfig, layers: readonly TransformerLayer[]) {
    super();
    const width = config.size('embed_dim');
    const quarter = Math.trunc(width / 4);
    this.layers = layers;
    const three = () => [conv(init, width, quarter, 3), conv(init, quarter, quarter, 1), conv(init, quarter, width, 3)];
    this.convs = config.oneOf('resi_connection', { '1conv': () => [conv(init, width, width, 3)], '3conv': three })();
    this.patches = conv(init, width, width, 1);
  }

  /** `x` and the result: float32 [B, H, W, features]. `windows`: without and with a shift. Yields after each layer. */
  *forward(x: Tensor, batch: Sequences, windows: readonly Windows[]): Generator<unknown, Tensor> {
    let rows = x.reshape(-1, x.shape.at(-1) as number);
    for (const [i, layer] of this.layers.entries()) {
      (layer.selfAttn as CosineAttention).start(windows[i % 2] as Windows);
      rows = layer.forward(rows, batch);
      yield;
    }
    const map = this.convs.reduce(
      (map, layer, i) => layer.forward(i === 0 ? map : leakyRelu(map, { negativeSlope: 0.2 })),
      rows.reshape(x.shape),
    );
    return add(this.patches.forward(map), x);
  }
}

/** Makes an image of a map. */
interface Upsampler extends Module {
  /**
   * `image`: the model's input. Height and width of the result are those of the map, or of the image, times `upscale`.
   */
  forward(map: Tensor, image: Tensor): Tensor;
}

/** Throws FormatError for an unknown upsampler. */
function upsamplerOf(init: Initializer, config: ModelConfig): Upsampler {
  if (config.values.upsampler == null) return new Cleaner(init, config);
  return config.oneOf<() => Upsampler>('upsampler', {
    '': () => new Cleaner(init, config),
    pixelshuffle: () => new PixelShuffleUpsampler(init, config, false),
    pixelshuffle_aux: () => new PixelShuffleUpsampler(init, config, true),
    pixelshuffledirect: () => new DirectUpsampler(init, config),
    'nearest+conv': () => new NearestUpsampler(init, config),
  })();
}

const outputsOf = (config: ModelConfig): number => config.sizeOrNull('num_channels_out') ?? config.size('num_channels');

/**
 * Convolutions whose channels become pixels. With `aux`, a small image comes first, and the enlarged input is added.
 */
class PixelShuffleUpsampler extends Module implements Upsampler {
  readonly convBicubic: Conv2d | null;
  readonly convBeforeUpsample: Conv2d;
  readonly convAux: Conv2d | null;
  readonly convAfterAux: Conv2d | null;
  readonly steps: readonly Conv2d[];
  readonly finalConvolution: Conv2d;
  readonly #upscale: number;

  constructor(init: Initializer, config: ModelConfig, aux: boolean) {
    super();
    this.#upscale = config.size('upscale');
    const doublings = Math.log2(this.#upscale);
    if (this.#upscale !== 3 && !Number.isInteger(doublings))
      throw new FormatError(`config.json: upscale is ${this.#upscale}, expected 3 or a power of 2`);
    const colors = config.size('num_channels');
    this.convBicubic = aux ? conv(init, colors, WIDTH, 3) : null;
    this.convBeforeUpsample = conv(init, config.size('embed_dim'), WIDTH, 3);
    this.convAux = aux ? conv(init, WIDTH, colors, 3) : null;
    this.convAfterAux = aux ? conv(init, 3, WIDTH, 3) : null;
    const [count, pixels] = this.#upscale === 3 ? [1, 9] : [doublings, 4];
    this.steps = Array.from({ length: count }, () => conv(init, WIDTH, pixels * WIDTH, 3));
    this.finalConvolution = conv(init, WIDTH, outputsOf(config), 3);
  }

  forward(map: Tensor, image: Tensor): Tensor {
    let x = leakyRelu(this.convBeforeUpsample.forward(map));
    if (this.convAux && this.convAfterAux) x = leakyRelu(this.convAfterAux.forward(this.convAux.forward(x)));
    const factor = this.#upscale === 3 ? 3 : 2;
    for (const step of this.steps) x = pixelShuffle(step.forward(x), factor, { channelsLast: true });
    if (this.convBicubic) {
      const size = [1, 2].map((axis) => (image.shape[axis] as number) * this.#upscale) as [number, number];
      const enlarged = interpolate(image, { size, mode: 'bicubic', channelsLast: true });
      x = add(cropped(x, ...size), this.convBicubic.forward(enlarged));
    }
    return this.finalConvolution.forward(x);
  }
}

/** One convolution whose channels become pixels. */
class DirectUpsampler extends Module implements Upsampler {
  readonly conv: Conv2d;
  readonly #upscale: number;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    this.#upscale = config.size('upscale');
    this.conv = conv(init, config.size('embed_dim'), this.#upscale ** 2 * outputsOf(config), 3);
  }

  forward(map: Tensor): Tensor {
    return pixelShuffle(this.conv.forward(map), this.#upscale, { channelsLast: true });
  }
}

/** Doubles the map twice by its nearest values, with convolutions. */
class NearestUpsampler extends Module implements Upsampler {
  readonly convBeforeUpsample: Conv2d;
  readonly convUp1: Conv2d;
  readonly convUp2: Conv2d;
  readonly convHr: Conv2d;
  readonly finalConvolution: Conv2d;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    config.expect('upscale', 4);
    const same = () => conv(init, WIDTH, WIDTH, 3);
    this.convBeforeUpsample = conv(init, config.size('embed_dim'), WIDTH, 3);
    [this.convUp1, this.convUp2, this.convHr] = [same(), same(), same()];
    this.finalConvolution = conv(init, WIDTH, outputsOf(config), 3);
  }

  forward(map: Tensor): Tensor {
    const active = (x: Tensor) => leakyRelu(x, { negativeSlope: 0.2 });
    const doubled = (x: Tensor) => interpolate(x, { scaleFactor: 2, channelsLast: true });
    let x = leakyRelu(this.convBeforeUpsample.forward(map));
    for (const layer of [this.convUp1, this.convUp2]) x = active(layer.forward(doubled(x)));
    return this.finalConvolution.forward(active(this.convHr.forward(x)));
  }
}

/** Adds a correction to the image, which keeps its size: for noise and traces of compression. */
class Cleaner extends Module implements Upsampler {
  readonly cleaning: Conv2d;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    this.cleaning = conv(init, config.size('embed_dim'), outputsOf(config), 3);
  }

  forward(map: Tensor, image: Tensor): Tensor {
    return add(cropped(this.cleaning.forward(map), image.shape[1] as number, image.shape[2] as number), image);
  }
}

/** The upper left part of a map, [B, H, W, features]. */
function cropped(map: Tensor, height: number, width: number): Tensor {
  if (map.shape[1] === height && map.shape[2] === width) return map;
  return contiguous(slice(slice(map, 1, 0, height), 2, 0, width));
}

/** Mirrors rows and columns at the lower and right edges, so that height and width are multiples of `window`. */
function reflected(map: Tensor, window: number): Tensor {
  const [count, height, width, channels] = map.shape as [number, number, number, number];
  const [rows, columns] = [height, width].map((size) => Math.ceil(size / window) * window) as [number, number];
  if (rows === height && columns === width) return map;
  if (rows >= 2 * height || columns >= 2 * width)
    throw new ShapeError(`forward: images are ${height} × ${width}, too small for windows of ${window}`);
  const inside = (index: number, size: number) => (index < size ? index : 2 * size - 2 - index);
  const pixels = Int32Array.from({ length: count * rows * columns }, (_, i) => {
    const [image, row] = [Math.floor(i / (rows * columns)), inside(Math.floor(i / columns) % rows, height)];
    return (image * height + row) * width + inside(i % columns, width);
  });
  const all = contiguous(map).reshape(-1, channels);
  return gather(all, map.device.tensor(pixels)).reshape(count, rows, columns, channels);
}

export const swin2sr: Family = {
  model: Swin2SR,
  className: 'Swin2SR',
  defaults: {
    image_size: 64,
    patch_size: 1,
    num_channels: 3,
    embed_dim: 180,
    depths: [6, 6, 6, 6, 6, 6],
    num_heads: [6, 6, 6, 6, 6, 6],
    window_size: 8,
    mlp_ratio: 2,
    qkv_bias: true,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    drop_path_rate: 0.1,
    hidden_act: 'gelu',
    use_absolute_embeddings: false,
    layer_norm_eps: 1e-5,
    upscale: 2,
    img_range: 1,
    resi_connection: '1conv',
    upsampler: 'pixelshuffle',
  },
};
