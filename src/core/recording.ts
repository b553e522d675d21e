// A program while it is being recorded.

import type { CommandList } from './command-list.js';
import { Arena } from './heap.js';
import type { RecordedCommand, RecordedGradient, WrittenColumns } from './program.js';
import type { Storage } from './storage.js';

export interface Recording {
  readonly list: CommandList;
  readonly commands: RecordedCommand[];
  readonly arena: Arena;
  /** Memory from outside that the commands use, with its version before. */
  readonly inputs: Map<Storage, number>;
  /** Of leaves, with what was written of them before. */
  readonly gradients: Map<RecordedGradient, WrittenColumns>;
}

/** Memory that a program uses but does not own stays as it is for as long as there is the program. */
export function hold({ arena, inputs }: Recording, storage: Storage): void {
  if (storage.pool === arena || inputs.has(storage)) return;
  inputs.set(storage, storage.version);
  storage.retain();
  if (storage.pool instanceof Arena) storage.pool.hold();
}

export function letGo(storage: Storage): void {
  storage.release();
  if (storage.pool instanceof Arena) storage.pool.letGo();
}
