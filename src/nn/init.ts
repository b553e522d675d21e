// How parameters begin: the same seed gives the same parameters on every backend.

import type { Device } from '../core/device.js';
import { Random } from '../core/random.js';
import { type Shape, sizeOf, type Tensor } from '../core/tensor.js';

/**
 * Makes the parameters of a model on a device, each from its own stream of random numbers; or `blank`, with undefined
 * values, where saved ones are about to take their place: drawing a hundred million numbers takes longer than reading
 * them.
 */
export class Initializer {
  #stream = 0;

  constructor(
    readonly device: Device,
    readonly seed: number,
    private readonly blank = false,
  ) {}

  /**
   * A matrix [in, out] with entries uniform in ±√(6/(in + out)): the variance of activations and of gradients is the
   * same on both sides (Glorot & Bengio 2010). PyTorch's nn.Transformer begins so, with in_proj counted as one matrix.
   */
  xavierUniform(rows: number, cols: number): Tensor {
    const bound = Math.sqrt(6 / (rows + cols));
    return this.#fill([rows, cols], (random) => (2 * random.uniform() - 1) * bound);
  }

  /** Entries from a normal distribution around 0. */
  normal(shape: Shape, deviation: number): Tensor {
    return this.#fill(shape, (random) => deviation * random.normal());
  }

  constant(shape: Shape, value: number): Tensor {
    return this.#fill(shape, () => value);
  }

  #fill(shape: Shape, value: (random: Random) => number): Tensor {
    if (this.blank) return this.#own(() => this.device.empty(shape));
    const random = new Random(this.seed, this.#stream++);
    const values = new Float32Array(sizeOf(shape));
    for (let i = 0; i < values.length; i++) values[i] = value(random);
    return this.#own(() => this.device.tensor(values, shape));
  }

  #own(make: () => Tensor): Tensor {
    const parameter = this.device.unscoped(make);
    parameter.requiresGrad = true;
    return parameter;
  }
}
