import { inSlices } from '../../core/slices.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import type { FinishReason } from '../generate-options.js';
import type { Plan } from '../plan.js';
import type { PromptCache } from '../prompt-cache.js';
import { needsLogits, type Ranking, stepsWithLogits } from '../ranking.js';
import { TokenSearch } from '../search.js';
import { PromptLookup } from '../speculative.js';

/** A token that was chosen. */
export interface BatchedToken {
  readonly token: number;
  /** Natural logarithm of the model's probability for the token. */
  readonly logProbability: number;
  /** The `topLogProbabilities` most probable tokens at this position, best first. */
  readonly top: readonly { readonly token: number; readonly logProbability: number }[];
}

/** Result of a finished sequence. */
export interface BatchedResult {
  readonly finishReason: FinishReason;
  /** Number of prompt tokens that were not read, because their keys and values were found in a cache. */
  readonly cachedTokens: number;
}

/** Callbacks for the tokens of a sequence and its end. */
export interface Listener {
  token(token: BatchedToken): void;
  end(result: BatchedResult): void;
  fail(error: unknown): void;
}

/** A row of another decoder state that holds the sequence generated so far. */
export interface HeldRow {
  readonly state: DecoderState;
  readonly row: number;
  /** Called once the row is no longer needed. */
  release(): void;
}

/** Parts of a sequence. */
export interface SequenceParts {
  /** Has one input. */
  readonly plan: Plan;
  /** Chooses the tokens; it may have chosen some already. Default: a new search for the plan. */
  readonly search?: TokenSearch;
  readonly client: string;
  readonly prefixScope: string;
  /** Names of the adapters. Default: those that are active when the sequence joins. */
  readonly adapters?: readonly string[] | undefined;
  /** Number of most probable tokens that the listener gets with each token. */
  readonly top: number;
  readonly listener: Listener;
  /**
   * A cache that provides an earlier text and receives the content of the row at the end. The caller has acquired it.
   */
  readonly cache: PromptCache | null;
  /** Holds the prompt and all tokens that `search` has chosen except the latest one. Null for a new sequence. */
  readonly held: HeldRow | null;
  /** Called when the sequence gets a row. Default: none. */
  readonly onStart?: (() => void) | undefined;
}

/** A request that waits or runs. */
export class BatchedSequence {
  readonly prompt: readonly number[];
  readonly client: string;
  readonly prefixScope: string;
  readonly adapters: readonly string[];
  /** The adapters as JSON: equal for sequences with the same adapters. */
  readonly adapterKey: string;
  readonly cache: PromptCache | null;
  /** Number of tokens whose keys and values are in the row once all queued commands have run. */
  read = 0;
  cachedTokens = 0;
  sharable = Number.POSITIVE_INFINITY;
  /** Resolves when the sequence has left its row and its cache is free. */
  readonly left: Promise<void>;
  #leave = () => {};
  #ended = false;
  #isRowInvalid = false;
  readonly #lookup = new PromptLookup({ isCautious: true });
  readonly #search: TokenSearch;
  readonly #generated: number[];
  readonly #withLogits: boolean;
  #held: HeldRow | null;
  readonly #onStart: () => void;
  private readonly plan: Plan;
  private readonly top: number;
  private readonly listener: Listener;

