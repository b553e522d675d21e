// Modules: parameters and other modules under names. The names are PyTorch's in snake_case (`selfAttn.inProjWeight` is
// saved as `self_attn.in_proj_weight`), so that state dicts of either side load on the other.

import type { Device } from '../core/device.js';
import { ArgumentError, DTypeError } from '../core/errors.js';
import { eachWithin } from '../core/slices.js';
import { snakeCase } from '../core/snake-case.js';
import { type Shape, sizeOf, Tensor } from '../core/tensor.js';
import { adopt, checkGiven, checkNames, type LoadableTensor, valuesOf } from './loadable.js';
import type { StoredTensor } from './read-pieces.js';
import { entryOf, type Parameter, type StateEntry } from './state-entry.js';
import {
  joinPath,
  namesFor,
  piecesOf,
  type StateNames,
  type StateParameter,
  type StatePiece,
  shapeOf,
} from './state-names.js';
import { writeStored } from './stored-layout.js';

export type { LoadableTensor, Parameter, StateEntry };

/** A snapshot of a state dict's values. */
export type StateValues = Promise<{ name: string; shape: Shape; data: Float32Array }[]>;

/** Tensors by PyTorch's names. */
export type StateDict = Record<string, StateEntry>;

/** A part that has a weight, and the names of the weight's sections in state dicts. */
export interface WeightNames {
  readonly part: Module;
  readonly path: string;
  readonly names: readonly (string | null)[];
  readonly perHead: number | null;
  /** True if state dicts store the weight as [in, out]. */
  readonly inOut: boolean;
  /** See `StoredAs`. */
  readonly leading: readonly number[];
  readonly stacked: number;
  readonly flat: boolean;
}

/** A parameter, and the property of the module that holds it. */
export interface LocatedParameter extends StateParameter {
  readonly owner: Module;
  readonly key: string;
  /** The index in an array; null for a property. */
  readonly index: number | null;
}

/** @internal The modules in training mode during inference: none. */
const EVALUATION: ReadonlySet<Module> = new Set();

/** The modules in training mode during `inModes`; null otherwise, when each module's own mode counts. */
let modes: ReadonlySet<Module> | null = null;

/**
 * A part of a model. Properties that are float32 tensors, or arrays of them, are its parameters. Properties that are
 * modules, or arrays of them, are its parts. int32 tensors are constants, which are not in state dicts. #private
 * fields, Maps and plain objects are ignored.
 */
export abstract class Module {
  #training = true;

  /** True while dropout is active; see `train` and `eval`. Inference is never in training mode. */
  get training(): boolean {
    return modes === null ? this.#training : modes.has(this);
  }

  set training(training: boolean) {
    this.#training = training;
  }

  /** Names of own parameters that state dicts store transposed. (nn.Linear's weights are [out, in], ours [in, out].) */
  protected get transposed(): readonly string[] {
    return [];
  }

  /**
   * Numbers of output features of the projections (sections) that a module's parameters hold side by side. Null if
   * there is one. State dicts can store sections separately.
   */
  get sections(): readonly number[] | null {
    return null;
  }

  /** @internal Names of own parts whose sections are matrices of groups of rows. See `LoraGrouped`. */
  get groupedParts(): readonly string[] {
    return [];
  }

  /** True if this part changes its parent's forward pass without adding to the parent's state dict. */
  get isAdapter(): boolean {
    return false;
  }

  /**
   * The module whose parameters state dicts list under this module's name. It is this module, unless it wraps another
   * one, such as an adapter that wraps a projection.
   */
  get named(): Module {
    return this;
  }

  /**
   * Names of parameters in state dicts, where they differ from the path of properties. The outermost module decides.
   */
  protected get stateNames(): StateNames {
    return {};
  }

  /** This module, then its parts recursively. A module that is used in several places is listed several times. */
  modules(): Module[] {
    return this.#withParts([]);
  }

