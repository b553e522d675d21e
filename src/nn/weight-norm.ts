import { checkOptions, checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { div, mul } from '../ops/binary.js';
import { type Conv1dOptions, checkConv1d, conv1d } from '../ops/conv.js';
import { sum } from '../ops/reduce.js';
import { sqrt } from '../ops/unary.js';
import type { ConvolutionOptions } from './conv.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { StateNames } from './state-names.js';

/**
 * A convolution over sequences with weight normalization: weights are a direction and a length for each output
 * (Salimans & Kingma 2016, arXiv 1602.07868). Names are those of PyTorch's parametrizations.weight_norm.
 */
export class WeightNormConv1d extends Module {
  /** [outputs] */
  readonly lengths: Tensor;
  /** [outputs, inputs, kernel] */
  readonly directions: Tensor;
  /** [outputs] */
  readonly bias: Tensor;

  readonly #options: Conv1dOptions;

  /** Same parameters as `Conv1d`. There always is a bias. */
  constructor(init: Initializer, options: Omit<ConvolutionOptions<Conv1dOptions, number>, 'bias'>) {
    super();
    checkInitializer('WeightNormConv1d', init);
    const { inputs, outputs, kernel, ...others } = checkOptions('WeightNormConv1d', options);
    checkSizes('WeightNormConv1d', { inputs, outputs, kernel }, 1);
    this.#options = checkConv1d('WeightNormConv1d', others);
    this.lengths = init.constant([outputs], 1);
    this.directions = init.normal([outputs, inputs, kernel], (inputs * kernel) ** -0.5);
    this.bias = init.constant([outputs], 0);
  }

  /** Same as the op `conv1d`. */
  forward(x: Tensor): Tensor {
    const { directions, lengths, bias } = this;
    const [outputs] = directions.shape as [number, number, number];
    const flat = directions.reshape(outputs, -1);
    const norms = sqrt(sum(mul(flat, flat), { axis: 1 })); // [outputs]
    const weight = mul(flat, div(lengths, norms).reshape(outputs, 1)).reshape(directions.shape);
    return conv1d(x, weight, bias, this.#options);
  }

  protected override get stateNames(): StateNames {
    return {
      lengths: { name: 'parametrizations.weight.original0', trailing: 2 },
      directions: 'parametrizations.weight.original1',
    };
  }
}
