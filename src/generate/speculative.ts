// Speculative decoding (Leviathan et al. 2022, arXiv 2211.17192). A drafter proposes several tokens, and the model
// reads them in one pass. The logits show which of them the model would have chosen. The tokens before the first wrong
// one are accepted, followed by the model's own choice. The logits equal those of single steps bit for bit. Drafts
// therefore change only the speed, with greedy search, processors or sampling.

import { ArgumentError } from '../core/errors.js';
import type { Drafter } from './drafter.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import type { PromptCache } from './prompt-cache.js';

/** Maximum tokens of a pass with a draft: the latest token and the drafted ones. Longer passes cost more per token. */
const MAX_TOKENS = 16;
export const MAX_DRAFT_TOKENS = MAX_TOKENS - 1;
/** Minimum tokens of a pass with a draft, and the tokens of the first pass. */
const [MIN_TOKENS, FIRST_TOKENS] = [4, 8];

/**
 * The number of tokens to draft. A pass has twice as many tokens after a fully accepted draft, and half as many if less
 * than half was accepted.
 */
class DraftLength {
  /** `passTokens`: tokens of the next pass. */
  constructor(private passTokens = FIRST_TOKENS) {}

  atMost(max: number): number {
    return Math.min(this.passTokens - 1, max);
  }

  recordAccepted(proposed: number, accepted: number): void {
    if (accepted === proposed) this.passTokens = Math.min(MAX_TOKENS, 2 * this.passTokens);
    else if (2 * accepted < proposed) this.passTokens = Math.max(MIN_TOKENS, this.passTokens / 2);
  }
}

/** Maximum and minimum length of the endings that are looked up. */
const [MAX_MATCH, MIN_MATCH] = [4, 2];

/**
 * Index after the latest occurrence of the last `length` tokens of `context` in the first `size` tokens of `text`, or
 * 0.
 */
function indexAfterMatch(context: readonly number[], length: number, text: readonly number[], size: number): number {
  const start = context.length - length;
  for (let position = size - length; position >= 0; position--) {
    let same = 0;
    while (same < length && text[position + same] === context[start + same]) same++;
    if (same === length) return position + length;
  }
  return 0;
}

/**
 * Prompt look-up (Saxena 2023). It searches the text, then earlier texts, for another occurrence of the newest tokens
 * and drafts the tokens that followed there. It prefers the longest matching ending, and then its latest occurrence.
 * This suits outputs that repeat their prompt: summaries, corrections, code, JSON.
 */
export class PromptLookup {
  readonly #length: DraftLength;
  readonly #minMatch: number;

  /** `isCautious`: true to make shorter drafts at first, and to look up no endings of two tokens. */
  constructor({ isCautious = false }: { readonly isCautious?: boolean } = {}) {
    this.#length = new DraftLength(isCautious ? MIN_TOKENS : FIRST_TOKENS);
    this.#minMatch = isCautious ? MIN_MATCH + 1 : MIN_MATCH;
  }

  /** Drafts up to `max` tokens after `context`. `earlier`: other texts. Returns [] if no text has the newest tokens. */
  propose(context: readonly number[], max: number, earlier: readonly (readonly number[])[] = []): number[] {
    const count = this.#length.atMost(max);
    for (let length = Math.min(MAX_MATCH, context.length - 1); length >= this.#minMatch; length--)
      for (const text of [context, ...earlier]) {
        const after = indexAfterMatch(context, length, text, text.length - 1);
        if (after > 0) return text.slice(after, after + count);
      }
    return [];
  }

  recordAccepted(proposed: number, accepted: number): void {
    this.#length.recordAccepted(proposed, accepted);
  }
}

/** Maximum share of the time that drafts may lose. */
const MAX_LOSS = 0.01;
/** Maximum credit of drafts, in steps. A text that stops repeating itself loses no more than this. */
const MAX_CREDIT = 4;

/** Sums up the time that drafts save or lose, so that they are made only where they save time. Times: milliseconds. */
export class DraftBudget {
  /** Time of a fast step without a draft. */
  #step = Number.POSITIVE_INFINITY;
  #saved = 0;

  /** True if drafts have saved more time than they have lost. */
  get allowsDrafts(): boolean {
    return this.#saved > 0;
  }

  /** Records a step without a draft. It adds a small credit, so that drafts are tried from time to time. */
  addStep(time: number): void {
    this.#step = Math.min(time, (1 + MAX_LOSS) * this.#step);
    this.#add(MAX_LOSS * time);
  }

  /** Records a pass with a draft, which gave this number of tokens. */
  addPass(time: number, tokens: number): void {
    this.#add(tokens * this.#step - time);
  }

  #add(time: number): void {
    this.#saved = Math.min(this.#saved + time, MAX_CREDIT * this.#step);
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
  readonly #length = new DraftLength();

  constructor(
    private readonly cache: PromptCache,
    private readonly generate: Generate,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async propose(context: readonly number[], max: number): Promise<number[]> {
    const { model, maxLength } = this.cache;
    const maxNewTokens = Math.min(this.#length.atMost(max), maxLength - context.length);
    if (maxNewTokens < 1) return [];
    const { cache, signal } = this;
    const greedy = { doSample: false, numBeams: 1, stopTokens: [], repetitionPenalty: 1, noRepeatNgramSize: 0 };
    const { sequences } = await this.generate(model, [[...context]], { ...greedy, maxNewTokens, cache, signal });
    return sequences[0] as number[];
  }

  recordAccepted(proposed: number, accepted: number): void {
    this.#length.recordAccepted(proposed, accepted);
  }
}

/** Makes the drafter that the option `draft` requires, for a generation with `cache`. */
export function drafterOf(cache: PromptCache, { draft, signal }: GenerateOptions, generate: Generate): Drafter | null {
  if (draft === undefined) return null;
  if (draft === 'prompt') {
    const lookup = new PromptLookup();
    return {
      propose: (context, max) => lookup.propose(context, max),
      recordAccepted: (proposed, accepted) => lookup.recordAccepted(proposed, accepted),
    };
  }
  if ('predicts' in draft) {
    if (draft.predicts(cache.model)) return draft.drafter();
    throw new ArgumentError(
      'generate: draft belongs to another model, expected what loadPredictor returned for this one',
    );
  }
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
