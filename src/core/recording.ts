import { CommandList } from './command-list.js';
import { Arena, type Heap } from './heap.js';
import type { Recorded, RecordedCommand, RecordedGradient, WrittenColumns } from './program.js';
import type { Storage } from './storage.js';
import type { Tensor } from './tensor.js';

/** A program while it is being recorded. */
export class Recording {
  readonly list = new CommandList();
  readonly commands: RecordedCommand[] = [];
  readonly arena: Arena;
  /** The tensors made while recording. */
  readonly made: Tensor[] = [];
  /** Memory from outside that the commands use, with its version before the recording. */
  readonly #inputs = new Map<Storage, number>();
  /** Gradients of leaves, with the columns written before the recording. */
  readonly #gradients = new Map<RecordedGradient, WrittenColumns>();

  constructor(heap: Heap) {
    this.arena = new Arena(heap);
  }

  /** Retains memory that the program uses but does not own, for as long as the program exists. */
  retain(storage: Storage): void {
    if (storage.pool === this.arena || this.#inputs.has(storage)) return;
    this.#inputs.set(storage, storage.version);
    storage.retain();
    if (storage.pool instanceof Arena) storage.pool.addUser();
  }

  noteGradient(slot: RecordedGradient): void {
    if (!this.#gradients.has(slot)) this.#gradients.set(slot, slot.state);
  }

  /** Returns the program's parts, when all commands are recorded and before `restore`. */
  recorded(): Recorded {
    const gradients = [...this.#gradients].map(([slot, before]) => ({ slot, before, after: slot.state }));
    const written = [...this.#inputs].filter(([{ version }, before]) => version !== before);
    const { commands, list, arena } = this;
    const effects = { gradients, written: written.map(([storage]) => storage) };
    return { commands, list, arena, effects, release: () => this.release() };
  }

  /** Restores the states of gradients and inputs, because the recorded commands have not run. */
  restore(): void {
    for (const [slot, before] of this.#gradients) slot.restore(before);
    for (const [storage, version] of this.#inputs) storage.version = version;
  }

  release(): void {
    this.arena.release();
    // This also frees their gradients, and the views of outer tensors that graphs retain.
    for (const tensor of this.made) tensor.dispose();
    for (const storage of this.#inputs.keys()) {
      storage.release();
      if (storage.pool instanceof Arena) storage.pool.removeUser();
    }
  }
}
