import type { Tensor } from '../core/tensor.js';

/** What changes parameters by their gradients. */
export interface Optimizer {
  /** Every parameter it changes. */
  readonly params: readonly Tensor[];
  /**
   * Applies the gradients. `lr` overrides the learning rate of this step; `maxNorm` scales the gradients down so that their
   * global norm is at most that.
   */
  step(options?: { lr?: number; maxNorm?: number }): void;
  /** Forgets the gradients. */
  zeroGrad(): void;
  /** What a checkpoint must hold to continue with the same bits: tensors by name, and numbers. */
  state(): OptimizerState;
  loadState(state: { tensors: ReadonlyMap<string, Float32Array>; numbers: Readonly<Record<string, number>> }): void;
}

export interface OptimizerState {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly numbers: Readonly<Record<string, number>>;
}
