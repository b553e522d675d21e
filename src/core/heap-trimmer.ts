import type { Backend } from '../backend/backend.js';
import type { Heap } from './heap.js';
import type { Queue } from './queue.js';

/** Minimum number of freed words that are worth returning to the system: 32 MiB. */
const WORTH_WORDS = 2 ** 23;
/** Milliseconds without work after which a device is idle. */
const IDLE_MS = 1000;

/** Returns free memory of a heap to the system once the device has been idle for a second. */
export class HeapTrimmer {
  #timer: ReturnType<typeof setTimeout> | null = null;
  #changes = 0;

  constructor(
    private readonly heap: Heap,
    private readonly queue: Queue,
    private readonly backend: Backend,
  ) {}

  /** Must be called after memory was freed. */
  schedule(): void {
    if (this.#timer !== null || this.backend.discard === undefined || this.heap.freed < WORTH_WORDS) return;
    this.#changes = this.heap.changes;
    this.#timer = setTimeout(() => this.#trim(), IDLE_MS);
    (this.#timer as { unref?(): void }).unref?.(); // the timer does not keep the process alive
  }

  #trim(): void {
    this.#timer = null;
    const { heap, queue, backend } = this;
    const isBusy = heap.changes !== this.#changes;
    // Memory is freed in program order, so waiting commands may still use it.
    if (isBusy || !queue.idle) {
      if (!isBusy) queue.flush();
      this.schedule();
      return;
    }
    for (const { offset, words } of heap.trim()) backend.discard?.(offset * 4, words * 4);
  }

  dispose(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
