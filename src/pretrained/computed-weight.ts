import type { Device } from '../core/device.js';
import type { StoredBlocks, WeightEntry } from '../models/weight-entry.js';
import { transpose } from '../nn/stored-layout.js';

/** A tensor that is computed from others of its file when it is read. */
export class ComputedWeight implements WeightEntry {
  readonly size: number;

  /**
   * `data` computes the floats, and `packed` the blocks of a format that has exactly these values. `dtype` is the type
   * of the file whose precision is enough for them.
   */
  constructor(
    readonly shape: readonly number[],
    readonly data: () => Promise<Float32Array>,
    private readonly packed?: (device: Device) => StoredBlocks | undefined,
    readonly dtype: string = 'F32',
  ) {
    this.size = shape.reduce((product, n) => product * n, 1);
  }

  blocks(device: Device): StoredBlocks | undefined {
    return this.packed?.(device);
  }

  async *stream(): AsyncGenerator<Float32Array> {
    yield this.data();
  }
}

/** The matrix of a linear layer as [out, in], also if checkpoints store it as [in, out]. */
export class LinearWeight extends ComputedWeight {
  inOut(): WeightEntry {
    const { shape, data, dtype } = this;
    const values = async () => transpose(await data(), shape);
    return new ComputedWeight([...shape].reverse(), values, (device) => this.blocks(device), dtype);
  }
}

/** The transpose of a matrix. */
export function transposed(weight: WeightEntry): WeightEntry {
  const values = async () => transpose((await weight.data()) as Float32Array, weight.shape);
  return new ComputedWeight([...weight.shape].reverse(), values, undefined, weight.dtype);
}

/** The elements of a weight with another shape of the same size. */
export function reshaped(weight: WeightEntry, shape: readonly number[]): WeightEntry {
  return new ComputedWeight(shape, async () => Float32Array.from(await weight.data()), undefined, weight.dtype);
}
