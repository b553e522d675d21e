// The interface of processes that train one model together; `mpi()` of simdformer/mpi implements it.

import { describeValue, isCount, isWhole } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** The type of numbers on the wire. The last two halve the traffic, and round. */
export type WireFormat = 'float32' | 'float16' | 'bfloat16';

/**
 * One of `size` processes, called ranks, that train one model together. All ranks call the same methods in the same order.
 * Promises reject with WorldError once a rank has failed, ended, or does not answer.
 */
export interface World {
  /** The number of this rank, from 0. */
  readonly rank: number;
  readonly size: number;
  /** The values of all ranks, by rank. All ranks give the same number of values. */
  exchange(values: Float64Array): Promise<Float64Array[]>;
  /** The texts of all ranks, by rank. */
  exchangeText(text: string): Promise<string[]>;
  /**
   * Adds the `values` of all ranks to `sum`, in the order of ranks: sum ← ((sum + v₀) + v₁) + …. The bits therefore
   * equal those of one process that adds them in turn. Each rank adds up its own part, `sum`, which begins as v₀ if
   * `isFirst`. `values` has the length of all parts together. If `isLast`, `values` receives the whole sum.
   */
  reduce(values: Float32Array, sum: Float32Array, options: ReduceOptions): Promise<void>;
  /** Copies the `values` of rank `root` to all ranks. */
  broadcast(values: Float32Array, root: number): Promise<void>;
  /** Copies each rank's part of `values` to all ranks. The parts lie rank after rank and have `lengths` elements. */
  allGather(values: Float32Array, lengths: readonly number[]): Promise<void>;
  /** Tells all other ranks that this one has failed, and why. Their pending promises reject with that error. */
  fail(reason: string): void;
}

export interface ReduceOptions {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly wire: WireFormat;
}

/** Elements of `length` that each of `size` ranks adds up. */
export function partLength(length: number, size: number): number {
  return Math.ceil(length / size);
}

const METHODS = ['exchange', 'exchangeText', 'reduce', 'broadcast', 'allGather', 'fail'] as const;

/** Throws ArgumentError for a value that is no world. */
export function checkWorld(world: World): void {
  const given: Partial<World> = Object(world);
  const { rank = -1, size = 0 } = given;
  const isRank = isWhole(rank) && isCount(size) && rank < size;
  if (isRank && METHODS.every((name) => typeof given[name] === 'function')) return;
  throw new ArgumentError(`fit: world is ${describeValue(world)}, expected what mpi() of simdformer/mpi gives`);
}

/**
 * Throws ArgumentError, on every rank, unless all ranks gave equal `facts`, such as the version, the data and the options
 * of a run. Undefined facts are left out. The error names the rank that differs from most others, and the fact.
 */
export async function checkAgreement(world: World, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const said = JSON.stringify(facts, (_, value) => (typeof value === 'function' ? 'a function' : value));
  const texts = await world.exchangeText(said);
  const all = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  for (const name of new Set(all.flatMap((each) => Object.keys(each)))) {
    const values = all.map((each) => JSON.stringify(each[name]) ?? 'undefined'); // sort() would put undefined last
    const count = (value: string) => values.filter((each) => each === value).length;
    const [usual] = [...values].sort((a, b) => count(b) - count(a));
    const rank = values.findIndex((value) => value !== usual);
    if (rank === -1) continue;
    throw new ArgumentError(
      `fit: rank ${rank} differs from the others: its ${name} is ${values[rank]}, theirs ${usual}; start all alike`,
    );
  }
}
