import type { Block, Pool } from './heap.js';

interface FromHost {
  readonly values: Int32Array;
  /** Of the first, in words of the heap. */
  readonly offset: number;
  readonly version: number;
}

/** Memory that one or more tensors look at. */
export class Storage {
  references = 0;
  /** Grows whenever something is written to it. */
  version = 0;
  /** The integers that the host wrote last, and where; of `version`, or something was written to it since. */
  fromHost: FromHost | null = null;

  constructor(
    readonly block: Block,
    readonly pool: Pool,
  ) {}

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references === 0) this.pool.give(this.block);
  }
}
