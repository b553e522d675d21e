import { checkDType, describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import type { ProjectedQueries, RotaryContext } from '../../nn/attention.js';
import { FeedForward, type FeedForwardOptions } from '../../nn/feed-forward.js';
import { ImageEffects } from '../../nn/image-effects.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { PlainRMSNorm, RMSNorm } from '../../nn/norm.js';
import { RotaryEmbedding, type RotateOptions, type Rotation } from '../../nn/rotary-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import { NormedValueAttention, type NormedValueOptions } from '../../nn/shared-keys.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activate } from '../../ops/activation.js';
import { add, equal, maximum, minimum, mul, scale, sub, where } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, gather, permute } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import {
  type BidirectionalScope,
  ImageReader,
  type ImageRows,
  renamed,
  textContext,
  visionConfig,
} from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Gemma4 } from './gemma4.js';

/**
 * Gemma 4 with images (Google 2026): images of any size are lists of patches, which are averaged block by block. Tokens
 * of images have the per-layer inputs of the padding token. Placeholders of images, videos and sounds that nothing
 * replaces are read as padding.
 */
export class Gemma4Vision extends Gemma4 {
  override readonly images: Gemma4Images;
  readonly #placeholders: readonly number[];

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new Gemma4Images(context);
    this.#placeholders = ['image', 'video', 'audio']
      .map((kind) => context.config.sizeOrNull(`${kind}_token_id`))
      .filter((id) => id !== null);
  }

  protected override embedTarget(ids: Tensor): Tensor {
    const padding = ids.device.tensor(Int32Array.of(this.paddingId ?? 0));
    return super.embedTarget(
      this.#placeholders.reduce((read, placeholder) => where(equal(ids, placeholder), padding, read), ids),
    );
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['images.encoder.layers.*', 'model.vision_tower.encoder.layers.*'];
    return {
      'images.patches': 'model.vision_tower.patch_embedder.input_proj',
      'images.positions': 'model.vision_tower.patch_embedder.position_embedding_table',
      [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj.linear`),
      [`${path}.self_attn.out_proj`]: `${layer}.self_attn.o_proj.linear`,
      [`${path}.self_attn.q_norm`]: `${layer}.self_attn.q_norm`,
      [`${path}.self_attn.k_norm`]: `${layer}.self_attn.k_norm`,
      [`${path}.norm1`]: `${layer}.input_layernorm`,
      [`${path}.post_norms.0`]: `${layer}.post_attention_layernorm`,
      [`${path}.norm2`]: `${layer}.pre_feedforward_layernorm`,
      [`${path}.post_norms.1`]: `${layer}.post_feedforward_layernorm`,
      [`${path}.feed_forward.linear1`]: `${layer}.mlp.gate_proj.linear`,
      [`${path}.feed_forward.linear2`]: `${layer}.mlp.down_proj.linear`,
      [`${path}.feed_forward.linear3`]: `${layer}.mlp.up_proj.linear`,
      ...eachNamed(
        `${path}.self_attn.limits`,
        ['q', 'k', 'v', 'o'].map((name) => `${layer}.self_attn.${name}_proj`),
      ),
      ...eachNamed(
        `${path}.feed_forward.limits`,
        ['gate', 'up', 'down'].map((name) => `${layer}.mlp.${name}_proj`),
      ),
      'images.standard': 'model.vision_tower',
      'images.projection': 'model.embed_vision.embedding_projection',
      ...renamed(super.stateNames, ['', ''], ['model.', 'model.language_model.']),
    };
  }
}

/** Names of the elements of a list. */
const eachNamed = (list: string, names: readonly string[]): StateNames =>
  Object.fromEntries(names.map((name, i) => [`${list}.${i}`, name]));

/** Limits of the inputs and outputs of a projection, which are not trained. Each is a scalar. */
class Limits extends Module {
  readonly inputMin: Tensor;
  readonly inputMax: Tensor;
  readonly outputMin: Tensor;
  readonly outputMax: Tensor;

  constructor(init: Initializer) {
    super();
    this.inputMin = init.buffer([], Number.NEGATIVE_INFINITY);
    this.inputMax = init.buffer([], Number.POSITIVE_INFINITY);
    this.outputMin = init.buffer([], Number.NEGATIVE_INFINITY);
    this.outputMax = init.buffer([], Number.POSITIVE_INFINITY);
  }

  /** The limited result of `project` for the limited `x`. */
  around(x: Tensor, project: (x: Tensor) => Tensor): Tensor {
    const y = project(minimum(maximum(x, this.inputMin), this.inputMax));
    return minimum(maximum(y, this.outputMin), this.outputMax);
  }
}

/** Attention whose four projections have limits. */
class ClippedAttention extends NormedValueAttention {
  readonly limits: readonly Limits[];

  constructor(init: Initializer, options: NormedValueOptions) {
    super(init, options);
    this.limits = Array.from({ length: 4 }, () => new Limits(init));
  }

  override project(x: Tensor, context: RotaryContext) {
    const parts = [0, 1, 2].map((i) => this.#limit(i).around(x, (input) => this.qkv.part(input, i, i + 1)));
    return this.splitProjections(concat(parts, -1), context);
  }

  protected override projectOut(mixed: Tensor, projected?: ProjectedQueries): Tensor {
    return this.#limit(3).around(mixed, (input) => super.projectOut(input, projected));
  }

  #limit(i: number): Limits {
    return this.limits[i] as Limits;
  }
}

/** A gated network whose three projections have limits. */
class ClippedFeedForward extends FeedForward {
  readonly limits: readonly Limits[];

  constructor(init: Initializer, options: FeedForwardOptions) {
    super(init, options);
    this.limits = Array.from({ length: 3 }, () => new Limits(init));
  }

  override forward(x: Tensor): Tensor {
    const [gate, up, down] = this.limits as [Limits, Limits, Limits];
    const gates = gate.around(x, (input) => this.linear1.forward(input));
    const hidden = up.around(x, (input) => (this.linear3 as Projection).forward(input));
    const active = mul(activate('FeedForward', gates, this.activation), hidden);
    const output = down.around(active, (input) => this.linear2.forward(input));
    this.observe?.({ input: x, hidden: gates, factor: hidden, active, output });
    return output;
  }
}

/** (x − mean) · factor, for vectors of images. Neither is trained. */
class Standardized extends Module {
  /** float32 [features] */
  readonly stdBias: Tensor;
  /** float32 [features] */
  readonly stdScale: Tensor;

  constructor(init: Initializer, features: number) {
    super();
    this.stdBias = init.buffer([features], 0);
    this.stdScale = init.buffer([features], 1);
  }

  forward(x: Tensor): Tensor {
    return mul(sub(x, this.stdBias), this.stdScale);
  }
}

class Gemma4Images extends ImageReader {
  readonly inputNames = ['pixelValues', 'imagePositionIds'] as const;
  readonly placeholder: number;
  override readonly twoSided: BidirectionalScope;
  readonly patches: Linear;
  /** float32 [2, positions, features]: position embeddings of columns, then of rows. */
  readonly positions: Tensor;
  readonly encoder: Stack;
  readonly rotary: AxisByAxis;
  readonly standard: Standardized | null;
  readonly norm: PlainRMSNorm;
  readonly projection: Linear;
  readonly #pool: number;

  constructor(context: FamilyContext) {
    super();
    const { init, config } = context;
    const [vision, text] = [visionConfig(context), textContext(context).config];
    const features = vision.size('hidden_size');
    const eps = vision.number('rms_norm_eps');
    this.placeholder = config.size('image_token_id');
    this.twoSided = text.values.use_bidirectional_attention === 'vision' ? 'nearby' : 'none';
    this.#pool = vision.size('pooling_kernel_size');
    this.patches = new Linear(init, 3 * vision.size('patch_size') ** 2, features, false);
    this.positions = init.normal([2, vision.size('position_embedding_size'), features], features ** -0.5);
    this.rotary = new AxisByAxis(init, vision);
    const norm = (size = features) => new RMSNorm(init, size, eps);
    const headSize = vision.size('head_dim');
    const isClipped = vision.flag('use_clipped_linears');
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new (isClipped ? ClippedAttention : NormedValueAttention)(init, {
            dModel: features,
            heads: vision.size('num_attention_heads'),
            kvHeads: vision.size('num_key_value_heads'),
            headSize,
            bias: false,
            scale: 1,
            qNorm: () => norm(headSize),
            kNorm: () => norm(headSize),
            vNorm: () => new PlainRMSNorm(eps),
            rotary: this.rotary,
          }),
        feedForward: () =>
          new (isClipped ? ClippedFeedForward : FeedForward)(init, {
            dModel: features,
            dFF: vision.size('intermediate_size'),
            activation: activationOf(vision.text('hidden_activation')),
            gated: true,
            bias: false,
          }),
        norm: () => norm(),
        postNorm: () => norm(),
        wiring: 'pre',
      });
    this.encoder = new Stack(vision.size('num_hidden_layers'), layer, null);
    this.standard = vision.flag('standardize') ? new Standardized(init, features) : null;
    this.norm = new PlainRMSNorm(eps);
    this.projection = new Linear(init, features, text.size('hidden_size'), false);
  }

  /**
   * `pixelValues`: float32 [images, patches, height · width · 3], from 0 to 1. `imagePositionIds`: int32 [images,
   * patches, 2], column and row of each patch, -1 for padding.
   */
  *readInParts({ pixelValues, imagePositionIds }: ModelInputs): Generator<unknown, ImageRows> {
    const pixels = checkTensor('pixelValues', pixelValues, 'float32');
    const images = patchPositionsOf(pixels, checkTensor('imagePositionIds', imagePositionIds, 'int32'));
    const { device } = pixels;
    const perImage = pixels.shape[1] as number;
    const patches = images.flat();
    const flatPixels = pixels.reshape(images.length * perImage, -1);
    const seen = gather(flatPixels, device.tensor(Int32Array.from(patches, ({ patch }) => patch)));
    const [, rows, features] = this.positions.shape as [number, number, number];
    const table = this.positions.reshape(2 * rows, features);
    const lookUp = (of: (patch: PatchPosition) => number) => gather(table, device.tensor(Int32Array.from(patches, of)));
    const x = add(
      this.patches.forward(scale(add(seen, -0.5), 2)),
      add(
        lookUp(({ column }) => column),
        lookUp(({ row }) => rows + row),
      ),
    );
    const counts = images.map(({ length }) => length);
    const axes = [
      device.tensor(Int32Array.from(patches, ({ column }) => column)),
      device.tensor(Int32Array.from(patches, ({ row }) => row)),
    ];
    const longest = 1 + patches.reduce((max, { column, row }) => Math.max(max, column, row), 0);
    const angles = this.rotary.anglesAt(axes, longest);
    const { positions, lengths } = Sequences.of(device, counts);
    const batch = new Sequences(positions, lengths, counts, null, ImageEffects.rotated(angles));
    const pooled = this.#pooled(yield* this.encoder.forwardInParts(x, batch), images);
    const scaled = scale(pooled.rows, Math.sqrt(features));
    const vectors = this.projection.forward(this.norm.forward(this.standard?.forward(scaled) ?? scaled));
    return { rows: vectors, counts: pooled.counts };
  }

  /** Returns the mean of the patches of each block. Missing patches count as zeros. */
  #pooled(x: Tensor, images: readonly (readonly PatchPosition[])[]): { rows: Tensor; counts: number[] } {
    const side = this.#pool;
    const [total, features] = x.shape as [number, number];
    let first = 0;
    const blocks = images.map((patches) => {
      const width = Math.floor((1 + patches.reduce((max, { column }) => Math.max(max, column), 0)) / side);
      const found = new Map<number, number[]>();
      for (const { column, row } of patches) {
        const block = Math.floor(column / side) + width * Math.floor(row / side);
        found.set(block, [...(found.get(block) ?? []), first++]);
      }
      return [...found].sort(([a], [b]) => a - b).map(([, rows]) => rows);
    });
    const order = blocks.flat().flatMap((rows) => Array.from({ length: side ** 2 }, (_, i) => rows[i] ?? total));
    const padded = concat([x, x.device.zeros([1, features])]);
    const grouped = gather(padded, x.device.tensor(Int32Array.from(order))).reshape(-1, side ** 2, features);
    return { rows: mean(grouped, { axis: 1 }), counts: blocks.map(({ length }) => length) };
  }
}

/** A patch that is not padding, and its position. */
interface PatchPosition {
  /** Index among the patches of all images. */
  readonly patch: number;
  readonly column: number;
  readonly row: number;
}

function checkTensor(name: string, value: unknown, dtype: 'float32' | 'int32'): Tensor {
  if (!(value instanceof Tensor))
    throw new ArgumentError(`forward: ${name} is ${describeValue(value)}, expected a tensor`);
  checkDType('forward', name, value, dtype);
  return value;
}

/** Returns the patches of each image without padding. Throws ShapeError unless each patch has a column and a row. */
function patchPositionsOf({ shape }: Tensor, ids: Tensor): PatchPosition[][] {
  const [images, patches] = shape as [number, number];
  if (shape.length !== 3 || ids.size !== images * patches * 2)
    throw new ShapeError(
      `forward: pixelValues is ${describeShape(shape)}, imagePositionIds ${describeShape(ids.shape)}: expected [images, patches, values] and [images, patches, 2]`,
    );
  const values = ids.dataSync();
  return Array.from({ length: images }, (_, image) =>
    Array.from({ length: patches }, (_, i) => {
      const patch = image * patches + i;
      return { patch, column: values[2 * patch] as number, row: values[2 * patch + 1] as number };
    }).filter(({ column, row }) => column >= 0 && row >= 0),
  );
}

/**
 * Rotates the first half of each head by the column of a patch, the second half by its row. The order of the features
 * changes alike for queries and keys, so their dot products do not change.
 */
class AxisByAxis extends Module implements Rotation {
  readonly #inner: RotaryEmbedding;
  readonly #headSize: number;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    this.#headSize = config.size('head_dim');
    const pairs = this.#headSize / 4; // for each axis
    const { rope_theta: theta = 100 } = (config.values.rope_parameters ?? {}) as { rope_theta?: number };
    const frequencies = Array.from({ length: 2 * pairs }, (_, i) => theta ** (-(i % pairs) / pairs));
    const axes = frequencies.map((_, i) => Math.floor(i / pairs));
    const options = { headSize: this.#headSize, maxLength: 1 << 16, layout: 'halves', frequencies, axes } as const;
    this.#inner = new RotaryEmbedding(init, options);
  }

  anglesAt(axisPositions: readonly Tensor[], length: number): Tensor {
    return this.#inner.anglesAt(axisPositions, length);
  }

  forward(x: Tensor, positions: Tensor, length: number, options: RotateOptions = {}): Tensor {
    const halves = contiguous(x).reshape(-1, 2, 2, this.#headSize / 4); // [N·heads, axis, half of a pair, pair]
    return this.#inner.forward(permute(halves, [0, 2, 1, 3]).reshape(x.shape), positions, length, options);
  }

  lengthOf(longest: number): number {
    return longest;
  }
}

export const gemma4Vision: Family = {
  model: Gemma4Vision,
  className: 'Gemma4',
  generationClass: 'Gemma4ForConditionalGeneration',
  readsImages: true,
  defaults: { image_token_id: 258880, tie_word_embeddings: true },
  parts: { text_config: 'gemma4_text', vision_config: 'gemma4_vision' },
};

/** The tower is not a model on its own; this entry holds the defaults of its settings. */
export const gemma4VisionTower: Family = {
  model: Gemma4Vision,
  className: 'Gemma4Vision',
  defaults: {
    hidden_size: 768,
    intermediate_size: 3072,
    num_hidden_layers: 16,
    num_attention_heads: 12,
    num_key_value_heads: 12,
    head_dim: 64,
    hidden_activation: 'gelu_pytorch_tanh',
    rms_norm_eps: 1e-6,
    pooling_kernel_size: 3,
    patch_size: 16,
    position_embedding_size: 10240,
    use_clipped_linears: false,
    standardize: false,
  },
};
