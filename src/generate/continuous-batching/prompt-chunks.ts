// Prompts are read in chunks between the steps of the sequences that generate, so that those go on.

import type { Generative } from '../generative.js';
import { longest } from '../prompts.js';
import type { BatchedSequence } from './batched-sequence.js';
import type { Pass, Passes } from './passes.js';
import type { Rows } from './rows.js';

/** Maximum number of chunks that an iteration reads if few or no sequences wait for their next token. */
const MAX_CHUNKS = 8;
/** Minimum number of tokens that an iteration reads of each prompt. */
const MIN_CHUNK = 16;

/** Queued chunks of prompts. */
export interface QueuedChunks {
  readonly pass: Pass | null;
  /** Sequences whose prompts end in this pass, with their row of its results. */
  readonly finishing: readonly (readonly [place: number, sequence: BatchedSequence])[];
}

type PlacedSequence = readonly [row: number, sequence: BatchedSequence];

/** Queues the chunks of prompts. */
export class PromptChunks {
  /** Number of prompt tokens that were queued since the start. */
  tokens = 0;
  #reads = 0;
  /** The chunks that were queued while the previous iteration ran. */
  #ahead: QueuedChunks | null = null;

  constructor(
    private readonly model: Generative,
    private readonly passes: Passes,
    private readonly rows: Rows<BatchedSequence>,
    /** Number of tokens in a chunk. */
    private readonly size: number,
  ) {}

  /** Returns the chunks that `readAhead` has queued, or queues them now. `generating`: see `readAhead`. */
  async take(generating: number): Promise<QueuedChunks | null> {
    const reading = this.#ahead ?? (await this.#read(generating));
    this.#ahead = null;
    return reading;
  }

  /** Queues the chunks of the next iteration. `generating` is the number of sequences that generate. */
  async readAhead(generating: number): Promise<void> {
    this.#ahead = await this.#read(generating);
  }

  /** Discards the chunks that `readAhead` has queued, once all of their sequences have ended. */
  discard(): void {
    if (this.#ahead?.pass) this.passes.release(this.#ahead.pass);
    this.#ahead = null;
  }

  /** Prompts with different adapters or rotations are read in different passes. Returns null if no prompt is left. */
  async #read(generating: number): Promise<QueuedChunks | null> {
    const all = this.rows.active.filter(([, { unread, ended }]) => unread > 0 && !ended);
    if (all.length === 0) return null;
    const next = this.#reads++ % all.length;
    const [, { adapters, adapterKey, prompt: first }] = all[next] as PlacedSequence;
    const keyOf = (prompt: readonly number[]) => this.model.rotaryKey?.(prompt.length);
    const unread = [...all.slice(next), ...all.slice(0, next)].filter(
      ([, sequence]) => sequence.adapterKey === adapterKey && keyOf(sequence.prompt) === keyOf(first),
    );
    const max = Math.max(1, Math.min(MAX_CHUNKS, Math.floor(unread.length / generating))); // MAX_CHUNKS if none generates
    const chunks = this.#chunks(unread, max * this.size);
    const finishing = chunks.flatMap(([, sequence, count], index) =>
      sequence.unread === count ? [[index, sequence] as const] : [],
    );
    const pass = await this.passes.read(
      chunks.map(([row, { read, prompt }, count]) => ({ row, start: read, tokens: prompt.slice(read, read + count) })),
      {
        ranks: finishing.length > 0 ? 'last' : 'none',
        adapters,
        promptLength: longest(chunks.map(([, { prompt }]) => prompt)),
      },
    );
    // Later commands run after these, so the tokens count as read from now on.
    for (const [row, sequence, count] of chunks) {
      sequence.read += count;
      this.tokens += count;
      this.rows.setPrefixLength(row, sequence.read);
    }
    return { pass, finishing };
  }

  /** Returns the chunks to read next, about `max` tokens in total, divided equally. */
  #chunks(unread: readonly PlacedSequence[], max: number): [row: number, sequence: BatchedSequence, count: number][] {
    const share = Math.max(MIN_CHUNK, Math.ceil(max / unread.length));
    const chunks: [number, BatchedSequence, number][] = [];
    let left = max;
    for (const [row, sequence] of unread) {
      if (left <= 0) break;
      const { prompt, read, unread: remaining } = sequence;
      const end = read + Math.min(remaining, share);
      const count = (this.model.splitPoint?.(prompt, end, 'after') ?? end) - read;
      chunks.push([row, sequence, count]);
      left -= count;
    }
    return chunks;
  }
}
