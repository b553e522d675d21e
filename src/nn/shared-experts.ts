import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import type { FeedForward } from './feed-forward.js';
import type { MixtureOfExperts } from './mixture-of-experts.js';
import { Module } from './module.js';

/** The sum of a mixture of experts and of a network that processes every token (Dai et al. 2024, arXiv 2401.06066). */
export class SharedExperts extends Module {
  readonly experts: MixtureOfExperts;
  readonly shared: FeedForward;

  constructor(experts: () => MixtureOfExperts, shared: () => FeedForward) {
    super();
    this.experts = experts();
    this.shared = shared();
  }

  /** `x` and the result: float32 [N, dModel]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    return add(this.experts.forward(x), this.shared.forward(x));
  }
}
