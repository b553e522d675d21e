// Flows of durations: invertible functions whose inverse turns noise into values.

import type { Tensor } from '../core/tensor.js';
import { gelu } from '../ops/activation.js';
import { cumsum } from '../ops/axis.js';
import { add, div, greaterEqual, less, lessEqual, mul, neg, scale, sub, where } from '../ops/binary.js';
import { concat } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { exp, softplus, sqrt } from '../ops/unary.js';
import { columns } from './columns.js';
import { Conv1d } from './conv.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';
import { LayerNorm } from './norm.js';
import { PointwiseConv } from './pointwise-conv.js';
import type { StateNames } from './state-names.js';

export interface SeparableOptions {
  readonly layers: number;
  readonly channels: number;
  /** Kernel size, and factor of the dilation from layer to layer. */
  readonly taps: number;
}

/** Layers of a dilated depthwise convolution and a pointwise one, with norms and a residual connection. */
export class DilatedSeparableConv extends Module {
  readonly convsDilated: readonly Conv1d[];
  readonly convsPointwise: readonly PointwiseConv[];
  readonly norms1: readonly LayerNorm[];
  readonly norms2: readonly LayerNorm[];

  constructor(
    init: Initializer,
    { layers, channels, taps }: SeparableOptions,
    readonly dropout: Dropout,
  ) {
    super();
    const perLayer = <T>(make: (i: number) => T): T[] => Array.from({ length: layers }, (_, i) => make(i));
    this.convsDilated = perLayer((i) => {
      const dilation = taps ** i;
      const padding = Math.floor((taps * dilation - dilation) / 2);
      return new Conv1d(init, {
        inputs: channels,
        outputs: channels,
        kernel: taps,
        groups: channels,
        dilation,
        padding,
        channelsLast: true,
      });
    });
    this.convsPointwise = perLayer(() => new PointwiseConv(init, channels, channels));
    this.norms1 = perLayer(() => new LayerNorm(init, channels));
    this.norms2 = perLayer(() => new LayerNorm(init, channels));
  }

  /** `x` and the result: float32 [B, T, channels]. */
  forward(x: Tensor, mask: Tensor): Tensor {
    const y = this.convsDilated.reduce((rows, conv, i) => {
      const spread = gelu((this.norms1[i] as LayerNorm).forward(conv.forward(mul(rows, mask))));
      const mixed = gelu(
        (this.norms2[i] as LayerNorm).forward((this.convsPointwise[i] as PointwiseConv).forward(spread)),
      );
      return add(rows, this.dropout.forward(mixed));
    }, x);
    return mul(y, mask);
  }

  protected override get stateNames(): StateNames {
    return { norms1: 'norms_1', norms2: 'norms_2' };
  }
}

/** A flow that shifts and scales each channel. */
export class AffineFlow extends Module {
  /** `translate` and `logScale`: float32 [channels]. */
  readonly translate: Tensor;
  readonly logScale: Tensor;

  constructor(init: Initializer, channels: number) {
    super();
    this.translate = init.constant([channels], 0);
    this.logScale = init.constant([channels], 0);
  }

  backwards(x: Tensor, mask: Tensor): Tensor {
    return mul(mul(sub(x, this.translate), exp(neg(this.logScale))), mask);
  }

  protected override get stateNames(): StateNames {
    return { translate: { name: 'translate', trailing: 1 }, log_scale: { name: 'log_scale', trailing: 1 } };
  }
}

/** A flow that maps one channel by a monotonic spline. Its knots depend on the other channel and on the text. */
export class SplineFlow extends Module {
  readonly convPre: PointwiseConv;
  readonly convDds: DilatedSeparableConv;
  readonly convProj: PointwiseConv;
  readonly #bins: number;
  readonly #bound: number;

