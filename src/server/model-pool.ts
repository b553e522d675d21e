// The models of a server by name. A model is loaded at its first request, and unloaded if it is unused for a while. All
// models together stay within a limit of memory.

import { BATCHING_DEFAULTS } from '../generate/continuous-batching/options.js';
import { QueueFullError } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import { ApiError } from './errors.js';
import { isManaged, type ManagedModel } from './managed-model.js';
import { MemoryModel } from './memory-model.js';
import { orAborted } from './or-aborted.js';
import type { ServingSettings } from './serve-model.js';
import type { ServedModel } from './served-model.js';

/** Settings of the memory that models share. */
export interface PoolSettings extends ServingSettings {
  /** Seconds that an unused model stays in memory. Infinity keeps it. */
  readonly keepAliveSeconds: number;
  readonly maxMemoryBytes: number;
}

/** A model that a request uses. It stays in memory until `release` is called. */
export interface ModelLease {
  readonly served: ServedModel;
  /** `keepAliveSeconds` replaces the pool's setting until the next request. */
  release(keepAliveSeconds?: number): void;
}

export type ModelState = 'unloaded' | 'loading' | 'loaded';

/** A model of the server, in memory or not. */
export interface ModelEntry {
  readonly id: string;
  /** The time at which serving began, in seconds since 1970. */
  readonly created: number;
  readonly adapters: readonly string[];
  readonly source: LoadedModel | ManagedModel;
  readonly state: ModelState;
  /** Bytes in memory, or the expected number while it is not loaded; 0 if that is unknown. */
  readonly bytes: number;
  /** Time at which an unused model is unloaded, in milliseconds since 1970. Null if it stays, or if it is in use. */
  readonly expires: number | null;
  /** The model without adapters if it is in memory, otherwise null. */
  readonly served: ServedModel | null;
}

class Entry implements ModelEntry {
  readonly created = Math.floor(Date.now() / 1000);
  memory: MemoryModel | null = null;
  loading: Promise<MemoryModel> | null = null;
  /** Requests that wait until the model is in memory and has their adapter. */
  waiting = 0;
  /** Bytes of the model when it was last in memory; before that, the caller's estimate. */
  lastBytes: number;

  constructor(
    readonly id: string,
    readonly source: LoadedModel | ManagedModel,
  ) {
    this.lastBytes = isManaged(source) ? (source.bytes ?? 0) : 0;
  }

  get adapters(): string[] {
    const { source } = this;
    return isManaged(source) ? Object.keys(source.adapters ?? {}) : [...source.adapters.keys()];
  }

  /** True if the model stays in memory: the caller loaded it, or pinned it. */
  get isPinned(): boolean {
    return !isManaged(this.source) || this.source.pinned === true;
  }

  get state(): ModelState {
    return this.loading ? 'loading' : this.memory && !this.memory.unloading ? 'loaded' : 'unloaded';
  }

  get bytes(): number {
    return this.memory?.bytes ?? this.lastBytes;
  }

  get expires(): number | null {
    return this.memory?.expires ?? null;
  }

  get served(): ServedModel | null {
    return this.memory?.plain ?? null;
  }
}

/** A model and an adapter by one name. */
interface Named {
  readonly entry: Entry;
  /** Undefined for the adapters that were active when the model was loaded. */
  readonly adapter?: string;
}