  constructor(parts: SequenceParts) {
    const { plan, search, client, prefixScope, top, listener, cache, held, adapters = [], onStart = () => {} } = parts;
    this.#onStart = onStart;
    [this.plan, this.client, this.top, this.adapters] = [plan, client, top, adapters];
    this.adapterKey = JSON.stringify(adapters);
    this.prefixScope = `${this.adapterKey}${prefixScope}`; // keys and values depend on the adapters
    [this.listener, this.cache, this.#held] = [listener, cache, held];
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    const input = plan.inputs[0] as Plan['inputs'][number];
    this.prompt = input.prompt;
    this.#search = search ?? new TokenSearch(plan);
    this.#generated = (this.#search.contexts[0] ?? []).slice(this.prompt.length);
    if (held) this.read = this.prompt.length + this.#generated.length - 1;
    // The engine cannot skip tokens for single sequences.
    const excludesTokens = plan.suppressTokens.length > 0 || plan.minNewTokens > 0 || input.prefix.length > 0;
    this.#withLogits = needsLogits(plan) || excludesTokens;
  }

  /** The tokens whose keys and values are in the row. */
  get tokensInRow(): readonly number[] {
    return [...this.prompt, ...this.#generated].slice(0, this.read);
  }

  /** The row of another state that the sequence continues, until `releaseHeld`. */
  get held(): HeldRow | null {
    return this.#held;
  }

  /** Releases the held row, because its content was copied or is no longer needed. */
  releaseHeld(): void {
    this.#held?.release();
    this.#held = null;
  }

  /** Called when the sequence gets a row. */
  notifyPlaced(): void {
    this.#onStart();
  }

  /** Called when the sequence has left its row. */
  notifyLeft(): void {
    this.releaseHeld();
    this.cache?.release();
    this.#leave();
  }

  /** True if the sequence is complete, or its result is no longer wanted. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Number of prompt tokens that are still to be read. */
  get unread(): number {
    return Math.max(0, this.prompt.length - this.read);
  }

  /**
   * Length in tokens once `more` follow the prompt and the tokens in the row, at most that of the complete sequence.
   */
  lengthAfter(more: number): number {
    const { length } = this.prompt;
    return Math.min(Math.max(length, this.read) + more, length + this.plan.maxNewTokens);
  }

  /** True if the prompt is read and the first token chosen. */
  get isGenerating(): boolean {
    return this.#generated.length > 0;
  }

  /** The latest token, which the next step reads. */
  get next(): number {
    return this.#generated.at(-1) as number;
  }

  /** The tokens that were generated so far. */
  get answer(): readonly number[] {
    return this.#generated;
  }

  /** Drafts up to `max` tokens that may follow `next`, by the text so far and by `earlier` texts. */
  draft(max: number, earlier: readonly (readonly number[])[]): number[] {
    const maxUseful = Math.min(max, this.plan.maxNewTokens - this.#generated.length - 1);
    return maxUseful > 0 ? this.#lookup.propose([...this.prompt, ...this.#generated], maxUseful, earlier) : [];
  }

  /** Records how many tokens of the latest draft were accepted. */
  recordAccepted(proposed: number, accepted: number): void {
    this.#lookup.recordAccepted(proposed, accepted);
  }

  /** True if the choice of the next token needs all logits. */
  get wantsLogits(): boolean {
    const length = this.#generated.length;
    const input = this.plan.inputs[0] as Plan['inputs'][number];
    return this.#withLogits || stepsWithLogits(this.plan, input).includes(length);
  }

  /** Chooses a token by the first row of `ranking`, in slices. */
  async choose(ranking: Ranking): Promise<void> {
    try {
      const chosen = await inSlices(this.#search.choose(ranking));
      if (this.#ended) return; // it ended during a pause
      for (const { token, logProbability } of chosen) {
        this.#generated.push(token);
        this.listener.token({ token, logProbability, top: this.#topOf(ranking) });
        if (this.#ended) return; // the listener ended the sequence
      }
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!this.#search.done) return;
    this.#ended = true;
    const finishReason = this.#search.hypotheses()[0]?.[0]?.reason as FinishReason;
    this.listener.end({ finishReason, cachedTokens: this.cachedTokens });
  }

  /** Like `fail`, for errors after which the content of the row is not valid. */
  failWithRow(error: unknown): void {
    this.#isRowInvalid = true;
    this.fail(error);
  }

  get isRowInvalid(): boolean {
    return this.#isRowInvalid;
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.listener.fail(error);
  }

  #topOf(ranking: Ranking): BatchedToken['top'] {
    const total = ranking.total(0);
    return Array.from({ length: Math.min(this.top, ranking.count) }, (_, rank) => ({
      token: ranking.token(0, rank),
      logProbability: ranking.logit(0, rank) - total,
    }));
  }
}
