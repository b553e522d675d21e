import { ArgumentError } from '../core/errors.js';
import type { LoadedModel } from '../pretrained/index.js';
import { AdapterTurns } from './adapter-turns.js';
import type { ManagedModel } from './managed-model.js';
import { parameterBytes } from './model-memory.js';
import { closeModel, idle, type ServingSettings, serveModel, turnsOf } from './serve-model.js';
import type { ServedModel } from './served-model.js';
import type { Around } from './turns.js';

/** Maximum time of a timer in milliseconds. */
const MAX_DELAY = 2 ** 31 - 1;

/** A model in memory, with its requests. */
export class MemoryModel {
  /** The number of requests that use it. */
  users = 0;
  /** Milliseconds since 1970 at the end of its last use. */
  lastUse = Date.now();
  /** Time at which it is unloaded unless it is used, in milliseconds since 1970. Null if it stays. */
  expires: number | null = null;
  /** Set once it must be unloaded. Resolves when its memory is free. */
  leaving: Promise<void> | null = null;
  readonly #served = new Map<string, ServedModel>();
  /** Null without adapters. */
  readonly #turns: AdapterTurns | null;
  /** True if requests with different adapters share a batch. All other work of the model takes turns. */
  readonly #isMixed: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onUnused = () => {};

  private constructor(
    /** The model with the adapters that were active when it was loaded. */
    readonly plain: ServedModel,
    private readonly settings: ServingSettings,
    /** Bytes of parameters and of the memory that is reserved for generation. */
    readonly bytes: number,
  ) {
    this.#served.set('', plain);
    const { model } = plain;
    const own = model.activeAdapters;
    this.#isMixed = plain.adapter !== undefined && plain.batching !== null;
    this.#turns =
      model.adapters.size === 0
        ? null
        : new AdapterTurns(async (key) => {
            if (!this.#isMixed) for (const served of this.#served.values()) await idle(served);
            model.setAdapter(key === '' ? own : [key]);
          });
    this.#takeTurns('', plain);
  }

  /** Adds the adapters to a loaded model. Disposes of a managed model if that fails. */
  static async of(
    id: string,
    model: LoadedModel,
    source: ManagedModel | null,
    settings: ServingSettings,
  ): Promise<MemoryModel> {
    try {
      if (typeof model?.forward !== 'function')
        throw new ArgumentError(`openai: models.${id}.load gave no model, expected the result of loadModel`);
      const own = model.activeAdapters;
      for (const [name, put] of Object.entries(source?.adapters ?? {})) {
        await put(model);
        if (!model.adapters.has(name))
          throw new ArgumentError(`openai: models.${id}.adapters.${name} put no adapter '${name}' on the model`);
      }
      model.setAdapter(own);
      const before = model.device.memory().used;
      const selectable = source === null ? model.adapters.size : Object.keys(source.adapters ?? {}).length;
      const adds = model.adapters.size > 0 && [...model.adapters.values()].every(({ isAdded }) => isAdded);
      const serving = { reserve: adds || selectable === 0, adapter: adds ? own : undefined };
      const served = await serveModel(id, model, settings, serving);
      const reserved = Math.max(0, model.device.memory().used - before);
      return new MemoryModel(served, settings, parameterBytes(model) + reserved);
    } catch (error) {
      if (source !== null) model?.dispose?.();
      throw error;
    }
  }

  /** The served model for each choice of adapters that has a batch. */
  get variants(): ServedModel[] {
    return this.#isMixed ? [this.plain] : [...this.#served.values()];
  }

  /**
   * Returns the served model for a choice of adapters, as soon as it may be used. Undefined stands for the adapters that
   * were active when the model was loaded.
   */
  async enter(adapter: string | undefined, signal: AbortSignal): Promise<ServedModel> {
    const key = adapter ?? '';
    this.users++;
    this.#cancelTimer();
    try {
      if (!this.#isMixed) await this.#turns?.enter(key, signal);
    } catch (error) {
      this.#ended();
      throw error;
    }
    try {
      return await this.#variant(key);
    } catch (error) {
      if (!this.#isMixed) this.#turns?.leave();
      this.#ended();
      throw error;
    }
  }

  /** Ends a use. The model is unloaded `seconds` after its last use. */
  exit(seconds: number, expired: () => void): void {
    if (!this.#isMixed) this.#turns?.leave();
    this.#ended();
    if (this.users === 0) this.expireAfter(seconds, expired);
  }

  expireAfter(seconds: number, expired: () => void): void {
    this.#cancelTimer();
    if (this.leaving || this.users > 0 || seconds === Number.POSITIVE_INFINITY) return;
    this.expires = Date.now() + seconds * 1000;
    this.#timer = setTimeout(expired, Math.min(MAX_DELAY, seconds * 1000));
    this.#timer.unref?.();
  }

  /** Takes no more requests. Resolves when the current ones are answered and the memory is free. */
  leave(disposes: boolean): Promise<void> {
    this.#cancelTimer();
    this.leaving ??= this.#leave(disposes);
    return this.leaving;
  }

  async #leave(disposes: boolean): Promise<void> {
    if (this.users > 0)
      await new Promise<void>((resolve) => {
        this.#onUnused = resolve;
      });
    for (const served of this.#served.values()) await idle(served);
    for (const served of this.variants) await closeModel(served);
    if (disposes) this.plain.model.dispose();
  }

  #ended(): void {
    this.users--;
    this.lastUse = Date.now();
    if (this.users === 0) this.#onUnused();
  }

  #cancelTimer(): void {
    clearTimeout(this.#timer);
    this.expires = null;
  }

  /**
   * Returns the served model for a choice of adapters. The choices share a batch if the adapters only add to outputs.
   * Otherwise each has a batch of its own.
   */
  async #variant(key: string): Promise<ServedModel> {
    const known = this.#served.get(key);
    if (known) return known;
    const { id, model } = this.plain;
    const shared = this.#isMixed ? { adapter: [key], batching: this.plain.batching } : {};
    const served = await serveModel(`${id}:${key}`, model, this.settings, { reserve: false, ...shared });
    const other = this.#served.get(key);
    if (other) {
      if (!this.#isMixed) await closeModel(served);
      return other;
    }
    this.#served.set(key, served);
    this.#takeTurns(key, served);
    return served;
  }

  /** In a mixed batch, requests do not wait for their adapters. Jobs beside the batch then do. */
  #takeTurns(key: string, served: ServedModel): void {
    if (!this.#isMixed) return;
    const turns = this.#turns as AdapterTurns;
    const around: Around = async (signal, job) => {
      await turns.enter(key, signal);
      try {
        return await job();
      } finally {
        turns.leave();
      }
    };
    for (const each of turnsOf(served)) each.around = around;
  }
}
