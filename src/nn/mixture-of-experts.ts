import { checkOneOf, checkOptions, checkSizes, orNull } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Activation, activate, checkActivation, sigmoid } from '../ops/activation.js';
import { topk } from '../ops/axis.js';
import { add, div, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { embedding } from '../ops/embedding.js';
import { groupedLinear, groupRows } from '../ops/grouped.js';
import { gather } from '../ops/move.js';
import { quantizedPerGroup } from '../ops/quantized-per-group.js';
import { sum } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { clamp } from '../ops/unary.js';
import type { Initializer } from './init.js';
import { Linear } from './linear.js';
import type { LoraGrouped } from './lora-grouped.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import type { PackedLinear } from './packed-modules.js';
import { PackedWeight } from './weight.js';

/**
 * Weights of a token's experts: the softmax over all experts, the softmax over the chosen ones, or the sigmoid of each
 * score.
 */
export type ExpertWeights = 'softmax' | 'softmaxOfChosen' | 'sigmoid';

export interface MixtureOfExpertsOptions {
  /** Number of features of a token. */
  readonly dModel: number;
  /** Number of hidden features of an expert. */
  readonly dFF: number;
  readonly experts: number;
  /** Number of experts for each token. */
  readonly chosen: number;
  /** Activation of the gate. Default: `silu`. */
  readonly activation?: Activation | undefined;
  /** False if an expert has no gate: its activation applies to one projection (Nomic's encoder). Default: true. */
  readonly gated?: boolean | undefined;
  /**
   * True if one matrix holds an expert's gate and the projection that it multiplies, side by side. 'alternating': their
   * columns alternate (gpt-oss). Default: false.
   */
  readonly fused?: boolean | 'alternating' | undefined;
  /** True if experts and the router add biases. Default: false. */
  readonly bias?: boolean | undefined;
  /**
   * If given, gates are clamped to at most `limit`. The projections that they multiply are clamped to ±limit, and 1 is
   * added to them (gpt-oss). Default: null, none of this.
   */
  readonly limit?: number | null | undefined;
  /** The function from scores to weights. Default: `softmax`. */
  readonly weights?: ExpertWeights | undefined;
  /** True if the weights of a token's experts are divided by their sum. Default: false. */
  readonly normalized?: boolean | undefined;
  /** Least divisor of normalized weights (ERNIE 4.5). Default: 0. */
  readonly minSum?: number | undefined;
  /** Added to the divisor of normalized weights (LFM2). Default: 0. */
  readonly sumEpsilon?: number | undefined;
  /** Multiplies the weights. Default: 1. */
  readonly scale?: number | undefined;
  /**
   * True if a bias per expert is added to the scores when experts are chosen, but not to their weights (DeepSeek-V3).
   * Default: false.
   */
  readonly choiceBias?: boolean | undefined;
  /** Normalizes the router's input (Gemma 4). Default: none. */
  readonly routerNorm?: (() => Norm) | null | undefined;
  /** Multiplies the router's scores. Default: 1. */
  readonly routerScale?: number | undefined;
  /** True if each expert's weight is multiplied by a learned factor (Gemma 4). Default: false. */
  readonly expertScales?: boolean | undefined;
}

/** The matrices of all experts side by side, perhaps with adapters. */
type Experts = Linear | PackedLinear | LoraGrouped;

/** A router's scores and choice for some tokens. */
export interface Routing {
  /** Scores before softmax or sigmoid: float32 [N, experts]. */
  readonly logits: Tensor;
  /** The chosen experts: int32 [N, chosen], best first. */
  readonly ids: Tensor;
  /** The factors of their outputs: float32 [N, chosen]. */
  readonly weights: Tensor;
}

const kinds = {
  dModel: 'any',
  dFF: 'any',
  experts: 'any',
  chosen: 'any',
  activation: 'any',
  weights: 'any',
  normalized: [true, false],
  scale: 'positive',
  choiceBias: [true, false],
  bias: [true, false],
  fused: [true, false, 'alternating'],
  limit: orNull('positive'),
  routerNorm: orNull('function'),
  routerScale: 'positive',
  expertScales: [true, false],
  minSum: 'notNegative',
  sumEpsilon: 'notNegative',
  gated: [true, false],
} as const;

type CompleteOptions = Complete<Omit<MixtureOfExpertsOptions, 'routerNorm'>>;

/** Adds the defaults. Throws ArgumentError, ShapeError for options that are missing or out of range. */
function complete(options: MixtureOfExpertsOptions): CompleteOptions {
  const { dModel, dFF, experts, chosen, ...rest } = checkOptions('MixtureOfExperts', options, kinds);
  const { activation = 'silu', gated = true, fused = false, bias = false, limit = null } = rest;
  const { weights = 'softmax', normalized = false, minSum = 0, sumEpsilon = 0, scale = 1 } = rest;
  const { choiceBias = false, routerScale = 1, expertScales = false } = rest;
  checkSizes('MixtureOfExperts', { dModel, dFF, experts, chosen }, 1);
  checkActivation('MixtureOfExperts', activation);
  checkOneOf('MixtureOfExperts', 'weights', weights, ['softmax', 'softmaxOfChosen', 'sigmoid']);
  if (chosen > experts)
    throw new ArgumentError(`MixtureOfExperts: chosen is ${chosen}, expected at most experts, ${experts}`);
  if (!gated && (fused !== false || limit !== null))
    throw new ArgumentError('MixtureOfExperts: gated is false, expected true with `fused` or `limit`');
  const sizes = { dModel, dFF, experts, chosen };
  const routing = { weights, normalized, minSum, sumEpsilon, scale, choiceBias, routerScale, expertScales };
  return { ...sizes, ...routing, activation, gated, fused, bias, limit };
}

/**
 * A sparse mixture of experts (Shazeer et al. 2017, arXiv 1701.06538; Fedus et al. 2021, arXiv 2101.03961). A router
 * sends each token to a few feed-forward networks and adds up their weighted outputs. Tokens are sorted by
 * expert. Each expert is then one product, and only the weights of chosen experts are read, packed or not.
 */
export class MixtureOfExperts extends Module {
  readonly routerNorm: Norm | null;
  /** [dModel, experts] */
  readonly router: Linear;
  /** float32 [experts]: a factor of each expert's weight; null if there is none. */
  readonly expertScales: Tensor | null;
  /** [experts], or null. Optimizers do not train it; see `MixtureOfExpertsOptions.choiceBias`. */
  readonly choiceBias: Tensor | null;
  /**
   * The experts' gates, side by side: weight [dModel, experts · dFF]. If fused, it also holds the projections that they
   * multiply, and is twice as wide. Without gates, it holds the only projections of the input.
   */
  readonly gates: Experts;
  /**
   * The projections that the gates multiply, side by side: weight [dModel, experts · dFF]. Null if fused or without
   * gates.
   */
  readonly ups: Experts | null;
  /** The projections back, side by side: weight [dFF, experts · dModel]. */
  readonly downs: Experts;
  readonly #options: CompleteOptions;
  #observer: ((routing: Routing) => void) | null = null;

  /** Throws ArgumentError, ShapeError for options that are missing or out of range, OutOfMemoryError. */
  constructor(init: Initializer, options: MixtureOfExpertsOptions) {
    super();
    this.#options = complete(options);
    const { dModel, dFF, experts, bias, expertScales, choiceBias, fused, gated } = this.#options;
    const sideBySide = (width: number) => Array<number>(experts).fill(width);
    this.routerNorm = options.routerNorm?.() ?? null;
    this.router = new Linear(init, dModel, experts, bias);
    this.expertScales = expertScales ? init.constant([experts], 1) : null;
    this.choiceBias = choiceBias ? init.constant([experts], 0) : null;
    this.gates = new Linear(init, dModel, sideBySide(fused ? 2 * dFF : dFF), bias);
    this.ups = fused || !gated ? null : new Linear(init, dModel, sideBySide(dFF), bias);
    this.downs = new Linear(init, dFF, sideBySide(dModel), bias);
  }

  override get groupedParts(): readonly string[] {
    return ['gates', 'ups', 'downs'];
  }

  /**
   * `x`, the router's input and the result: float32 [N, dModel]. By default the router reads `x`. Throws ShapeError,
   * DTypeError.
   */
  forward(x: Tensor, routed = x): Tensor {
    const { experts, chosen, dModel, bias } = this.#options;
    const { ids, weights } = this.route(routed); // [N, chosen]
    const { rows, inverse, offsets } = groupRows(ids, experts); // [N · chosen], by expert
    const tokens = gather(x, rows); // [N · chosen, dModel]
    const sorted = bias ? gather(ids.reshape(-1), groupRows(ids.reshape(-1), experts).rows) : null; // [N · chosen]
    const project = (input: Tensor, part: Experts) => {
      const { weight, bias: added } = part;
      const isPacked = weight instanceof PackedWeight;
      const product = isPacked ? perGroup(weight, input, offsets) : groupedLinear(input, weight, offsets);
      const y = added && sorted ? add(product, embedding(added.reshape(experts, -1), sorted)) : product;
      return 'adapted' in part ? part.adapted(y, input, offsets) : y;
    };
    const outputs = project(this.#hidden(tokens, project), this.downs); // [N · chosen, dModel]
    const ofTokens = gather(outputs, inverse).reshape(-1, chosen, dModel); // [N, chosen, dModel]
    return sum(mul(ofTokens, weights.reshape(-1, chosen, 1)), { axis: 1 });
  }

  /** Returns the hidden features of tokens that are sorted by expert: [N · chosen, dFF]. */
  #hidden(tokens: Tensor, project: (x: Tensor, part: Experts) => Tensor): Tensor {
    const { dFF, activation, gated, fused, limit } = this.#options;
    const first = project(tokens, this.gates);
    if (!gated) return activate('MixtureOfExperts', first, activation);
    const half = (i: number) => {
      if (fused !== 'alternating') return first.columns(i * dFF, (i + 1) * dFF);
      return contiguous(first.reshape(-1, dFF, 2).columns(i, i + 1)).reshape(-1, dFF);
    };
    const gate = fused ? half(0) : first;
    const up = this.ups ? project(tokens, this.ups) : half(1);
    if (limit === null) return mul(activate('MixtureOfExperts', gate, activation), up);
    const limited = activate('MixtureOfExperts', clamp(gate, { max: limit }), activation);
    return mul(limited, add(clamp(up, { min: -limit, max: limit }), 1));
  }

  /** Sets a function that is called with the routing of each later pass. Null removes it. */
  observe(observer: ((routing: Routing) => void) | null): void {
    this.#observer = observer;
  }

  /**
   * Returns the experts of each token, int32 [N, chosen], best first, and their weights, float32 [N, chosen]. `x`: the
   * router's input, float32 [N, dModel].
   */
  route(x: Tensor): { ids: Tensor; weights: Tensor } {
    const { chosen, weights: kind, routerScale } = this.#options;
    const raws = this.router.forward(this.routerNorm?.forward(x) ?? x); // [N, experts]
    const logits = routerScale === 1 ? raws : scale(raws, routerScale);
    const scores = kind === 'sigmoid' ? sigmoid(logits) : kind === 'softmax' ? softmax(logits) : logits;
    const { values, indices } = this.#choose(scores, chosen);
    const weights = this.#weightsOf(values, indices);
    this.#observer?.({ logits, ids: indices, weights });
    return { ids: indices, weights };
  }

  /** The factors of the chosen experts, given their scores: float32 [N, chosen] both. */
  #weightsOf(values: Tensor, indices: Tensor): Tensor {
    const { normalized, scale: factor, weights: kind } = this.#options;
    const raw = kind === 'softmaxOfChosen' ? softmax(values) : values;
    const shared = normalized ? this.#normalized(raw) : raw;
    const scaled = factor === 1 ? shared : scale(shared, factor);
    if (this.expertScales === null) return scaled;
    const factors = embedding(this.expertScales.reshape(-1, 1), indices).reshape(scaled.shape);
    return mul(scaled, factors);
  }

  /** Divides the weights of each token by their sum. */
  #normalized(weights: Tensor): Tensor {
    const { minSum, sumEpsilon } = this.#options;
    const total = sum(weights, { axis: -1, keepDims: true });
    const atLeast = minSum > 0 ? clamp(total, { min: minSum }) : total;
    return div(weights, sumEpsilon > 0 ? add(atLeast, sumEpsilon) : atLeast);
  }

  #choose(scores: Tensor, chosen: number): { values: Tensor; indices: Tensor } {
    if (this.choiceBias === null) return topk(scores, chosen);
    const { indices } = topk(add(scores, this.choiceBias), chosen);
    const [rows, experts] = scores.shape as readonly [number, number];
    const starts = scores.device.tensor(
      Int32Array.from({ length: rows }, (_, row) => row * experts),
      [rows, 1],
    );
    const values = gather(scores.reshape(-1, 1), add(indices, starts)).reshape(rows, chosen);
    return { values, indices };
  }
}

/**
 * @internal `groupedLinear` with the transpose of a packed weight [groups · cols, depth]. Only groups with rows are
 * read.
 */
export function perGroup(weight: PackedWeight, x: Tensor, offsets: Tensor): Tensor {
  const { parts, activations } = weight;
  return quantizedPerGroup(x, parts, offsets, { activations });
}
