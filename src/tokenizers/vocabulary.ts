import { checkKnown, checkNumber, checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { type TokenizerJson, type TokenizerParts, writeTokenizer } from './json.js';
import { SpecialSplitter, type SpecialTokens, specialList } from './special.js';
import { checkText, codePointsBefore, knownIds, type Tokenizer, UnknownTokenError } from './tokenizer.js';

/** Options that limit the vocabulary made from a corpus. */
export interface VocabularyOptions {
  /** Special tokens, first in the vocabulary in the order pad, bos, eos, unk, additional. Default: none. */
  special?: SpecialTokens | undefined;
  /** Maximum number of tokens, including special ones. The most frequent tokens are kept. Default: no limit. */
  vocabSize?: number | undefined;
  /** Minimum frequency of a token to be included, at least 1. Default: 1. */
  minFrequency?: number | undefined;
}

const KEPT = ['special', 'vocabSize', 'minFrequency'] as const;

/** A tokenizer with a list of tokens, some of them special. */
export abstract class VocabularyTokenizer implements Tokenizer {
  readonly padId: number | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unkId: number | undefined;
  /** Tokens by id. */
  protected readonly tokens: readonly string[];
  protected readonly special: SpecialTokens;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #specialIds: ReadonlySet<number>;
  readonly #splitter: SpecialSplitter;

  /** `name` appears in error messages. The name of the class does not survive minification. */
  protected constructor(tokens: readonly string[], special: SpecialTokens, name = 'VocabularyTokenizer') {
    if (!Array.isArray(tokens))
      throw new ArgumentError(`${name}: the vocabulary is ${describeValue(tokens)}, expected an array`);
    if (tokens.length === 0) throw new ArgumentError(`${name}: the vocabulary is empty, expected at least one token`);
    this.tokens = [...tokens];
    this.special = special;
    this.#ids = new Map(tokens.map((token, id) => [token, id]));
    if (this.#ids.size < tokens.length) {
      const twice = tokens.find((token, id) => this.#ids.get(token) !== id);
      throw new ArgumentError(`${name}: ${JSON.stringify(twice)} is in the vocabulary twice`);
    }
    const list = specialList(special);
    const missing = list.find((token) => !this.#ids.has(token));
    if (missing !== undefined) {
      throw new ArgumentError(`${name}: special token ${JSON.stringify(missing)} is not in the vocabulary`);
    }
    this.#specialIds = new Set(list.map((token) => this.#ids.get(token) as number));
    this.#splitter = new SpecialSplitter(list);
    const idOf = (token: string | undefined) => (token === undefined ? undefined : this.#ids.get(token));
    this.padId = idOf(special.pad);
    this.bosId = idOf(special.bos);
    this.eosId = idOf(special.eos);
    this.unkId = idOf(special.unk);
  }

  get vocabSize(): number {
    return this.tokens.length;
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.tokens[id];
  }

  encode(text: string, options: { addSpecial?: boolean | undefined } = {}): number[] {
    checkText('encode', text);
    checkOptions('encode', options, { addSpecial: 'boolean' });
    const ids: number[] = [];
    if (options.addSpecial && this.bosId !== undefined) ids.push(this.bosId);
    for (const section of this.#splitter.split(text)) {
      if (section.isSpecial) ids.push(this.#ids.get(section.text) as number);
      else this.encodeText(section.text, ids, (index) => codePointsBefore(text, section.start + index));
    }
    if (options.addSpecial && this.eosId !== undefined) ids.push(this.eosId);
    return ids;
  }

  decode(ids: Iterable<number>, options: { skipSpecial?: boolean | undefined } = {}): string {
    const skip = checkOptions('decode', options, { skipSpecial: 'boolean' }).skipSpecial ?? true;
    return this.decodeIds(knownIds(this, ids).filter((id) => !(skip && this.isSpecial(id))));
  }

  toJSON(): TokenizerJson {
    return writeTokenizer(this.special, this.#ids, this.parts());
  }

  /**
   * Appends the ids of text without special tokens. `position` maps an index in this text to an index in the whole
   * text.
   */
  protected abstract encodeText(text: string, ids: number[], position: (index: number) => number): void;

  protected abstract decodeIds(ids: readonly number[]): string;

  protected abstract parts(): TokenizerParts;

  protected isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  /** Returns the id of a token, or that of the unknown token. Throws UnknownTokenError. */
  protected idFor(token: string, position: () => number): number {
    const id = this.#ids.get(token) ?? this.unkId;
    if (id === undefined) throw new UnknownTokenError(token, position());
    return id;
  }

  /** The model of a tokenizer.json for tokenizers that look up whole tokens. */
  protected wordLevel(): TokenizerParts['model'] {
    // The format requires an unknown token. A name that is not in the vocabulary makes unknown text an error in other
    // readers, too.
    let unk_token = this.special.unk ?? '<unk>';
    while (this.special.unk === undefined && this.#ids.has(unk_token)) unk_token = `<${unk_token}>`;
    return { type: 'WordLevel', vocab: this.vocab(), unk_token };
  }

  protected vocab(): Record<string, number> {
    return Object.fromEntries(this.tokens.map((token, id) => [token, id]));
  }
}

/** Calls `visit` with each part of the corpus between special tokens. Throws ArgumentError for an empty corpus. */
export function visitCorpus(
  name: string,
  corpus: string | Iterable<string>,
  special: SpecialTokens,
  visit: (text: string) => void,
): void {
  const splitter = new SpecialSplitter(specialList(special));
  let empty = true;
  if (typeof corpus !== 'string' && typeof corpus?.[Symbol.iterator] !== 'function') {
    throw new ArgumentError(`${name}: the corpus is ${describeValue(corpus)}, expected a string or several`);
  }
  for (const text of typeof corpus === 'string' ? [corpus] : corpus) {
    checkText(name, text);
    for (const section of splitter.split(text)) {
      if (section.isSpecial) continue;
      visit(section.text);
      empty = false;
    }
  }
  if (empty) throw new ArgumentError(`${name}: the corpus is empty`);
}

export function checkMinFrequency(name: string, minFrequency: number): void {
  checkNumber(name, 'minFrequency', minFrequency, (value) => value >= 1, 'a number of at least 1');
}

/**
 * Returns the special tokens, then the tokens of the corpus: the most frequent first, ties in the order of code points.
 * Throws ArgumentError if no token of the corpus remains.
 */
export function buildVocabulary(
  name: string,
  corpus: string | Iterable<string>,
  options: VocabularyOptions,
  split: (text: string) => Iterable<string>,
): string[] {
  const { special = {}, vocabSize = Number.POSITIVE_INFINITY, minFrequency = 1 } = checkKnown(name, options, KEPT);
  const list = specialList(special);
  const expected = `more than the ${list.length} special tokens`;
  checkNumber(name, 'vocabSize', vocabSize, (size) => size > list.length, expected);
  checkMinFrequency(name, minFrequency);
  const counts = new Map<string, number>();
  visitCorpus(name, corpus, special, (text) => {
    for (const token of split(text)) counts.set(token, (counts.get(token) ?? 0) + 1);
  });
  const found = [...counts].filter(([, count]) => count >= minFrequency);
  if (counts.size === 0) {
    throw new ArgumentError(`${name}: the corpus has only white space, expected text to learn tokens from`);
  }
  if (found.length === 0) {
    const max = [...counts.values()].reduce((a, b) => Math.max(a, b));
    const why = `no token occurs more than ${max} times: lower it or give more text`;
    throw new ArgumentError(`${name}: minFrequency is ${minFrequency}, but ${why}`);
  }
  found.sort(([a, n], [b, m]) => m - n || compareCodePoints(a, b));
  return [...list, ...found.slice(0, vocabSize - list.length).map(([token]) => token)];
}

/** Compares by code points. UTF-16 order differs from it for characters beyond U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = (x[i] as string).codePointAt(0)! - (y[i] as string).codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
