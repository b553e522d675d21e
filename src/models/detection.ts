// Parts that detectors share: attention whose positions are added to queries and keys, boxes, and masks of padding.

import { checkDType, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { AttentionPass } from '../nn/attention.js';
import { type Dropout, Dropout as DropoutPart, type Randomness } from '../nn/dropout.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Linear, type Projection } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { LayerNorm } from '../nn/norm.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, relu } from '../ops/activation.js';
import { attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { topk } from '../ops/axis.js';
import { add } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { ImageModel } from './image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from './inputs.js';

/** The other side of an attention. */
export interface Keys {
  /** float32 [B, S, d] */
  readonly x: Tensor;
  /** Added to the keys, but not to the values. */
  readonly positions: Tensor | null;
  /** int32 [B, 1, 1, S]: 0 where nothing is seen. */
  readonly mask: Tensor | null;
}

/** Attention of padded tokens. Positions are added before the projections of queries and keys. */
export class PositionedAttention extends Module {
  readonly qProj: Projection;
  readonly kProj: Projection;
  readonly vProj: Projection;
  readonly outProj: Projection;
  readonly headSize: number;
  /** If set, receives each pass. */
  observe: ((pass: AttentionPass) => void) | null = null;

  /** `inner`: features of all heads together; default `dModel`. */
  constructor(
    init: Initializer,
    dModel: number,
    readonly heads: number,
    private readonly dropout: Dropout | null = null,
    inner = dModel,
  ) {
    super();
    this.qProj = new Linear(init, dModel, inner);
    this.kProj = new Linear(init, dModel, inner);
    this.vProj = new Linear(init, dModel, inner);
    this.outProj = new Linear(init, inner, dModel);
    this.headSize = inner / heads;
  }

  /**
   * `x`: float32 [B, T, d], with positions of the same shape, or of one that broadcasts. `keys`: of `x` itself by
   * default.
   */
  forward(x: Tensor, positions: Tensor | null, keys: Keys = { x, positions, mask: null }): Tensor {
    const withPositions = (rows: Tensor, rowPositions: Tensor | null) =>
      rowPositions ? add(rows, rowPositions) : rows;
    const q = this.qProj.forward(withPositions(x, positions));
    const k = this.kProj.forward(withPositions(keys.x, keys.positions));
    const v = this.vProj.forward(keys.x);
    const { heads, dropout } = this;
    const options = { heads, mask: keys.mask };
    const outputs = attention(q, k, v, { ...options, dropout: dropout?.options ?? null });
    this.observe?.({ outputs, weights: () => attentionWeights(q, k, options), parts: null });
    return this.outProj.forward(outputs);
  }
}

export interface DetectionLayerOptions {
  readonly dModel: number;
  readonly heads: number;
  readonly dFF: number;
  readonly activation: Activation;
  readonly eps?: number | undefined;
  /** Probabilities of dropout: of branches, of attention, and of hidden features. */
  readonly dropout: number;
  readonly attentionDropout: number;
  readonly activationDropout: number;
  readonly randomness: Randomness;
}

/** Dropout of the parts of a layer. */
export function dropoutsOf({ dropout, attentionDropout, activationDropout, randomness }: DetectionLayerOptions) {
  return {
    branch: new DropoutPart(dropout, randomness),
    attention: new DropoutPart(attentionDropout, randomness),
    hidden: new DropoutPart(activationDropout, randomness),
  };
}

/** An encoder layer of DETR, norms after branches. */
export class DetectionEncoderLayer extends Module {
  readonly selfAttn: PositionedAttention;
  readonly selfAttnLayerNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly finalLayerNorm: LayerNorm;
  readonly dropout: Dropout;
  /** True if norms come before branches. */
  readonly #isPreNorm: boolean;

  constructor(init: Initializer, options: DetectionLayerOptions, isPreNorm = false) {
    super();
    const { dModel, heads, dFF, activation, eps = 1e-5 } = options;
    const { branch, attention: ofAttention, hidden } = dropoutsOf(options);
    this.selfAttn = new PositionedAttention(init, dModel, heads, ofAttention);
    this.selfAttnLayerNorm = new LayerNorm(init, dModel, eps);
    this.feedForward = new FeedForward(init, { dModel, dFF, activation, dropout: hidden });
    this.finalLayerNorm = new LayerNorm(init, dModel, eps);
    this.dropout = branch;
    this.#isPreNorm = isPreNorm;
  }

  protected override get stateNames(): StateNames {
    return feedForwardNames;
  }

  /** `x`: float32 [B, T, dModel]. `mask`: int32 [B, 1, 1, T], or null. */
  forward(x: Tensor, positions: Tensor | null, mask: Tensor | null): Tensor {
    const { selfAttn, selfAttnLayerNorm, feedForward, finalLayerNorm, dropout } = this;
    const attend = (y: Tensor) => dropout.forward(selfAttn.forward(y, positions, { x: y, positions, mask }));
    const feed = (y: Tensor) => dropout.forward(feedForward.forward(y));
    if (this.#isPreNorm) {
      // The second branch is added to the result of its norm, as in transformers.
      const mixed = finalLayerNorm.forward(attend(selfAttnLayerNorm.forward(x)), x);
      return add(mixed, feed(mixed));
    }
    const mixed = selfAttnLayerNorm.forward(attend(x), x);
    return finalLayerNorm.forward(feed(mixed), mixed);
  }
}

/** Names of a feed-forward network in checkpoints of detectors. */
export const feedForwardNames: StateNames = { 'feed_forward.linear1': 'fc1', 'feed_forward.linear2': 'fc2' };

/** Names of a layer's parts in checkpoints, where they are not those of the properties. */
export function layerNames(path: string, stored: string): StateNames {
  return {
    [`${path}.feed_forward.linear1`]: `${stored}.fc1`,
    [`${path}.feed_forward.linear2`]: `${stored}.fc2`,
    [path]: stored,
  };
}

/** Projections with ReLU between them, such as from features to boxes. */
export class PerceptronHead extends Module {
  readonly layers: readonly Projection[];

  constructor(init: Initializer, inputs: number, hidden: number, outputs: number, depth: number) {
    super();
    const width = (i: number) => (i === 0 ? inputs : hidden);
    this.layers = Array.from({ length: depth }, (_, i) => {
      return new Linear(init, width(i), i === depth - 1 ? outputs : hidden);
    });
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer, i) => layer.forward(i === 0 ? y : relu(y)), x);
  }
}

