// The prompts of SAM: points, boxes and masks become vectors.

import { checkShape, describeShape } from '../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { Conv2d } from '../nn/conv.js';
import type { Initializer } from '../nn/init.js';
import { Module } from '../nn/module.js';
import { LayerNorm } from '../nn/norm.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, activate } from '../ops/activation.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { concat } from '../ops/move.js';
import { pad } from '../ops/pad.js';
import { activationOf } from './config-values.js';
import type { ModelInputs } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/** Embedded prompts. */
export interface Prompts {
  /** Points and boxes, float32 [B, prompts, points, C], or null if there are none. */
  readonly sparse: Tensor | null;
  /** The given masks, float32 [B, rows · columns, C]; without masks a trained vector, [1, C]. */
  readonly dense: Tensor;
}

/** Embeds points, boxes and masks. */
export class SamPrompts extends Module {
  readonly maskEmbed: SamMaskEmbedding;
  /** float32 [1, C]: stands for a missing mask. */
  readonly noMaskEmbed: Tensor;
  /** float32 [1, C] each: for points of the background, points of the object, and the two corners of boxes. */
  readonly pointEmbed: readonly Tensor[];
  readonly notAPointEmbed: Tensor;
  /** Number of rows, and of columns, of an encoded image. */
  readonly grid: number;
  readonly #image: number;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const width = config.size('hidden_size');
    const vector = () => init.normal([1, width], 1);
    this.maskEmbed = new SamMaskEmbedding(init, config);
    this.noMaskEmbed = vector();
    this.pointEmbed = Array.from({ length: config.size('num_point_embeddings') }, vector);
    if (this.pointEmbed.length < 4)
      throw new FormatError(`config.json: num_point_embeddings is ${this.pointEmbed.length}, expected at least 4`);
    this.notAPointEmbed = vector();
    this.#image = config.size('image_size');
    this.grid = Math.floor(this.#image / config.size('patch_size')); // whatever image_embedding_size says
  }

  protected override get stateNames(): StateNames {
    return {
      no_mask_embed: 'no_mask_embed.weight',
      'point_embed.*': 'point_embed.*.weight',
      not_a_point_embed: 'not_a_point_embed.weight',
    };
  }

