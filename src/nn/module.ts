// Modules: parameters and other modules under names. The names are PyTorch's in snake_case (`selfAttn.inProjWeight` is
// saved as `self_attn.in_proj_weight`), so that state dicts of either side load on the other.

import { describeShape, describeValue } from '../core/check.js';
import { ArgumentError, DTypeError, ShapeError } from '../core/errors.js';
import { type Shape, sameShape, sizeOf, Tensor } from '../core/tensor.js';
import { readParameters, type StoredTensor } from './read-parameters.js';

/** A tensor as a state dict shows it: in PyTorch's layout, read from the device when asked for. */
export interface StateEntry {
  readonly dtype: 'float32';
  readonly shape: Shape;
  data(): Promise<Float32Array>;
  dataSync(): Float32Array;
}

/** Tensors by PyTorch's names. */
export type StateDict = Record<string, StateEntry>;

/**
 * What `loadStateDict` takes for a tensor: a Tensor, an entry of a state dict or of a safetensors file, or an array.
 */
export interface LoadableTensor {
  readonly shape: Shape;
  readonly data: ArrayBufferView | (() => unknown);
  dataSync?(): ArrayBufferView;
}

/**
 * A part of a model. Its properties that are float32 tensors, or arrays of them, are its parameters; those that are
 * modules, or arrays of them, its parts. int32 tensors are constants, which no state dict holds. What is in #private
 * fields, Maps and plain objects is neither.
 */
export abstract class Module {
  /** Whether dropout is active; see `train` and `eval`. */
  training = true;

  /** Own parameters that state dicts hold transposed. (nn.Linear's weights are [out, in], ours [in, out].) */
  protected get transposed(): readonly string[] {
    return [];
  }

  /** This module, then its parts and theirs; one that is in several places comes each time. */
  modules(): Module[] {
    return this.#withParts([]);
  }

