// Speculative decoding (Leviathan et al. 2022, arXiv 2211.17192). A drafter guesses several tokens, and the model reads
// them in one pass. Its logits tell which guesses it would have chosen. The guesses before the first wrong one are
// kept, followed by the model's own choice. The logits equal those of single steps bit for bit. The guesses therefore
// change only the speed, with greedy search, processors or sampling.

import { ArgumentError } from '../core/errors.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import type { PromptCache } from './prompt-cache.js';

/** Source of guesses. */
export interface Drafter {
  /** Guesses up to `most` tokens after `context`. Returns [] if it has no guess. */
  propose(context: readonly number[], most: number): number[] | Promise<number[]>;
  /** Tells the drafter how many of the latest guesses were accepted. */
  learn(proposed: number, accepted: number): void;
}

/** Maximum number of guesses in a proposal. */
const MAX_GUESSES = 16;
/** Number of guesses in the first proposal. */
const FIRST_GUESSES = 8;

/**
 * The number of tokens to guess. It doubles after a fully accepted proposal and halves if less than half was accepted.
 */
class Eagerness {
  #count = FIRST_GUESSES;

  within(most: number): number {
    return Math.min(this.#count, most);
  }

  learn(proposed: number, accepted: number): void {
    if (accepted === proposed) this.#count = Math.min(MAX_GUESSES, 2 * this.#count);
    else if (2 * accepted < proposed) this.#count = Math.max(2, Math.ceil(this.#count / 2));
  }
}

/** Maximum and minimum length of the endings that are looked up. */
const [MAX_ENDING, MIN_ENDING] = [4, 2];

/**
 * Prompt look-up (Saxena 2023). It searches the text for an earlier occurrence of its newest tokens and guesses the
 * tokens that followed there. It prefers the longest matching ending, and then its latest occurrence. This suits
 * outputs that repeat their prompt: summaries, corrections, code, JSON.
 */
export class PromptLookup implements Drafter {
  readonly #eagerness = new Eagerness();

  propose(context: readonly number[], most: number): number[] {
    const count = this.#eagerness.within(most);
    for (let length = Math.min(MAX_ENDING, context.length - 1); length >= MIN_ENDING; length--) {
      const start = context.length - length;
      for (let at = start - 1; at >= 0; at--) {
        let same = 0;
        while (same < length && context[at + same] === context[start + same]) same++;
        if (same === length) return context.slice(at + length, at + length + count);
      }
    }
    return [];
  }

  learn(proposed: number, accepted: number): void {
    this.#eagerness.learn(proposed, accepted);
  }
}

/** Generates with the draft model. It is a parameter, because `generate` imports this file. */
export type Generate = (
  model: Generative,
  input: number[][],
  options: GenerateOptions,
) => Promise<{ sequences: number[][] }>;

/** A smaller model with the same vocabulary, which continues greedily. Its cache keeps the tokens that it has read. */
class ModelDrafter implements Drafter {
  readonly #eagerness = new Eagerness();

  constructor(
    private readonly cache: PromptCache,
    private readonly generate: Generate,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async propose(context: readonly number[], most: number): Promise<number[]> {
    const { model, maxLength } = this.cache;
    const maxNewTokens = Math.min(this.#eagerness.within(most), maxLength - context.length);
    if (maxNewTokens < 1) return [];
    const { cache, signal } = this;
    const greedy = { doSample: false, numBeams: 1, stopTokens: [], repetitionPenalty: 1, noRepeatNgramSize: 0 };
    const { sequences } = await this.generate(model, [[...context]], { ...greedy, maxNewTokens, cache, signal });
    return sequences[0] as number[];
  }

  learn(proposed: number, accepted: number): void {
    this.#eagerness.learn(proposed, accepted);
  }
}

/** Makes the drafter that the option `draft` requires, for a generation with `cache`. */
export function drafterOf(cache: PromptCache, { draft, signal }: GenerateOptions, generate: Generate): Drafter | null {
  if (draft === undefined) return null;
  if (draft === 'prompt') return new PromptLookup();
  const model = draft as Generative;
  checkDraft(cache.model, model);
  return new ModelDrafter(cache.companion(model), generate, signal);
}

function checkDraft(model: Generative, draft: Generative): void {
  if (draft === model) throw new ArgumentError('generate: draft is the model itself, expected a smaller one');
  if (draft.vocabSize === model.vocabSize) return;
  throw new ArgumentError(
    `generate: draft has a vocabulary of ${draft.vocabSize} tokens, expected ${model.vocabSize} as in the model`,
  );
}
