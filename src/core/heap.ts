import { OutOfMemoryError } from './errors.js';

/** Blocks are multiples of this many words: a cache line, so that no two tensors share one. */
const ALIGNMENT = 16;

/** A source of memory, in words. `take` may return a longer block than requested. */
export interface Pool {
  /** True once all its memory was freed at once, including blocks still in use. */
  readonly released: boolean;
  /** Number of runs of the owning program. Each run rewrites all values in the pool. */
  readonly runs: number;
  take(words: number): Block;
  give(block: Block): void;
}

export interface Block {
  readonly offset: number;
  readonly words: number;
}

/** Free blocks sorted by offset. No two are adjacent. */
type FreeList = { offset: number; words: number }[];

/** Rounds a number of words up to the length of a block. */
function aligned(words: number): number {
  return Math.ceil(words / ALIGNMENT) * ALIGNMENT;
}

/**
 * A best-fit allocator over one growing address range. Memory is taken and freed in program order, the order in which
 * the engine runs the commands. A block can therefore be reused while commands that use it are still queued.
 */
export class Heap implements Pool {
  readonly released = false;
  readonly runs = 0;
  readonly #free: FreeList = [];
  #capacity = 0;
  #used = 0;
  #peak = 0;
  /** Number of words that were freed since the last `trim`. */
  #freed = 0;
  /** Number of blocks that were taken or freed. The heap is idle while this number is constant. */
  #changes = 0;

  /** `extend(words)` makes the range at least that long, or returns false. `onGive` is called for each freed block. */
  constructor(
    private readonly extend: (words: number) => boolean,
    private readonly onGive: () => void = () => {},
  ) {}

  /** Number of words that were freed since the last `trim`. */
  get freed(): number {
    return this.#freed;
  }

  get changes(): number {
    return this.#changes;
  }

  /** Returns the free blocks, so that the caller can return their memory to the system. */
  trim(): readonly Block[] {
    this.#freed = 0;
    return this.#free.map(({ offset, words }) => ({ offset, words }));
  }

  /** Bytes in use, their maximum since `resetPeak`, and bytes taken from the system. */
  get usage(): { used: number; peak: number; capacity: number } {
    return { used: this.#used * 4, peak: this.#peak * 4, capacity: this.#capacity * 4 };
  }

  resetPeak(): void {
    this.#peak = this.#used;
  }

  take(words: number): Block {
    const wanted = aligned(words);
    const block = takeBestFit(this.#free, wanted) ?? this.#grow(wanted);
    this.#used += block.words;
    this.#peak = Math.max(this.#peak, this.#used);
    this.#changes++;
    return block;
  }

  give(block: Block): void {
    this.#used -= block.words;
    insertFree(this.#free, block);
    this.#freed += block.words;
    this.#changes++;
    this.onGive();
  }

  #grow(wanted: number): Block {
    const last = this.#free.at(-1);
    const spare = last !== undefined && last.offset + last.words === this.#capacity ? last.words : 0;
    // Growing by at least a quarter keeps the number of calls low. Memory that is never touched costs nothing.
    const roomy = this.#capacity + Math.max(wanted - spare, this.#capacity >> 2, 1 << 18);
    const exact = this.#capacity + wanted - spare;
    const capacity = [roomy, exact].find((words) => this.extend(words));
    if (capacity === undefined) {
      throw new OutOfMemoryError(
        `a tensor of ${mebibytes(wanted)} does not fit: ${mebibytes(this.#used)} are in use and the ` +
          'device cannot grow. Free tensors with device.scope() or dispose(), or use smaller batches',
      );
    }
    insertFree(this.#free, { offset: this.#capacity, words: capacity - this.#capacity });
    this.#capacity = capacity;
    return takeBestFit(this.#free, wanted) as Block;
  }
}

const mebibytes = (words: number) => `${Math.ceil((words * 4) / 2 ** 20)} MiB`;

/**
 * Memory of a recorded program. Every run uses the same memory, so blocks that are freed while recording are reused
 * only by the same recording.
 */
export class Arena implements Pool {
  released = false;
  runs = 0;
  readonly #free: FreeList = [];
  readonly #taken: Block[] = [];
  /** Number of holders: the program, and other programs that use its memory. */
  #holders = 1;

  constructor(private readonly parent: Pool) {}

  take(words: number): Block {
    const wanted = aligned(words);
    const reused = takeBestFit(this.#free, wanted);
    if (reused !== undefined) return reused;
    const block = this.parent.take(wanted);
    this.#taken.push(block);
    return block;
  }

  give(block: Block): void {
    insertFree(this.#free, block);
  }

  /** Number of words held, in use or not. */
  get words(): number {
    return this.#taken.reduce((sum, block) => sum + block.words, 0);
  }

  /** Called when the owning program is disposed of. Its tensors cannot be used afterwards. */
  release(): void {
    this.released = true;
    this.removeUser();
  }

  /** Called by another program that uses this memory. The memory is kept until that program calls `removeUser`. */
  addUser(): void {
    this.#holders++;
  }

  removeUser(): void {
    if (--this.#holders === 0) for (const block of this.#taken.splice(0)) this.parent.give(block);
  }
}

function takeBestFit(free: FreeList, wanted: number): Block | undefined {
  let best: FreeList[number] | undefined;
  for (const block of free) {
    if (block.words >= wanted && !(best !== undefined && best.words <= block.words)) {
      best = block;
      if (block.words === wanted) break;
    }
  }
  if (best === undefined) return undefined;
  const taken = { offset: best.offset, words: wanted };
  best.offset += wanted;
  best.words -= wanted;
  if (best.words === 0) free.splice(free.indexOf(best), 1);
  return taken;
}

function insertFree(free: FreeList, block: Block): void {
  let low = 0;
  for (let high = free.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((free[middle] as Block).offset < block.offset) low = middle + 1;
    else high = middle;
  }
  const before = free[low - 1];
  const after = free[low];
  const joinsAfter = after !== undefined && block.offset + block.words === after.offset;
  if (before !== undefined && before.offset + before.words === block.offset) {
    before.words += block.words;
    if (joinsAfter) {
      before.words += after.words;
      free.splice(low, 1);
    }
  } else if (joinsAfter) {
    after.offset = block.offset;
    after.words += block.words;
  } else free.splice(low, 0, { ...block });
}