  /** Without generators, which take five times as long: inference asks at every step. */
  #withParts(found: Module[]): Module[] {
    found.push(this);
    for (const value of Object.values(this)) {
      for (const part of Array.isArray(value) ? value : [value]) if (part instanceof Module) part.#withParts(found);
    }
    return found;
  }

  /** Sets this module and its parts to training mode: dropout is active. */
  train(training = true): this {
    this.training = training;
    for (const [, part] of this.#parts()) part.train(training);
    return this;
  }

  /** Sets this module and its parts to evaluation mode: no dropout. */
  eval(): this {
    return this.train(false);
  }

  /**
   * All parameters with their names, in the order of definition; one that several parts share comes once, first name.
   */
  namedParameters(): [name: string, parameter: Tensor][] {
    return this.#distinct().map(({ name, tensor }) => [name, tensor]);
  }

  /** The tensors of `namedParameters`. */
  parameters(): Tensor[] {
    return this.#distinct().map(({ tensor }) => tensor);
  }

  /**
   * All parameters by PyTorch's names in PyTorch's layouts; one that several parts share comes under each of its names.
   * Live: an entry shows the parameter as it is when read.
   */
  stateDict(): StateDict {
    return this.#entries((tensor) => tensor);
  }

  /** The gradients that `backward()` left, named and laid out as in `stateDict`. */
  gradientDict(): StateDict {
    return this.#entries((tensor) => tensor.grad);
  }

  /**
   * Sets all parameters. The names must be exactly those of `stateDict()`; for a shared parameter one of its names is
   * enough.
   *
   * Throws, before anything is changed, ArgumentError if names are missing or unknown, ShapeError if a shape differs,
   * DTypeError if something is not float32; one error names all that is wrong.
   */
  loadStateDict(tensors: Readonly<Record<string, LoadableTensor>> | ReadonlyMap<string, LoadableTensor>): void {
    checkGiven(tensors);
    const { distinct, given } = this.#match(tensors instanceof Map ? tensors : Object.entries(tensors));
    const values = distinct.map(({ name, tensor }) => valuesOf(name, given.get(name) as LoadableTensor, tensor.size));
    distinct.forEach(({ transposed, tensor }, i) => {
      const data = values[i] as Float32Array;
      tensor.write(transposed ? transpose(data, stored(tensor.shape, true)) : data);
    });
  }

  /**
   * @internal As `loadStateDict`, from a file and piece by piece. Throws the same errors before anything is changed; if
   * reading fails later, only some parameters have been set.
   */
  async readState(tensors: ReadonlyMap<string, LoadableTensor & StoredTensor>, signal?: AbortSignal): Promise<void> {
    const { distinct, given } = this.#match(tensors);
    const readings = distinct.map((parameter) => {
      const entry = given.get(parameter.name) as LoadableTensor & StoredTensor;
      if (!/^B?F/.test(entry.dtype)) throw new DTypeError(`loadStateDict: ${parameter.name} is not float32`);
      return { ...parameter, entry };
    });
    await readParameters(readings, signal);
  }

  /** Frees the parameters. */
  dispose(): void {
    for (const parameter of this.parameters()) parameter.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The parameters, and what was given for each under its first name. */
  #match<T extends LoadableTensor>(tensors: Iterable<readonly [string, T]>) {
    const given = new Map(tensors);
    const distinct = this.#distinct();
    for (const { name, tensor } of this.#named('')) {
      const first = distinct.find((parameter) => parameter.tensor === tensor) as Parameter;
      if (first.name !== name) adopt(given, name, first.name);
    }
    checkNames(distinct, given);
    return { distinct, given };
  }

  /** Own properties, and what is in those that are arrays. */
  *#properties(): Generator<[key: string, index: string, value: unknown]> {
    for (const [key, value] of Object.entries(this)) {
      if (!Array.isArray(value)) yield [key, '', value];
      else for (const [i, one] of value.entries()) yield [key, `.${i}`, one];
    }
  }

  *#parts(): Generator<[name: string, part: Module]> {
    for (const [key, index, value] of this.#properties()) {
      if (value instanceof Module) yield [snakeCase(key) + index, value];
    }
  }

  *#named(prefix: string): Generator<Parameter> {
    for (const [key, index, tensor] of this.#properties()) {
      if (!(tensor instanceof Tensor) || tensor.dtype !== 'float32') continue;
      yield { name: prefix + snakeCase(key) + index, tensor, transposed: this.transposed.includes(key) };
    }
    for (const [name, part] of this.#parts()) yield* part.#named(`${prefix}${name}.`);
  }

  #distinct(): Parameter[] {
    const seen = new Set<Tensor>();
    return [...this.#named('')].filter(({ tensor }) => !seen.has(tensor) && seen.add(tensor));
  }

  #entries(pick: (parameter: Tensor) => Tensor | null): StateDict {
    const entries: StateDict = {};
    for (const { name, tensor, transposed } of this.#named('')) {
      const shown = pick(tensor);
      if (shown !== null) entries[name] = entryOf(shown, transposed);
    }
    return entries;
  }
}

/**
 * @internal Runs `fn` with `module` and its parts in training mode if they are in `training`, else in evaluation mode;
 * then each is in the mode that it was in.
 */
export function inModes<T>(module: Module, training: ReadonlySet<Module>, fn: () => T): T {
  const before = module.modules().map((part) => [part, part.training] as const);
  for (const [part] of before) part.training = training.has(part);
  try {
    return fn();
  } finally {
    for (const [part, was] of before) part.training = was;
  }
}

interface Parameter {
  readonly name: string;
  readonly tensor: Tensor;
  readonly transposed: boolean;
}

