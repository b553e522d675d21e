// Losses of pairs of tensors, composed of other ops. Cross entropy has a file and kernels of its own.

import { checkAxis, checkDevice, checkDTypes, checkOptions, checkShape, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { sameShape, type Tensor } from '../core/tensor.js';
import { add, div, maximum, mul, scale, sub } from './binary.js';
import { broadcastShape } from './broadcast.js';
import { mean, sum } from './reduce.js';
import { norm } from './statistics.js';
import { abs, exp, softplus, unary } from './unary.js';

const reductions = ['none', 'sum', 'mean'] as const;
export type Reduction = (typeof reductions)[number];

export interface ElementLossOptions {
  /** 'mean' over all elements, their 'sum', or 'none' for the loss of each element. Default: 'mean'. */
  reduction?: Reduction | undefined;
}

/** Returns the reduced loss of `input` and `target`, which must be float32 of the same shape. */
function lossOf(op: string, input: Tensor, target: Tensor, reduction: Reduction, elementwise: () => Tensor): Tensor {
  const device = checkDevice(op, { input, target });
  checkDTypes(op, { input, target }, 'float32');
  checkShape(op, 'target', target, input.shape);
  return device.scope(() => reduce(elementwise(), reduction));
}

function reduce(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === 'none') return losses;
  return reduction === 'sum' ? sum(losses) : mean(losses);
}

/**
 * (input - target)². Both float32, of one shape; result [], or that shape with reduction 'none'. Both get gradients.
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function mseLoss(input: Tensor, target: Tensor, options: ElementLossOptions = {}): Tensor {
  const { reduction = 'mean' } = checkOptions('mseLoss', options, { reduction: reductions });
  return lossOf('mseLoss', input, target, reduction, () => {
    const difference = sub(input, target);
    return mul(difference, difference);
  });
}

/** |input - target|, with a slope of 0 where they are equal; otherwise like `mseLoss`. */
export function l1Loss(input: Tensor, target: Tensor, options: ElementLossOptions = {}): Tensor {
  const { reduction = 'mean' } = checkOptions('l1Loss', options, { reduction: reductions });
  return lossOf('l1Loss', input, target, reduction, () => abs(sub(input, target)));
}

export interface SmoothL1LossOptions extends ElementLossOptions {
  /** The difference at which the square ends: 0 or more; 0 gives `l1Loss`. Default: 1. */
  beta?: number | undefined;
}

/** d²/(2·beta) where d = |input - target| is less than beta, d - beta/2 elsewhere; otherwise like `mseLoss`. */
export function smoothL1Loss(input: Tensor, target: Tensor, options: SmoothL1LossOptions = {}): Tensor {
  const kinds = { reduction: reductions, beta: 'notNegative' } as const;
  const { reduction = 'mean', beta = 1 } = checkOptions('smoothL1Loss', options, kinds);
  const elementwise = () => unary('smoothL1', sub(input, target), beta, 0, 'smoothL1Loss');
  return lossOf('smoothL1Loss', input, target, reduction, elementwise);
}

export interface BceWithLogitsOptions extends ElementLossOptions {
  /** Factor of each element's loss; float32, broadcast to the logits. Default: 1. */
  weight?: Tensor | null | undefined;
  /**
   * Factor of the loss of targets of 1; float32, broadcast to the logits, for example one for each class. Default: 1.
   */
  posWeight?: Tensor | null | undefined;
}

/**
 * Binary cross entropy, -posWeight·t·ln σ(x) - (1 - t)·ln(1 - σ(x)), of logits x and targets t, probabilities from 0 to
 * 1. Both float32, of one shape; result [], or that shape with reduction 'none'. All get gradients. Throws ShapeError,
 * DTypeError, ArgumentError.
 */
