// Wirings of sub-layers and their residual connections.

import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import type { Module } from './module.js';
import type { Norm } from './norm.js';

/** A sub-layer: attention, or a feed-forward network. */
export interface SubLayer {
  readonly run: (x: Tensor) => Tensor;
  readonly norm: Norm;
  /** Processes the branch before it is added: post-norm, scale and dropout. */
  readonly post: (branch: Tensor) => Tensor;
  /**
   * If given, a wiring calls it after the sub-layer with the rows before it, the branch after `post`, and the rows after
   * it.
   */
  readonly observe?: ((input: Tensor, branch: Tensor, output: Tensor) => void) | null | undefined;
}

/**
 * Post-norm: norm(x + f(x)), sub-layer by sub-layer (Vaswani et al. 2017). `x` and the result are float32 [N, dModel]
 * in all wirings.
 */
export function postNorm(x: Tensor, subLayers: readonly SubLayer[]): Tensor {
  for (const { run, norm, post, observe } of subLayers) {
    const branch = post(run(x));
    const y = norm.forward(branch, x);
    observe?.(x, branch, y);
    x = y;
  }
  return x;
}

/**
 * Pre-norm: x + f(norm(x)), sub-layer by sub-layer. Training needs no warm-up (Xiong et al. 2020, arXiv 2002.04745).
 */
export function preNorm(x: Tensor, subLayers: readonly SubLayer[]): Tensor {
  // Each addition is fused with the next norm into one pass over memory.
  let branch: Tensor | null = null;
  let observeLast: SubLayer['observe'];
  for (const { run, norm, post, observe } of subLayers) {
    const { sum, normed }: { sum: Tensor; normed: Tensor } = branch
      ? norm.add(branch, x)
      : { sum: x, normed: norm.forward(x) };
    if (branch) observeLast?.(x, branch, sum);
    x = sum;
    branch = post(run(normed));
    observeLast = observe;
  }
  if (!branch) return x;
  const y = add(x, branch);
  observeLast?.(x, branch, y);
  return y;
}

/** n + f(n), where n = norm(x), sub-layer by sub-layer: the residual connection begins after the norm (BLOOM). */
function normedResidual(x: Tensor, subLayers: readonly SubLayer[]): Tensor {
  for (const { run, norm, post, observe } of subLayers) {
    const normed = norm.forward(x);
    const branch = post(run(normed));
    const y = add(normed, branch);
    observe?.(x, branch, y);
    x = y;
  }
  return x;
}

/** x + norm(f(x)), sub-layer by sub-layer (OLMo 2, arXiv 2501.00656). Only the output of a sub-layer is normalized. */
export function branchNorm(x: Tensor, subLayers: readonly SubLayer[]): Tensor {
  for (const { run, norm, post, observe } of subLayers) {
    const branch = post(norm.forward(run(x)));
    const y = add(x, branch);
    observe?.(x, branch, y);
    x = y;
  }
  return x;
}

/**
 * x + Σ f(norm(x)): all sub-layers read the same input (GPT-J, GPT-NeoX, arXiv 2204.06745). A norm that sub-layers
 * share is computed once.
 */
export function parallel(x: Tensor, subLayers: readonly SubLayer[]): Tensor {
  const normed = new Map<Norm, Tensor>();
  let sum = x;
  for (const { run, norm, post, observe } of subLayers) {
    const input = normed.get(norm) ?? norm.forward(x);
    normed.set(norm, input);
    const branch = post(run(input));
    const y = add(sum, branch);
    observe?.(sum, branch, y);
    sum = y;
  }
  return sum;
}

/** A wiring that has parameters. */
export interface WiringPart extends Module {
  /**
   * `x`: the rows before the layer. `extraInputs`: further inputs of each row, or null. Returns the rows after the
   * layer, in the shape of `x`.
   */
  forward(x: Tensor, subLayers: readonly SubLayer[], extraInputs: Tensor | null): Tensor;
}

export const wirings = { pre: preNorm, post: postNorm, branch: branchNorm, normed: normedResidual, parallel } as const;
export type Wiring = keyof typeof wirings;
