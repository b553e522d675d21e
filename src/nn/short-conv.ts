import { checkOptions, checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { mul } from '../ops/binary.js';
import { CausalConv, type RecurrentRows } from './causal-conv.js';
import type { CacheSpec } from './decoder-state.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { RecurrentMixer } from './recurrent-mixer.js';

export interface ShortConvOptions {
  /** Features of a token. */
  readonly dModel: number;
  /** Kernel size of the convolution, in tokens. */
  readonly taps: number;
  /** True if the convolution and the projections add a bias. Default: false. */
  readonly bias?: boolean | undefined;
}

/**
 * A short convolution with gates before and after it (LFM2): out(c ⊙ conv(b ⊙ x)), where b, c and x are projections.
 */
export class ShortConv extends RecurrentMixer {
  /** Projection to b, c and x, side by side. */
  readonly inProj: Projection;
  readonly conv: CausalConv;
  readonly outProj: Projection;

  /** Throws ArgumentError, ShapeError, OutOfMemoryError. */
  constructor(init: Initializer, options: ShortConvOptions) {
    super();
    const kinds = { dModel: 'any', taps: 'any', bias: [true, false] } as const;
    const { dModel, taps, bias = false } = checkOptions('ShortConv', options, kinds);
    checkSizes('ShortConv', { dModel, taps }, 1);
    this.inProj = new Linear(init, dModel, [dModel, dModel, dModel], bias);
    this.conv = new CausalConv(init, dModel, taps, bias);
    this.outProj = new Linear(init, dModel, dModel, bias);
  }

  cacheSpecs(): readonly CacheSpec[] {
    return this.conv.cacheSpecs();
  }

  protected mix(x: Tensor, reading: RecurrentRows): Tensor {
    const all = this.inProj.forward(x); // [N, b | c | x]
    const [, dModel] = x.shape as readonly [number, number];
    const [b, c, value] = [0, 1, 2].map((i) => all.columns(i * dModel, (i + 1) * dModel)) as [Tensor, Tensor, Tensor];
    return this.outProj.forward(mul(c, this.conv.forward(mul(b, value), reading))); // [N, dModel]
  }
}
