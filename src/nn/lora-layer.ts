// The low-rank change of a weight (LoRA, Hu et al. 2021, arXiv 2106.09685), and its variant with trained magnitudes
// (DoRA, Liu et al. 2024, arXiv 2402.09353). Results are those of PEFT.

import type { Device } from '../core/device.js';
import type { Random } from '../core/random.js';
import type { Tensor } from '../core/tensor.js';
import { add, affineInto, div, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { norm } from '../ops/statistics.js';
import type { Dropout } from './dropout.js';
import { Module } from './module.js';

/** The frozen parameters that a change adds to. */
export interface LoraBase {
  /**
   * Returns columns start … end − 1 of the weight, float32 [in, end − start]. The result belongs to the caller's scope.
   */
  columns(start: number, end: number): Tensor;
  /** Returns elements start … end − 1 of the bias, float32 [end − start], or null if there is none. */
  biasColumns(start: number, end: number): Tensor | null;
}

/** The frozen module whose output the change is added to. */
export interface LoraReader extends LoraBase {
  /** Returns x·a: [..., in] → [..., rank]. An embedding looks up rows of `a` instead. */
  enter(x: Tensor, a: Tensor): Tensor;
  /** Returns the module's output for columns start … end − 1 of its weight, without the bias: [..., end − start]. */
  product(x: Tensor, start: number, end: number): Tensor;
}

export interface LoraLayerOptions {
  readonly device: Device;
  /** Name in state dicts. */
  readonly name: string;
  /** Name of the adapter that the layer belongs to. */
  readonly adapter: string;
  /** True for an embedding. Its matrices have other names in PEFT, and A starts at 0 instead of B. */
  readonly isEmbedding: boolean;
  readonly inputs: number;
  /** The layer changes columns start … end − 1 of the weight. */
  readonly start: number;
  readonly end: number;
  readonly rank: number;
  /** The factor of the product of the two matrices. */
  readonly scaling: number;
  /** True for DoRA: trained magnitudes, which start as the L2 norms of the weight's columns. */
  readonly dora: boolean;
  /** True to train a bias that replaces the module's own and starts with its values. */
  readonly trainsBias: boolean;
  /** True to train a bias of the second matrix. */
  readonly addsBias: boolean;
  /** Dropout of the input in training. Null: none. */
  readonly dropout: Dropout | null;
  /** Source of the initial values of the matrix that does not start at 0. */
  readonly random: Random;
}

/**
 * Adds x·a·b·scaling to columns of x·W. With DoRA, each column of W + a·b·scaling is scaled to the L2 norm in
 * `magnitude`.
 */
export class LoraLayer extends Module {
  readonly name: string;
  readonly adapter: string;
  /** [in, rank] */
  readonly a: Tensor;
  /** [rank, out] */
  readonly b: Tensor;
  /** [out], or null. */
  readonly magnitude: Tensor | null;
  /** [out], in place of the module's own bias, or null. */
  readonly bias: Tensor | null;
  /** [out], added to the product of the matrices before it is scaled, or null. */
  readonly addedBias: Tensor | null;
  readonly dropout: Dropout | null;
  readonly start: number;
  readonly end: number;
  readonly scaling: number;
  /** True while the change is added to the module's output. */
  isActive = false;
  readonly #isEmbedding: boolean;

  constructor(base: LoraBase, options: LoraLayerOptions) {
    super();
    const { device, name, adapter, isEmbedding, inputs, start, end, rank, scaling, dropout, random } = options;
    this.name = name;
    this.adapter = adapter;
    this.start = start;
    this.end = end;
    this.scaling = scaling;
    this.dropout = dropout;
    this.#isEmbedding = isEmbedding;
    const bound = 1 / Math.sqrt(inputs); // PyTorch's kaiming_uniform_ with a = √5
    const drawn = isEmbedding
      ? Float32Array.from({ length: rank * (end - start) }, () => random.normal())
      : Float32Array.from({ length: inputs * rank }, () => (2 * random.uniform() - 1) * bound);
    const copyOf = (values: () => Tensor): Tensor => {
      const copy = device.unscoped(() => device.empty([end - start]));
      device.noGrad(() => device.scope(() => void affineInto(values(), copy, 1, false)));
      return copy;
    };
    const [first, second] = [
      [inputs, rank],
      [rank, end - start],
    ] as const;
    this.a = device.unscoped(() => (isEmbedding ? device.zeros(first) : device.tensor(drawn, first)));
    this.b = device.unscoped(() => (isEmbedding ? device.tensor(drawn, second) : device.zeros(second)));
    this.magnitude = options.dora ? copyOf(() => lengths(base.columns(start, end))) : null;
    const bias = options.trainsBias ? base.biasColumns(start, end) : null;
    this.bias = bias && copyOf(() => bias);
    this.addedBias = options.addsBias ? device.unscoped(() => device.zeros([end - start])) : null;
    for (const [, tensor] of this.tensors()) tensor.requiresGrad = true;
  }

  /** True if the change is the product of two matrices and nothing else. */
  get isPlain(): boolean {
    const hasBias = this.bias !== null || this.addedBias !== null;
    return this.magnitude === null && !hasBias && (this.dropout === null || !this.training);
  }

  override get isAdapter(): boolean {
    return true;
  }

  /** The trained tensors, by PEFT's names. */
  override tensors(): [name: string, tensor: Tensor][] {
    const { name, magnitude, bias, addedBias } = this;
    const [a, b] = this.#isEmbedding ? ['lora_embedding_A', 'lora_embedding_B'] : ['lora_A.weight', 'lora_B.weight'];
    const found: [string, Tensor][] = [
      [`${name}.${a}`, this.a],
      [`${name}.${b}`, this.b],
    ];
    if (addedBias) found.push([`${name}.lora_B.bias`, addedBias]);
    if (magnitude) found.push([`${name}.lora_magnitude_vector`, magnitude]);
    if (bias) found.push([`${name}.base_layer.bias`, bias]);
    return found;
  }

  /** Returns the change of the output for the input `x`, float32 [..., out]. */
  change(x: Tensor, base: LoraReader): Tensor {
    const { start, end, magnitude } = this;
    const read = this.dropout?.forward(x) ?? x;
    const low = scale(matmul(base.enter(read, this.a), this.b), this.scaling); // [..., out]
    const changed = magnitude ? this.#rescaled(low, base.product(read, start, end), magnitude, base) : low;
    const bias = this.biasChange(base);
    return bias ? add(changed, bias) : changed;
  }

  /**
   * Returns the trained bias minus the module's own, plus that of the second matrix: float32 [out], or null if no bias
   * is trained.
   */
  biasChange(base: LoraBase): Tensor | null {
    const baseBias = this.bias && base.biasColumns(this.start, this.end);
    const replaced = this.bias && baseBias && sub(this.bias, baseBias);
    const added = this.addedBias && scale(this.addedBias, this.scaling);
    return replaced && added ? add(replaced, added) : (replaced ?? added);
  }

  /** Returns the change of the weight's columns, float32 [in, out]. It belongs to the caller's scope. */
  weightChange(base: LoraBase): Tensor {
    const low = this.#low();
    const { start, end, magnitude } = this;
    return magnitude ? this.#rescaled(low, base.columns(start, end), magnitude, base) : low;
  }

  /**
   * Returns DoRA's change of the output. `output`: the module's output, `low`: the low-rank change. The norms of
   * columns get no gradient, as in the paper.
   */
  #rescaled(low: Tensor, output: Tensor, magnitude: Tensor, base: LoraBase): Tensor {
    const sum = () => add(contiguous(base.columns(this.start, this.end)), this.#low());
    const factor = div(
      magnitude,
      low.device.noGrad(() => lengths(sum())),
    );
    return add(mul(output, sub(factor, 1)), mul(low, factor));
  }

  #low(): Tensor {
    return scale(matmul(this.a, this.b), this.scaling);
  }
}

/** Returns the L2 norms of a matrix's columns. */
function lengths(matrix: Tensor): Tensor {
  return norm(contiguous(matrix), { axis: 0 });
}
