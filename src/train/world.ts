// What `fit` needs of the processes that train one model together: `mpi()` of simdformer/mpi makes one.

import { describeValue, isCount, isWhole } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** How numbers travel: the last two take half the bytes, and are rounded on their way. */
export type WireFormat = 'float32' | 'float16' | 'bfloat16';

/**
 * One of `size` processes, its ranks, that train one model together. All of them call the same methods in the same
 * order. Promises reject with WorldError once a rank has failed, ended, or not been heard of.
 */
export interface World {
  /** From 0. */
  readonly rank: number;
  readonly size: number;
  /** Everyone's values, by rank; all give as many. */
  exchange(values: Float64Array): Promise<Float64Array[]>;
  /** Everyone's text, by rank. */
  exchangeText(text: string): Promise<string[]>;
  /**
   * Adds everyone's `values` to `sum`, in the order of ranks: sum ← ((sum + v₀) + v₁) + …, so that many ranks give the
   * bits of one that adds one after the other. Each rank adds up a part of its own, `sum`, which begins as v₀ where `isFirst`;
   * `values` has the length of all ranks' parts together. Where `isLast`, `values` becomes the whole sum.
   */
  reduce(values: Float32Array, sum: Float32Array, options: ReduceOptions): Promise<void>;
  /** Everyone's `values` become those of rank `root`. */
  broadcast(values: Float32Array, root: number): Promise<void>;
  /** Everyone's part of `values`, where they lie rank after rank, `lengths` elements of each. */
  allGather(values: Float32Array, lengths: readonly number[]): Promise<void>;
  /** Tells all other ranks that this one has failed, and why: what they wait for rejects with that. */
  fail(reason: string): void;
}

export interface ReduceOptions {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly wire: WireFormat;
}

/** Elements that each of `size` ranks adds up, of `length`. */
export function partLength(length: number, size: number): number {
  return Math.ceil(length / size);
}

const METHODS = ['exchange', 'exchangeText', 'reduce', 'broadcast', 'allGather', 'fail'] as const;

/** Throws ArgumentError for what is no world. */
export function checkWorld(world: World): void {
  const given: Partial<World> = Object(world);
  const { rank = -1, size = 0 } = given;
  const isRank = isWhole(rank) && isCount(size) && rank < size;
  if (isRank && METHODS.every((name) => typeof given[name] === 'function')) return;
  throw new ArgumentError(`fit: world is ${describeValue(world)}, expected what mpi() of simdformer/mpi gives`);
}

/**
 * Throws ArgumentError, on every rank, unless all gave the same: `facts` by name, such as the version, the data and the
 * options of a run, those that are undefined left out. The error names the rank that differs from most, and in what.
 */
export async function checkAgreement(world: World, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const said = JSON.stringify(facts, (_, value) => (typeof value === 'function' ? 'a function' : value));
  const texts = await world.exchangeText(said);
  const all = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  for (const name of new Set(all.flatMap((each) => Object.keys(each)))) {
    const values = all.map((each) => JSON.stringify(each[name]) ?? 'undefined'); // which sort() would put last
    const count = (value: string) => values.filter((each) => each === value).length;
    const [usual] = [...values].sort((a, b) => count(b) - count(a));
    const rank = values.findIndex((value) => value !== usual);
    if (rank === -1) continue;
    throw new ArgumentError(
      `fit: rank ${rank} differs from the others: its ${name} is ${values[rank]}, theirs ${usual}; start all alike`,
    );
  }
}
