// The low-rank change of a projection (Hu et al. 2021, arXiv 2106.09685), and its form with a magnitude of its own
// (DoRA, Liu et al. 2024, arXiv 2402.09353). PEFT computes the same.

import type { Device } from '../core/device.js';
import type { Random } from '../core/random.js';
import { Tensor } from '../core/tensor.js';
import { add, affineInto, div, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { transpose } from '../ops/move.js';
import { norm } from '../ops/statistics.js';
import type { Dropout } from './dropout.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

export interface LoraLayerOptions {
  readonly device: Device;
  /** What state dicts call it. */
  readonly name: string;
  readonly inputs: number;
  /** The columns of the projection that it changes, from `start` to below `end`. */
  readonly start: number;
  readonly end: number;
  readonly rank: number;
  /** What the product of the two matrices is multiplied by. */
  readonly scaling: number;
  /** The projection's weight, the lengths of whose columns [in] are the first magnitudes (DoRA); null without them. */
  readonly dora: Weight | null;
  /** Of what it reads, in training. */
  readonly dropout: Dropout | null;
  /** Draws `a`; `b` begins as 0, and so changes nothing. */
  readonly random: Random;
}

/** x·a·b·scaling, added to columns of a projection of x; with magnitudes, columns of both together have these lengths. */
export class LoraLayer extends Module {
  readonly name: string;
  /** [in, rank] */
  readonly a: Tensor;
  /** [rank, out] */
  readonly b: Tensor;
  /** [out], or null. */
  readonly magnitude: Tensor | null;
  readonly dropout: Dropout | null;
  readonly start: number;
  readonly end: number;
  readonly scaling: number;
  /** Whether it changes anything at the moment. */
  isActive = false;
  readonly #weight: Weight | null;
  /** The columns as they were, while the change is merged into them. */
  #before: Tensor | null = null;

  constructor(options: LoraLayerOptions) {
    super();
    const { device, name, inputs, start, end, rank, scaling, dora, dropout, random } = options;
    this.name = name;
    this.start = start;
    this.end = end;
    this.scaling = scaling;
    this.dropout = dropout;
    this.#weight = dora;
    const bound = 1 / Math.sqrt(inputs); // PyTorch's kaiming_uniform_ with a = √5
    const drawn = Float32Array.from({ length: inputs * rank }, () => (2 * random.uniform() - 1) * bound);
    this.a = device.unscoped(() => device.tensor(drawn, [inputs, rank]));
    this.b = device.unscoped(() => device.zeros([rank, end - start]));
    this.magnitude = dora && device.unscoped(() => device.zeros([end - start]));
    if (dora && this.magnitude) {
      const { magnitude } = this;
      device.noGrad(() =>
        device.scope(() => void affineInto(lengths(columnsOf(dora, start, end)), magnitude, 1, false)),
      );
    }
    for (const each of this.tensors()) each[1].requiresGrad = true;
  }

  /** Whether the change is a product of two matrices and nothing else. */
  get isPlain(): boolean {
    return this.magnitude === null && (this.dropout === null || !this.training);
  }

  override get isAdapter(): boolean {
    return true;
  }

  /** What is learnt, by what PEFT calls it. */
  override tensors(): [name: string, tensor: Tensor][] {
    const magnitude: [string, Tensor][] = this.magnitude
      ? [[`${this.name}.lora_magnitude_vector`, this.magnitude]]
      : [];
    return [[`${this.name}.lora_A.weight`, this.a], [`${this.name}.lora_B.weight`, this.b], ...magnitude];
  }

  /** What is added to the columns, [..., out], for `x` [..., in]; `project` gives the columns of a projection without bias. */
  change(x: Tensor, project: (x: Tensor, start: number, end: number) => Tensor): Tensor {
    const read = this.dropout?.forward(x) ?? x;
    const low = scale(matmul(matmul(read, this.a), this.b), this.scaling);
    if (this.magnitude === null) return low;
    const factor = div(
      this.magnitude,
      x.device.noGrad(() => lengths(this.#sum())),
    );
    return add(mul(project(read, this.start, this.end), sub(factor, 1)), mul(low, factor));
  }

  /** Whether the change is in the weight, and is not computed beside it. */
  get isMerged(): boolean {
    return this.#before !== null;
  }

  /** Adds the change to a weight [in, all], in which the columns stay until `unmerge`. */
  merge(weight: Tensor): void {
    if (this.isMerged) return;
    const { device } = weight;
    const columns = device.unscoped(() => weight.columns(this.start, this.end));
    this.#before = device.unscoped(() => device.empty(columns.shape));
    const before = this.#before;
    device.noGrad(() =>
      device.scope(() => {
        affineInto(columns, before, 1, false);
        const sum = this.magnitude ? this.#scaled(columns) : add(contiguous(columns), this.#low());
        affineInto(sum, columns, 1, false);
      }),
    );
    columns.dispose();
  }

  /** Puts back what was there, to the bit. */
  unmerge(weight: Tensor): void {
    const before = this.#before;
    if (before === null) return;
    const { device } = weight;
    device.scope(() => affineInto(before, weight.columns(this.start, this.end), 1, false));
    before.dispose();
    this.#before = null;
  }

  protected override release(): void {
    super.release();
    this.#before?.dispose();
    this.#before = null;
  }

  #low(): Tensor {
    return scale(matmul(this.a, this.b), this.scaling);
  }

  /** The columns and their change. */
  #sum(columns = columnsOf(this.#weight as Weight, this.start, this.end)): Tensor {
    return add(contiguous(columns), this.#low());
  }

  #scaled(columns: Tensor): Tensor {
    const sum = this.#sum(columns);
    return mul(sum, div(this.magnitude as Tensor, lengths(sum)));
  }
}

/** Columns [in, end − start] of a projection's matrix, unpacked if need be. */
function columnsOf(weight: Weight, start: number, end: number): Tensor {
  return weight instanceof Tensor ? weight.columns(start, end) : transpose(weight.unpack().rows(start, end));
}

/** Of the columns of a matrix. */
function lengths(matrix: Tensor): Tensor {
  return norm(contiguous(matrix), { axis: 0 });
}
