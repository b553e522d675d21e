// Calls of `generate` and `stream` that overlap in time join one batch. Each gets the same bits as it would alone.

import { DisposedError } from '../core/errors.js';
import { EventQueue } from '../core/event-queue.js';
import type { DecoderState } from '../nn/decoder-state.js';
import type { HeldRow, Listener, SequenceParts } from './continuous-batching/batched-sequence.js';
import type { JoinedSequences } from './continuous-batching/requests.js';
import { canShare, SharedBatch } from './continuous-batching/shared-batch.js';
import type { GenerateOptions, TokenEvent } from './generate-options.js';
import type { Generative } from './generative.js';
import { disposedMeanwhile, keptOf } from './model-decoders.js';
import type { Plan } from './plan.js';
import type { SingleSequence, TokenSearch } from './search.js';

/** The decoder state in which the sequences of a call were generated before other calls overlapped. */
export interface UnsharedDecoding {
  readonly state: DecoderState;
  /** Gives the decoder back. */
  end(): void;
}

/** Number of calls so far, used to name them. */
let calls = 0;

/** One call's access to the batch that it shares with others. */
export class SharedCall {
  private constructor(
    private readonly model: Generative,
    private readonly batch: SharedBatch,
    private readonly options: GenerateOptions,
  ) {}

  /**
   * Returns null for a call that must run alone: with beams, a PromptCache, drafts, attention maps, or `cropContext`.
   * It is also null if the model cannot share a batch, or if the call has more sequences than a batch. Prompts that rotate
   * by the longest of them stay together.
   */
  static of(model: Generative, plan: Plan, options: GenerateOptions): SharedCall | null {
    const { numBeams, cropContext, outputAttentions, cacheType, inputs, sequencesPerInput } = plan;
    const isUnsharable = options.cache !== undefined || options.draft !== undefined;
    if (numBeams > 1 || cropContext || outputAttentions || isUnsharable || !canShare(model)) return null;
    if (inputs.length * sequencesPerInput > plan.batchSize) return null;
    if (new Set(inputs.map(({ prompt }) => model.rotaryKey?.(prompt.length))).size > 1) return null;
    return new SharedCall(model, SharedBatch.of(model, { cacheType, maxLength: model.maxLength }), options);
  }

  /** Registers this call as generating. */
  enter(): void {
    this.batch.enter();
  }

  /** Ends the registration, because the call is done or waits for its reader. */
  leave(): void {
    this.batch.leave();
  }

  /** True if other calls generate at the same time. */
  get hasOtherCalls(): boolean {
    return this.batch.isShared;
  }

  /**
   * Generates the unfinished sequences of a search in the shared batch. They continue from the rows of `unshared`, or
   * begin with their prompts if it is null. Yields tokens as they are chosen. Returns `search`.
   */
  async *run(search: TokenSearch, unshared: UnsharedDecoding | null): AsyncGenerator<TokenEvent[], TokenSearch, void> {
    const { signal, onToken } = this.options;
    const sequences = search.singleSequences();
    const events = new EventQueue<TokenEvent>();
    const listenerOf = listenersOf(sequences.length, events);
    const parts = sequences.map((sequence) => ({ each: sequence, held: null as HeldRow | null }));
    if (unshared) {
      let held = sequences.length;
      const release = () => {
        if (--held === 0) unshared.end();
      };
      for (const part of parts) part.held = { state: unshared.state, row: part.each.row, release };
    }
    const client = `call ${calls++}`;
    const joined = await this.#join(
      parts.map(({ each: sequence, held }) => partsOf(sequence, held, client, listenerOf)),
    ).catch((error: unknown) => {
      unshared?.end();
      throw error;
    });
    const abort = () => joined.leave(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      for await (const chosen of events) {
        signal?.throwIfAborted();
        if (onToken !== undefined) for (const event of chosen) await onToken(event);
        yield chosen;
      }
      return search;
    } catch (error) {
      throw error instanceof DisposedError && keptOf(this.model) === null ? disposedMeanwhile() : error;
    } finally {
      signal?.removeEventListener('abort', abort);
      joined.leave(new DOMException('The caller has left', 'AbortError'));
      await joined.left;
    }
  }

  async #join(sequences: readonly SequenceParts[]): Promise<JoinedSequences> {
    const batching = await this.batch.batching();
    this.options.signal?.throwIfAborted();
    return batching.join(sequences);
  }
}

function partsOf(
  { plan, search }: SingleSequence,
  held: HeldRow | null,
  client: string,
  listenerOf: (sequence: number) => Listener,
): SequenceParts {
  const listener = listenerOf(search.sequence);
  return { plan, search, client, prefixScope: '', top: 0, listener, cache: null, held };
}

/** Returns listeners for the sequences by their indices in the result. They push the tokens of all `count` sequences. */
function listenersOf(count: number, events: EventQueue<TokenEvent>): (sequence: number) => Listener {
  let unfinished = count;
  return (sequence) => ({
    token: ({ token, logProbability }) => events.push({ sequence, token, logProbability }),
    end: () => {
      if (--unfinished === 0) events.end();
    },
    fail: (error) => events.fail(error),
  });
}
