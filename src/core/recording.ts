// State of a program while it is being recorded.

import type { CommandList } from './command-list.js';
import { Arena } from './heap.js';
import type { RecordedCommand, RecordedGradient, WrittenColumns } from './program.js';
import type { Storage } from './storage.js';

export interface Recording {
  readonly list: CommandList;
  readonly commands: RecordedCommand[];
  readonly arena: Arena;
  /** Memory from outside that the commands use, with its version before the recording. */
  readonly inputs: Map<Storage, number>;
  /** Gradients of leaves, with the columns written before the recording. */
  readonly gradients: Map<RecordedGradient, WrittenColumns>;
}

/** Retains memory that a program uses but does not own, for as long as the program exists. */
export function retainInput({ arena, inputs }: Recording, storage: Storage): void {
  if (storage.pool === arena || inputs.has(storage)) return;
  inputs.set(storage, storage.version);
  storage.retain();
  if (storage.pool instanceof Arena) storage.pool.addUser();
}

export function releaseInput(storage: Storage): void {
  storage.release();
  if (storage.pool instanceof Arena) storage.pool.removeUser();
}
