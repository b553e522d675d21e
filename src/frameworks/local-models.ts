// The models of an adapter. Each is loaded once, at its first use.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError, createDevice, type Device, type LoadModelOptions, loadModel } from '../index.js';
import { type LoadedModel, PretrainedModel } from '../pretrained/index.js';
import { type ChatModel, type Pipeline, pipeline, type TaskName } from '../tasks/index.js';

/** A model: a folder, a hub id, a GGUF file or anything else that `loadModel` takes, or a loaded model. */
export type ModelId = Parameters<typeof loadModel>[1] | LoadedModel | ChatModel;

/** Options of adapters that load models. All but `device` are those of `loadModel`. */
export interface LocalModelsOptions extends Omit<LoadModelOptions, 'head' | 'labels' | 'problemType' | 'signal'> {
  /** The device to load models on. Default: one that `createDevice()` opens for the first model. */
  device?: Device | undefined;
}

/** Checks what untyped callers give an adapter. Throws ArgumentError. */
export function checkModel(op: string, model: unknown, loadOptions: unknown): void {
  if (model === undefined || model === null || typeof model === 'number' || typeof model === 'boolean')
    throw new ArgumentError(
      `${op}: model is ${describeValue(model)}, expected a folder, a hub id, a GGUF file or a loaded model`,
    );
  checkOptions(op, { loadOptions }, { loadOptions: 'object' });
}

interface Opened {
  dispose(): unknown;
}

export class LocalModels {
  readonly #opened = new Map<unknown, Map<string, Promise<Opened>>>();
  #device: Promise<Device> | null = null;

  constructor(private readonly options: LocalModelsOptions = {}) {}

  /** Returns a model for conversations. Rejects with the errors of `loadModel`. */
  async chat(id: ModelId): Promise<ChatModel> {
    if (isChatModel(id)) return id;
    const { device: _, ...load } = this.options;
    return this.#open(id, 'chat', async (device) => loadModel(device, id as never, load)) as Promise<
      LoadedModel & ChatModel
    >;
  }

  /** Returns a pipeline of a model. Rejects with the errors of `pipeline`. */
  async pipeline<Name extends TaskName>(task: Name, id: ModelId): Promise<Pipeline<Name>> {
    if (id instanceof PretrainedModel) return pipeline(task, id as LoadedModel);
    const { device: _, ...load } = this.options;
    return this.#open(id, task, (device) => pipeline(task, id as never, { ...load, device }));
  }

  /** Frees all models that were loaded, and the device if it was opened here. */
  async dispose(): Promise<void> {
    const opened = [...this.#opened.values()].flatMap((kinds) => [...kinds.values()]);
    this.#opened.clear();
    for (const settled of await Promise.allSettled(opened))
      if (settled.status === 'fulfilled') await settled.value.dispose();
    (await this.#device)?.dispose();
    this.#device = null;
  }

  /** Opens `id` with `open`, or returns the open one. After a failure, the next call tries again. */
  #open<T extends Opened>(id: ModelId, kind: string, open: (device: Device) => Promise<T>): Promise<T> {
    const key = id instanceof URL ? id.href : id;
    const kinds = this.#opened.get(key) ?? new Map<string, Promise<Opened>>();
    this.#opened.set(key, kinds);
    const known = kinds.get(kind) as Promise<T> | undefined;
    if (known) return known;
    const opening = this.#onDevice(open);
    kinds.set(kind, opening);
    opening.catch(() => kinds.delete(kind));
    return opening;
  }

  async #onDevice<T>(open: (device: Device) => Promise<T>): Promise<T> {
    if (this.options.device !== undefined) return open(this.options.device);
    this.#device ??= createDevice();
    return open(await this.#device);
  }
}

/** Returns a name of the model for logs. */
export function nameOf(id: ModelId): string {
  if (typeof id === 'string' || id instanceof URL) return String(id);
  if (id instanceof PretrainedModel) return String(id.config._name_or_path ?? id.config.model_type ?? 'loaded');
  return isChatModel(id) ? 'loaded' : 'files';
}

const isChatModel = (id: unknown): id is ChatModel =>
  typeof (id as Partial<ChatModel> | null)?.startDecoding === 'function';
