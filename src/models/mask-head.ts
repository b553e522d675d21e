// The head of DETR that makes a mask for each query (Carion et al. 2020, arXiv 2005.12872, section 4.4). Maps are
// [B, channels, H, W].

import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { Conv2d } from '../nn/conv.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Linear, type Projection } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { GroupNorm } from '../nn/norm.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, activate } from '../ops/activation.js';
import { add, scale } from '../ops/binary.js';
import { conv2d } from '../ops/conv.js';
import { interpolate } from '../ops/interpolate.js';
import { matmul } from '../ops/matmul.js';
import { concat, permute, slice } from '../ops/move.js';
import { softmax } from '../ops/softmax.js';

/** Maximum number of values of the largest map for the queries that are computed together. */
const PART = 1 << 21;
/** Maximum number of groups of a norm. */
const GROUPS = 8;
/** A kernel of 3 × 3 that keeps the size of its map. */
const SAME = { padding: 1 };

interface MaskHeadOptions {
  readonly dModel: number;
  readonly heads: number;
  /** Channels of the three largest maps of the backbone, from large to small maps. */
  readonly channels: readonly number[];
  readonly activation: Activation;
}

/** Inputs of the head. */
export interface MaskSources {
  /** The decoder's output, float32 [B, queries, dModel]. */
  readonly queries: Tensor;
  /** The encoder's output, float32 [B, H · W, dModel]. */
  readonly memory: Tensor;
  /** Marks the positions that are not padding, [B][H · W]. Null if all are. */
  readonly marks: readonly (readonly boolean[])[] | null;
  /** The projected map of the backbone, float32 [B, dModel, H, W]. */
  readonly features: Tensor;
  /** The three largest maps of the backbone, from large to small ones. */
  readonly maps: readonly Tensor[];
}

/** Attention of queries to the image shows where each object is. Convolutions refine this up to the largest map. */
export class MaskHead extends Module {
  readonly qProj: Projection;
  readonly kProj: Projection;
  readonly blocks: readonly MaskBlock[];
  /** Convert the channels of the backbone's maps, from small to large maps. */
  readonly adapters: readonly Conv2d[];
  readonly out: Conv2d;
  readonly #heads: number;

  /** Throws FormatError for numbers of channels that cannot be normalized in groups. */
  constructor(init: Initializer, { dModel, heads, channels, activation }: MaskHeadOptions) {
    super();
    const widths = [dModel + heads, dModel + heads, ...[2, 4, 8, 16].map((part) => Math.floor(dModel / part))];
    if (widths.some((width) => width === 0 || width % Math.min(GROUPS, width) !== 0))
      throw new FormatError(
        `config.json: d_model is ${dModel} with ${heads} encoder_attention_heads, expected sums and parts of ${GROUPS} channels`,
      );
    if (channels.length !== 3)
      throw new FormatError(`config.json: the backbone gives ${channels.length} maps, expected at least three`);
    this.qProj = new Linear(init, dModel, dModel);
    this.kProj = new Linear(init, dModel, dModel);
    this.blocks = widths.slice(1).map((to, i) => new MaskBlock(init, widths[i] as number, to, activation));
    this.adapters = channels
      .toReversed()
      .map((from, i) => new Conv2d(init, { inputs: from, outputs: widths[i + 2] as number, kernel: [1, 1] }));
    this.out = new Conv2d(init, { inputs: widths.at(-1) as number, outputs: 1, kernel: [3, 3], ...SAME });
    this.#heads = heads;
  }

