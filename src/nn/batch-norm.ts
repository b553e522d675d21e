import {
  checkKnown,
  checkNumber,
  checkOneOf,
  checkShape,
  checkSizes,
  isNotNegative,
  isShare,
  SHARE,
} from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { add, div, mul, neg, scale, sub } from '../ops/binary.js';
import { stepsOf } from '../ops/broadcast.js';
import { copyInto } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { rsqrt } from '../ops/unary.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';

export interface BatchNormOptions {
  /** Added to the variance. Default: 1e-5. */
  eps?: number | undefined;
  /** Weight of a new batch in the running statistics, from 0 to 1. Null: the mean over all batches. Default: 0.1. */
  momentum?: number | null | undefined;
  /** True for a trained weight and bias. Default: true. */
  affine?: boolean | undefined;
  /** False for no running statistics: each batch is normalized by its own statistics. Default: true. */
  trackRunningStats?: boolean | undefined;
  /** True for x as [B, ..., C]. Default: false, [B, C, ...]. */
  channelsLast?: boolean | undefined;
}

const OPTIONS = ['eps', 'momentum', 'affine', 'trackRunningStats', 'channelsLast'] as const;

/**
 * Batch normalization (Ioffe & Szegedy 2015, arXiv 1502.03167), with the names and semantics of PyTorch's
 * nn.BatchNorm1d and nn.BatchNorm2d. In training mode, each channel is normalized over the batch and all positions, and
 * the running statistics are updated. In evaluation mode, the running statistics normalize.
 */
export class BatchNorm extends Module {
  /** [channels], or null without `affine`. */
  readonly weight: Tensor | null;
  /** [channels], or null without `affine`. */
  readonly bias: Tensor | null;
  /** [channels], without a gradient. Null without running statistics. */
  readonly runningMean: Tensor | null;
  /** [channels], without a gradient. Null without running statistics. */
  readonly runningVar: Tensor | null;
  /** A scalar: the number of batches in the running statistics. Null without them. */
  readonly numBatchesTracked: Tensor | null;
  /** @internal True if training mode has no effect, because only an adapter is trained. Its file has no statistics. */
  isFixed = false;
  readonly #channels: number;
  readonly #eps: number;
  readonly #momentum: number | null;
  readonly #channelsLast: boolean;

  /** Throws ArgumentError, OutOfMemoryError. */
  constructor(init: Initializer, channels: number, options: BatchNormOptions = {}) {
    super();
    checkInitializer('BatchNorm', init);
    checkSizes('BatchNorm', { channels }, 1);
    const { eps = 1e-5, momentum = 0.1, ...flags } = checkKnown('BatchNorm', options, OPTIONS);
    const { affine = true, trackRunningStats = true, channelsLast = false } = flags;
    checkNumber('BatchNorm', 'eps', eps, isNotNegative, 'a number, 0 or more');
    if (momentum !== null) checkNumber('BatchNorm', 'momentum', momentum, isShare, `${SHARE}, or null`);
    for (const [name, flag] of Object.entries({ affine, trackRunningStats, channelsLast }))
      checkOneOf('BatchNorm', name, flag, [true, false]);
    this.#channels = channels;
    this.#eps = eps;
    this.#momentum = momentum;
    this.#channelsLast = channelsLast;
    this.weight = affine ? init.constant([channels], 1) : null;
    this.bias = affine ? init.constant([channels], 0) : null;
    this.runningMean = trackRunningStats ? init.buffer([channels], 0) : null;
    this.runningVar = trackRunningStats ? init.buffer([channels], 1) : null;
    this.numBatchesTracked = trackRunningStats ? init.buffer([], 0) : null;
  }

