import type { FinishReason } from '../generate-options.js';
import type { Plan } from '../plan.js';
import type { PromptCache } from '../prompt-cache.js';
import { needsLogits, type Ranking, stepsWithLogits } from '../ranking.js';
import { TokenSearch } from '../search.js';

/** A token that was chosen. */
export interface BatchedToken {
  readonly token: number;
  /** Natural logarithm of the model's probability for the token. */
  readonly logProbability: number;
  /** The most probable tokens at this place, best first, as many as `topLogProbabilities`. */
  readonly top: readonly { readonly token: number; readonly logProbability: number }[];
}

/** Result of a finished sequence. */
export interface BatchedResult {
  readonly finishReason: FinishReason;
  /** Number of prompt tokens that were not read, because their keys and values existed already. */
  readonly cachedTokens: number;
}

/** Callbacks for the tokens of a sequence and its end. */
export interface Listener {
  token(token: BatchedToken): void;
  end(result: BatchedResult): void;
  fail(error: unknown): void;
}

/** A request that waits or runs. */
export class BatchedSequence {
  readonly prompt: readonly number[];
  /** Number of tokens whose keys and values are in the row once all queued commands have run. */
  read = 0;
  cachedTokens = 0;
  sharable = Number.POSITIVE_INFINITY;
  /** Resolves when the sequence has left its row and its cache is free. */
  readonly left: Promise<void>;
  #leave = () => {};
  #ended = false;
  #isBroken = false;
  readonly #search: TokenSearch;
  readonly #generated: number[] = [];
  readonly #withLogits: boolean;

  constructor(
    private readonly plan: Plan,
    readonly client: string,
    readonly prefixScope: string,
    private readonly top: number,
    private readonly listener: Listener,
    /** Provides an earlier text, and receives the content of the row at the end. Already acquired. */
    readonly cache: PromptCache | null,
  ) {
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    const input = plan.inputs[0] as Plan['inputs'][number];
    this.prompt = input.prompt;
    this.#search = new TokenSearch(plan);
    // The engine cannot skip tokens for single sequences.
    const passesOver = plan.suppressTokens.length > 0 || plan.minNewTokens > 0 || input.prefix.length > 0;
    this.#withLogits = needsLogits(plan) || passesOver;
  }

  /** Tokens whose keys and values are in the row. */
  get tokensInRow(): readonly number[] {
    return [...this.prompt, ...this.#generated].slice(0, this.read);
  }

  /** Reports that the row is free. */
  hasLeft(): void {
    this.cache?.release();
    this.#leave();
  }

  /** True if the sequence is complete, or nobody waits for it any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Number of prompt tokens that are still to be read. */
  get unread(): number {
    return Math.max(0, this.prompt.length - this.read);
  }

  /** Number of tokens when `more` follow the prompt and what is in the row, but not more than the whole sequence has. */
  lengthAfter(more: number): number {
    const { length } = this.prompt;
    return Math.min(Math.max(length, this.read) + more, length + this.plan.maxNewTokens);
  }

  /** True if the prompt is read and the first token chosen. */
  get isWriting(): boolean {
    return this.#generated.length > 0;
  }

  /** The latest token, which the next step reads. */
  get next(): number {
    return this.#generated.at(-1) as number;
  }

  /** True if the choice of the next token needs all logits. */
  get wantsLogits(): boolean {
    const length = this.#generated.length;
    const input = this.plan.inputs[0] as Plan['inputs'][number];
    return this.#withLogits || stepsWithLogits(this.plan, input).includes(length);
  }

  /** Chooses a token by the first row of `ranking`. */
  choose(ranking: Ranking): void {
    try {
      for (const { token, logProbability } of this.#search.choose(ranking)) {
        this.#generated.push(token);
        this.listener.token({ token, logProbability, top: this.#topOf(ranking) });
        if (this.#ended) return; // the listener has left
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

  /** Same as `fail`, if the content of the row is lost, too. */
  breakOff(error: unknown): void {
    this.#isBroken = true;
    this.fail(error);
  }

  get isBroken(): boolean {
    return this.#isBroken;
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
