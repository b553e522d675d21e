import { checkArray, checkKnown, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** Tokens that stand for no text, by what they are for. */
export interface SpecialTokens {
  /** Fills batches. */
  readonly pad?: string | undefined;
  /** Begin of sequence. */
  readonly bos?: string | undefined;
  /** End of sequence. */
  readonly eos?: string | undefined;
  /** Stands for text that is not in the vocabulary. */
  readonly unk?: string | undefined;
  readonly additional?: readonly string[] | undefined;
}

const ROLES = ['pad', 'bos', 'eos', 'unk', 'additional'] as const;

/** All of them, in the order in which vocabularies made here start. */
export function specialList(special: SpecialTokens): string[] {
  const { pad, bos, eos, unk, additional = [] } = checkKnown('special tokens', special, ROLES);
  checkArray('special tokens', 'additional', additional, 'an array of texts');
  const list = [pad, bos, eos, unk, ...additional].filter((token) => token !== undefined);
  const odd = list.find((token) => typeof token !== 'string' || token === '');
  if (odd !== undefined)
    throw new ArgumentError(`special tokens: ${describeValue(odd)} is one of them, expected text such as <s>`);
  return [...new Set(list)];
}

/** A stretch of text without special tokens, or one of them. */
interface Section {
  readonly text: string;
  /** In UTF-16 units. */
  readonly start: number;
  readonly isSpecial: boolean;
}

/** Finds special tokens in text, the longest where several begin. */
export class SpecialSplitter {
  readonly #pattern: RegExp | null;

  constructor(special: readonly string[]) {
    const longestFirst = [...special].sort((a, b) => b.length - a.length);
    const alternatives = longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    this.#pattern = special.length > 0 ? new RegExp(alternatives.join('|'), 'gu') : null;
  }

  *split(text: string): Generator<Section> {
    let start = 0;
    if (this.#pattern !== null) {
      for (const { 0: token, index } of text.matchAll(this.#pattern)) {
        if (index > start) yield { text: text.slice(start, index), start, isSpecial: false };
        yield { text: token, start: index, isSpecial: true };
        start = index + token.length;
      }
    }
    if (start < text.length) yield { text: text.slice(start), start, isSpecial: false };
  }
}
