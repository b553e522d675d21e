import { FormatError, ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Conv2d } from '../../nn/conv.js';
import { DropPath, type Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { max } from '../../ops/axis.js';
import { add, scale } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { matmul } from '../../ops/matmul.js';
import { gather, permute, slice } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { softmax } from '../../ops/softmax.js';
import { activationOf, heightAndWidth } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * Hiera (Ryali et al. 2023, arXiv 2306.00989): stages of plain layers. Those of the first stages attend within windows;
 * the first layer of a later stage takes the maxima of queries over squares of patches. Patches are ordered so that the
 * first digits of their index are their place in such a square.
 */
class Hiera extends ImageModel {
  readonly patches: Conv2d;
  /** float32 [patches, features], row by row. */
  readonly positions: Tensor;
  readonly layers: readonly HieraLayer[];
  /** Null in checkpoints for pretraining, which pool nothing. */
  readonly poolerNorm: LayerNorm | null;
  readonly head: PredictionHead | null;
  /** Parts of checkpoints for pretraining, which restore masked patches. */
  override readonly keptNames = /^(encoder_norm|multiscale_fusion|decoder)\./;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification']);
    const { init, config, head } = context;
    const width = config.size('embed_dim');
    const [size, kernel, stride] = ['image_size', 'patch_size', 'patch_stride'].map((name) =>
      heightAndWidth(config, name),
    ) as [Pair, Pair, Pair];
    const padding = config.list('patch_padding') as unknown as Pair;
    const channels = config.size('num_channels');
    this.patches = new Conv2d(init, { inputs: channels, outputs: width, kernel, stride, padding, channelsLast: true });
    const count = Math.floor(size[0] / stride[0]) * Math.floor(size[1] / stride[1]);
    this.positions = init.normal([count, width], 0.02);
    this.layers = hieraLayers(init, config, this.randomness);
    const last = (this.layers.at(-1) as HieraLayer).width;
    const pools = !String(config.values.architectures).endsWith('ForPreTraining');
    this.poolerNorm = pools ? new LayerNorm(init, last, config.number('layer_norm_eps')) : null;
    const out = () => new Linear(init, last, labelsOf(config.values).length);
    this.head = head === 'image-classification' ? new PredictionHead({ pick: 'tokens', out: out() }) : null;
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const depths = this.settings.sizes('depths');
    let x = this.#embed(pixels);
    const hiddenStates = [x];
    let made = 0;
    for (const depth of depths) {
      for (const layer of this.layers.slice(made, made + depth)) {
        x = layer.forward(x);
        yield;
      }
      made += depth;
      hiddenStates.push(x);
    }
    const output: ModelOutput = options.hiddenStates ? { hiddenStates } : {};
    output.lastHiddenState = x;
    if (this.poolerNorm === null) return output;
    const pooled = this.poolerNorm.forward(mean(x, { axis: 1 }));
    return { ...output, poolerOutput: pooled, ...this.classified(pooled, inputs, options) };
  }

  /** float32 [B, patches, features]. Throws ShapeError. */
  #embed(pixels: Tensor): Tensor {
    const map = this.patches.forward(permute(pixels, [0, 2, 3, 1]));
    const [size, height, width, features] = map.shape as [number, number, number, number];
    const [count] = this.positions.shape as [number];
    const square = heightAndWidth(this.settings, 'query_stride');
    const squares = this.settings.sizes('depths').length - 1;
    const isWhole = height % square[0] ** squares === 0 && width % square[1] ** squares === 0;
    if (height * width !== count || !isWhole)
      throw new ShapeError(
        `forward: the images have ${height} × ${width} patches, expected ${count} in whole squares: give images of the config's image_size`,
      );
    const rows = add(map.reshape(size, count, features), this.positions).reshape(size * count, features);
    const order = patchOrder([height, width], square, squares);
    const all = Int32Array.from({ length: size * count }, (_, i) => {
      const image = Math.floor(i / count);
      return image * count + (order[i - image * count] as number);
    });
    return gather(rows, pixels.device.tensor(all)).reshape(size, count, features);
  }

  override ignores(name: string): boolean {
    return this.keptNames.test(name);
  }

  protected override get bodyName(): string {
    return 'hiera';
  }

  protected override get stateNames(): StateNames {
    const names: Record<string, StateNames[string]> = {
      patches: 'hiera.embeddings.patch_embeddings.projection',
      positions: { name: 'hiera.embeddings.position_embeddings', leading: [1] },
      pooler_norm: 'hiera.pooler.layernorm',
      'head.out': 'classifier',
    };
    let made = 0;
    for (const [stage, depth] of this.settings.sizes('depths').entries())
      for (let i = 0; i < depth; i++) {
        const [layer, stored] = [`layers.${made++}`, `hiera.encoder.stages.${stage}.layers.${i}`];
        names[`${layer}.norm1`] = `${stored}.layernorm_before`;
        names[`${layer}.norm2`] = `${stored}.layernorm_after`;
        names[`${layer}.shortcut`] = `${stored}.proj`;
        names[`${layer}.attention.qkv`] = `${stored}.attn.qkv`;
        names[`${layer}.attention.out_proj`] = `${stored}.attn.proj`;
        names[`${layer}.feed_forward.linear1`] = `${stored}.mlp.fc1`;
        names[`${layer}.feed_forward.linear2`] = `${stored}.mlp.fc2`;
      }
    return names;
  }
}

