// Definition of tasks: each is a file of this folder. registry.ts names them, pipeline.ts calls them.

import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
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

/** Requirements of a task that no check of its own tests. The defaults are those of a task that reads texts. */
export interface TaskNeeds {
  /** False if the model may lack a tokenizer. Default: true. */
  readonly tokenizer?: boolean;
  /** False if the model need not read tokens. Default: true. */
  readonly inputIds?: boolean;
  /** Stacks that the model must have. Default: any. */
  readonly stacks?: 'encoder-decoder' | 'decoder';
  /** True if the task uses the model without its head. Default: false. */
  readonly body?: boolean;
}

/** Needs of a task that reads no text, but writes one or names labels by texts. */
export const NO_INPUT_IDS = { inputIds: false } as const;
/** Needs of a task without text. */
export const NO_TEXT = { tokenizer: false, inputIds: false } as const;

/** A task of `pipeline`: the model that it needs, and the function that makes a call. */
export interface Task<Call extends TaskCall = TaskCall> {
  /** The head to load. Undefined: the head that config.json names. */
  readonly head?: HeadKind | undefined;
  readonly needs?: TaskNeeds;
  /**
   * False for a model that a call would not refuse, but whose results would mean nothing. `supportedTasks` leaves it out.
   * Default: true.
   */
  suits?(model: PretrainedModel): boolean;
  /** Makes the task's function for a model. Throws FormatError for a model that cannot do the task. */
  create(context: TaskContext): Call;
}

/** A task whose models may lack a tokenizer. */
export interface TextlessTask<Call extends TaskCall> extends Task<Call> {
  readonly needs: TaskNeeds & { readonly tokenizer: false };
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
