// Speculative decoding: tokens are guessed, and the model reads several guesses in one pass, whose logits say which of
// them it would have chosen (Leviathan et al. 2022, arXiv 2211.17192). Those before the first wrong one are kept, and what
// the model chose instead of that. Every token is chosen from the logits that a step would have given, to the bit, so
// nothing but the speed depends on the guesses: greedily, with processors, by sampling.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import type { PromptCache } from './prompt-cache.js';

/** Where guesses come from. */
export interface Drafter {
  /** What may follow `context`, at most `most` tokens; none if it has no idea. */
  propose(context: readonly number[], most: number): number[] | Promise<number[]>;
  /** What became of the latest proposal. */
  learn(proposed: number, accepted: number): void;
}

/** Guesses of a proposal at most. */
const MOST = 16;
/** At first. */
const FIRST = 8;

/** How many tokens are worth guessing: twice as many after a proposal that was right, half of them after a bad one. */
class Eagerness {
  #count = FIRST;

  within(most: number): number {
    return Math.min(this.#count, most);
  }

  learn(proposed: number, accepted: number): void {
    if (accepted === proposed) this.#count = Math.min(MOST, 2 * this.#count);
    else if (2 * accepted < proposed) this.#count = Math.max(2, Math.ceil(this.#count / 2));
  }
}

/** The longest and the shortest ending that is looked for. */
const [LONGEST, SHORTEST] = [4, 2];

/**
 * Prompt look-up (Saxena 2023): what followed the newest tokens when they came before, the longest such ending first and
 * the latest place of it. For texts that repeat their prompt: summaries, corrections, code, JSON of what was given.
 */
export class PromptLookup implements Drafter {
  readonly #eagerness = new Eagerness();

  propose(context: readonly number[], most: number): number[] {
    const count = this.#eagerness.within(most);
    for (let length = Math.min(LONGEST, context.length - 1); length >= SHORTEST; length--) {
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

/** What generates with the model that drafts; given from above, as generation stands on this file. */
export type Generate = (
  model: Generative,
  input: number[][],
  options: GenerateOptions,
) => Promise<{ sequences: number[][] }>;

/** A smaller model with the same vocabulary, which writes greedily ahead. It keeps what it has read. */
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

/** What drafts for a generation with `cache`, by `draft` of its options. */
export function drafterOf(cache: PromptCache, { draft, signal }: GenerateOptions, generate: Generate): Drafter | null {
  if (draft === undefined) return null;
  if (draft === 'prompt') return new PromptLookup();
  const model = draft as Generative;
  checkDraft(cache.model, model);
  return new ModelDrafter(cache.companion(model), generate, signal);
}

function checkDraft(model: Generative, draft: Generative): void {
  if (typeof draft !== 'object' || draft === null || typeof draft.startDecoding !== 'function')
    throw new ArgumentError(`generate: draft is ${describeValue(draft)}, expected 'prompt' or a model`);
  if (draft === model) throw new ArgumentError('generate: draft is the model itself, expected a smaller one');
  if (draft.vocabSize === model.vocabSize) return;
  throw new ArgumentError(
    `generate: draft has a vocabulary of ${draft.vocabSize} tokens, expected the model's, of ${model.vocabSize}`,
  );
}
