// Definition of tasks: each is a file of this folder. registry.ts names them, pipeline.ts calls them.

import type { HeadKind } from '../models/pretrained-model.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** Context of a task. */
export interface TaskContext {
  /** The name that the pipeline was asked for by: `translation_en_to_fr` says more than `translation`. */
  readonly task: string;
  readonly model: LoadedModel;
}

/** A function of a task's own arguments. */
export type TaskCall = (...args: never[]) => Promise<unknown>;

/** A task of `pipeline`: the head that its models have, and what a call does. */
export interface Task<Call extends TaskCall = TaskCall> {
  /** The head to load, whatever config.json says; undefined for the one that it says. */
  readonly head?: HeadKind | undefined;
  /** Throws FormatError for a model that cannot do it. */
  create(context: TaskContext): Call;
}

/** Progress of a call. */
export interface TaskProgress {
  /** Inputs that are finished. */
  readonly done: number;
  readonly total: number;
}

/** Options that every call takes, besides those of transformers.js for its task. */
export interface CallOptions {
  /** Ends the call: its promise rejects with the signal's reason, by default an AbortError. */
  signal?: AbortSignal | undefined;
  /** Called after each batch. */
  onProgress?: ((progress: TaskProgress) => void) | undefined;
  /** Inputs that the model reads side by side, at most. Results do not depend on it. Default 32. */
  batchSize?: number | undefined;
}
