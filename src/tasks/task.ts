// Definition of tasks: each is a file of this folder. registry.ts names them, pipeline.ts calls them.

import type { HeadKind } from '../models/pretrained-model.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** Context of a task. */
export interface TaskContext {
  /**
   * The name that the caller gave. It may contain more than the task's own name: `translation_en_to_fr` names
   * languages.
   */
  readonly task: string;
  readonly model: LoadedModel;
}

/** A function of a task's own arguments. */
export type TaskCall = (...args: never[]) => Promise<unknown>;

/** A task of `pipeline`: the head that its models need, and the function that makes a call. */
export interface Task<Call extends TaskCall = TaskCall> {
  /** The head to load. Undefined: the head that config.json names. */
  readonly head?: HeadKind | undefined;
  /** Makes the task's function for a model. Throws FormatError for a model that cannot do the task. */
  create(context: TaskContext): Call;
}

/** Progress of a call. */
export interface TaskProgress {
  /** Number of inputs that are finished. */
  readonly done: number;
  readonly total: number;
}

/** Options of every call, in addition to the task's options in transformers.js. */
export interface CallOptions {
  /** Ends the call: its promise rejects with the signal's reason, by default an AbortError. */
  signal?: AbortSignal | undefined;
  /** Called after each batch. */
  onProgress?: ((progress: TaskProgress) => void) | undefined;
  /** Maximum number of inputs in a batch. Results do not depend on it, except for sampling. Default: 32. */
  batchSize?: number | undefined;
}
