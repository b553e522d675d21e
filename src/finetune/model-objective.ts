// The base of all objectives of pretrained models.

import { checkKnown, checkOptions, describeValue, isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelInputs } from '../models/inputs.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { LossSettings, Objective } from '../train/fit.js';
import { limitOf } from './encoded.js';

export interface ModelObjectiveOptions {
  /**
   * Maximum number of tokens of an example; longer ones are truncated. Default: 512, or the model's limit if that is
   * less.
   */
  maxLength?: number | undefined;
}

/**
 * Trains a pretrained model. A row is encoded at its first use; the result is cached while the caller keeps the row.
 */
export abstract class ModelObjective<Row extends object, Encoded> implements Objective<Row> {
  readonly #encoded = new WeakMap<Row, Encoded>();
  protected readonly maxLength: number;

  constructor(
    readonly model: PretrainedModel,
    options: ModelObjectiveOptions = {},
  ) {
    this.maxLength = limitOf(model, checkOptions('objective', options, { maxLength: 'count' }).maxLength);
  }

  /** Throws ArgumentError for a row that is not an example. */
  protected abstract encode(row: Row): Encoded;
  protected abstract lengthOf(example: Encoded): number;
  /** The model's inputs for examples, labels included. */
  abstract inputs(examples: readonly Encoded[]): ModelInputs;

  /** The mean loss of examples. Yields where the caller can pause. */
  protected *lossInParts(examples: readonly Encoded[]): Generator<unknown, Tensor> {
    return (yield* this.model.forwardInParts(this.inputs(examples), {})).loss as Tensor;
  }

  /** Returns the number of labels over which `lossInParts` averages. */
  protected weight(examples: readonly Encoded[]): number {
    return examples.length;
  }

  /** Returns the encoded row. */
  encoded(row: Row): Encoded {
    if (!isObject(row)) throw new ArgumentError(`fit: an example is ${describeValue(row)}, expected an object`);
    const known = this.#encoded.get(row);
    if (known !== undefined) return known;
    const made = this.encode(row);
    this.#encoded.set(row, made);
    return made;
  }

  /** Caches the encoding of a row that `prepare` has made. */
  protected remember(row: Row, encoded: Encoded): void {
    this.#encoded.set(row, encoded);
  }

  protected isKnown(row: Row): boolean {
    return this.#encoded.has(row);
  }

  /**
   * Returns the mean loss of rows, in the caller's scope. No `settings` are supported. Throws ArgumentError for an
   * invalid row.
   */
  lossOf(rows: readonly Row[], settings: LossSettings = {}): Tensor {
    return this.device.scope(() => atOnce(this.lossOfInParts(rows, settings)));
  }

  /** Same as `lossOf`, but yields where the caller can pause. The caller runs it in a scope. */
  *lossOfInParts(rows: readonly Row[], settings: LossSettings = {}): Generator<unknown, Tensor> {
    if (!Array.isArray(rows)) throw new ArgumentError(`lossOf: rows is ${describeValue(rows)}, expected an array`);
    checkSettings(settings);
    const examples = rows.map((row) => this.encoded(row));
    return yield* this.lossInParts(examples);
  }

  weightOf(rows: readonly Row[]): number {
    return this.weight(rows.map((row) => this.encoded(row)));
  }

  tokensOf(row: Row): number {
    return this.lengthOf(this.encoded(row));
  }

  get device(): Device {
    return this.model.device;
  }

  namedParameters(): [name: string, tensor: Tensor][] {
    return this.namedTensors();
  }

  /** Returns the trained parameters. A checkpoint has only these, because the others do not change. */
  namedTensors(): [name: string, tensor: Tensor][] {
    return this.model.namedTensors().filter(([, tensor]) => tensor.requiresGrad);
  }

  train(): void {
    this.model.train();
  }

  eval(): void {
    this.model.eval();
  }

  seedDropout(seed: number): void {
    this.model.seedDropout(seed);
  }

  get gradientCheckpointing(): boolean {
    return this.model.gradientCheckpointing;
  }

  set gradientCheckpointing(on: boolean) {
    this.model.gradientCheckpointing = on;
  }
}

/** Throws ArgumentError for settings that these losses do not support. */
function checkSettings(settings: LossSettings): void {
  const defined = Object.entries(checkOptions('fit: the objective', settings)).filter(
    ([, value]) => value !== undefined,
  );
  checkKnown('fit: the objective', Object.fromEntries(defined), []);
}
