import type { Block, Pool } from './heap.js';

interface FromHost {
  readonly values: Int32Array;
  /** Of the first, in words of the heap. */
  readonly offset: number;
  readonly version: number;
}

let count = 0;

/** Memory that one or more tensors look at. */
export class Storage {
  /** Tells it from all others. */
  readonly id = count++;
  references = 0;
  /** Grows whenever something is written to it. */
  version = 0;
  /** The integers that the host wrote last, and where; of `version`, or something was written to it since. */
  fromHost: FromHost | null = null;

  #block: Block | null;

  /** `later`: the memory is taken when it is needed first. Throws OutOfMemoryError. */
  constructor(
    private readonly words: number,
    readonly pool: Pool,
    later = false,
  ) {
    this.#block = later ? null : pool.take(words);
  }

  /** Throws OutOfMemoryError where it was not taken before. */
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
