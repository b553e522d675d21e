// The tokens of a BPE model and which of them are merged first, as tables that are looked into by number: keys of text for
// half a million merges would take seconds.

import { FormatError } from '../core/errors.js';
import type { TokenizerModel } from './json.js';
import { type TokenIds, TokenTable } from './token-table.js';

export interface BytePairs {
  readonly ids: TokenIds;
  /** One more than the last id. */
  readonly size: number;
  tokenOf(id: number): string | undefined;
  /** Of pairs the one with the lowest is merged first; undefined for a pair that is not merged. */
  rankOf(left: string, right: string): number | undefined;
}

const made = new WeakMap<object, BytePairs>();

/** A model whose tables are there: its vocabulary and merges, as a tokenizer.json has them, are made when they are asked for. */
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

/** Whether its tables are there, and need no check. */
export function hasBytePairs(model: object): boolean {
  return made.has(model);
}

/** The tables of a BPE model. Throws FormatError for merges that are not two tokens which make a third. */
export function bytePairsOf(model: TokenizerModel): BytePairs {
  const known = made.get(model);
  if (known !== undefined) return known;
  const vocab = model.vocab as Readonly<Record<string, number>>;
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  for (const token of Object.keys(vocab)) {
    const id = vocab[token] as number;
    ids.set(token, id);
    tokens[id] = token;
  }
  const merges = model.merges ?? [];
  return {
    ids,
    size: tokens.length,
    tokenOf: (id) => tokens[id],
    rankOf: ranksOf(merges, merges.length, numbered(ids), model.continuing_subword_prefix?.length),
  };
}

/**
 * The place of each pair among `count` merges, of which the last counts if there are several; `numbers` has another one for each
 * token. Of the right one of a pair the merged token lacks the first `prefix` units. Throws as `bytePairsOf`.
 */
export function ranksOf(
  merges: Iterable<string | readonly string[]>,
  count: number,
  numbers: TokenIds,
  prefix = 0,
): BytePairs['rankOf'] {
  const find = (token: string) => (numbers instanceof TokenTable ? numbers.find(token) : numbers.get(token));
  const table = new PairTable(count);
  let rank = 0;
  for (const merge of merges) {
    const pair: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : merge;
    const [left, right] = (Array.isArray(pair) && pair.length === 2 ? pair : []) as [string, string];
    const [a, b] = [find(left), find(right)];
    if (a === undefined || b === undefined || find(left + right.slice(prefix)) === undefined)
      throw new FormatError(
        `this tokenizer.json has the merge ${JSON.stringify(merge)}, expected two tokens of its vocabulary that make a third`,
      );
    table.set(a, b, rank++);
  }
  return (left, right) => {
    const [a, b] = [numbers.get(left), numbers.get(right)];
    return a === undefined || b === undefined ? undefined : table.get(a, b);
  };
}

/** A number for each token: its id, unless some share one. */
function numbered(ids: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  if (new Set(ids.values()).size === ids.size) return ids;
  return new Map(Array.from(ids.keys(), (token, i) => [token, i]));
}

/** Numbers by pairs of numbers: open addressing in typed arrays. */
class PairTable {
  readonly #mask: number;
  /** Left, right, value + 1 of each slot; a zero is an empty one. */
  readonly #slots: Int32Array;

  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#mask = size - 1;
    this.#slots = new Int32Array(3 * size);
  }

  set(left: number, right: number, value: number): void {
    const slot = this.#slotOf(left, right);
    this.#slots[slot] = left;
    this.#slots[slot + 1] = right;
    this.#slots[slot + 2] = value + 1;
  }

  get(left: number, right: number): number | undefined {
    const value = this.#slots[this.#slotOf(left, right) + 2] as number;
    return value === 0 ? undefined : value - 1;
  }

  #slotOf(left: number, right: number): number {
    const slots = this.#slots;
    const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    for (let slot = mixed ^ (mixed >>> 15); ; slot++) {
      const at = 3 * (slot & this.#mask);
      if (slots[at + 2] === 0 || (slots[at] === left && slots[at + 1] === right)) return at;
    }
  }
}