  forward(
    { inputPoints: points, inputLabels: labels, inputBoxes: boxes, inputMasks: masks }: ModelInputs,
    batch: number,
    waves: (points: Tensor) => Tensor,
  ): Prompts {
    if (labels && !points) throw new ArgumentError('forward: inputLabels are given without inputPoints');
    if (points && (points.shape.length !== 4 || points.shape[0] !== batch || points.shape[3] !== 2))
      throw new ShapeError(
        `forward: inputPoints is ${describeShape(points.shape)}, expected [${batch}, prompts, points, 2]`,
      );
    if (boxes && (boxes.shape.length !== 3 || boxes.shape[0] !== batch || boxes.shape[2] !== 4))
      throw new ShapeError(`forward: inputBoxes is ${describeShape(boxes.shape)}, expected [${batch}, prompts, 4]`);
    if (points && boxes && points.shape[1] !== boxes.shape[1])
      throw new ShapeError(`forward: there are ${points.shape[1]} prompts of points and ${boxes.shape[1]} boxes`);
    const parts = [
      ...(points ? [this.#pointsOf(points, labels ?? null, boxes === undefined, waves)] : []),
      ...(boxes ? [this.#boxesOf(boxes, waves)] : []),
    ];
    const dense = masks ? this.maskEmbed.forward(masks) : this.noMaskEmbed;
    return { sparse: parts.length === 0 ? null : concat(parts, 2), dense };
  }

  /**
   * Embeds points. A point's label chooses its vector: 1 for the object, 0 for the background, -1 for no point, -10 for
   * padding.
   */
  #pointsOf(points: Tensor, labels: Tensor | null, isPadded: boolean, waves: (points: Tensor) => Tensor): Tensor {
    const { device } = points;
    const [batch, prompts, count] = points.shape as [number, number, number, number];
    if (labels) checkShape('forward', 'inputLabels', labels, [batch, prompts, count]);
    const labelValues = labels ? Array.from(labels.dataSync()) : Array<number>(batch * prompts * count).fill(1);
    const wrong = labelValues.find((label) => ![1, 0, -1, -10].includes(label));
    if (wrong !== undefined)
      throw new ArgumentError(`forward: inputLabels has ${wrong}, expected 1, 0, -1 for no point or -10 for padding`);
    const centred = add(points, 0.5); // the centre of a pixel
    const padded = isPadded ? pad(centred, [0, 0, 0, 1]) : centred;
    const every = padded.shape[2] as number;
    const kinds = Array.from({ length: batch * prompts * every }, (_, i) => {
      return i % every < count ? (labelValues[Math.floor(i / every) * count + (i % every)] as number) : -1;
    });
    const marked = (label: (kind: number) => boolean) =>
      device.tensor(
        Float32Array.from(kinds, (kind) => (label(kind) ? 1 : 0)),
        [batch, prompts, every, 1],
      );
    const embedded = mul(
      waves(scale(padded, 1 / this.#image)),
      marked((kind) => kind >= 0),
    );
    const vectors: [(kind: number) => boolean, Tensor][] = [
      [(kind) => kind === -1, this.notAPointEmbed],
      [(kind) => kind === 0, this.pointEmbed[0] as Tensor],
      [(kind) => kind === 1, this.pointEmbed[1] as Tensor],
    ];
    return vectors.reduce((sum, [label, vector]) => add(sum, mul(marked(label), vector)), embedded);
  }

  #boxesOf(boxes: Tensor, waves: (points: Tensor) => Tensor): Tensor {
    const [batch, prompts] = boxes.shape as [number, number, number];
    const corners = scale(add(contiguous(boxes), 0.5), 1 / this.#image).reshape(batch, prompts, 2, 2);
    return add(waves(corners), concat([this.pointEmbed[2] as Tensor, this.pointEmbed[3] as Tensor]));
  }
}

/** Turns a given mask into a feature map. */
class SamMaskEmbedding extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;
  readonly layerNorm1: LayerNorm;
  readonly layerNorm2: LayerNorm;
  readonly #activation: Activation;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const inner = config.size('mask_input_channels');
    const first = Math.floor(inner / 4);
    const halves = { stride: 2, channelsLast: true };
    this.conv1 = new Conv2d(init, { inputs: 1, outputs: first, kernel: [2, 2], ...halves });
    this.conv2 = new Conv2d(init, { inputs: first, outputs: inner, kernel: [2, 2], ...halves });
    this.conv3 = new Conv2d(init, {
      inputs: inner,
      outputs: config.size('hidden_size'),
      kernel: [1, 1],
      channelsLast: true,
    });
    const eps = config.number('layer_norm_eps');
    this.layerNorm1 = new LayerNorm(init, first, eps);
    this.layerNorm2 = new LayerNorm(init, first * 4, eps);
    this.#activation = activationOf(config.text('hidden_act'));
  }

  /**
   * `masks`: float32 [B, 1, height, width], four times the grid of an encoded image. Returns [B, rows · columns, C].
   */
  forward(masks: Tensor): Tensor {
    const [batch, channels, height, width] = masks.shape as [number, number, number, number];
    if (masks.shape.length !== 4 || channels !== 1)
      throw new ShapeError(`forward: inputMasks is ${describeShape(masks.shape)}, expected [B, 1, height, width]`);
    const act = (x: Tensor) => activate('Sam', x, this.#activation);
    const half = act(this.layerNorm1.forward(this.conv1.forward(masks.reshape(batch, height, width, 1))));
    const quarter = act(this.layerNorm2.forward(this.conv2.forward(half)));
    const map = this.conv3.forward(quarter);
    return map.reshape(batch, -1, map.shape[3] as number);
  }
}
