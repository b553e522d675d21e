// Calls of `generate` and `stream` that overlap in time. They join one batch and get the bits that each would get alone.

import { DisposedError } from '../core/errors.js';
import type { DecoderState } from '../nn/decoder-state.js';
import type { HeldRow, Listener, SequenceParts } from './continuous-batching/batched-sequence.js';
import type { Joined } from './continuous-batching/continuous-batching.js';
import { canShare, SharedBatch } from './continuous-batching/shared-batch.js';
import type { GenerateOptions, TokenEvent } from './generate-options.js';
import type { Generative } from './generative.js';
import { disposedMeanwhile, keptOf } from './model-decoders.js';
import type { Plan } from './plan.js';
import type { SingleSequence, TokenSearch } from './search.js';

/** State of a decoder that has generated the sequences of a call so far. */
export interface Decoded {
  readonly state: DecoderState;
  /** Gives the decoder back. */
  end(): void;
}

/** Number of calls so far, for their names. */
let calls = 0;

/** One call's access to the batch that it shares with others. */
export class Together {
  private constructor(
    private readonly model: Generative,
    private readonly batch: SharedBatch,
    private readonly options: GenerateOptions,
  ) {}

  /**
   * Null for a call that must run by itself: with beams, a cache of its own, drafts, attention maps, or a cropped context.
   * Null as well for a model whose sequences cannot form a batch.
   */
  static of(model: Generative, plan: Plan, options: GenerateOptions): Together | null {
    const { numBeams, cropContext, outputAttentions, cacheType, inputs, width } = plan;
    const isOwn = typeof options.cache === 'object' || options.draft !== undefined;
    if (numBeams > 1 || cropContext || outputAttentions || isOwn || !canShare(model)) return null;
    if (inputs.length * width > plan.batchSize) return null; // it fills batches by itself
    return new Together(model, SharedBatch.of(model, { type: cacheType, maxLength: model.maxLength }), options);
  }

  /** Tells other calls that this one generates. */
  enter(): void {
    this.batch.enter();
  }

  /** Tells other calls that this one is done, or that it waits for its reader. */
  leave(): void {
    this.batch.leave();
  }

  /** True if other calls run. */
  get isWanted(): boolean {
    return this.batch.isShared;
  }

  /**
   * Generates the open sequences of a search to their ends, in the shared batch. They go on from the rows of `decoded`, or
   * begin with their prompts. Yields tokens as they are chosen.
   */
  async *run(search: TokenSearch, decoded: Decoded | null): AsyncGenerator<TokenEvent[], TokenSearch, void> {
    const { signal, onToken } = this.options;
    const sequences = search.apart();
    const events = new Events(sequences.length);
    const parts = sequences.map((each) => ({ each, held: null as HeldRow | null }));
    if (decoded) {
      let held = sequences.length;
      const release = () => {
        if (--held === 0) decoded.end();
      };
      for (const part of parts) part.held = { state: decoded.state, row: part.each.row, release };
    }
    const client = `call ${calls++}`;
    const joined = await this.#join(parts.map(({ each, held }) => partsOf(each, held, client, events))).catch(
      (error: unknown) => {
        decoded?.end();
        throw error;
      },
    );
    const abort = () => joined.leave(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        const { chosen, isDone } = await events.next();
        signal?.throwIfAborted();
        if (onToken !== undefined) for (const event of chosen) await onToken(event);
        if (chosen.length > 0) yield chosen;
        if (isDone) return search;
      }
    } catch (error) {
      throw error instanceof DisposedError && keptOf(this.model) === null ? disposedMeanwhile() : error;
    } finally {
      signal?.removeEventListener('abort', abort);
      joined.leave(new DOMException('The caller has left', 'AbortError'));
      await joined.left;
    }
  }

  async #join(sequences: readonly SequenceParts[]): Promise<Joined> {
    const batching = await this.batch.batching();
    this.options.signal?.throwIfAborted();
    return batching.join(sequences);
  }
}

function partsOf(
  { plan, search }: SingleSequence,
  held: HeldRow | null,
  client: string,
  events: Events,
): SequenceParts {
  const sequence = search.sequence;
  return { plan, search, client, prefixScope: '', top: 0, listener: events.of(sequence), cache: null, held };
}

/** Collects the tokens of several sequences for one reader. */
class Events {
  #chosen: TokenEvent[] = [];
  #failed: { readonly error: unknown } | null = null;
  #wake: () => void = () => {};

  /** `open`: number of sequences that are not finished. */
  constructor(private open: number) {}

  /** A listener for the sequence with this place in the result. */
  of(sequence: number): Listener {
    return {
      token: ({ token, logProbability }) => {
        this.#chosen.push({ sequence, token, logProbability });
        this.#wake();
      },
      end: () => {
        this.open--;
        this.#wake();
      },
      fail: (error) => {
        this.#failed ??= { error };
        this.#wake();
      },
    };
  }

  /** Waits for tokens, or for the end. Throws the error of a sequence that failed. */
  async next(): Promise<{ readonly chosen: TokenEvent[]; readonly isDone: boolean }> {
    while (this.#chosen.length === 0 && this.open > 0 && this.#failed === null)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    if (this.#chosen.length === 0 && this.#failed) throw this.#failed.error;
    return { chosen: this.#chosen.splice(0), isDone: this.open === 0 };
  }
}
