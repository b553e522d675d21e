import type { Block, Pool } from './heap.js';

/** Memory that one or more tensors look at. */
export class Storage {
  references = 0;
  /** Grows whenever something is written to it. */
  version = 0;

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
