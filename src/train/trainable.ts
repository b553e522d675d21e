// The interface of models that `fit` can train.

import { checkDType, checkTensor, describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Parameter } from '../nn/module.js';
import type { Example, Row } from './batches.js';

/** Options of `fit` that are passed to `loss` and `countLabels` unchanged. */
export interface LossSettings {
  /** Default: 0. */
  labelSmoothing?: number | undefined;
  /** A label that has no loss; null for none. Default: -100, as in PyTorch. */
  ignoreIndex?: number | null | undefined;
  /** Weight of the loss that makes heads differ: see `LossOptions`. Default: 0. */
  headDiversity?: number | undefined;
  /** Weight of R-Drop, which makes predictions depend less on dropout: see `LossOptions`. Default: 0. */
  rDrop?: number | undefined;
}

/**
 * A model that `fit` can train on examples of `Source` and `Target`: token ids for `Transformer`, which is one. Any
 * `Module` with a device and a loss is another:
 *
 *     class Regression extends Module {
 *       readonly line: Linear;
 *       constructor(readonly device: Device) {
 *         super();
 *         this.line = new Linear(new Initializer(device, 0), 2, 1);
 *       }
 *       loss(source: readonly number[][] | null, target: readonly number[][]) {
 *         const difference = sub(this.line.forward(this.device.tensor(source ?? [])), this.device.tensor(target));
 *         return mean(mul(difference, difference));
 *       }
 *     }
 */
export interface Trainable<Source extends Row = readonly number[], Target extends Row = readonly number[]> {
  readonly device: Device;
  /** The tensors of the model, or other values if `namedTensors` lists the tensors. */
  namedParameters(): [name: string, parameter: Parameter][];
  namedTensors?(): [name: string, tensor: Tensor][];
  /** Called before steps; dropout is active then. */
  train(): unknown;
  /** Called before validations and at the end. */
  eval(): unknown;
  /**
   * The mean loss over the labels of these examples: a differentiable float32 tensor of one element. `source` is null
   * if the examples have none. A model throws for `settings` that it does not know.
   */
  loss(source: readonly Source[] | null, target: readonly Target[], settings: LossSettings): Tensor;
  /**
   * Same as `loss`, but yields where it can pause, for example after each layer. If there is one, `fit` uses it in
   * place of `loss`.
   */
  lossInParts?(
    source: readonly Source[] | null,
    target: readonly Target[],
    settings: LossSettings,
  ): Generator<unknown, Tensor>;
  /**
   * The number of labels that `loss` averages for these arguments, which weights the batches of a step. Default: the
   * number of elements of the targets.
   */
  countLabels?(source: readonly Source[] | null, target: readonly Target[], settings: LossSettings): number;
  /** True if the backward pass recomputes layers. `fit` sets it by its option, and restores it at the end. */
  gradientCheckpointing?: boolean | undefined;
  /** Sets the seed of dropout. Called before each batch, so that a resumed run drops the same elements. */
  seedDropout?(seed: number): void;
}

/**
 * The tensors that are trained and kept in checkpoints, by name. Throws ArgumentError for parameters that are not
 * tensors.
 */
export function namedTensorsOf(
  model: Pick<Trainable<Row, Row>, 'namedParameters' | 'namedTensors'>,
): [name: string, tensor: Tensor][] {
  const named = model.namedParameters();
  const isTensor = (entry: (typeof named)[number]): entry is [string, Tensor] => entry[1] instanceof Tensor;
  if (named.every(isTensor)) return named;
  if (model.namedTensors) return model.namedTensors();
  throw new ArgumentError('fit: namedParameters() of the model returns values that are not tensors');
}

const METHODS = ['namedParameters', 'train', 'eval', 'loss'] as const;

/** Throws ArgumentError, with the names of missing members, for a value that is not a model. */
export function checkTrainable(model: Trainable<Row, Row>): void {
  const members: Partial<Trainable> = Object(model);
  const missing: string[] = METHODS.filter((name) => typeof members[name] !== 'function').map((name) => `${name}()`);
  if (typeof members.device?.scope !== 'function') missing.unshift('device');
  if (missing.length === 0) return;
  throw new ArgumentError(
    `fit: the model is ${describeValue(model)} without ${missing.join(', ')}: ` +
      'give a Transformer, or a Module of your own that has a device and a loss (see Trainable)',
  );
}

/** Examples as `Trainable` takes them: sources, or null where there are none, and targets. */
export interface Sides {
  readonly source: readonly Row[] | null;
  readonly target: readonly Row[];
}

/** The sides of the examples of batch `n`. Throws ArgumentError if some have a source and others have none. */
export function sidesOf(examples: readonly Example<Row, Row>[], n: number): Sides {
  const sources = examples.flatMap(({ source }) => (source === undefined ? [] : [source]));
  if (sources.length > 0 && sources.length < examples.length)
    throw new ArgumentError(`fit: batch ${n} has examples with a source and without one, expected all alike`);
  return { source: sources.length > 0 ? sources : null, target: examples.map(({ target }) => target) };
}

/**
 * The number of labels in batch `n`. Throws ArgumentError if there are none, because the mean loss would be NaN.
 */
export function countLabels(
  model: Trainable<Row, Row>,
  { source, target }: Sides,
  settings: LossSettings,
  n: number,
): number {
  const count = model.countLabels?.(source, target, settings) ?? target.reduce((sum, { length }) => sum + length, 0);
  if (Number.isInteger(count) && count > 0) return count;
  if (count === 0) throw new ArgumentError(`fit: there is no label to learn in batch ${n}: leave such examples out`);
  throw new ArgumentError(`fit: what countLabels returned is ${describeValue(count)}, expected an integer, 0 or more`);
}

/** The result of `loss`. Throws ArgumentError, DTypeError or ShapeError unless it is a differentiable scalar. */
export function checkLoss(loss: Tensor): Tensor {
  checkTensor('fit', 'what loss returned', loss);
  checkDType('fit', 'what loss returned', loss, 'float32');
  if (loss.size === 1) return loss;
  throw new ShapeError(`fit: what loss returned is ${describeShape(loss.shape)}, expected one number: their mean`);
}
