// What `fit` learns by: a model and its loss of examples of any kind. Models of sources and targets are made one here.

import { describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Parameter } from '../nn/module.js';
import type { Batches, Example, Row } from './batches.js';
import { fingerprint, fingerprintOf } from './fingerprint.js';
import type { ExampleStream } from './stream-batches.js';
import { checkTrainable, countLabels, type LossSettings, sidesOf, type Trainable } from './trainable.js';

/**
 * A model with a loss of examples of any kind: rows of text with labels, pairs, conversations. `fit` trains it on arrays,
 * iterables and async iterables of such examples.
 */
export interface Objective<Item> {
  readonly device: Device;
  /** Its tensors, or something to look at, where `namedTensors` gives those. */
  namedParameters(): [name: string, parameter: Parameter][];
  namedTensors?(): [name: string, tensor: Tensor][];
  /** Called before steps; dropout is active then. */
  train(): unknown;
  /** Called before validations and at the end. */
  eval(): unknown;
  /** The mean over what `weightOf` counts in these examples: a float32 tensor of one element that can be differentiated. */
  lossOf(items: readonly Item[], settings: LossSettings): Tensor;
  /**
   * How many labels `lossOf` is the mean over, by which batches are weighed where several make a step. Default: as many as
   * there are examples.
   */
  weightOf?(items: readonly Item[], settings: LossSettings): number;
  /**
   * Called with each example before all else, and waited for: for what takes time, such as rendering a conversation. An array
   * is prepared as a whole, a stream as it is read.
   */
  prepare?(items: readonly Item[]): Promise<void>;
  /** Tokens of an example, of which a batch has `batchTokens`. Default: 1. */
  tokensOf?(item: Item): number;
  /** Whether backward computes layers anew; for the option of `fit`, which puts it back at the end. */
  gradientCheckpointing?: boolean | undefined;
  /** Decides what dropout drops from now on: called before each batch, so that a resumed run drops the same. */
  seedDropout?(seed: number): void;
}

/** What a run needs of an objective, of one made of a model that knows sources and targets, too. */
export interface Learner {
  readonly model: Objective<unknown> | Trainable<Row, Row>;
  /** Whether examples are sources and targets. */
  readonly isPaired: boolean;
  lossOf(items: readonly unknown[], settings: LossSettings): Tensor;
  /** `n`: the number of the batch, for errors. */
  weightOf(items: readonly unknown[], settings: LossSettings, n: number): number;
  tokensOf(item: unknown): number;
  fingerprintOf(items: readonly unknown[]): number;
}

/** The same data, whose examples the objective has prepared before it sees them. */
export async function prepared(model: object, data: Data): Promise<Data> {
  const { prepare } = model as Partial<Objective<unknown>>;
  if (prepare === undefined || 'batch' in Object(data)) return data;
  if (Array.isArray(data)) {
    await prepare.call(model, data);
    return data;
  }
  return async function* () {
    const examples = (typeof data === 'function' ? data() : data) as AsyncIterable<unknown>;
    for await (const item of examples) {
      await prepare.call(model, [item]);
      yield item;
    }
  };
}

/** What `fit` takes as data. */
export type Data = readonly unknown[] | Batches<never, never> | ExampleStream<unknown>;

/** Throws ArgumentError for what is neither an objective nor a model. */
export function learnerOf(model: Objective<never> | Trainable<Row, Row>): Learner {
  return isObjective(model) ? ofObjective(model) : ofTrainable(model);
}

function isObjective(model: Objective<never> | Trainable<Row, Row>): model is Objective<unknown> {
  return typeof Object(model).lossOf === 'function';
}

function ofTrainable(model: Trainable<Row, Row>): Learner {
  checkTrainable(model);
  const examples = (items: readonly unknown[]) => items as readonly Example<Row, Row>[];
  return {
    model,
    isPaired: true,
    lossOf(items, settings) {
      const { source, target } = sidesOf(examples(items), 0); // `weightOf` has looked at them
      return model.loss(source, target, settings);
    },
    weightOf: (items, settings, n) => countLabels(model, sidesOf(examples(items), n), settings, n),
    tokensOf: (item) => {
      const { source, target } = item as Example<Row, Row>;
      return (source?.length ?? 0) + target.length;
    },
    fingerprintOf: (items) => fingerprintOf(examples(items)),
  };
}

const METHODS = ['namedParameters', 'train', 'eval'] as const;

function ofObjective(model: Objective<unknown>): Learner {
  const missing = METHODS.filter((name) => typeof model[name] !== 'function').map((name) => `${name}()`);
  if (typeof model.device?.scope !== 'function') missing.unshift('device' as never);
  if (missing.length > 0)
    throw new ArgumentError(`fit: the objective is ${describeValue(model)} without ${missing.join(', ')}`);
  return {
    model,
    isPaired: false,
    lossOf: (items, settings) => model.lossOf(items, settings),
    weightOf(items, settings, n) {
      const weight = model.weightOf?.(items, settings) ?? items.length;
      if (weight > 0 && Number.isFinite(weight)) return weight;
      throw new ArgumentError(
        `fit: there is nothing to learn in batch ${n}, whose weight is ${describeValue(weight)}: leave such examples out`,
      );
    },
    tokensOf: (item) => model.tokensOf?.(item) ?? 1,
    fingerprintOf: (items) => items.reduce((before: number, item) => fingerprint(codesOf(item), before), items.length),
  };
}

/** What an example says, as numbers. */
function codesOf(item: unknown): Uint16Array {
  const text = JSON.stringify(item, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value));
  return Uint16Array.from({ length: text?.length ?? 0 }, (_, i) => text.charCodeAt(i));
}
