// Per-layer inputs (Gemma 3n, 2025): each layer reads its own vector of each token, which depends on the token's id and
// embedding.

import type { Tensor } from '../core/tensor.js';
import type { Activation } from '../ops/activation.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { preNorm, type SubLayer, type WiringPart } from './residual.js';
import type { StackEntry } from './stack.js';

export interface PerLayerOptions {
  readonly dModel: number;
  /** Number of features of a layer's input. */
  readonly width: number;
  /** Makes a norm of the given number of features. */
  readonly norm: (features: number) => Norm;
}

/**
 * Computes the inputs of all layers: the projected embedding of each token, normalized for each layer separately. If
 * the stack's input also has looked-up vectors, [N, dModel | layers · width], the result is their sum with the
 * projection, times √½.
 */
export class PerLayerInputs extends Module implements StackEntry {
  /** [dModel, layers · width] */
  readonly projection: Projection;
  /** Normalizes the features of one layer. */
  readonly norm: Norm;
  readonly #options: PerLayerOptions;

  constructor(init: Initializer, layers: number, options: PerLayerOptions) {
    super();
    const { dModel, width, norm } = options;
    this.#options = options;
    this.projection = new Linear(init, dModel, layers * width, false);
    this.norm = norm(width);
  }

  /**
   * `input`: float32 [N, dModel], or [N, dModel | layers · width] with looked-up vectors. Returns the first dModel
   * features as `x`, and the inputs of all layers as `extraInputs`, [N, layers · width]. Throws ShapeError, DTypeError.
   */
  forward(input: Tensor): { x: Tensor; extraInputs: Tensor } {
    const { dModel, width } = this.#options;
    const [rows, features] = input.shape as [number, number];
    const x = features === dModel ? input : contiguous(input.columns(0, dModel));
    const projected = scale(this.projection.forward(x), dModel ** -0.5); // [N, layers · width]
    const normed = this.norm.forward(projected.reshape(-1, width)).reshape(rows, -1);
    if (features === dModel) return { x, extraInputs: normed };
    return { x, extraInputs: scale(add(normed, input.columns(dModel, features)), Math.SQRT1_2) };
  }
}

export interface PerLayerGateOptions extends PerLayerOptions {
  /** Index of the layer, from 0. */
  readonly layer: number;
  readonly activation: Activation;
}

/** A branch that reads the per-layer input: norm(projection(activation(gate(x)) ⊙ input)). */
export class PerLayerGate extends Module {
  /** [dModel, width] */
  readonly gate: Projection;
  /** [width, dModel] */
  readonly projection: Projection;
  readonly norm: Norm;
  readonly #options: PerLayerGateOptions;

  constructor(init: Initializer, options: PerLayerGateOptions) {
    super();
    const { dModel, width, norm } = options;
    this.#options = options;
    this.gate = new Linear(init, dModel, width, false);
    this.projection = new Linear(init, width, dModel, false);
    this.norm = norm(dModel);
  }

  /** `x` and the result: float32 [N, dModel]. `extraInputs`: inputs of all layers, [N, layers · width]. */
  forward(x: Tensor, extraInputs: Tensor): Tensor {
    const { layer, width, activation } = this.#options;
    const layerInputs = extraInputs.columns(layer * width, (layer + 1) * width);
    return this.norm.forward(this.projection.forward(mul(this.gate.forward(x, activation), layerInputs)));
  }
}

/** A wiring of pre-norm sub-layers, a branch that reads the per-layer input, and a constant factor (Gemma 4). */
export class PerLayerWiring extends Module implements WiringPart {
  readonly perLayer: PerLayerGate | null;
  /** float32 [1]: the constant factor. It is saved, but not trained. */
  readonly scalar: Tensor;

  /** `makeBranch`: makes the branch; null for none. */
  constructor(init: Initializer, makeBranch: (() => PerLayerGate) | null) {
    super();
    this.perLayer = makeBranch?.() ?? null;
    this.scalar = init.fixed(Float32Array.of(1));
  }

  forward(x: Tensor, subLayers: readonly SubLayer[], extraInputs: Tensor | null): Tensor {
    const y = preNorm(x, subLayers);
    return mul(this.perLayer && extraInputs ? add(y, this.perLayer.forward(y, extraInputs)) : y, this.scalar);
  }
}
