// Linear layers of a mixture's experts with adapters.

import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { add, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { groupedLinear } from '../ops/grouped.js';
import { matmul } from '../ops/matmul.js';
import { permute } from '../ops/move.js';
import type { Linear } from './linear.js';
import type { LoraLayer } from './lora-layer.js';
import { LoraModule, type WeightChange } from './lora-modules.js';
import type { PackedLinear } from './packed-modules.js';

/**
 * A linear layer whose weight holds a matrix for each expert, side by side, with adapters. An adapter's `a` is [in,
 * experts · rank], its `b` is [rank · experts, out]. The layer adds columns of `b` from `first` on to all its columns.
 */
export class LoraGrouped extends LoraModule {
  constructor(
    original: Linear | PackedLinear,
    readonly experts: number,
    readonly first: number,
  ) {
    super(original);
  }

  override get sections(): readonly number[] | null {
    return this.base.sections;
  }

  /**
   * Adds the changes of adapters to `y`, the layer's output for `x`. The rows of both are sorted by expert; see
   * `groupedLinear` for `offsets`. Throws ArgumentError if the rows of this pass have several choices of adapters.
   */
  adapted(y: Tensor, x: Tensor, offsets: Tensor): Tensor {
    const [adapters = [], ...others] = this.choices(this.first, this.first + this.width);
    if (others.some((other) => other.length !== adapters.length || other.some((layer, i) => layer !== adapters[i])))
      throw new ArgumentError(
        'adapter: rows of one batch have different adapters of experts, expected one for all: use a batch for each',
      );
    return adapters.reduce((sum, layer) => {
      const low = groupedLinear(x, layer.a, offsets); // [rows, rank]
      const b = this.#second(layer).reshape(-1, this.experts * this.width); // [rank, experts · width]
      return add(sum, scale(groupedLinear(low, b, offsets), layer.scaling));
    }, y);
  }

  protected override changeOf(layer: LoraLayer): WeightChange {
    const { experts } = this;
    const width = this.width;
    const inputs = layer.a.shape[0] as number;
    const a = permute(layer.a.reshape(inputs, experts, -1), [1, 0, 2]); // [experts, in, rank]
    const b = permute(this.#second(layer).reshape(-1, experts, width), [1, 0, 2]); // [experts, rank, width]
    const changes = permute(scale(matmul(a, b), layer.scaling), [1, 0, 2]); // [in, experts, width]
    return { start: 0, end: experts * width, change: contiguous(changes).reshape(inputs, -1) };
  }

  /** Columns of this layer in an adapter's second matrix: [rank · experts, width]. */
  #second({ b }: LoraLayer): Tensor {
    return contiguous(b.columns(this.first, this.first + this.width));
  }

  /** Number of output features of an expert. */
  get width(): number {
    const { weight } = this.original;
    return (weight.shape[weight instanceof Tensor ? 1 : 0] as number) / this.experts;
  }
}
