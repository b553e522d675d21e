import { checkNumber, checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { mul, scale } from '../ops/binary.js';
import { checkInitializer, type Initializer } from './init.js';
import type { PostNorm } from './layer.js';
import { Module } from './module.js';

/** A constant factor for the output of a sub-layer (Granite). It has no parameters. */
export class ConstantScale extends Module implements PostNorm {
  constructor(private readonly factor: number) {
    super();
    checkNumber('ConstantScale', 'factor', factor, Number.isFinite, 'a number');
  }

  /** factor · x; float32 of any shape. Throws DTypeError. */
  forward(x: Tensor): Tensor {
    return scale(x, this.factor);
  }
}

/** A learned factor for each feature of a sub-layer's output (Touvron et al. 2021, arXiv 2103.17239). */
export class LayerScale extends Module implements PostNorm {
  /** [features] */
  readonly weight: Tensor;

  /** `start`: initial value of all factors. Small values, such as 1e-5, let a deep network start near the identity. */
  constructor(init: Initializer, features: number, start: number) {
    super();
    checkInitializer('LayerScale', init);
    checkSizes('LayerScale', { features }, 1);
    checkNumber('LayerScale', 'start', start, Number.isFinite, 'a number');
    this.weight = init.constant([features], start);
  }

  /** x ⊙ weight; float32 [..., features]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    return mul(x, this.weight);
  }
}
