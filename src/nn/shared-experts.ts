import type { Tensor } from '../core/tensor.js';
import { sigmoid } from '../ops/activation.js';
import { add, mul } from '../ops/binary.js';
import type { FeedForward } from './feed-forward.js';
import type { Linear } from './linear.js';
import type { MixtureOfExperts } from './mixture-of-experts.js';
import { Module } from './module.js';

/**
 * The sum of a mixture of experts and of a network that processes every token (Dai et al. 2024, arXiv 2401.06066). With
 * `gate`, the sigmoid of its one output multiplies that of the network.
 */
export class SharedExperts extends Module {
  readonly experts: MixtureOfExperts;
  readonly shared: FeedForward;
  readonly gate: Linear | null;

  constructor(experts: () => MixtureOfExperts, shared: () => FeedForward, gate: (() => Linear) | null = null) {
    super();
    this.experts = experts();
    this.shared = shared();
    this.gate = gate?.() ?? null;
  }

  /** `x` and the result: float32 [N, dModel]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const shared = this.shared.forward(x);
    return add(this.experts.forward(x), this.gate === null ? shared : mul(shared, sigmoid(this.gate.forward(x))));
  }
}