/**
 * Returns a function that picks, of rows [B, S, features], those with the greatest scores. `scores`: float32 [B, S].
 */
export function bestRows(scores: Tensor, count: number): (rows: Tensor) => Tensor {
  const [batch, total] = scores.shape as [number, number];
  if (total < count)
    throw new ShapeError(`forward: the images have ${total} cells, expected at least ${count}: give larger ones`);
  const first = scores.device.tensor(
    Int32Array.from({ length: batch }, (_, image) => image * total),
    [batch, 1],
  );
  const indices = add(topk(scores, count).indices, first); // [B, count]
  return (rows) => gather(rows.reshape(batch * total, -1), indices);
}

/** A model that finds objects in images. */
export abstract class DetectionModel extends ImageModel {
  protected override mapsOf(_maps: AttentionMaps): ModelOutput {
    return {};
  }

  /** Adds the loss to the output of a call with labels. */
  protected withLoss(
    output: ModelOutput,
    { labels }: ModelInputs,
    { loss = true }: ForwardOptions,
    lossOf: (labels: NonNullable<ModelInputs['labels']>) => Tensor,
  ): ModelOutput {
    return labels === undefined || !loss ? output : { ...output, loss: lossOf(labels) };
  }
}

/** The cells of a feature map that belong to images, not to padding. */
export interface GridMask {
  /** For each image, true for its cells, row by row: [B][height · width]. */
  readonly cells: readonly (readonly boolean[])[];
  /** True if some cells are padding. */
  readonly isPadded: boolean;
}

/** Scales `pixelMask` down to a grid. Without a mask, all cells belong to images. */
export function gridMask(mask: Tensor | undefined, pixels: Tensor, [height, width]: GridSize): GridMask {
  const [batch, , rows, columns] = pixels.shape as [number, number, number, number];
  const values = mask === undefined ? [] : maskValues(mask, [batch, rows, columns]);
  if (values.every((value) => value !== 0)) {
    const cells = Array.from({ length: batch }, () => Array<boolean>(height * width).fill(true));
    return { cells, isPadded: false };
  }
  const cells = Array.from({ length: batch }, (_, image) =>
    Array.from({ length: height * width }, (_, cell) => {
      const row = Math.floor((Math.floor(cell / width) * rows) / height);
      const column = Math.floor(((cell % width) * columns) / width);
      return values[(image * rows + row) * columns + column] !== 0;
    }),
  );
  return { cells, isPadded: true };
}

/** Values of `pixelMask`. Throws DTypeError or ShapeError for another dtype or shape. */
function maskValues(mask: Tensor, shape: readonly number[]): ReturnType<Tensor['dataSync']> {
  if (mask.dtype !== 'int32') checkDType('forward', 'pixelMask', mask, 'float32');
  if (`${mask.shape}` !== `${shape}`)
    throw new ShapeError(`forward: pixelMask is ${describeShape(mask.shape)}, expected ${describeShape(shape)}`);
  return mask.dataSync();
}

/**
 * Numbers the rows and columns of each cell, [height · width]: the cells of the image up to it, from above and from the
 * left.
 */
function countedCells(mask: readonly boolean[], [height, width]: GridSize) {
  const rows = new Float64Array(height * width);
  const columns = new Float64Array(height * width);
  for (let cell = 0; cell < height * width; cell++) {
    const isOfImage = mask[cell] ? 1 : 0;
    rows[cell] = (rows[cell - width] ?? 0) + isOfImage;
    columns[cell] = (cell % width > 0 ? (columns[cell - 1] as number) : 0) + isOfImage;
  }
  return { rows, columns };
}

/**
 * Sines and cosines of rows and columns, [B · height · width, features], counted over pixels of the image and scaled to
 * 2π: DETR's positions. `masks`: the cells of a `GridMask`.
 */
export function sinePositions(
  masks: readonly (readonly boolean[])[],
  [height, width]: GridSize,
  features: number,
): Float32Array {
  const half = features / 2;
  const values = new Float32Array(masks.length * height * width * features);
  masks.forEach((mask, image) => {
    const { rows, columns } = countedCells(mask, [height, width]);
    for (let cell = 0; cell < height * width; cell++) {
      const [row, column] = [Math.floor(cell / width), cell % width];
      const down = ((rows[cell] as number) / ((rows[(height - 1) * width + column] as number) + 1e-6)) * 2 * Math.PI;
      const right = ((columns[cell] as number) / ((columns[row * width + width - 1] as number) + 1e-6)) * 2 * Math.PI;
      const start = (image * height * width + cell) * features;
      for (let i = 0; i < half; i++) {
        const speed = 10000 ** ((2 * Math.floor(i / 2)) / half);
        const wave = i % 2 === 0 ? Math.sin : Math.cos;
        values[start + i] = wave(down / speed);
        values[start + half + i] = wave(right / speed);
      }
    }
  });
  return values;
}
