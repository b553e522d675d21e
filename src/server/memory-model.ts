import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { PackedWeight } from '../nn/weight.js';
import type { LoadedModel } from '../pretrained/index.js';
import { AdapterLock } from './adapter-lock.js';
import type { JobWrapper } from './job-queue.js';
import type { ManagedModel } from './managed-model.js';
import { closeModel, idle, jobQueuesOf, type ServingSettings, serveModel } from './serve-model.js';
import type { ServedModel } from './served-model.js';

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
  /** Set when unloading begins. Resolves when its memory is free. */
  unloading: Promise<void> | null = null;
  readonly #served = new Map<string, ServedModel>();
  /** Null without adapters. */
  readonly #adapterLock: AdapterLock | null;
  /** True if requests with different adapters share a batch. All other work waits for its adapters. */
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
    const activeAdapters = model.activeAdapters;
    this.#isMixed = plain.adapter !== undefined && plain.batching !== null;
    this.#adapterLock =
      model.adapters.size === 0
        ? null
        : new AdapterLock(async (key) => {
            if (!this.#isMixed) for (const served of this.#served.values()) await idle(served);
            model.setAdapter(key === '' ? activeAdapters : [key]);
          });
    this.#wrapJobs('', plain);
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
      const activeAdapters = model.activeAdapters;
      for (const [name, addAdapter] of Object.entries(source?.adapters ?? {})) {
        await addAdapter(model);
        if (!model.adapters.has(name))
          throw new ArgumentError(`openai: models.${id}.adapters.${name} put no adapter '${name}' on the model`);
      }
      model.setAdapter(activeAdapters);
      const before = model.device.memory().used;
      const selectable = source === null ? model.adapters.size : Object.keys(source.adapters ?? {}).length;
      const areAdditive = model.adapters.size > 0 && [...model.adapters.values()].every(({ isAdded }) => isAdded);
      const serving = { reserve: areAdditive || selectable === 0, adapter: areAdditive ? activeAdapters : undefined };
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
   * Returns the served model for a choice of adapters, as soon as it may be used. Undefined stands for the adapters
   * that were active when the model was loaded.
   */
  async acquire(adapter: string | undefined, signal: AbortSignal): Promise<ServedModel> {
    const key = adapter ?? '';
    this.users++;
    this.#cancelTimer();
    try {
      if (!this.#isMixed) await this.#adapterLock?.acquire(key, signal);
    } catch (error) {
      this.#endUse();
      throw error;
    }
    try {
      return await this.#variant(key);
    } catch (error) {
      if (!this.#isMixed) this.#adapterLock?.release();
      this.#endUse();
      throw error;
    }
  }

  /** Ends a use. The model is unloaded `seconds` after its last use. */
  release(seconds: number, expired: () => void): void {
    if (!this.#isMixed) this.#adapterLock?.release();
    this.#endUse();
    if (this.users === 0) this.expireAfter(seconds, expired);
  }

  expireAfter(seconds: number, expired: () => void): void {
    this.#cancelTimer();
    if (this.unloading || this.users > 0 || seconds === Number.POSITIVE_INFINITY) return;
    this.expires = Date.now() + seconds * 1000;
    this.#timer = setTimeout(expired, Math.min(MAX_DELAY, seconds * 1000));
    this.#timer.unref?.();
  }

  /** Takes no more requests. Resolves when the current ones are answered and the memory is free. */
  unload(disposesModel: boolean): Promise<void> {
    this.#cancelTimer();
    this.unloading ??= this.#unload(disposesModel);
    return this.unloading;
  }

  async #unload(disposesModel: boolean): Promise<void> {
    if (this.users > 0)
      await new Promise<void>((resolve) => {
        this.#onUnused = resolve;
      });
    for (const served of this.#served.values()) await idle(served);
    for (const served of this.variants) await closeModel(served);
    if (disposesModel) this.plain.model.dispose();
  }

  #endUse(): void {
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
    this.#wrapJobs(key, served);
    return served;
  }

  /** In a mixed batch, requests do not wait for their adapters, but the jobs of other queues do. */
  #wrapJobs(key: string, served: ServedModel): void {
    if (!this.#isMixed) return;
    const lock = this.#adapterLock as AdapterLock;
    const wrapJob: JobWrapper = async (signal, job) => {
      await lock.acquire(key, signal);
      try {
        return await job();
      } finally {
        lock.release();
      }
    };
    for (const queue of jobQueuesOf(served)) queue.wrapJob = wrapJob;
  }
}

/** Returns the bytes of a model's parameters on its device, including adapters. Shared parameters count once. */
function parameterBytes(model: LoadedModel): number {
  const bytes = new Map<number, number>();
  for (const module of model.modules())
    for (const value of Object.values(module).flat())
      for (const { storage } of tensorsOf(value)) bytes.set(storage.id, 4 * storage.block.words);
  return [...bytes.values()].reduce((sum, size) => sum + size, 0);
}

function tensorsOf(value: unknown): readonly Tensor[] {
  if (value instanceof Tensor) return value.disposed ? [] : [value];
  return value instanceof PackedWeight ? value.parts.map(({ words }) => words) : [];
}
