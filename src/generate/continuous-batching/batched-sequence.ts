import type { FinishReason } from '../generate-options.js';
import type { Plan } from '../plan.js';
import type { PromptCache } from '../prompt-cache.js';
import { needsLogits, type Ranking, stepsWithLogits } from '../ranking.js';
import { TokenSearch } from '../search.js';

/** A token that was chosen. */
export interface BatchedToken {
  readonly token: number;
  /** What the model gave it. */
  readonly logProbability: number;
  /** The most probable ones in its place, best first: as many as `topLogProbabilities` asks for. */
  readonly top: readonly { readonly token: number; readonly logProbability: number }[];
}

/** What a sequence ended with. */
export interface BatchedResult {
  readonly finishReason: FinishReason;
  /** Tokens of the prompt that were not read, as what they leave was there already. */
  readonly cachedTokens: number;
}

/** What is heard of a sequence: tokens, and its end. */
export interface Listener {
  token(token: BatchedToken): void;
  end(result: BatchedResult): void;
  fail(error: unknown): void;
}

/** A request on its way. */
export class BatchedSequence {
  readonly prompt: readonly number[];
  /** Tokens whose keys and values lie in its row once what is queued has run. */
  read = 0;
  cachedTokens = 0;
  sharable = Number.POSITIVE_INFINITY;
  /** Resolves when the sequence has left its row, and its cache is free. */
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
    /** Holds what was read before, and receives what is in the row at the end. Already acquired. */
    readonly cache: PromptCache | null,
  ) {
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    const input = plan.inputs[0] as Plan['inputs'][number];
    this.prompt = input.prompt;
    this.#search = new TokenSearch(plan);
    // The engine passes over no tokens for one sequence alone.
    const passesOver = plan.suppressTokens.length > 0 || plan.minNewTokens > 0 || input.prefix.length > 0;
    this.#withLogits = needsLogits(plan) || passesOver;
  }

  /** The tokens whose keys and values are in the row. */
  get tokensInRow(): readonly number[] {
    return [...this.prompt, ...this.#generated].slice(0, this.read);
  }

  /** Says that the row is free. */
  hasLeft(): void {
    this.cache?.release();
    this.#leave();
  }

  /** Whether nobody waits for it any more, or it is complete. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Tokens of the prompt that are to be read still. */
  get unread(): number {
    return Math.max(0, this.prompt.length - this.read);
  }

  /** Whether its prompt is read, and its first token chosen. */
  get isWriting(): boolean {
    return this.#generated.length > 0;
  }

  /** What a step reads next: the latest token. */
  get next(): number {
    return this.#generated.at(-1) as number;
  }

  /** Whether its next token is chosen by all logits. */
  get wantsLogits(): boolean {
    const length = this.#generated.length;
    const input = this.plan.inputs[0] as Plan['inputs'][number];
    return this.#withLogits || stepsWithLogits(this.plan, input).includes(length);
  }

  /** Chooses a token by the first sequence of `ranking`. */
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

  /** As `fail`, where the contents of the row are lost, too. */
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