type Pair = readonly [number, number];

/**
 * The place of each patch in a map, row by row. The first digit of a patch's index is its place in a square of patches.
 * The next one is the place of that square in a square of squares, and so on, `levels` times. The last two digits are
 * row and column.
 */
function patchOrder([height, width]: Pair, [down, across]: Pair, levels: number): number[] {
  const count = height * width;
  return Array.from({ length: count }, (_, index) => {
    let [rest, size, y, x, rowStep, columnStep] = [index, count, 0, 0, 1, 1];
    for (let level = 0; level < levels; level++) {
      size /= down * across;
      const digit = Math.floor(rest / size);
      rest -= digit * size;
      y += rowStep * Math.floor(digit / across);
      x += columnStep * (digit % across);
      rowStep *= down;
      columnStep *= across;
    }
    const columns = width / columnStep;
    return (y + rowStep * Math.floor(rest / columns)) * width + x + columnStep * (rest % columns);
  });
}

/** The layers of all stages. Throws FormatError for settings that do not fit each other. */
function hieraLayers(init: Initializer, config: ModelConfig, randomness: Randomness): HieraLayer[] {
  const depths = config.sizes('depths');
  const area = (name: string) => heightAndWidth(config, name).reduce((product, side) => product * side, 1);
  const [unit, square, pools] = [area('masked_unit_size'), area('query_stride'), config.number('num_query_pool')];
  if (pools >= depths.length)
    throw new FormatError(`config.json: num_query_pool is ${pools}, expected less than ${depths.length}, the stages`);
  const heads = config.sizes('num_heads', depths.length);
  const inWindows = config.list('masked_unit_attention');
  const count = depths.reduce((sum, depth) => sum + depth, 0);
  const layers: HieraLayer[] = [];
  for (const [stage, depth] of depths.entries()) {
    const widthOf = (i: number) =>
      Math.trunc(config.size('embed_dim') * config.number('embed_dim_multiplier') ** Math.max(0, i));
    for (let i = 0; i < depth; i++) {
      const isFirst = i === 0 && stage > 0;
      const isWindowed = inWindows[stage] === true || (i === 0 && inWindows[Math.max(0, stage - 1)] === true);
      layers.push(
        new HieraLayer(init, config, {
          inputs: widthOf(isFirst ? stage - 1 : stage),
          width: widthOf(stage),
          heads: heads[stage] as number,
          square: isFirst && stage <= pools ? square : 1,
          window: isWindowed ? Math.trunc(unit / square ** stage) : null,
          drops: new DropPath((config.number('drop_path_rate') * layers.length) / Math.max(count - 1, 1), randomness),
        }),
      );
    }
  }
  return layers;
}

interface HieraLayerOptions {
  /** Features of a patch before and after the layer. */
  readonly inputs: number;
  readonly width: number;
  readonly heads: number;
  /** Number of patches that become one. */
  readonly square: number;
  /** Number of patches in a window after the layer. Null if all patches attend to each other. */
  readonly window: number | null;
  readonly drops: DropPath;
}

/** The maxima over the first digit of the patches' index: [B, N, features] → [B, N / square, features]. */
function pooledSquares(x: Tensor, square: number): Tensor {
  const [size, count, features] = x.shape as [number, number, number];
  return square === 1 ? x : max(x.reshape(size, square, count / square, features), { axis: 1 });
}

