// Initial values of parameters: the same seed gives the same parameters on every backend.

import { checkSeed, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { atOnce } from '../core/slices.js';
import type { Shape, Tensor } from '../core/tensor.js';

/**
 * Makes the parameters of a model on a device, each from its own stream of random numbers. With `blank`, values stay
 * undefined until a loader sets them, because drawing a hundred million numbers takes longer than reading them.
 */
export class Initializer {
  #stream = 0;
  readonly #made: Tensor[] = [];

  /** Throws ArgumentError unless `device` is a Device and `seed` a non-negative integer. */
  constructor(
    readonly device: Device,
    readonly seed: number,
    private readonly blank = false,
  ) {
    if (typeof device?.unscoped !== 'function')
      throw new ArgumentError(`Initializer: device is ${describeValue(device)}, expected await createDevice()`);
    checkSeed('Initializer', seed);
  }

  /**
   * Makes a matrix [in, out], uniform in ±√(6/(in + out)), so that activations and gradients keep their variance
   * (Glorot & Bengio 2010). PyTorch's nn.Transformer does the same, and treats in_proj as one matrix. This method and
   * the next ones throw ShapeError for sizes that are not positive integers, and OutOfMemoryError.
   */
  xavierUniform(rows: number, cols: number): Tensor {
    const bound = Math.sqrt(6 / (rows + cols));
    return this.#fill([rows, cols], (random) => (2 * random.uniform() - 1) * bound);
  }

  /** Makes a tensor of normally distributed entries with mean 0 and standard deviation `deviation`. */
  normal(shape: Shape, deviation: number): Tensor {
    return this.#fill(shape, (random) => deviation * random.normal());
  }

  /** Makes a tensor whose entries are all `value`. */
  constant(shape: Shape, value: number): Tensor {
    return this.#fill(shape, () => value);
  }

  /**
   * @internal Makes a parameter of zeros. It is zero with `blank`, too, because files have only some of its entries.
   */
  partlyStored(shape: Shape): Tensor {
    const parameter = this.buffer(shape, 0);
    parameter.requiresGrad = true;
    return parameter;
  }

  /** @internal Makes a tensor that is saved, but not trained (a buffer). Entries are `value`. Files may lack it. */
  buffer(shape: Shape, value: number): Tensor {
    return this.#make(shape, (size) => new Float32Array(size).fill(value));
  }

  #fill(shape: Shape, value: (random: Random) => number): Tensor {
    const random = new Random(this.seed, this.#stream++);
    const draw = (size: number) => {
      const values = new Float32Array(size);
      for (let i = 0; i < size; i++) values[i] = value(random);
      return values;
    };
    const parameter = this.#make(shape, this.blank ? null : draw);
    parameter.requiresGrad = true;
    return parameter;
  }

  /**
   * @internal Makes a matrix of given values that is not a parameter. `values` returns `count` rows from row `first`
   * on. It is called for `step` rows at a time; default: all rows at once.
   */
  table(rows: number, cols: number, values: (first: number, count: number) => Float32Array, step = rows): Tensor {
    if (step >= rows) return this.#make([rows, cols], () => values(0, rows));
    return atOnce(this.tableInParts(rows, cols, values, step));
  }

  /** Same as `table`, but yields after each `step` rows. An unfinished table is disposed of with the others. */
  *tableInParts(
    rows: number,
    cols: number,
    values: (first: number, count: number) => Float32Array,
    step: number,
  ): Generator<undefined, Tensor> {
    const table = this.device.unscoped(() => this.device.empty([rows, cols]));
    this.#made.push(table);
    for (let first = 0; first < rows; first += step) {
      const part = values(first, Math.min(step, rows - first));
      this.device.unscoped(() => this.device.upload(table.storage, table.offset + first * cols, part));
      yield;
    }
    return table;
  }

  /** @internal Makes a vector that is saved, but not trained. */
  fixed(values: Float32Array): Tensor {
    return this.#make([values.length], () => values);
  }

  /** @internal Makes an int32 vector that is not a parameter. */
  constants(values: Int32Array): Tensor {
    const tensor = this.device.unscoped(() => this.device.tensor(values));
    this.#made.push(tensor);
    return tensor;
  }

  /**
   * Allocates memory before values are drawn, because the device reports a lack of memory better than JavaScript does.
   * A blank parameter gets memory when its values arrive, because they may arrive packed instead.
   */
  #make(shape: Shape, values: ((size: number) => Float32Array) | null): Tensor {
    return this.device.unscoped(() => {
      const tensor = values === null ? this.device.reserve(shape) : this.device.empty(shape);
      this.#made.push(tensor);
      if (values) tensor.write(values(tensor.size));
      return tensor;
    });
  }

  /** Frees all tensors that it made. For errors in a model's constructor. */
  dispose(): void {
    for (const tensor of this.#made) tensor.dispose();
  }
}

/** Checks the initializer for callers without types, who may omit it as in PyTorch. */
export function checkInitializer(op: string, init: Initializer): void {
  if (init instanceof Initializer) return;
  throw new ArgumentError(`${op}: init is ${describeValue(init)}, expected new Initializer(device, seed)`);
}
