import { checkOneOf, checkOptions, checkSizes, describeValue, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Activation, activate, checkActivation } from '../ops/activation.js';
import { mul, scale } from '../ops/binary.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { partKinds, partRule } from './made-parts.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';

export interface FeedForwardOptions {
  /** Number of features of a token. */
  readonly dModel: number;
  /** Number of hidden features. Default: 4·dModel. */
  readonly dFF?: number | undefined;
  /** Activation of the hidden features. Default: `relu`. */
  readonly activation?: Activation | undefined;
  /** True if a second projection of the input multiplies the hidden features. Default: false. */
  readonly gated?: boolean | undefined;
  /**
   * True if one matrix, `linear1`, holds the gate and the projection that it multiplies, side by side. 'gateLast': the
   * gate is the second half. Default: false.
   */
  readonly fused?: boolean | 'gateLast' | undefined;
  /** True if projections add a bias. Default: true. */
  readonly bias?: boolean | undefined;
  /** True if the last projection adds a bias. Default: `bias`. */
  readonly outBias?: boolean | undefined;
  /**
   * The gate is the hidden features before the activation. `gateScale` multiplies it, `outScale` the result (Falcon-H1).
   * Default: 1.
   */
  readonly gateScale?: number | undefined;
  readonly outScale?: number | undefined;
  /** Changes the gate before the activation; see `sparseGates`. Default: none. */
  readonly gateFilter?: ((gates: Tensor) => Tensor) | null | undefined;
  /** Normalizes what the last projection reads (BitNet). Default: none. */
  readonly hiddenNorm?: (() => Norm) | null | undefined;
  /** Dropout of the hidden features, in training. Default: none. */
  readonly dropout?: Dropout | null | undefined;
}

/** A pass, as observers receive it. All but the input and the output are float32 [N, dFF]. */
export interface FeedForwardPass {
  readonly input: Tensor;
  /** The hidden features, or the gate, before the activation. */
  readonly hidden: Tensor;
  /** The factor of the hidden features; null without a gate. */
  readonly factor: Tensor | null;
  /** The input of the last projection. */
  readonly active: Tensor;
  readonly output: Tensor;
}

/**
 * The position-wise network (Vaswani et al. 2017, 3.3): linear2(activation(linear1(x))). If gated, it is
 * linear2(activation(linear1(x)) ⊙ linear3(x)) (Shazeer 2020, "GLU Variants Improve Transformer"): SwiGLU with `silu`,
 * GEGLU with `gelu`. Names are PyTorch's.
 */
export class FeedForward extends Module {
  readonly dropout: Dropout | null;
  readonly linear1: Projection;
  readonly linear2: Projection;
  /** The projection that multiplies the hidden features, if the network is gated and not fused. */
  readonly linear3: Projection | null;
  readonly activation: Activation;
  /** Index of the section of a fused `linear1` that is the gate. */
  readonly #gate: 0 | 1;
  readonly hiddenNorm: Norm | null;
  readonly #gateFilter: ((gates: Tensor) => Tensor) | null;
  readonly #scales: readonly [gate: number, out: number];
  /** If set, receives each pass. The activation is then a step of its own. */
  observe: ((pass: FeedForwardPass) => void) | null = null;

  /** Throws ArgumentError for invalid options. */
  constructor(init: Initializer, options: FeedForwardOptions) {
    super();
    checkFeedForward('FeedForward', options);
    const {
      dModel,
      dFF = 4 * dModel,
      activation = 'relu',
      gated = false,
      fused = false,
      bias,
      outBias = bias,
      dropout = null,
    } = options;
    this.dropout = dropout;
    this.activation = activation;
    this.linear1 = new Linear(init, dModel, fused ? [dFF, dFF] : dFF, bias);
    this.linear2 = new Linear(init, dFF, dModel, outBias);
    this.#gate = fused === 'gateLast' ? 1 : 0;
    this.hiddenNorm = options.hiddenNorm?.() ?? null;
    this.#gateFilter = options.gateFilter ?? null;
    this.#scales = [options.gateScale ?? 1, options.outScale ?? 1];
    this.linear3 = gated && !fused ? new Linear(init, dModel, dFF, bias) : null;
  }

  /** `x` and the result: float32 [N, dModel]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const { linear1, linear2, linear3, activation, hiddenNorm, dropout, observe } = this;
    const [gateScale, outScale] = this.#scales;
    const isFused = linear1.sections.length > 1;
    const half = (i: number, kind?: Activation) => linear1.part(x, i, i + 1, kind);
    const gate = (kind?: Activation, dropping?: Dropout | null) =>
      isFused ? half(this.#gate, kind) : linear1.forward(x, kind, dropping);
    const filter = this.#gateFilter;
    // The kernel of a product can also activate and drop, if no step comes between.
    const isActivated = filter === null && gateScale === 1 && observe === null;
    const isDropped = isActivated && !isFused && linear3 === null && hiddenNorm === null;
    const gates = isActivated ? gate(activation, isDropped ? dropout : null) : scaled(gate(), gateScale);
    const hidden = isActivated ? gates : activate('FeedForward', filter?.(gates) ?? gates, activation); // [N, dFF]
    const factor = isFused ? half(1 - this.#gate) : linear3?.forward(x);
    const product = factor ? mul(hidden, factor) : hidden;
    const normed = hiddenNorm?.forward(product) ?? product;
    const kept = (isDropped ? null : dropout)?.forward(normed) ?? normed;
    const output = scaled(linear2.forward(kept), outScale); // [N, dModel]
    observe?.({ input: x, hidden: gates, factor: factor ?? null, active: kept, output });
    return output;
  }
}

function scaled(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : scale(x, factor);
}

const kinds = {
  gateFilter: orNull('function'),
  gateScale: 'number',
  outScale: 'number',
  hiddenNorm: orNull('function'),
  dModel: 'any',
  dFF: 'any',
  activation: 'any',
  fused: 'any', // see below
  gated: [true, false],
  bias: [true, false],
  outBias: [true, false],
  dropout: orNull(partRule(partKinds.module)),
} as const;

/** Throws ArgumentError for invalid options. The dropout checks itself. */
export function checkFeedForward(op: string, options: FeedForwardOptions): void {
  const { dModel, dFF = dModel, activation = 'relu', gated = false, fused = false } = checkOptions(op, options, kinds);
  checkSizes(op, { dModel, dFF }, 1);
  checkActivation(op, activation);
  checkOneOf(op, 'fused', fused, [true, false, 'gateLast']);
  if (fused && !gated) throw new ArgumentError(`${op}: fused is ${describeValue(fused)}, which needs gated: true`);
}
