// Decodes answers to text. Formats with channels are translated to the tags of other models for reasoning and calls.

import type { PretrainedTokenizer } from '../../tokenizers/index.js';
import { GemmaFilter } from './gemma-channels.js';
import { HarmonyFilter } from './harmony.js';
import { MistralFilter } from './mistral-thoughts.js';
import { TextStream } from './text-stream.js';

/** Translates an answer that arrives in pieces, with its special tokens. */
interface AnswerFilter {
  push(piece: string): string;
  /** Returns the remaining text. */
  end(): string;
}

type WithTemplate = Pick<PretrainedTokenizer, 'chatTemplate'>;

/** Formats of answers, by marks that only their chat templates contain. */
const FORMATS: readonly (readonly [marks: readonly string[], make: () => AnswerFilter])[] = [
  [['<|channel|>', '<|message|>'], () => new HarmonyFilter()],
  [['<|channel>', '<channel|>'], () => new GemmaFilter()],
  [['[THINK]', '[/THINK]'], () => new MistralFilter()],
];

/** Returns a filter for answers in channels; null for other formats. */
function filterFor({ chatTemplate }: WithTemplate): AnswerFilter | null {
  const template = typeof chatTemplate === 'string' ? chatTemplate : Object.values(chatTemplate ?? {}).join('\n');
  const found = FORMATS.find(([marks]) => marks.every((mark) => template.includes(mark)));
  return found?.[1]() ?? null;
}

/**
 * True if the model writes channels. Its template then expects the reasoning of earlier answers as a separate field.
 */
export const hasChannels = (tokenizer: WithTemplate): boolean => filterFor(tokenizer) !== null;

/**
 * Decodes an answer's tokens piece by piece. It is a `TextStream` that translates channels if the model writes them.
 */
export class AnswerStream {
  readonly #text: TextStream;
  readonly #filter: AnswerFilter | null;

  /** `before`: tokens of the prompt that may decide if the first token is written with a space. */
  constructor(tokenizer: PretrainedTokenizer, skipSpecial: boolean, before: readonly number[] = []) {
    this.#filter = filterFor(tokenizer);
    this.#text = new TextStream(tokenizer, { skipSpecial: skipSpecial && this.#filter === null });
    for (const token of before) this.#text.push(token);
  }

  push(token: number): string {
    const piece = this.#text.push(token);
    return this.#filter?.push(piece) ?? piece;
  }

  end(): string {
    const rest = this.#text.end();
    return this.#filter === null ? rest : this.#filter.push(rest) + this.#filter.end();
  }
}

/** Returns the text of a whole answer. */
export function answerText(tokenizer: PretrainedTokenizer, ids: readonly number[], skipSpecial: boolean): string {
  const filter = filterFor(tokenizer);
  if (filter === null) return tokenizer.decode(ids, { skipSpecial });
  return filter.push(tokenizer.decode(ids, { skipSpecial: false })) + filter.end();
}
