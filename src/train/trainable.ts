// What `fit` needs of a model. It knows nothing else about it.

import { checkDType, checkTensor, describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Parameter } from '../nn/module.js';
import type { Example, Row } from './batches.js';

/** Options of `fit` that are the loss's: given to `loss` and `countLabels` as they are. */
export interface LossSettings {
  /** Default: 0. */
  labelSmoothing?: number | undefined;
  /** A label that is not learnt; null for none. Default: -100, as PyTorch's. */
  ignoreIndex?: number | null | undefined;
  /** Makes heads differ: see `LossOptions`. Default: 0. */
  headDiversity?: number | undefined;
  /** Makes predictions depend less on which elements dropout drops: see `LossOptions`. Default: 0. */
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
  /** Its tensors, or something to look at, where `namedTensors` gives those. */
  namedParameters(): [name: string, parameter: Parameter][];
  namedTensors?(): [name: string, tensor: Tensor][];
  /** Called before steps; dropout is active then. */
  train(): unknown;
  /** Called before validations and at the end. */
  eval(): unknown;
  /**
   * The mean over the labels of these examples: a float32 tensor of one element that can be differentiated. `source` is
   * null if the examples have none. A model throws for `settings` that it does not know.
   */
  loss(source: readonly Source[] | null, target: readonly Target[], settings: LossSettings): Tensor;
  /**
   * How many labels `loss` of the same arguments is the mean over, by which batches are weighed where several make a
   * step. Default: as many as the targets have elements.
   */
  countLabels?(source: readonly Source[] | null, target: readonly Target[], settings: LossSettings): number;
  /** Whether backward computes layers anew; for the option of `fit`, which puts it back at the end. */
  gradientCheckpointing?: boolean | undefined;
  /** Decides what dropout drops from now on: called before each batch, so that a resumed run drops the same. */
  seedDropout?(seed: number): void;
}

/** What is trained, and what a checkpoint keeps. Throws ArgumentError for parameters that are no tensors. */
export function namedTensorsOf(
  model: Pick<Trainable<Row, Row>, 'namedParameters' | 'namedTensors'>,
): [name: string, tensor: Tensor][] {
  const named = model.namedParameters();
  const isTensor = (one: (typeof named)[number]): one is [string, Tensor] => one[1] instanceof Tensor;
  if (named.every(isTensor)) return named;
  if (model.namedTensors) return model.namedTensors();
  throw new ArgumentError(
    'fit: what namedParameters() of the model gives are no tensors, and it has no namedTensors()',
  );
}

const METHODS = ['namedParameters', 'train', 'eval', 'loss'] as const;

/** Throws ArgumentError, naming what is missing, for what is no model. */
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
 * How many labels the mean loss of batch `n` is over. Throws ArgumentError if there are none, as the mean is NaN then.
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

/** What `loss` returned. Throws ArgumentError, DTypeError, ShapeError unless it is a number that can be differentiated. */
export function checkLoss(loss: Tensor): Tensor {
  checkTensor('fit', 'what loss returned', loss);
  checkDType('fit', 'what loss returned', loss, 'float32');
  if (loss.size === 1) return loss;
  throw new ShapeError(`fit: what loss returned is ${describeShape(loss.shape)}, expected one number: their mean`);
}
