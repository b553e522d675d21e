import { checkOptions, checkSizes } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Activation, activate, checkActivation, silu } from '../ops/activation.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { selectiveStateSpace } from '../ops/linear-scan.js';
import { rmsNorm } from '../ops/rms-norm.js';
import { clamp, exp, softplus } from '../ops/unary.js';
import { CausalConv, piecesOf, type RecurrentRows } from './causal-conv.js';
import type { CacheSpec } from './decoder-state.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { RMSNorm } from './norm.js';
import { RecurrentMixer } from './recurrent-mixer.js';
import { RecurrentSlots } from './recurrent-slots.js';
import type { StateNames } from './state-names.js';

export interface Mamba2Options {
  /** Number of features of a token. */
  readonly dModel: number;
  readonly heads: number;
  /** Number of features of a head. */
  readonly headSize: number;
  /** State size: the number of features of B and C. */
  readonly stateSize: number;
  /** Number of heads of B and C, a divisor of `heads`. Default: 1. */
  readonly groups?: number | undefined;
  /** Kernel size of the convolution, in tokens. Default: 4. */
  readonly taps?: number | undefined;
  /** True if the convolution adds a bias. Default: true. */
  readonly convBias?: boolean | undefined;
  /** Activation after the convolution. Default: 'silu'. */
  readonly activation?: Activation | undefined;
  /** True if the projection of the input adds a bias. Default: false. */
  readonly bias?: boolean | undefined;
  /** True if the projection of the output adds a bias. Default: as `bias`. */
  readonly outBias?: boolean | undefined;
  /**
   * Norm of the output over each group: after the multiplication by the gate, before it, or none (null). Default:
   * 'afterGate'.
   */
  readonly norm?: 'afterGate' | 'beforeGate' | null | undefined;
  /** Epsilon of the norm. Default: 1e-5. */
  readonly eps?: number | undefined;
  /** Limits of the time steps. Default: none. */
  readonly timeLimit?: readonly [min: number, max: number] | undefined;
  /** Five constant factors: of the projected gate, input, B, C and time step. Default: none. */
  readonly multipliers?: readonly number[] | undefined;
}

const kinds = {
  dModel: 'any',
  heads: 'any',
  headSize: 'any',
  stateSize: 'any',
  groups: 'any',
  taps: 'any',
  convBias: [true, false],
  bias: [true, false],
  outBias: [true, false],
  eps: 'positive',
  norm: ['afterGate', 'beforeGate', null],
  activation: 'any',
  timeLimit: 'any',
  multipliers: 'any',
} as const;

/**
 * Mamba-2 (Dao, Gu 2024, arXiv 2405.21060): a short convolution, a selective state space and an output gate. Time and
 * memory of a pass are linear in the number of tokens. A step costs the same at every position.
 */
export class Mamba2 extends RecurrentMixer {
  /** Projection to the gate, the input of the convolution (x, B and C) and the time steps, side by side. */
  readonly inProj: Projection;
  readonly conv: CausalConv;
  /**
   * float32 [heads] each. `dtBias` is added to time steps, `aLog` is the logarithm of the decay, and `d` is the factor
   * of the skip connection.
   */
  readonly dtBias: Tensor;
  readonly aLog: Tensor;
  readonly d: Tensor;
  readonly norm: RMSNorm | null;
  readonly outProj: Projection;
  /** float32 [1, features of `inProj`]: the option `multipliers`, repeated for each feature. Null: none. */
  readonly #multipliers: Tensor | null;
  readonly #options: Readonly<Record<'heads' | 'headSize' | 'stateSize' | 'groups' | 'eps', number>> &
    Pick<Mamba2Options, 'norm' | 'timeLimit'> & { readonly activation: Activation };

