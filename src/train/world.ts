// The interface between processes that train one model together. `mpi()` of simdformer/mpi implements it.

import { describeValue, isCount, isWhole } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** The type of numbers that are sent. float16 and bfloat16 halve the traffic, but round. */
export type WireFormat = 'float32' | 'float16' | 'bfloat16';
export const WIRE_FORMATS: readonly WireFormat[] = ['float32', 'float16', 'bfloat16'];

/**
 * One of `size` processes, called ranks, that train one model together. All ranks call the same methods in the same
 * order. Promises reject with WorldError if a rank fails, ends, or does not answer.
 */
export interface World {
  /** The number of this rank, from 0. */
  readonly rank: number;
  readonly size: number;
  /** Returns the values of all ranks, by rank. All ranks must give the same number of values. */
  exchange(values: Float64Array): Promise<Float64Array[]>;
  /** Returns the texts of all ranks, by rank. */
  exchangeText(text: string): Promise<string[]>;
  /**
   * Adds the `values` of all ranks to `sum`, in the order of ranks: sum ← ((sum + v₀) + v₁) + …. The bits therefore
   * equal those of one process that adds them in turn. Each rank adds up its own part, `sum`, which begins as v₀ if
   * `isFirst`. `values` has the length of all parts together. If `isLast`, `values` receives the whole sum.
   */
  reduce(values: Float32Array, sum: Float32Array, options: GradientSumOptions): Promise<void>;
  /** Copies the `values` of rank `root` to all ranks. */
  broadcast(values: Float32Array, root: number): Promise<void>;
  /** Copies each rank's part of `values` to all ranks. The parts lie rank after rank and have `lengths` elements. */
  allGather(values: Float32Array, lengths: readonly number[]): Promise<void>;
  /** Tells all other ranks that this one has failed, and why. Their pending promises reject with that error. */
  fail(reason: string): void;
}

/** Options of `World.reduce`. */
export interface GradientSumOptions {
  /** True for the first addend of the sum. */
  readonly isFirst: boolean;
  /** True for the last addend of the sum. */
  readonly isLast: boolean;
  /** Format of the values between ranks. */
  readonly wire: WireFormat;
}

/** Number of elements that each of `size` ranks adds up, of `length` in total. */
export function partLength(length: number, size: number): number {
  return Math.ceil(length / size);
}

const METHODS = ['exchange', 'exchangeText', 'reduce', 'broadcast', 'allGather', 'fail'] as const;

/** Throws ArgumentError for a value that is not a World. */
export function checkWorld(world: World): void {
  const candidate: Partial<World> = Object(world);
  const { rank = -1, size = 0 } = candidate;
  const isRank = isWhole(rank) && isCount(size) && rank < size;
  if (isRank && METHODS.every((name) => typeof candidate[name] === 'function')) return;
  throw new ArgumentError(`fit: world is ${describeValue(world)}, expected the result of mpi() of simdformer/mpi`);
}

/**
 * Throws ArgumentError, on every rank, unless all ranks gave equal `facts`, such as the version, the data and the
 * options of a run. Undefined facts are left out. The error names the rank that differs from most others, and the fact.
 */
export async function checkAgreement(world: World, facts: Readonly<Record<string, unknown>>): Promise<void> {
  const factsJson = JSON.stringify(facts, (_, value) => (typeof value === 'function' ? 'a function' : value));
  const texts = await world.exchangeText(factsJson);
  const all = texts.map((text) => JSON.parse(text) as Record<string, unknown>);
  for (const name of new Set(all.flatMap((rankFacts) => Object.keys(rankFacts)))) {
    const values = all.map((rankFacts) => JSON.stringify(rankFacts[name]) ?? 'undefined'); // sort() would put undefined last
    const count = (value: string) => values.filter((candidate) => candidate === value).length;
    const [usual] = [...values].sort((a, b) => count(b) - count(a));
    const rank = values.findIndex((value) => value !== usual);
    if (rank === -1) continue;
    throw new ArgumentError(
      `fit: rank ${rank} differs from the others: its ${name} is ${values[rank]}, theirs ${usual}; start all ranks with the same data and options`,
    );
  }
}