function entryOf(tensor: Tensor, transposed: boolean): StateEntry {
  const arrange = (values: Float32Array | Int32Array) =>
    transposed ? transpose(values as Float32Array, tensor.shape) : (values as Float32Array);
  return {
    dtype: 'float32',
    shape: stored(tensor.shape, transposed),
    data: async () => arrange(await tensor.data()),
    dataSync: () => arrange(tensor.dataSync()),
  };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** For callers without types. */
function checkGiven(tensors: object): void {
  if (typeof tensors !== 'object' || tensors === null) {
    throw new ArgumentError(
      `loadStateDict: the tensors are ${describeValue(tensors)}, expected an object or a Map of them`,
    );
  }
  for (const [name, entry] of tensors instanceof Map ? tensors : Object.entries(tensors)) {
    if (!Array.isArray(entry?.shape)) {
      throw new ArgumentError(
        `loadStateDict: ${name} is ${describeValue(entry)}, expected a tensor or what has its shape and data`,
      );
    }
  }
}

/** Moves what was given under another name of a shared parameter to its first name. */
function adopt<T extends LoadableTensor>(given: Map<string, T>, alias: string, name: string): void {
  const other = given.get(alias);
  if (other === undefined) return;
  given.delete(alias);
  const own = given.get(name);
  if (own === undefined) {
    given.set(name, other);
    return;
  }
  const a = valuesOf(name, own, sizeOf(own.shape));
  const b = valuesOf(alias, other, sizeOf(other.shape));
  if (!sameShape(own.shape, other.shape) || a.some((value, i) => value !== b[i] && !Object.is(value, b[i]))) {
    throw new ArgumentError(
      `loadStateDict: ${alias} and ${name} differ, but this model shares one parameter between them`,
    );
  }
}

function checkNames(parameters: readonly Parameter[], given: ReadonlyMap<string, LoadableTensor>): void {
  const known = new Set(parameters.map(({ name }) => name));
  const missing = [...known].filter((name) => !given.has(name));
  const unexpected = [...given.keys()].filter((name) => !known.has(name));
  const misshapen = parameters.flatMap(({ name, tensor, transposed }) => {
    const shape = given.get(name)?.shape;
    const expected = stored(tensor.shape, transposed);
    if (shape === undefined || sameShape(shape, expected)) return [];
    return [`${name} is ${describeShape(shape)}, expected ${describeShape(expected)}`];
  });
  const problems = Object.entries({ missing, unexpected, 'of another shape': misshapen })
    .filter(([, list]) => list.length > 0)
    .map(
      ([kind, list]) =>
        `${kind}: ${list.slice(0, 10).join(', ')}${list.length > 10 ? ` and ${list.length - 10} more` : ''}`,
    );
  if (problems.length === 0) return;
  const Kind = missing.length + unexpected.length > 0 ? ArgumentError : ShapeError;
  throw new Kind(`loadStateDict: the tensors do not fit this model; ${problems.join('; ')}`);
}

function valuesOf(name: string, entry: LoadableTensor, size: number): Float32Array {
  const { data } = entry;
  const values = entry.dataSync?.() ?? (typeof data === 'function' ? data.call(entry) : data);
  if (!(values instanceof Float32Array)) throw new DTypeError(`loadStateDict: ${name} is not float32`);
  if (values.length !== size)
    throw new ShapeError(`loadStateDict: ${name} has ${values.length} values, its shape ${size}`);
  return values;
}

function stored(shape: Shape, transposed: boolean): Shape {
  return transposed ? [...shape].reverse() : shape;
}

/** The transpose of a matrix of the given shape, by blocks that fit into the first cache. */
function transpose(values: Float32Array, shape: Shape): Float32Array {
  const [rows, cols] = shape as readonly [number, number];
  const turned = new Float32Array(values.length);
  const block = 32;
  for (let top = 0; top < rows; top += block) {
    const bottom = Math.min(rows, top + block);
    for (let left = 0; left < cols; left += block) {
      const right = Math.min(cols, left + block);
      for (let r = top; r < bottom; r++)
        for (let c = left; c < right; c++) turned[c * rows + r] = values[r * cols + c] as number;
    }
  }
  return turned;
}