  /** Throws ArgumentError, ShapeError, OutOfMemoryError. */
  constructor(init: Initializer, options: Mamba2Options) {
    super();
    const {
      dModel,
      heads,
      headSize,
      stateSize,
      groups = 1,
      taps = 4,
      ...rest
    } = checkOptions('Mamba2', options, kinds);
    const { convBias = true, bias = false, outBias = bias, norm = 'afterGate', eps = 1e-5, multipliers } = rest;
    const { activation = 'silu', timeLimit } = rest;
    checkActivation('Mamba2', activation);
    checkSizes('Mamba2', { dModel, heads, headSize, stateSize, groups, taps }, 1);
    if (heads % groups !== 0)
      throw new ArgumentError(`Mamba2: heads is ${heads}, expected a multiple of groups, ${groups}`);
    this.#options = { heads, headSize, stateSize, groups, eps, norm, timeLimit, activation };
    const inner = heads * headSize;
    const convolved = inner + 2 * groups * stateSize;
    this.inProj = new Linear(init, dModel, [inner, convolved, heads], bias);
    this.conv = new CausalConv(init, convolved, taps, convBias);
    this.dtBias = init.constant([heads], 1);
    this.aLog = init.constant([heads], 0);
    this.d = init.constant([heads], 1);
    this.norm = norm === null ? null : new RMSNorm(init, inner, eps);
    this.outProj = new Linear(init, inner, dModel, outBias);
    const widths = [inner, inner, groups * stateSize, groups * stateSize, heads];
    const factors = multipliers && Float32Array.from(widths.flatMap((width, i) => Array(width).fill(multipliers[i])));
    this.#multipliers = factors ? init.table(1, factors.length, () => factors) : null;
  }

  protected override get stateNames(): StateNames {
    return { a_log: 'A_log', d: 'D', conv: 'conv1d' };
  }

  cacheSpecs(): readonly CacheSpec[] {
    const { heads, headSize, stateSize } = this.#options;
    return [
      ...this.conv.cacheSpecs(),
      { part: this, rows: 'states', slots: RecurrentSlots, width: heads * headSize * stateSize },
    ];
  }

  protected mix(x: Tensor, reading: RecurrentRows): Tensor {
    const { heads, headSize, stateSize, groups, timeLimit, activation } = this.#options;
    const [inner, keys] = [heads * headSize, groups * stateSize];
    const projected = this.inProj.forward(x); // [N, gate | x | B | C | dt]
    const all = this.#multipliers ? mul(projected, this.#multipliers) : projected;
    const end = 2 * inner + 2 * keys;
    const convolved = this.conv.forward(all.columns(inner, end), reading);
    const activated = activate('Mamba2', convolved, activation); // [N, x | B | C]
    const tokenMask = 'batch' in reading ? reading.batch.tokenMask : null;
    const read = tokenMask ? mul(activated, tokenMask) : activated; // padding adds nothing to the state
    const free = softplus(add(all.columns(end, end + heads), this.dtBias)); // [N, heads]
    const dt = timeLimit ? clamp(free, { min: timeLimit[0], max: timeLimit[1] }) : free;
    const values = contiguous(read.columns(0, inner)).reshape(-1, heads, headSize);
    const inputs = {
      q: read.columns(inner + keys, inner + 2 * keys),
      k: read.columns(inner, inner + keys),
      v: mul(values, dt.reshape(-1, heads, 1)).reshape(-1, inner),
      decay: exp(mul(dt, scale(exp(this.aLog), -1))),
    };
    const scanned = selectiveStateSpace(inputs, { heads, groups, ...piecesOf(this, reading) });
    const y = add(scanned, mul(values, this.d.reshape(heads, 1)).reshape(-1, inner)); // [N, inner]
    return this.outProj.forward(this.#gated(y, silu(all.columns(0, inner))));
  }

  #gated(y: Tensor, gate: Tensor): Tensor {
    if (this.#options.norm === 'beforeGate') return mul(this.#normalized(y), gate);
    return this.#normalized(mul(y, gate));
  }

  /** Normalizes each group separately. */
  #normalized(y: Tensor): Tensor {
    const { norm } = this;
    const { groups, eps } = this.#options;
    if (norm === null || groups === 1) return norm?.forward(y) ?? y;
    const size = (y.shape[1] as number) / groups;
    return mul(rmsNorm(contiguous(y).reshape(-1, size), null, { eps }).reshape(y.shape), norm.weight);
  }

  protected override release(): void {
    super.release();
    this.#multipliers?.dispose();
  }
}