  /** Adds this module and its parts to `found`. */
  #withParts(found: Module[]): Module[] {
    found.push(this);
    for (const value of Object.values(this)) {
      if (value instanceof Module) value.#withParts(found);
      else if (Array.isArray(value)) for (const part of value) if (part instanceof Module) part.#withParts(found);
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
   * All parameters with their names, in the order of definition. A parameter that several parts share is listed once,
   * under its first name. Pretrained models use the names and layouts of their checkpoints; `namedTensors` returns the
   * tensors that optimizers train.
   */
  namedParameters(): [name: string, parameter: Parameter][] {
    return this.namedTensors();
  }

  /**
   * The tensors of all parameters, by the paths of properties. A tensor whose sections have separate names in state
   * dicts is listed as a whole.
   */
  namedTensors(): [name: string, tensor: Tensor][] {
    const moduleTensors = this.#distinct().map(({ names, path, tensor }): [string, Tensor] => [
      (names.length === 1 && names[0]) || path,
      tensor,
    ]);
    return [...moduleTensors, ...this.#adapterTensors()];
  }

  /** The tensors of `namedTensors`. */
  parameters(): Tensor[] {
    return [...this.#distinct().map(({ tensor }) => tensor), ...this.#adapterTensors().map(([, tensor]) => tensor)];
  }

  /** The trained tensors of an adapter, by its own names. */
  tensors(): [name: string, tensor: Tensor][] {
    return [];
  }

  #adapterTensors(): [name: string, tensor: Tensor][] {
    return [...new Set(this.modules())].filter(({ isAdapter }) => isAdapter).flatMap((adapter) => adapter.tensors());
  }

  /**
   * @internal Returns the names of the weights of all parts, including packed ones, and of their sections. A part that
   * is used in several places is listed once, unless `everywhere` is true.
   */
  weightNames(everywhere = false): WeightNames[] {
    if (everywhere) return this.#allWeights();
    const seen = new Set<Module>();
    return this.#allWeights().filter(({ part }) => !seen.has(part) && seen.add(part));
  }