/** A pre-norm layer. If it changes the number of features, its shortcut is a projection. */
class HieraLayer extends Module {
  readonly norm1: LayerNorm;
  readonly shortcut: Linear | null;
  readonly attention: HieraAttention;
  readonly norm2: LayerNorm;
  readonly feedForward: FeedForward;
  readonly dropPath: DropPath;
  readonly width: number;
  readonly #square: number;

  constructor(init: Initializer, config: ModelConfig, options: HieraLayerOptions) {
    super();
    const { inputs, width, square, drops } = options;
    const eps = config.number('layer_norm_eps');
    this.norm1 = new LayerNorm(init, inputs, eps);
    this.shortcut = inputs === width ? null : new Linear(init, inputs, width);
    this.attention = new HieraAttention(init, options);
    this.norm2 = new LayerNorm(init, width, eps);
    const dFF = Math.trunc(width * config.number('mlp_ratio'));
    const activation = activationOf(config.text('hidden_act'));
    this.feedForward = new FeedForward(init, { dModel: width, dFF, activation });
    this.dropPath = drops;
    this.width = width;
    this.#square = square;
  }

  /** float32 [B, N, inputs] → [B, N / square, width]. */
  forward(x: Tensor): Tensor {
    const normed = this.norm1.forward(x);
    const kept = this.shortcut ? pooledSquares(this.shortcut.forward(normed), this.#square) : x;
    const [size, count] = kept.shape as [number, number];
    const batch = Sequences.of(x.device, Array<number>(size).fill(count));
    const rows = (y: Tensor) => y.reshape(size * count, this.width);
    const attended = add(rows(kept), this.dropPath.forward(rows(this.attention.forward(normed)), batch));
    const hidden = this.feedForward.forward(this.norm2.forward(attended));
    return add(attended, this.dropPath.forward(hidden, batch)).reshape(size, count, this.width);
  }
}

/** Attention within windows or over all patches. Patch t of window w has the index t · windows + w. */
class HieraAttention extends Module {
  readonly qkv: Linear;
  readonly outProj: Linear;

  constructor(
    init: Initializer,
    private readonly options: HieraLayerOptions,
  ) {
    super();
    const { inputs, width } = options;
    this.qkv = new Linear(init, inputs, 3 * width);
    this.outProj = new Linear(init, width, width);
  }

  forward(x: Tensor): Tensor {
    const { width, heads, square, window } = this.options;
    const [size, count] = x.shape as [number, number];
    const inWindow = window === null ? count : square * window;
    const [windows, headSize] = [count / inWindow, width / heads];
    if (!Number.isInteger(windows))
      throw new ShapeError(`forward: a stage has ${count} patches, expected a multiple of a window's ${inWindow}`);
    const all = this.qkv.forward(x); // [B, N, 3 · width]
    const part = (i: number) => contiguous(slice(all, 2, i * width, (i + 1) * width));
    const split = (y: Tensor) => permute(y.reshape(size, -1, windows, heads, headSize), [0, 3, 2, 1, 4]);
    const [q, k, v] = [split(pooledSquares(part(0), square)), split(part(1)), split(part(2))];
    const weights = softmax(matmul(scale(q, headSize ** -0.5), k, { transposeB: true })); // [B, heads, windows, T', T]
    const y = permute(matmul(weights, v), [0, 3, 2, 1, 4]); // [B, T', windows, heads, headSize]
    return this.outProj.forward(contiguous(y).reshape(size, -1, width));
  }
}

export const hiera: Family = {
  model: Hiera,
  className: 'Hiera',
  defaults: {
    embed_dim: 96,
    image_size: [224, 224],
    patch_size: [7, 7],
    patch_stride: [4, 4],
    patch_padding: [3, 3],
    mlp_ratio: 4,
    depths: [2, 3, 16, 3],
    num_heads: [1, 2, 4, 8],
    embed_dim_multiplier: 2,
    num_query_pool: 3,
    query_stride: [2, 2],
    masked_unit_size: [8, 8],
    masked_unit_attention: [true, true, false, false],
    drop_path_rate: 0,
    num_channels: 3,
    hidden_act: 'gelu',
    layer_norm_eps: 1e-6,
  },
};
