// Measures which contestant is faster. They take turns in rounds, so that a machine that slows down slows all of them.

import { setTimeout } from 'node:timers/promises';
import { BenchError } from './error.js';
import { median, summarize, type Timing } from './statistics.js';

/**
 * A contestant's report after it did its work `repeats` times: the seconds of one repeat, and some numbers of the
 * result.
 */
export interface Turn {
  readonly seconds: number;
  readonly sample?: readonly number[];
}

export interface Contestant {
  readonly name: string;
  /**
   * True for a reference that is not a peer. It has a share of our time instead of a ratio, and its results are not
   * compared.
   */
  readonly isReference?: boolean;
  take(repeats: number): Turn | Promise<Turn>;
}

export interface ContestOptions {
  readonly rounds: number;
  /** The largest difference between samples, relative to the largest value. Default: 1e-3. */
  readonly tolerance?: number;
  /**
   * Minimum seconds of a turn, filled with repeats: after a rest, products need some milliseconds to reach full speed.
   * Default: 0.1.
   */
  readonly turn?: number;
  /** Seconds after which the contest ends, once it had MIN_ROUNDS rounds. Default: 10. */
  readonly seconds?: number;
  /** Seconds of warm-up before measurements, in which code is compiled and weights are laid out. Default: 0.3. */
  readonly warming?: number;
}

export interface Outcome {
  /** Keys are the contestants' names. */
  readonly times: Readonly<Record<string, Timing>>;
  /** Speed of the first contestant relative to each peer: the median of the ratios of all rounds. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Each reference's time as a share of the first contestant's time: the median over rounds. */
  readonly shares: Readonly<Record<string, number>>;
}

/** Pause in seconds between turns, because threads of the last turn may still spin while they wait for work. */
const REST = 0.05;
const MIN_ROUNDS = 3;

/** Times every contestant in every round, after checking that their results agree with those of the first one. */
export async function contest(contestants: readonly Contestant[], options: ContestOptions): Promise<Outcome> {
  const { rounds, tolerance = 1e-3, turn = 0.1, seconds: budget = 10, warming = 0.3 } = options;
  const [first] = contestants;
  if (first === undefined) throw new Error('a contest needs a contestant');
  const repeats: number[] = [];
  let expected: readonly number[] | undefined;
  for (const { name, take, isReference } of contestants) {
    const end = performance.now() + 1e3 * warming;
    const { seconds: cold, sample } = await take(1);
    expected ??= sample;
    if (expected && sample && !isReference) agree(first.name, expected, name, sample, tolerance);
    let seconds = cold;
    while (performance.now() < end) seconds = (await take(2)).seconds;
    repeats.push(Math.max(1, Math.round(turn / seconds)));
  }
  const times = contestants.map((): number[] => []);
  const end = performance.now() + 1e3 * budget;
  for (let round = 0; round < rounds && (round < MIN_ROUNDS || performance.now() < end); round++) {
    for (let i = 0; i < contestants.length; i++) {
      const who = (i + round) % contestants.length; // a different contestant goes first in each round
      await setTimeout(REST * 1e3);
      const { seconds } = await (contestants[who] as Contestant).take(repeats[who] as number);
      (times[who] as number[]).push(seconds);
    }
  }
  const ours = times[0] as number[];
  const besideOurs = contestants.map(({ name, isReference = false }, i) => {
    const rounds = (times[i] as number[]).map((time, round) => time / (ours[round] as number));
    return { name, isReference, quotient: median(rounds) };
  });
  const quotients = (ofReferences: boolean) => {
    const some = besideOurs.slice(1).filter(({ isReference }) => isReference === ofReferences);
    return Object.fromEntries(some.map(({ name, quotient }) => [name, quotient]));
  };
  return {
    times: Object.fromEntries(contestants.map(({ name }, i) => [name, summarize(times[i] as number[])])),
    ratios: quotients(false),
    shares: quotients(true),
  };
}

/** Throws BenchError unless the samples agree. */
export function agree(
  name: string,
  sample: readonly number[],
  otherName: string,
  other: readonly number[],
  tolerance: number,
): void {
  const largest = Math.max(...sample.map(Math.abs), 1e-30);
  const differences = sample.map((x, i) => Math.abs(x - (other[i] as number)) / largest);
  const worst = differences.some(Number.isNaN) ? Number.NaN : Math.max(...differences);
  if (sample.length !== other.length || !(worst <= tolerance)) {
    throw new BenchError(`${name} and ${otherName} disagree by ${worst} of the largest value, ${tolerance} is allowed`);
  }
}
