import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { begun, eachWithin } from '../core/slices.js';
import type { Generative, RowAdapter } from '../generate/generative.js';
import { withAdapters } from '../nn/row-adapters.js';

/** A change of a model's weights that can be switched on and off. */
export interface Adapter extends RowAdapter {
  readonly name: string;
  isActive: boolean;
  /** True while the change is part of the weights. */
  readonly isMerged: boolean;
  /** Makes the change part of the weights. */
  merge(): this;
  dispose(): void;
}

export interface AdapterChoice {
  /** Adapters of this call: one, several, whose changes are added, or null for none. Default: the active ones. */
  adapter?: string | readonly string[] | null | undefined;
}

/** The adapters of a model, any number of which are active. */
export class AdapterSet {
  readonly #byName = new Map<string, Adapter>();
  #isSwitched = false;

  /** Adapters by name. */
  get byName(): ReadonlyMap<string, Adapter> {
    return this.#byName;
  }

  /** The names of the active adapters. */
  get active(): string[] {
    return [...this.#byName.values()].filter(({ isActive }) => isActive).map(({ name }) => name);
  }

  add(adapter: Adapter): void {
    this.#byName.set(adapter.name, adapter);
  }

  remove(name: string): void {
    this.#byName.delete(name);
  }

  /** True inside `within` if it has switched adapters, which it will undo. */
  get isSwitched(): boolean {
    return this.#isSwitched;
  }

  /** Activates these adapters and no others. Throws ArgumentError, without a change, as `PretrainedModel.setAdapter`. */
  activate(names: string | readonly string[] | null): void {
    const wanted = this.namesOf('setAdapter', names);
    const before = this.active;
    try {
      this.#switch(wanted);
    } catch (error) {
      this.#switch(before);
      throw error;
    }
  }

  /** Returns the names of a choice in the order of the set. Throws ArgumentError, naming `op`, for an unknown one. */
  namesOf(op: string, choice: string | readonly string[] | null): string[] {
    const wanted = choice === null ? [] : [choice].flat();
    const known = [...this.#byName.keys()];
    const unknown = wanted.find((name) => !this.#byName.has(name));
    if (unknown !== undefined) {
      const expected = known.join(', ') || 'none';
      throw new ArgumentError(`${op}: there is no adapter ${describeValue(unknown)}, expected one of ${expected}`);
    }
    return known.filter((name) => wanted.includes(name));
  }

  /** Switches off first, because two adapters may replace the same modules, but not at one time. */
  #switch(wanted: readonly string[]): void {
    const adapters = [...this.#byName.values()];
    for (const adapter of adapters) if (!wanted.includes(adapter.name)) adapter.isActive = false;
    for (const adapter of adapters) if (wanted.includes(adapter.name)) adapter.isActive = true;
  }

  /**
   * Runs `fn` with these adapters, whichever are active. Undefined stands for the active ones. Only adapters that
   * replace modules must be switched, and back afterwards.
   */
  within<T>(choice: AdapterChoice['adapter'], fn: () => T): T {
    if (choice === undefined) return fn();
    const names = this.namesOf('adapter', choice);
    const chosen = () => withAdapters({ choices: [names], indices: null }, fn);
    const before = this.active;
    if (`${before}` === `${names}` || [...this.#byName.values()].every(({ isAdded }) => isAdded)) return chosen();
    this.#isSwitched = true;
    try {
      this.activate(names);
      return chosen();
    } finally {
      this.#switch(before);
      this.#isSwitched = false;
    }
  }

  /** Throws ArgumentError, naming `op`, if an active adapter is not merged, because it would be lost. */
  assertMerged(op: string): void {
    for (const { name, isActive, isMerged } of this.#byName.values()) {
      if (!isActive || isMerged) continue;
      const ways =
        "merge() it to write the whole model, write it alone with its own save (saveLora in PEFT's layout), or leave it out with setAdapter(null)";
      throw new ArgumentError(`${op}: the adapter ${name} is not part of the weights: ${ways}`);
    }
  }

  dispose(): void {
    for (const adapter of [...this.#byName.values()]) adapter.dispose();
  }
}

const PASSES: ReadonlySet<string | symbol> = new Set([
  'encodeInParts',
  'prefillInParts',
  'extendInParts',
  'stepInParts',
] satisfies (keyof Generative)[]);

/** Returns a model whose passes run part by part in `within`, so that a generation keeps its adapters. */
export function adaptedModel<Adapted extends Generative>(model: Adapted, within: <T>(part: () => T) => T): Adapted {
  return new Proxy(model, {
    get(_, name) {
      const value: unknown = Reflect.get(model, name);
      if (name === 'adapters') return undefined; // its rows have no choice
      if (typeof value !== 'function') return value;
      const call = (...operands: unknown[]) => within(() => value.apply(model, operands));
      return PASSES.has(name)
        ? (...operands: unknown[]) =>
            eachWithin(
              within,
              begun(() => call(...operands)),
            )
        : call;
    },
  });
}
