// Tokens and merges of a BPE model as tables of numbers. A Map with text keys would need seconds for half a million
// merges.

import { FormatError } from '../core/errors.js';
import { atOnce, inSlices } from '../core/slices.js';
import { type TextBytes, wellFormed } from '../core/utf8.js';
import type { TokenizerModel } from './json.js';
import type { TokenIds, TokenTable } from './token-table.js';

export interface BytePairs {
  readonly ids: TokenIds;
  /** One more than the last id. */
  readonly size: number;
  tokenOf(id: number): string | undefined;
  /** Returns the rank of a pair; the lowest rank is merged first. Undefined for a pair that is not merged. */
  rankOf(left: string, right: string): number | undefined;
}

const made = new WeakMap<object, BytePairs>();

/** A model with finished tables. Vocabulary and merges in the form of a tokenizer.json are made on demand. */
export function bytePairModel(
  fields: Omit<TokenizerModel, 'vocab' | 'merges'> & Readonly<Record<string, unknown>>,
  pairs: BytePairs,
  merges: () => readonly (readonly string[])[],
): TokenizerModel {
  let vocab: Readonly<Record<string, number>> | undefined;
  let list: readonly (readonly string[])[] | undefined;
  const model = {
    ...fields,
    get vocab() {
      vocab ??= Object.fromEntries(pairs.ids);
      return vocab;
    },
    get merges() {
      list ??= merges();
      return list;
    },
  };
  made.set(model, pairs);
  return model;
}

/** True if the tables of a model exist, so that the model needs no check. */
export function hasBytePairs(model: object): boolean {
  return made.has(model);
}

/** Tables made by `prepareBytePairs`. */
const prepared = new WeakMap<object, BytePairs>();

/** Number of tokens or merges per slice of work. */
const ENTRIES_A_SLICE = 4096;

/** Returns the tables of a BPE model. Throws FormatError if a merge is not two tokens that together form a third. */
export function bytePairsOf(model: TokenizerModel): BytePairs {
  const known = made.get(model) ?? prepared.get(model);
  if (known !== undefined) return known;
  return atOnce(makeTables(model));
}

/**
 * Makes the tables of a BPE model for `bytePairsOf`, in slices that yield to the event loop. Throws as `bytePairsOf`.
 */
export async function prepareBytePairs(model: TokenizerModel): Promise<void> {
  if (made.has(model)) return;
  prepared.set(model, await inSlices(makeTables(model)));
}

/** Makes the tables of a BPE model. The generator pauses after each slice of tokens or merges. */
export function* makeTables(model: TokenizerModel): Generator<undefined, BytePairs> {
  const vocab = model.vocab as Readonly<Record<string, number>>;
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  let count = 0;
  for (const token of Object.keys(vocab)) {
    const id = vocab[token] as number;
    ids.set(token, id);
    tokens[id] = token;
    if (++count % ENTRIES_A_SLICE === 0) yield;
  }
  const merges = model.merges ?? [];
  const rankOf = yield* ranksOf(merges, merges.length, numbered(ids), model.continuing_subword_prefix?.length);
  return { ids, size: tokens.length, tokenOf: (id) => tokens[id], rankOf };
}

/**
 * Makes the ranks of pairs from `count` merges. If a pair occurs several times, its last rank is used. `numbers` has a
 * different number for each token. The merged token omits the first `prefix` UTF-16 units of the right token. Throws
 * the errors of `bytePairsOf`.
 */
function* ranksOf(
  merges: Iterable<string | readonly string[]>,
  count: number,
  numbers: TokenIds,
  prefix = 0,
): Generator<undefined, BytePairs['rankOf']> {
  const table = new PairTable(count);
  let done = 0;
  for (const merge of merges) {
    const pair: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left, right] = (Array.isArray(pair) && pair.length === 2 ? pair : []) as [string, string];
    const [a, b] = [numbers.get(left), numbers.get(right)];
    if (a === undefined || b === undefined || !numbers.has(left + right.slice(prefix))) throw oddMerge(merge);
    table.add(a, b);
    if (++done % ENTRIES_A_SLICE === 0) yield;
  }
  return lookedUp(numbers, table);
}

/**
 * Like `ranksOf`, for merges as texts: two tokens with a space between. No strings are created. The generator pauses
 * after each slice of merges.
 */
export function* ranksOfTexts(merges: TextBytes, tokens: TokenTable): Generator<undefined, BytePairs['rankOf']> {
  const { length, bytes, starts, gap } = yield* wellFormed(merges, (merge) => merge);
  const table = new PairTable(length);
  for (let i = 0; i < length; i++) {
    const start = starts[i] as number;
    const end = (starts[i + 1] as number) - gap;
    const space = bytes.indexOf(SPACE, start + 1);
    const isPair = space >= 0 && space < end;
    const a = isPair ? tokens.findBytes(bytes, start, space) : undefined;
    const b = isPair ? tokens.findBytes(bytes, space + 1, end) : undefined;
    if (a === undefined || b === undefined || tokens.findBytes(bytes, start, space, space + 1, end) === undefined)
      throw oddMerge(merges.at(i));
    table.add(a, b);
    if (i % ENTRIES_A_SLICE === ENTRIES_A_SLICE - 1) yield;
  }
  return lookedUp(tokens, table);
}

const SPACE = 0x20;

const oddMerge = (merge: unknown) =>
  new FormatError(
    `this tokenizer.json has the merge ${JSON.stringify(merge)}, expected two tokens of its vocabulary that together form a third`,
  );

function lookedUp(numbers: TokenIds, table: PairTable): BytePairs['rankOf'] {
  return (left, right) => {
    const [a, b] = [numbers.get(left), numbers.get(right)];
    return a === undefined || b === undefined ? undefined : table.get(a, b);
  };
}

/** Returns a different number for each token: its id, unless several tokens share an id. */
function numbered(ids: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  if (new Set(ids.values()).size === ids.size) return ids;
  return new Map(Array.from(ids.keys(), (token, i) => [token, i]));
}

/** Returns an odd random factor for hashing. Each table has its own, so that collisions cannot be constructed. */
const randomFactor = () => (Math.random() * 2 ** 32) | 1;

/** Maps pairs of numbers to their positions in a list. If a pair occurs several times, the last position is used. */
class PairTable {
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  #size = 0;
  /** Positions + 1, placed by the hash of the pair (open addressing); 0 is an empty slot. */
  readonly #slots: Int32Array;
  readonly #leftFactor = randomFactor();
  readonly #rightFactor = randomFactor();

  /** Makes a table for `count` pairs. */
  constructor(count: number) {
    this.#lefts = new Int32Array(count);
    this.#rights = new Int32Array(count);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2)));
  }

  add(left: number, right: number): void {
    this.#lefts[this.#size] = left;
    this.#rights[this.#size] = right;
    this.#slots[this.#slotOf(left, right)] = ++this.#size;
  }

  get(left: number, right: number): number | undefined {
    const found = this.#slots[this.#slotOf(left, right)] as number;
    return found === 0 ? undefined : found - 1;
  }

  #slotOf(left: number, right: number): number {
    const slots = this.#slots;
    const hash = Math.imul(left, this.#leftFactor) ^ Math.imul(right, this.#rightFactor);
    for (let slot = hash ^ (hash >>> 15); ; slot++) {
      const index = slot & (slots.length - 1);
      const found = (slots[index] as number) - 1;
      if (found < 0 || (this.#lefts[found] === left && this.#rights[found] === right)) return index;
    }
  }
}