  /** Logits of the masks, [B, queries, height, width] of the largest map. Yields after some queries. */
  *forwardInParts({ queries, memory, marks, features, maps }: MaskSources): Generator<undefined, Tensor> {
    const { device } = queries;
    const [batch, count] = queries.shape as [number, number, number];
    const grid = features.shape.slice(2) as unknown as GridSize;
    const key = this.#byHeads(this.kProj.forward(memory));
    const adapted = maps.toReversed().map((map, i) => (this.adapters[i] as Conv2d).forward(map));
    // The first convolution is linear. Its part for the image is the same for all queries.
    const [first, ...rest] = this.blocks as readonly [MaskBlock, ...MaskBlock[]];
    const { weight, bias: offset } = first.conv;
    const dModel = features.shape[1] as number;
    const seen = conv2d(features, slice(weight, 1, 0, dModel), offset, SAME);
    const bias = marks && device.tensor(hidden(marks), [batch, 1, 1, memory.shape[1] as number]);
    const ofPlaces = slice(weight, 1, dModel, weight.shape[1] as number);

    const step = Math.max(1, Math.floor(PART / ((adapted.at(-1)?.size ?? 1) as number)));
    const masks: Tensor[] = [];
    for (let start = 0; start < count; start += step) {
      const part = device.scope(() => {
        const some = slice(queries, 1, start, Math.min(count, start + step));
        const perImage = some.shape[1] as number;
        const attentionMaps = this.#attentionMap(this.#byHeads(this.qProj.forward(some)), key, bias, grid);
        let x = first.normalize(withImage(conv2d(attentionMaps, ofPlaces, null, SAME), seen));
        for (const [i, block] of rest.entries()) {
          x = block.forward(x);
          const map = adapted[i];
          if (map) x = withImage(interpolate(x, { size: map.shape.slice(2) as unknown as GridSize }), map);
        }
        return this.out.forward(x).reshape(batch, perImage, ...(adapted.at(-1)?.shape.slice(2) ?? grid));
      });
      masks.push(part);
      yield;
    }
    return concat(masks, 1);
  }

  /** float32 [B, rows, dModel] as [B, heads, rows, dModel / heads]. */
  #byHeads(x: Tensor): Tensor {
    const [batch, rows] = x.shape as [number, number, number];
    return permute(x.reshape(batch, rows, this.#heads, -1), [0, 2, 1, 3]);
  }

  /**
   * Shares of the positions in the attention of each query, which add up to 1 over all heads: [B · queries, heads, H,
   * W].
   */
  #attentionMap(query: Tensor, key: Tensor, bias: Tensor | null, grid: GridSize): Tensor {
    const [batch, heads, count, features] = query.shape as [number, number, number, number];
    const scores = permute(matmul(scale(query, features ** -0.5), key, { transposeB: true }), [0, 2, 1, 3]);
    const shown = bias ? add(scores, bias) : scores; // [B, queries, heads, H · W]
    return softmax(shown.reshape(batch * count, -1)).reshape(batch * count, heads, ...grid);
  }

  /** Names in checkpoints. `path`: the property that holds the head. */
  static namesOf(path: string): StateNames {
    const numbered = (modulePath: string, stored: string, count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, i) => [modulePath.replace('*', `${i}`), `${stored}${i + 1}`]),
      );
    return {
      [`${path}.q_proj`]: 'bbox_attention.q_linear',
      [`${path}.k_proj`]: 'bbox_attention.k_linear',
      ...numbered(`${path}.blocks.*.conv`, 'mask_head.lay', 5),
      ...numbered(`${path}.blocks.*.norm`, 'mask_head.gn', 5),
      ...numbered(`${path}.adapters.*`, 'mask_head.adapter', 3),
      [`${path}.out`]: 'mask_head.out_lay',
    };
  }
}

/** A convolution, a norm and an activation. */
class MaskBlock extends Module {
  readonly conv: Conv2d;
  readonly norm: GroupNorm;

  constructor(
    init: Initializer,
    from: number,
    to: number,
    private readonly activation: Activation,
  ) {
    super();
    this.conv = new Conv2d(init, { inputs: from, outputs: to, kernel: [3, 3], ...SAME });
    this.norm = new GroupNorm(init, Math.min(GROUPS, to), to);
  }

  forward(x: Tensor): Tensor {
    return this.normalize(this.conv.forward(x));
  }

  normalize(x: Tensor): Tensor {
    return activate('MaskHead', this.norm.forward(x), this.activation);
  }
}

/** Adds the map of an image, [B, C, H, W], to those of its queries, [B · queries, C, H, W]. */
function withImage(x: Tensor, map: Tensor): Tensor {
  const [batch, ...sizes] = map.shape as [number, ...number[]];
  return add(x.reshape(batch, -1, ...sizes), map.reshape(batch, 1, ...sizes)).reshape(x.shape);
}

/** 0 for positions that are marked, the lowest float32 for others. */
function hidden(marks: readonly (readonly boolean[])[]): Float32Array {
  return Float32Array.from(marks.flat(), (isSeen) => (isSeen ? 0 : -3.4028234663852886e38));
}
