// Residual streams of Gemma 3n (2025): alternating updates (Baykal et al. 2023, arXiv 2301.13310) and learned augmented
// residual layers (Menghani et al. 2024, arXiv 2411.07501).

import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { tanh } from '../ops/activation.js';
import { add, div, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { linear } from '../ops/linear.js';
import { concat } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { clamp, sqrt } from '../ops/unary.js';
import type { Initializer } from './init.js';
import type { PostNorm } from './layer.js';
import { Linear, type Projection } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import type { PerLayerGate } from './per-layer-inputs.js';
import { preNorm, type SubLayer, type WiringPart } from './residual.js';
import type { StackEntry } from './stack.js';

/** x + norm(right(left(x))): a residual connection with a learned low-rank branch. */
export class LearnedResidual extends Module {
  /** [dModel, rank] */
  readonly left: Projection;
  /** [rank, dModel] */
  readonly right: Projection;
  readonly norm: Norm;

  constructor(init: Initializer, dModel: number, rank: number, norm: () => Norm) {
    super();
    this.left = new Linear(init, dModel, rank, false);
    this.right = new Linear(init, rank, dModel, false);
    this.norm = norm();
  }

  /** `x` and the result: float32 [N, dModel]. */
  forward(x: Tensor): Tensor {
    return add(x, this.norm.forward(this.right.forward(this.left.forward(x))));
  }
}

export interface AlternatingUpdatesOptions {
  readonly dModel: number;
  /** Number of streams of rows. */
  readonly streams: number;
  /** Index of the stream that the sub-layers read and compute. */
  readonly active: number;
  /** In training, the weights of `prediction` and `correction` are clamped to ±clip. Null: no limit. */
  readonly clip: number | null;
  readonly norm: () => Norm;
  /** Makes the learned residual connection beside attention. */
  readonly residual: () => LearnedResidual;
  /** Makes the branch that reads the layer's per-layer inputs. */
  readonly perLayer: () => PerLayerGate;
  /** True if a learned factor of each feature scales the input of that branch. */
  readonly scaled: boolean;
}

/**
 * A wiring of several streams of rows, [N, streams · dModel] side by side. It predicts all streams after the layer as
 * mixtures of the streams before it. The sub-layers compute one stream. Its difference from the prediction, times
 * learned coefficients, corrects all streams.
 */
export class AlternatingUpdates extends Module implements WiringPart {
  readonly routerNorm: Norm;
  /** [dModel, streams] */
  readonly router: Projection;
  /** Shape [streams, streams²]: coefficients of the mixtures. */
  readonly prediction: Projection;
  /** Shape [streams, streams]: coefficients of the correction. */
  readonly correction: Projection;
  /** [dModel] */
  readonly perLayerScale: Tensor;
  readonly residual: LearnedResidual;
  readonly perLayer: PerLayerGate;
  readonly #options: AlternatingUpdatesOptions;

  constructor(init: Initializer, options: AlternatingUpdatesOptions) {
    super();
    const { dModel, streams, norm, residual, perLayer } = options;
    this.#options = options;
    this.routerNorm = norm();
    this.router = new Linear(init, dModel, streams, false);
    this.prediction = new Linear(init, streams, streams ** 2, false);
    this.correction = new Linear(init, streams, streams, false);
    this.perLayerScale = init.constant([dModel], 0);
    this.residual = residual();
    this.perLayer = perLayer();
  }

  forward(x: Tensor, subLayers: readonly SubLayer[], extraInputs: Tensor | null): Tensor {
    const { streams, active, scaled } = this.#options;
    if (extraInputs === null)
      throw new ArgumentError(
        'AlternatingUpdates: per-layer inputs are missing, expected a pass through the whole Stack',
      );
    const predicted = this.#predict(splitStreams(x, streams));
    const computed = this.#compute(predicted[active] as Tensor, subLayers);
    const corrected = this.#correct(predicted, computed);
    const first = corrected[active] as Tensor;
    const branch = this.perLayer.forward(scaled ? mul(first, this.perLayerScale) : first, extraInputs);
    return concat([corrected[0] as Tensor, ...corrected.slice(1).map((stream) => add(stream, branch))], -1);
  }

  /** Returns tanh(router(norm(x) / dModel)), [N, streams]. */
  #modalities(x: Tensor): Tensor {
    return tanh(this.router.forward(scale(this.routerNorm.forward(x), 1 / this.#options.dModel)));
  }

  #predict(streams: readonly Tensor[]): Tensor[] {
    const modalities = this.#modalities(streams[this.#options.active] as Tensor);
    const all = this.#coefficients(this.prediction, modalities); // Shape [N, streams²]: to, then from
    return streams.map((stream, to) =>
      streams.reduce((sum, from, i) => {
        const column = to * streams.length + i;
        return add(sum, mul(from, all.columns(column, column + 1)));
      }, stream),
    );
  }

  /** Runs the sub-layers on one stream, [N, dModel]. */
  #compute(x: Tensor, [attention, network]: readonly SubLayer[]): Tensor {
    const { norm, run, post, observe } = attention as SubLayer;
    const normed = norm.forward(x);
    const branch = post(run(normed));
    const attended = scale(add(add(x, branch), this.residual.forward(normed)), Math.SQRT1_2);
    observe?.(x, branch, attended);
    return network ? preNorm(attended, [network]) : attended;
  }

  #correct(predicted: readonly Tensor[], computed: Tensor): Tensor[] {
    const innovation = sub(computed, predicted[this.#options.active] as Tensor);
    const all = add(this.#coefficients(this.correction, this.#modalities(computed)), 1); // [N, streams]
    return predicted.map((stream, i) => add(stream, mul(innovation, all.columns(i, i + 1))));
  }

  #coefficients(projection: Projection, modalities: Tensor): Tensor {
    const { clip } = this.#options;
    if (!(projection instanceof Linear) || !this.training || clip === null) return projection.forward(modalities);
    return linear(modalities, clamp(projection.weight, { min: -clip, max: clip }));
  }
}

/** Splits streams that lie side by side, [N, streams · dModel], into tensors [N, dModel]. */
function splitStreams(x: Tensor, streams: number): Tensor[] {
  const width = (x.shape[1] as number) / streams;
  return Array.from({ length: streams }, (_, i) => contiguous(x.columns(i * width, (i + 1) * width)));
}

/** Scales each row of `x` to the root mean square of the same row of `like`. */
function asLargeAs(x: Tensor, like: Tensor): Tensor {
  const squares = (of: Tensor) => mean(mul(of, of), { axis: -1, keepDims: true });
  return mul(x, div(sqrt(squares(like)), sqrt(clamp(squares(x), { min: 1e-5 }))));
}

/** Turns embeddings into streams: the embedding itself, and projections that are scaled to its root mean square. */
export class StreamEntry extends Module implements StackEntry {
  readonly projections: readonly Projection[];
  readonly inputs: StackEntry;

  /** `inputs`: makes the part that computes per-layer inputs. */
  constructor(init: Initializer, dModel: number, streams: number, inputs: () => StackEntry) {
    super();
    this.inputs = inputs();
    this.projections = Array.from({ length: streams - 1 }, () => new Linear(init, dModel, dModel, false));
  }

  forward(input: Tensor): { x: Tensor; extraInputs: Tensor | null } {
    const { x, extraInputs } = this.inputs.forward(input);
    const others = this.projections.map((projection) => asLargeAs(projection.forward(x), x));
    return { x: concat([x, ...others], -1), extraInputs };
  }
}

/**
 * Returns the mean of the first stream and of projections of the others. These are scaled to the first stream's root
 * mean square.
 */
export class StreamExit extends Module implements PostNorm {
  readonly projections: readonly Projection[];

  constructor(init: Initializer, dModel: number, streams: number) {
    super();
    this.projections = Array.from({ length: streams - 1 }, () => new Linear(init, dModel, dModel, false));
  }

  /** float32 [N, streams · dModel] → [N, dModel]. */
  forward(x: Tensor): Tensor {
    const streams = this.projections.length + 1;
    const [first, ...others] = splitStreams(x, streams) as [Tensor, ...Tensor[]];
    const all = others.map((stream, i) => asLargeAs((this.projections[i] as Projection).forward(stream), first));
    return scale(
      all.reduce((sum, stream) => add(sum, stream), first),
      1 / streams,
    );
  }
}