  /**
   * `x` and the result: float32 [B, channels, ...], or [B, ..., channels] with `channelsLast`. Throws DTypeError, and
   * ShapeError, also for a batch of one value per channel in training mode.
   */
  forward(x: Tensor): Tensor {
    const last = this.#channelsLast;
    const channel = last ? x.shape.length - 1 : 1;
    if (x.shape.length < 2 || x.shape[channel] !== this.#channels)
      checkShape('BatchNorm', 'x', x, x.shape.with(Math.max(channel, 0), this.#channels));
    // Reshapes a vector of channels so that it broadcasts with `x`.
    const broadcast = (perChannel: Tensor) =>
      last ? perChannel : perChannel.reshape(this.#channels, ...x.shape.slice(2).map(() => 1));
    const { runningMean, runningVar, weight, bias } = this;
    const isTrained = this.training && !this.isFixed;
    return x.device.scope(() => {
      if (!isTrained && runningMean && runningVar) {
        const factor = this.#factor(runningVar);
        const shift = neg(mul(runningMean, factor));
        return add(mul(x, broadcast(factor)), broadcast(bias ? add(shift, bias) : shift));
      }
      const axis = x.shape.map((_, d) => d).filter((d) => d !== channel);
      const count = x.size / this.#channels;
      if (count === 1)
        throw new ShapeError('BatchNorm: a batch has one value for each channel, expected more in training');
      const batchMean = mean(x, { axis }); // [channels]
      const centered = sub(x, broadcast(batchMean));
      const batchVar = mean(mul(centered, centered), { axis }); // [channels]
      if (isTrained) this.#updateRunning(batchMean, batchVar, count);
      const scaled = mul(centered, broadcast(this.#factor(batchVar)));
      return bias && weight ? add(scaled, broadcast(bias)) : scaled;
    });
  }

  /** Returns weight / √(variance + eps), [channels]. */
  #factor(variance: Tensor): Tensor {
    const inverse = rsqrt(add(variance, this.#eps));
    return this.weight ? mul(inverse, this.weight) : inverse;
  }

  /** Updates the running statistics with a batch. The running variance is unbiased: its divisor is count - 1. */
  #updateRunning(batchMean: Tensor, batchVar: Tensor, count: number): void {
    const { runningMean, runningVar, numBatchesTracked } = this;
    if (!runningMean || !runningVar || !numBatchesTracked) return;
    const { device } = runningMean;
    device.noGrad(() =>
      device.scope(() => {
        const batches = add(numBatchesTracked, 1);
        assign(numBatchesTracked, batches);
        const update = (running: Tensor, value: Tensor) => {
          const step = sub(value, running);
          const share = this.#momentum === null ? div(step, batches) : scale(step, this.#momentum);
          assign(running, add(running, share));
        };
        update(runningMean, batchMean);
        update(runningVar, scale(batchVar, count / (count - 1)));
      }),
    );
  }
}

/** Writes `value` into `target`, of the same shape, in the order of the queue. */
function assign(target: Tensor, value: Tensor): void {
  copyInto(target.device, target, stepsOf(target), value, stepsOf(value), target.shape);
}

/**
 * Batch normalization by fixed statistics, as in the backbones of detectors. None of its tensors is trained, and
 * training mode has no effect.
 */
export class FrozenBatchNorm extends Module {
  /** `weight`, `bias`, `runningMean` and `runningVar`: float32 [channels], without gradients. */
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;

  /** `eps`: added to the variance; default 1e-5. Throws ArgumentError, OutOfMemoryError. */
  constructor(
    init: Initializer,
    channels: number,
    private readonly eps = 1e-5,
  ) {
    super();
    checkInitializer('FrozenBatchNorm', init);
    checkSizes('FrozenBatchNorm', { channels }, 1);
    this.weight = init.buffer([channels], 1);
    this.bias = init.buffer([channels], 0);
    this.runningMean = init.buffer([channels], 0);
    this.runningVar = init.buffer([channels], 1);
  }

  /** `x` and the result: float32 [B, ..., channels]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    return x.device.scope(() => {
      const factor = mul(rsqrt(add(this.runningVar, this.eps)), this.weight);
      return add(mul(x, factor), sub(this.bias, mul(this.runningMean, factor)));
    });
  }
}