export class ModelPool {
  readonly #entries: readonly Entry[];
  readonly #names: ReadonlyMap<string, Named>;
  /** Resolves after the current load, because models are loaded one after the other. */
  #latestLoad: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  private constructor(
    models: Readonly<Record<string, LoadedModel | ManagedModel>>,
    private readonly settings: PoolSettings,
  ) {
    this.#entries = Object.entries(models).map(([id, source]) => new Entry(id, source));
    this.#names = namesOf(this.#entries);
  }

  /** Loads the pinned models. Rejects with the errors of `load`, and with OutOfMemoryError. */
  static async open(
    models: Readonly<Record<string, LoadedModel | ManagedModel>>,
    settings: PoolSettings,
  ): Promise<ModelPool> {
    const pool = new ModelPool(models, settings);
    try {
      for (const entry of pool.#entries) if (entry.isPinned) await pool.#memoryOf(entry);
    } catch (error) {
      await pool.close();
      throw error;
    }
    return pool;
  }

  get entries(): readonly ModelEntry[] {
    return this.#entries;
  }

  /** Names for requests: of the models, and `model:adapter` for adapters. */
  get names(): string[] {
    return this.#entries.flatMap(({ id, adapters }) => [id, ...adapters.map((adapter) => `${id}:${adapter}`)]);
  }

  /** The models in memory, once for each choice of adapters. */
  get inMemory(): ServedModel[] {
    return this.#entries.flatMap(({ memory }) => memory?.variants ?? []);
  }

  /** The version of the engine; '' as long as no model is in memory. */
  get version(): string {
    return this.inMemory[0]?.model.device.info.version ?? '';
  }

  /** Returns the names of the models with an ability. Models that are not in memory count as able. */
  namesOf(isAble: (served: ServedModel) => boolean): string[] {
    const able = this.#entries.filter(({ served }) => served === null || isAble(served));
    return able.flatMap(({ id, adapters }) => [id, ...adapters.map((adapter) => `${id}:${adapter}`)]);
  }

  /** True if the abilities of all models are known. */
  get isComplete(): boolean {
    return this.#entries.every(({ served }) => served !== null);
  }

  /** Returns the model of a name. Throws ApiError 404. */
  entry(name: string): ModelEntry {
    return this.#find(name).entry;
  }

  /**
   * Returns the model of a name, in memory and with its adapter active. Throws ApiError 404 for an unknown name, and
   * 503 for a model that does not fit into memory. Throws QueueFullError if too many requests wait for it, the signal's
   * reason, and the errors of `load`.
   */
  async use(name: string, signal: AbortSignal): Promise<ModelLease> {
    const { entry, adapter } = this.#find(name);
    const { parallel = BATCHING_DEFAULTS.parallel, maxWaiting } = this.settings;
    if (entry.waiting >= maxWaiting + parallel)
      throw new QueueFullError(`${entry.waiting} requests are waiting for the model`, 1);
    entry.waiting++;
    try {
      for (;;) {
        const memory = await orAborted(this.#memoryOf(entry), signal);
        if (memory.unloading) continue; // it was unloaded before this request began
        const served = await memory.acquire(adapter, signal);
        return { served, release: (seconds) => this.#release(entry, memory, seconds) };
      }
    } finally {
      entry.waiting--;
    }
  }

  /** Answers current requests, then frees the models that the pool loaded. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#latestLoad.catch(() => {});
    for (const entry of this.#entries) await entry.memory?.unload(isManaged(entry.source));
  }

  #find(name: string): Named {
    // Clients of Ollama add the tag of the newest version.
    const found = this.#names.get(name) ?? this.#names.get(name.replace(/:latest$/, ''));
    if (found) return found;
    const known = this.names.join(', ');
    throw new ApiError(404, `The model '${name}' does not exist, expected one of ${known}`, 'model_not_found', 'model');
  }

  #release(entry: Entry, memory: MemoryModel, seconds = this.settings.keepAliveSeconds): void {
    memory.release(entry.isPinned ? Number.POSITIVE_INFINITY : seconds, () => void this.#unload(entry, memory));
  }

  async #unload(entry: Entry, memory: MemoryModel): Promise<void> {
    const unloaded = memory.unload(isManaged(entry.source));
    entry.lastBytes = memory.bytes;
    await unloaded;
    if (entry.memory === memory) entry.memory = null;
  }

  /** Returns the model in memory. All requests for an absent model share one load. */
  async #memoryOf(entry: Entry): Promise<MemoryModel> {
    const { memory } = entry;
    if (memory !== null && !memory.unloading) return memory;
    entry.loading ??= this.#afterLoads(() => this.#load(entry)).finally(() => {
      entry.loading = null;
    });
    return entry.loading;
  }

  async #afterLoads<T>(job: () => Promise<T>): Promise<T> {
    const load = this.#latestLoad.then(job, job);
    this.#latestLoad = load.catch(() => {});
    return load;
  }

  async #load(entry: Entry): Promise<MemoryModel> {
    if (this.#isClosing) throw new ApiError(503, 'The server is shutting down.', 'shutting_down');
    await entry.memory?.unloading;
    await this.#makeRoom(entry, entry.lastBytes);
    const { source } = entry;
    const model = isManaged(source) ? await source.load() : source;
    const memory = await MemoryModel.of(entry.id, model, isManaged(source) ? source : null, this.settings);
    entry.memory = memory;
    entry.lastBytes = memory.bytes;
    try {
      await this.#makeRoom(entry, memory.bytes);
    } catch (error) {
      await this.#unload(entry, memory);
      throw error;
    }
    // The model is also unloaded later if its requests were aborted while it was loading.
    memory.expireAfter(entry.isPinned ? Number.POSITIVE_INFINITY : this.settings.keepAliveSeconds, () => {
      void this.#unload(entry, memory);
    });
    return memory;
  }

  /**
   * Unloads models until `bytes` for a model fit. Idle models are unloaded first, beginning with the one that was
   * unused for longest. A model in use accepts no further requests, and is unloaded when the current ones are answered.
   * Throws ApiError 503 if that cannot free enough memory.
   */
  async #makeRoom(entry: Entry, bytes: number): Promise<void> {
    const { maxMemoryBytes: limit } = this.settings;
    const otherEntries = () => this.#entries.filter((candidate) => candidate !== entry && candidate.memory !== null);
    const pinned = otherEntries().filter(({ isPinned }) => isPinned);
    const max = limit - total(pinned);
    if (bytes > max) {
      const pinnedNote =
        pinned.length > 0 ? `, of which ${pinned.map(({ id }) => id).join(', ')} keep ${formatBytes(limit - max)}` : '';
      const message = `The model '${entry.id}' needs ${formatBytes(bytes)} of memory, and all models may have ${formatBytes(limit)}${pinnedNote}`;
      throw new ApiError(503, message, 'insufficient_memory', 'model');
    }
    while (total(otherEntries()) + bytes > limit) {
      const [next] = otherEntries()
        .filter(({ isPinned }) => !isPinned)
        .sort((a, b) => evictionOrder(a) - evictionOrder(b));
      if (next?.memory) await this.#unload(next, next.memory);
    }
  }
}

/** Sort key: idle models come first, then the model that was used longest ago. */
function evictionOrder({ memory }: Entry): number {
  return memory === null ? 0 : memory.lastUse + (memory.users > 0 ? Number.MAX_SAFE_INTEGER / 2 : 0);
}

const total = (entries: readonly Entry[]) => entries.reduce((sum, { bytes }) => sum + bytes, 0);

function formatBytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/**
 * Returns models by their names: `model`, `model:adapter`, and `adapter` if only one model has an adapter of this name.
 */
function namesOf(entries: readonly Entry[]): Map<string, Named> {
  const names = new Map<string, Named>();
  const adapters = entries.flatMap((entry) => entry.adapters.map((adapter) => ({ entry, adapter })));
  for (const named of adapters)
    if (adapters.filter(({ adapter }) => adapter === named.adapter).length === 1) names.set(named.adapter, named);
  for (const named of adapters) names.set(`${named.entry.id}:${named.adapter}`, named);
  for (const entry of entries) names.set(entry.id, { entry });
  return names;
}
