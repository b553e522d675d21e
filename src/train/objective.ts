// Objectives of `fit`: a model and its loss for examples of any kind. Models of sources and targets are adapted to this
// interface.

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
 * A model with a loss of examples of any kind: rows of text with labels, pairs, conversations. `fit` trains it on
 * arrays, iterables and async iterables of such examples.
 */
export interface Objective<Item> {
  readonly device: Device;
  /** The tensors of the model, or other values if `namedTensors` lists the tensors. */
  namedParameters(): [name: string, parameter: Parameter][];
  namedTensors?(): [name: string, tensor: Tensor][];
  /** Called before training steps. Turns dropout on. */
  train(): unknown;
  /** Called before validations and at the end. Turns dropout off. */
  eval(): unknown;
  /** The mean loss over the labels that `weightOf` counts: a differentiable float32 tensor of one element. */
  lossOf(items: readonly Item[], settings: LossSettings): Tensor;
  /**
   * Same as `lossOf`, but yields where it can pause, for example after each layer. If there is one, `fit` uses it in
   * place of `lossOf`.
   */
  lossOfInParts?(items: readonly Item[], settings: LossSettings): Generator<unknown, Tensor>;
  /**
   * The number of labels that `lossOf` averages, which weights the batches of a step. Default: the number of examples.
   */
  weightOf?(items: readonly Item[], settings: LossSettings): number;
  /**
   * Called and awaited before examples are used, for slow preparations such as rendering a conversation. An array is
   * prepared as a whole, a stream as it is read.
   */
  prepare?(items: readonly Item[]): Promise<void>;
  /** Number of tokens of an example, which counts towards `batchTokens`. Default: 1. */
  tokensOf?(item: Item): number;
  /** True if the backward pass recomputes layers. `fit` sets it by its option, and restores it at the end. */
  gradientCheckpointing?: boolean | undefined;
  /** Sets the seed of dropout. Called before each batch, so that a resumed run drops the same elements. */
  seedDropout?(seed: number): void;
}

/** The interface that a run uses, for objectives and for models of sources and targets. */
export interface Learner {
  readonly model: Objective<unknown> | Trainable<Row, Row>;
  /** True if examples are sources and targets. */
  readonly isPaired: boolean;
  /** Returns the mean loss, and pauses if the model can. */
  lossInParts(items: readonly unknown[], settings: LossSettings): Generator<unknown, Tensor>;
  /** Returns the number of labels. `n` is the number of the batch, for errors. */
  weightOf(items: readonly unknown[], settings: LossSettings, n: number): number;
  tokensOf(item: unknown): number;
  fingerprintOf(items: readonly unknown[]): number;
}

/** Returns the data after the objective has prepared its examples. */
export async function preparedData(model: object, data: Data): Promise<Data> {
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

/** Data for `fit`. */
export type Data = readonly unknown[] | Batches<never, never> | ExampleStream<unknown>;

/** Throws ArgumentError for a value that is neither an objective nor a model. */
export function learnerOf(model: Objective<never> | Trainable<Row, Row>): Learner {
  return isObjective(model) ? ofObjective(model) : ofTrainable(model);
}

/** Throws ArgumentError if a subclass overrides only `loss`, because `fit` would ignore it and run its base's `inParts`. */
function checkOverrides(model: object, loss: string, inParts: string): void {
  for (let owner = model; inParts in owner && !Object.hasOwn(owner, inParts); owner = Object.getPrototypeOf(owner))
    if (Object.hasOwn(owner, loss))
      throw new ArgumentError(
        `fit: the model overrides ${loss}, but fit runs ${inParts}: override the generator ${inParts} instead`,
      );
}

function isObjective(model: Objective<never> | Trainable<Row, Row>): model is Objective<unknown> {
  return typeof Object(model).lossOf === 'function';
}

function ofTrainable(model: Trainable<Row, Row>): Learner {
  checkTrainable(model);
  checkOverrides(model, 'loss', 'lossInParts');
  const examples = (items: readonly unknown[]) => items as readonly Example<Row, Row>[];
  return {
    model,
    isPaired: true,
    *lossInParts(items, settings) {
      const { source, target } = sidesOf(examples(items), 0); // `weightOf` has checked them
      return model.lossInParts
        ? yield* model.lossInParts(source, target, settings)
        : model.loss(source, target, settings);
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
  checkOverrides(model, 'lossOf', 'lossOfInParts');
  return {
    model,
    isPaired: false,
    *lossInParts(items, settings) {
      return model.lossOfInParts ? yield* model.lossOfInParts(items, settings) : model.lossOf(items, settings);
    },
    weightOf(items, settings, n) {
      const weight = model.weightOf?.(items, settings) ?? items.length;
      if (weight > 0 && Number.isFinite(weight)) return weight;
      throw new ArgumentError(
        `fit: batch ${n} has no labels to learn, its weight is ${describeValue(weight)}: remove such examples`,
      );
    },
    tokensOf: (item) => model.tokensOf?.(item) ?? 1,
    fingerprintOf: (items) => items.reduce((before: number, item) => fingerprint(codesOf(item), before), items.length),
  };
}

/** Converts an example to numbers for the fingerprint. */
function codesOf(item: unknown): Uint16Array {
  const text = JSON.stringify(item, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value));
  return Uint16Array.from({ length: text?.length ?? 0 }, (_, i) => text.charCodeAt(i));
}
