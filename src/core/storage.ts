import type { Block, Pool } from './heap.js';

interface FromHost {
  readonly values: Int32Array;
  /** Position of the first element, in words of the heap. */
  readonly offset: number;
  readonly version: number;
}

let count = 0;

/** Memory that one or more tensors share. */
export class Storage {
  /** Unique among all storages. */
  readonly id = count++;
  references = 0;
  /** Increases with every write. */
  version = 0;
  /** The integers that the host wrote last, and their position. Valid while `version` is unchanged. */
  fromHost: FromHost | null = null;

  #block: Block | null;

  /** Takes the memory, or with `later` when it is first needed. Throws OutOfMemoryError. */
  constructor(
    private readonly words: number,
    readonly pool: Pool,
    later = false,
  ) {
    this.#block = later ? null : pool.take(words);
  }

  /** Throws OutOfMemoryError if memory was not taken before and cannot be. */
  get block(): Block {
    this.#block ??= this.pool.take(this.words);
    return this.#block;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references === 0 && this.#block !== null) this.pool.give(this.#block);
  }
}
