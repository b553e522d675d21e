import { checkArray, checkKnown, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** Special tokens by role. They represent no text. */
export interface SpecialTokens {
  /** Padding of batches. */
  readonly pad?: string | undefined;
  /** Begin of sequence. */
  readonly bos?: string | undefined;
  /** End of sequence. */
  readonly eos?: string | undefined;
  /** Replaces text that is not in the vocabulary. */
  readonly unk?: string | undefined;
  readonly additional?: readonly string[] | undefined;
}

const ROLES = ['pad', 'bos', 'eos', 'unk', 'additional'] as const;

/** Returns all special tokens, in the order in which vocabularies of this package begin. */
export function specialList(special: SpecialTokens): string[] {
  const { pad, bos, eos, unk, additional = [] } = checkKnown('special tokens', special, ROLES);
  checkArray('special tokens', 'additional', additional, 'an array of texts');
  const named = Object.entries({
    pad,
    bos,
    eos,
    unk,
    ...Object.fromEntries(additional.map((token, i) => [`additional[${i}]`, token])),
  });
  const present = named.filter(([, token]) => token !== undefined);
  const [name, odd] = present.find(([, token]) => typeof token !== 'string' || token === '') ?? [];
  if (name !== undefined)
    throw new ArgumentError(`special tokens: ${name} is ${describeValue(odd)}, expected text such as <s>`);
  const list = present.map(([, token]) => token as string);
  return [...new Set(list)];
}

/** A special token, or text between special tokens. */
interface Section {
  readonly text: string;
  /** Position in UTF-16 units. */
  readonly start: number;
  readonly isSpecial: boolean;
}

/** Finds special tokens in text. If several begin at the same position, the longest wins. */
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