  #allWeights(): WeightNames[] {
    const { stateNames } = this;
    const plain = { leading: [], stacked: 1, flat: false };
    const moduleWeights =
      'weight' in this
        ? [{ part: this as Module, path: 'weight', names: ['weight'], perHead: null, inOut: false, ...plain }]
        : [];
    const found: WeightNames[] = [...moduleWeights];
    for (const [name, module] of this.#parts()) {
      if (module.isAdapter) continue;
      for (const { path, names, ...rest } of module.named.#allWeights()) {
        const inner = names.map((innerName) => innerName && joinPath(name, innerName));
        found.push({ path: joinPath(name, path), names: inner, ...rest });
      }
    }
    return found.map((weight) => {
      const stored = namesFor(stateNames, weight.path);
      return stored === null
        ? weight
        : {
            ...weight,
            names: stored.name,
            perHead: stored.perHead ?? null,
            inOut: stored.inOut ?? weight.inOut,
            leading: stored.leading ?? weight.leading,
            stacked: stored.stacked ?? weight.stacked,
            flat: stored.flat ?? weight.flat,
          };
    });
  }

  /**
   * All parameters by PyTorch's names in PyTorch's layouts. A shared parameter is listed under each of its names.
   * Entries are live: they show the parameter at the time they are read. Throws ArgumentError for a model with packed
   * weights, which are not tensors.
   */
  stateDict(): StateDict {
    this.assertUnpacked('stateDict');
    return this.#entries((tensor) => tensor);
  }

  /** @internal Throws ArgumentError, naming `op`, if a weight is packed, because it would be missing in the result. */
  assertUnpacked(op: string): void {
    for (const { part, path } of this.weightNames()) {
      const { weight } = part as Module & { weight?: Tensor | { format: string } | null };
      if (!weight || weight instanceof Tensor) continue; // a norm without parameters has none
      throw new ArgumentError(
        `${op}: ${path} is packed as ${weight.format}, which is not a tensor: load the model with weights: 'float32'`,
      );
    }
  }

  /** @internal The current values of all tensors, unaffected by later changes. Packed weights are not included. */
  readStateDict(): StateValues {
    const entries = Object.entries(this.#entries((tensor) => tensor));
    return Promise.all(entries.map(async ([name, { shape, data }]) => ({ name, shape, data: await data() })));
  }

  /** The gradients left by `backward()`, with the names and layouts of `stateDict`. */
  gradientDict(): StateDict {
    return this.#entries((tensor) => tensor.grad);
  }

  /**
   * Sets all parameters. Names must be exactly those of `stateDict()`; one name of a shared parameter suffices.
   *
   * Throws before any change: ArgumentError if names are missing or unknown, ShapeError if a shape differs, DTypeError
   * for a type other than float32. One error lists all problems.
   */
  loadStateDict(tensors: Readonly<Record<string, LoadableTensor>> | ReadonlyMap<string, LoadableTensor>): void {
    checkGiven(tensors);
    const { pieces, tensorsByName } = this.#match(tensors instanceof Map ? tensors : Object.entries(tensors));
    const values = pieces.map((piece) =>
      valuesOf(piece.name, tensorsByName.get(piece.name) as LoadableTensor, sizeOf(shapeOf(piece))),
    );
    pieces.forEach((piece, i) => {
      writeStored(piece, values[i] as Float32Array);
    });
  }

  /**
   * @internal Same as `loadStateDict`, but from a file, piece by piece. Throws the same errors before any change. If
   * reading fails later, only some parameters are set. With `partial`, parameters whose names are missing keep their
   * values.
   */
  async readState(
    tensors: ReadonlyMap<string, LoadableTensor & StoredTensor>,
    signal?: AbortSignal,
    partial = false,
  ): Promise<void> {
    const all = partial ? { pieces: this.statePieces(), tensorsByName: tensors } : this.#match(tensors);
    const { tensorsByName } = all;
    const pieces = partial ? all.pieces.filter(({ name }) => tensorsByName.has(name)) : all.pieces;
    const readings = pieces.map((piece) => {
      const entry = tensorsByName.get(piece.name) as LoadableTensor & StoredTensor;
      const isCount = !piece.tensor.requiresGrad && piece.tensor.size === 1; // an integer in files
      if (!/^B?F/.test(entry.dtype) && !isCount) throw new DTypeError(`loadStateDict: ${piece.name} is not float32`);
      return { piece, entry };
    });
    const { readPieces } = await import('./read-pieces.js');
    await readPieces(readings, signal);
  }

  /** @internal `tensors` under the first names of parameters. Throws as `loadStateDict`. */
  matched<T extends LoadableTensor>(tensors: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
    return this.#match(tensors).tensorsByName;
  }

  /** @internal The pieces of each parameter in a state dict, under its first name. */
  statePieces(): StatePiece[] {
    return this.#distinct().flatMap(piecesOf);
  }

  /**
   * @internal All parameters of this module and its parts, with their owners. A shared one is listed for each owner and
   * name.
   */
  locatedParameters(): LocatedParameter[] {
    return this.#all();
  }

  /** @internal All names of each piece in state dicts, by its first name. Shared parameters have several. */
  pieceNames(): Map<string, string[]> {
    const byStorage = new Map<string, string[]>();
    for (const piece of this.#all().flatMap(piecesOf)) {
      const names = byStorage.get(storageKey(piece));
      if (names === undefined) byStorage.set(storageKey(piece), [piece.name]);
      else if (!names.includes(piece.name)) names.push(piece.name);
    }
    return new Map(Array.from(byStorage.values(), (names) => [names[0] as string, names]));
  }

  /** Frees the parameters, and other memory of the parts. */
  dispose(): void {
    for (const module of this.modules()) module.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees the module's own memory. */
  protected release(): void {
    for (const { tensor } of this.#ownParameters()) tensor.dispose();
  }

  /** The pieces of the parameters, and the given tensor for each piece under its first name. */
  #match<T extends LoadableTensor>(tensors: Iterable<readonly [string, T]>) {
    const tensorsByName = new Map(tensors);
    const pieces = this.statePieces();
    const firsts = new Map(pieces.map((piece) => [storageKey(piece), piece.name]));
    for (const piece of this.#all().flatMap(piecesOf)) {
      const first = firsts.get(storageKey(piece)) as string;
      if (first !== piece.name) adopt(tensorsByName, piece.name, first);
    }
    checkNames(pieces, tensorsByName);
    return { pieces, tensorsByName };
  }

  /** Own properties of a class, also those in arrays, each with its property's name and its name in a state dict. */
  #properties<T>(
    type: abstract new (...args: never[]) => T,
  ): [key: string, name: string, value: T, index: number | null][] {
    const found: [string, string, T, number | null][] = [];
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof type) found.push([key, snakeCase(key), value, null]);
      else if (Array.isArray(value))
        for (let i = 0; i < value.length; i++)
          if (value[i] instanceof type) found.push([key, `${snakeCase(key)}.${i}`, value[i] as T, i]);
    }
    return found;
  }

  #parts(): [name: string, part: Module][] {
    return this.#properties(Module).map(([, name, part]) => [name, part]);
  }

  #ownParameters(): LocatedParameter[] {
    const tensors = this.#properties(Tensor).filter(([, , { dtype }]) => dtype === 'float32');
    return tensors.map(([key, path, tensor, index]) => {
      const transposed = this.transposed.includes(key);
      const stored = { transposed, sections: this.sections, perHead: null, leading: [] };
      return { path, names: [path], tensor, owner: this, key, index, ...stored };
    });
  }

  /** Own parameters and those of the parts, under all names. */
  #all(): LocatedParameter[] {
    const { stateNames } = this;
    const parameters = this.#ownParameters();
    for (const [part, module] of this.#parts()) {
      if (module.isAdapter) continue;
      for (const { path, names, ...rest } of module.named.#all()) {
        const inner = names.map((name) => name && joinPath(part, name));
        parameters.push({ path: joinPath(part, path), names: inner, ...rest });
      }
    }
    return parameters.map((parameter) => {
      const stored = namesFor(stateNames, parameter.path);
      if (stored === null) return parameter;
      const { name: names, inOut = !parameter.transposed, perHead = null, leading = parameter.leading } = stored;
      const { stacked, flat, split, trailing = parameter.trailing } = stored;
      return { ...parameter, names, transposed: !inOut, perHead, leading, split, stacked, flat, trailing };
    });
  }

  #distinct(): LocatedParameter[] {
    const seen = new Set<Tensor>();
    return this.#all().filter(({ tensor }) => !seen.has(tensor) && seen.add(tensor));
  }

  #entries(pick: (parameter: Tensor) => Tensor | null): StateDict {
    const entries: StateDict = {};
    for (const piece of this.#all().flatMap(piecesOf)) {
      const shown = pick(piece.tensor);
      if (shown !== null) entries[piece.name] = entryOf({ ...piece, tensor: shown });
    }
    return entries;
  }
}

/**
 * @internal Runs `fn` with the modules of `training` in training mode, and all others in evaluation mode. A set costs
 * nothing to enter, while a walk through the modules takes as long as recording a layer.
 */
export function inModes<T>(training: ReadonlySet<Module>, fn: () => T): T {
  const before = modes;
  modes = training;
  try {
    return fn();
  } finally {
    modes = before;
  }
}

/** @internal Runs `fn` in a scope, without dropout and gradients. */
export function inference<T>({ device }: { readonly device: Device }, fn: () => T): T {
  return inModes(EVALUATION, () => device.noGrad(() => device.scope(fn)));
}

/** @internal Same as `inference`, for work that pauses. */
export function inferenceInParts<T>(
  { device }: { readonly device: Device },
  work: Iterator<unknown, T>,
): Generator<undefined, T> {
  const quiet = <Part>(part: () => Part) => inModes(EVALUATION, () => device.noGrad(part));
  return eachWithin(quiet, device.scopeInParts(work));
}

/** Returns a string that identifies a piece of a parameter. */
function storageKey({ tensor, start }: StatePiece): string {
  return `${tensor.storage.id}.${tensor.within}.${start}`;
}