export function bceWithLogits(logits: Tensor, targets: Tensor, options: BceWithLogitsOptions = {}): Tensor {
  const op = 'bceWithLogits';
  const kinds = { reduction: reductions, weight: 'any', posWeight: 'any' } as const;
  const { reduction = 'mean', weight, posWeight } = checkOptions(op, options, kinds);
  const device = checkDevice(op, { logits, targets }, { weight, posWeight });
  checkDTypes(op, { logits, targets, weight: weight ?? null, posWeight: posWeight ?? null }, 'float32');
  checkShape(op, 'targets', targets, logits.shape);
  checkBroadcast(op, 'weight', weight, logits);
  checkBroadcast(op, 'posWeight', posWeight, logits);
  return device.scope(() => {
    const positive = mul(targets, softplus(scale(logits, -1), { threshold: Number.MAX_VALUE }));
    const negative = mul(add(scale(targets, -1), 1), softplus(logits, { threshold: Number.MAX_VALUE }));
    const losses = add(posWeight ? mul(positive, posWeight) : positive, negative);
    return reduce(weight ? mul(losses, weight) : losses, reduction);
  });
}

function checkBroadcast(op: string, name: string, factor: Tensor | null | undefined, x: Tensor): void {
  if (factor && !sameShape(broadcastShape(op, factor.shape, x.shape), x.shape)) {
    const shapes = `${name} is ${describeShape(factor.shape)}, the logits ${describeShape(x.shape)}`;
    throw new ShapeError(`${op}: ${shapes}: expected one that broadcasts to them`);
  }
}

export interface KlDivOptions {
  /**
   * Reduction of the losses. 'mean' (default, as in PyTorch) averages all elements, 'sum' adds them, 'none' keeps them.
   * 'batchmean' is the sum divided by the first dimension, which is the mean divergence over a batch.
   */
  reduction?: Reduction | 'batchmean' | undefined;
  /** True if `target` contains logarithms of probabilities, too. Default: false. */
  logTarget?: boolean | undefined;
}

/**
 * target·(ln target - input); 0 where the target is 0. The sum is the Kullback–Leibler divergence of the distribution
 * `target` from the one whose logarithms are `input`. Both float32, of one shape; result [], or that shape with
 * reduction 'none'. Throws ShapeError, DTypeError, ArgumentError.
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  const kinds = { reduction: [...reductions, 'batchmean'], logTarget: 'boolean' } as const;
  const { reduction = 'mean', logTarget = false } = checkOptions('klDiv', options, kinds);
  const elementwise = () =>
    logTarget ? mul(exp(target), sub(target, input)) : sub(unary('xlogx', target, 0, 0, 'klDiv'), mul(target, input));
  if (reduction !== 'batchmean') return lossOf('klDiv', input, target, reduction, elementwise);
  const device = checkDevice('klDiv', { input, target });
  const [batch] = input.shape;
  if (batch === undefined) throw new ShapeError("klDiv: input is [], expected a batch for reduction 'batchmean'");
  return device.scope(() => div(lossOf('klDiv', input, target, 'sum', elementwise), batch));
}

export interface CosineSimilarityOptions {
  /** The dimension of the vectors; negative numbers count from the end. Default: 1, as in PyTorch. */
  axis?: number | undefined;
  /** Lower bound of the norms. Positive; default: 1e-8. */
  eps?: number | undefined;
}

/**
 * a·b / (max(|a|, eps)·max(|b|, eps)) of vectors along a dimension: their cosine. Both float32 with equally many
 * dimensions; the other dimensions broadcast, and the result lacks this one. Throws ShapeError, DTypeError,
 * ArgumentError.
 */
export function cosineSimilarity(a: Tensor, b: Tensor, options: CosineSimilarityOptions = {}): Tensor {
  const op = 'cosineSimilarity';
  const { axis = 1, eps = 1e-8 } = checkOptions(op, options, { axis: 'integer', eps: 'positive' });
  const device = checkDevice(op, { a, b });
  checkDTypes(op, { a, b }, 'float32');
  const d = checkAxis(op, axis, a.shape);
  if (b.shape.length !== a.shape.length || a.shape[d] !== b.shape[d]) {
    const shapes = `a is ${describeShape(a.shape)}, b is ${describeShape(b.shape)}`;
    throw new ShapeError(`${op}: ${shapes}: expected as many dimensions, and vectors of one length`);
  }
  const length = (x: Tensor) => maximum(norm(x, { axis }), eps);
  return device.scope(() => div(div(sum(mul(a, b), { axis }), length(a)), length(b)));
}