  /** `bins`: number of the spline's pieces, from −bound to bound. */
  constructor(init: Initializer, bins: number, bound: number, options: SeparableOptions, dropout: Dropout) {
    super();
    const width = options.channels;
    this.#bins = bins;
    this.#bound = bound;
    this.convPre = new PointwiseConv(init, 1, width);
    this.convDds = new DilatedSeparableConv(init, options, dropout);
    this.convProj = new PointwiseConv(init, width, 3 * this.#bins - 1);
  }

  /** `x` and the result: float32 [B, T, 2]. `text`: [B, T, width]. */
  backwards(x: Tensor, mask: Tensor, text: Tensor): Tensor {
    const first = columns(x, 0, 1);
    const read = this.convDds.forward(add(this.convPre.forward(first), text), mask);
    const knots = mul(this.convProj.forward(read), mask); // [B, T, 3·bins − 1]
    const factor = (text.shape[2] as number) ** -0.5;
    const bins = this.#bins;
    const second = inverseSpline(columns(x, 1, 2), {
      widths: scale(columns(knots, 0, bins), factor),
      heights: scale(columns(knots, bins, 2 * bins), factor),
      slopes: columns(knots, 2 * bins, 3 * bins - 1),
      bound: this.#bound,
    });
    return mul(concat([first, second], 2), mask);
  }
}

/** Minimum width, height and slope of a bin. */
const MIN_BIN = 1e-3;

interface Knots {
  /** `widths` and `heights` of the bins before the softmax, [B, T, bins]. */
  readonly widths: Tensor;
  readonly heights: Tensor;
  /** Slopes at the knots between two bins, [B, T, bins − 1], before their softplus. */
  readonly slopes: Tensor;
  /** The spline is defined from −bound to bound; outside it is the identity. */
  readonly bound: number;
}

/** The inverse of a rational quadratic spline (Durkan et al. 2019, arXiv 1906.04032). `x`: [B, T, 1]. */
function inverseSpline(x: Tensor, { widths, heights, slopes, bound }: Knots): Tensor {
  const bins = widths.shape[2] as number;
  const isInside = mul(greaterEqual(x, -bound), lessEqual(x, bound));
  const inside = where(isInside, x, 0);
  const knots = edges(widths, bound);
  const levels = edges(heights, bound);
  const end = Math.log(Math.exp(1 - MIN_BIN) - 1); // slopes at both ends are 1
  const ends = x.device.full([...x.shape.slice(0, 2), 1], end);
  const all = add(softplus(concat([ends, slopes, ends], 2)), MIN_BIN); // [B, T, bins + 1]
  // `isBin` is 1 for the bin that contains the value, else 0.
  const last = bins + 1;
  const lower = columns(levels, 0, bins);
  const upper = concat([columns(levels, 1, bins), add(columns(levels, bins, last), 1e-6)], 2);
  const isBin = mul(greaterEqual(inside, lower), less(inside, upper));
  const pick = (values: Tensor) => sum(where(isBin, values, 0), { axis: 2, keepDims: true }); // [B, T, 1]
  const spans = (knots: Tensor) => sub(columns(knots, 1, last), columns(knots, 0, bins));
  const [width, height] = [pick(spans(knots)), pick(spans(levels))];
  const [start, level] = [pick(columns(knots, 0, bins)), pick(lower)];
  const [slope, next] = [pick(columns(all, 0, bins)), pick(columns(all, 1, last))];
  const steepness = div(height, width);
  // The inverse is the root of a quadratic equation.
  const above = sub(inside, level);
  const bend = mul(above, sub(add(slope, next), scale(steepness, 2)));
  const a = add(mul(height, sub(steepness, slope)), bend);
  const b = sub(mul(height, slope), bend);
  const c = neg(mul(steepness, above));
  const discriminant = sub(mul(b, b), scale(mul(a, c), 4));
  const root = div(scale(c, 2), sub(neg(b), sqrt(discriminant)));
  return where(isInside, add(mul(root, width), start), x);
}

/**
 * Returns the knots between bins, [B, T, bins + 1], from −bound to bound. The sizes of the bins are softmax(x), at
 * least MIN_BIN.
 */
function edges(x: Tensor, bound: number): Tensor {
  const bins = x.shape[2] as number;
  const sizes = add(scale(softmax(x), 1 - MIN_BIN * bins), MIN_BIN);
  const inner = add(scale(columns(cumsum(sizes, { axis: 2 }), 0, bins - 1), 2 * bound), -bound);
  const constant = (value: number) => x.device.full([...x.shape.slice(0, 2), 1], value);
  return concat([constant(-bound), inner, constant(bound)], 2);
}
