import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { RowAdapter } from '../generate/generative.js';

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

/** The adapters of a model, any number of which are active. */
export class AdapterSet {
  readonly #byName = new Map<string, Adapter>();

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

  /** Activates these adapters and no others. Throws ArgumentError, without a change, as `PretrainedModel.setAdapter`. */
  activate(names: string | readonly string[] | null): void {
    const wanted = names === null ? [] : [names].flat();
    for (const name of wanted) {
      if (this.#byName.has(name)) continue;
      const known = [...this.#byName.keys()].join(', ') || 'none';
      throw new ArgumentError(`setAdapter: there is no adapter ${describeValue(name)}, expected one of ${known}`);
    }
    const before = this.active;
    try {
      this.#switch(wanted);
    } catch (error) {
      this.#switch(before);
      throw error;
    }
  }

  /** Switches off first, because two adapters may replace the same modules, but not at one time. */
  #switch(wanted: readonly string[]): void {
    const adapters = [...this.#byName.values()];
    for (const adapter of adapters) if (!wanted.includes(adapter.name)) adapter.isActive = false;
    for (const adapter of adapters) if (wanted.includes(adapter.name)) adapter.isActive = true;
  }

  /** Runs `fn` with other active adapters, and restores the previous ones afterwards. Undefined changes nothing. */
  within<T>(names: string | readonly string[] | null | undefined, fn: () => T): T {
    if (names === undefined) return fn();
    const before = this.active;
    if (`${before}` === `${names ?? ''}`) return fn();
    this.activate(names);
    try {
      return fn();
    } finally {
      this.activate(before);
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
