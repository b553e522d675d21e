import { checkOptions, checkSizes } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Activation, activate, checkActivation, sigmoid, silu } from '../ops/activation.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { gatedDeltaRule } from '../ops/linear-scan.js';
import { rmsNorm } from '../ops/rms-norm.js';
import { exp, softplus } from '../ops/unary.js';
import { CausalConv, piecesOf, type RecurrentRows } from './causal-conv.js';
import type { CacheSpec } from './decoder-state.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { RMSNorm } from './norm.js';
import { RecurrentMixer } from './recurrent-mixer.js';
import { RecurrentSlots } from './recurrent-slots.js';
import type { StateNames } from './state-names.js';

export interface GatedDeltaNetOptions {
  /** Features of a token. */
  readonly dModel: number;
  /** Number of heads of values. */
  readonly heads: number;
  /** Number of heads of queries and keys. Default: `heads`. */
  readonly keyHeads?: number | undefined;
  /** Number of features of a key (`keySize`) and of a value (`valueSize`). */
  readonly keySize: number;
  readonly valueSize: number;
  /** Kernel size of the convolution, in tokens. Default: 4. */
  readonly taps?: number | undefined;
  /** Activation after the convolution. Default: 'silu'. */
  readonly activation?: Activation | undefined;
  /** Epsilon of the norm of outputs. Default: 1e-6. */
  readonly eps?: number | undefined;
}

const kinds = {
  dModel: 'any',
  heads: 'any',
  keyHeads: 'any',
  keySize: 'any',
  valueSize: 'any',
  taps: 'any',
  activation: 'any',
  eps: 'positive',
} as const;

/** Epsilon of the normalization of queries and keys to length 1. */
const UNIT_EPS = 1e-6;

/**
 * Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464): a short convolution, the gated delta rule and an output gate.
 * Time and memory of a pass are linear in the number of tokens. A step costs the same at every position.
 */
export class GatedDeltaNet extends RecurrentMixer {
  /**
   * Projection to queries, keys and values (the input of the convolution), the gate, the learning rates and the decays,
   * side by side.
   */
  readonly inProj: Projection;
  readonly conv: CausalConv;
  /** float32 [heads]. `dtBias` is added to the decays before softplus; `aLog` is the logarithm of their factor. */
  readonly dtBias: Tensor;
  readonly aLog: Tensor;
  /** Norm of each head of the output. */
  readonly norm: RMSNorm;
  readonly outProj: Projection;
  readonly #options: Readonly<Record<'heads' | 'keyHeads' | 'keySize' | 'valueSize', number>> & {
    readonly activation: Activation;
  };

  /** Throws ArgumentError, ShapeError, OutOfMemoryError. */
  constructor(init: Initializer, options: GatedDeltaNetOptions) {
    super();
    const { dModel, heads, keySize, valueSize, ...rest } = checkOptions('GatedDeltaNet', options, kinds);
    const { keyHeads = heads, taps = 4, activation = 'silu', eps = 1e-6 } = rest;
    checkActivation('GatedDeltaNet', activation);
    checkSizes('GatedDeltaNet', { dModel, heads, keyHeads, keySize, valueSize, taps }, 1);
    if (heads % keyHeads !== 0)
      throw new ArgumentError(`GatedDeltaNet: heads is ${heads}, expected a multiple of keyHeads, ${keyHeads}`);
    this.#options = { heads, keyHeads, keySize, valueSize, activation };
    const inner = heads * valueSize;
    const convolved = 2 * keyHeads * keySize + inner;
    this.inProj = new Linear(init, dModel, [convolved, inner, heads, heads], false);
    this.conv = new CausalConv(init, convolved, taps, false);
    this.dtBias = init.constant([heads], 1);
    this.aLog = init.constant([heads], 0);
    this.norm = new RMSNorm(init, valueSize, eps);
    this.outProj = new Linear(init, inner, dModel, false);
  }

  protected override get stateNames(): StateNames {
    return { a_log: 'A_log', conv: 'conv1d' };
  }

  cacheSpecs(): readonly CacheSpec[] {
    const { heads, keySize, valueSize } = this.#options;
    return [
      ...this.conv.cacheSpecs(),
      { part: this, rows: 'states', slots: RecurrentSlots, width: heads * keySize * valueSize },
    ];
  }

  protected mix(x: Tensor, reading: RecurrentRows): Tensor {
    const { heads, keyHeads, keySize, valueSize, activation } = this.#options;
    const [keys, inner] = [keyHeads * keySize, heads * valueSize];
    const all = this.inProj.forward(x); // [N, q | k | v | gate | beta | decay]
    const gateAt = 2 * keys + inner;
    const convolved = this.conv.forward(all.columns(0, gateAt), reading);
    const read = activate('GatedDeltaNet', convolved, activation); // [N, q | k | v]
    const [betaAt, decayAt] = [gateAt + inner, gateAt + inner + heads];
    const rate = softplus(add(all.columns(decayAt, decayAt + heads), this.dtBias)); // [N, heads]
    const inputs = {
      q: unit(read.columns(0, keys), keySize, keySize ** -0.5),
      k: unit(read.columns(keys, 2 * keys), keySize),
      v: read.columns(2 * keys, gateAt),
      beta: sigmoid(all.columns(betaAt, decayAt)),
      decay: exp(mul(rate, scale(exp(this.aLog), -1))),
    };
    const y = gatedDeltaRule(inputs, { heads, groups: keyHeads, ...piecesOf(this, reading) }); // [N, inner]
    const normed = this.norm.forward(y.reshape(-1, valueSize)).reshape(y.shape);
    return this.outProj.forward(mul(normed, silu(all.columns(gateAt, betaAt))));
  }
}

/** Normalizes vectors of `size` features to the L2 norm `length`. */
function unit(x: Tensor, size: number, length = 1): Tensor {
  const normed = rmsNorm(contiguous(x).reshape(-1, size), null, { eps: UNIT_EPS / size });
  return scale(normed, length * size ** -0.5).reshape(x.shape);
}
