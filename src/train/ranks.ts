// Values other than gradients that the ranks of a run share: weights of batches, losses, and when to stop.

import type { World } from './world.js';

/** The results of a computed step, of one rank or of all ranks together. */
export interface Step {
  /** The losses of the batches, in order. */
  readonly losses: readonly number[];
  readonly tokens: number;
  readonly examples: number;
  /** True if this rank (or, in shared results, any rank) was asked to stop. */
  readonly isAborted: boolean;
  /** True if it is time for a checkpoint. */
  readonly isLate: boolean;
}

/** The ranks of a run; a run without a world has one. */
export class Ranks {
  constructor(private readonly world: World | undefined) {}

  get size(): number {
    return this.world?.size ?? 1;
  }

  /** True if this rank writes files. */
  get isFirst(): boolean {
    return (this.world?.rank ?? 0) === 0;
  }

  /** Returns the numbers of this rank's batches in a step in which each rank has `perRank` batches. */
  batches(step: number, perRank: number): number[] {
    const { rank = 0, size = 1 } = this.world ?? {};
    return Array.from({ length: perRank }, (_, i) => (step - 1) * perRank * size + i * size + rank);
  }

  /**
   * Exchanges values of batches. `local` has the values of this rank's batches, the result those of all ranks, in the
   * order of batches.
   */
  async all(local: readonly number[]): Promise<number[]> {
    if (this.world === undefined) return [...local];
    const gathered = await this.world.exchange(Float64Array.from(local));
    return local.flatMap((_, i) => gathered.map((values) => values[i] as number));
  }

  /** Combines the results of a step over all ranks. */
  async step({ losses, tokens, examples, isAborted, isLate }: Step): Promise<Step> {
    if (this.world === undefined) return { losses, tokens, examples, isAborted, isLate };
    const flags = [Number(isAborted), Number(isLate)];
    const gathered = await this.world.exchange(Float64Array.of(tokens, examples, ...flags, ...losses));
    const sum = (i: number) => gathered.reduce((total, values) => total + (values[i] as number), 0);
    const all = losses.flatMap((_, i) => gathered.map((values) => values[4 + i] as number));
    return { losses: all, tokens: sum(0), examples: sum(1), isAborted: sum(2) > 0, isLate: sum(3) > 0 };
  }

  /** Resolves with true if the value is true on any rank. */
  async any(local: boolean): Promise<boolean> {
    return (await this.all([Number(local)])).some((value) => value > 0);
  }

  /** Returns the mean of the ranks' metrics. A value that is equal on all ranks keeps its bits. */
  async mean(local: Readonly<Record<string, number>>): Promise<Readonly<Record<string, number>>> {
    if (this.world === undefined) return local;
    const gathered = (await this.world.exchangeText(JSON.stringify(encode(local)))).map(decode);
    const mean = (name: string) => {
      const values = gathered.map((metrics) => metrics[name] ?? Number.NaN);
      const isSame = values.every((value) => Object.is(value, values[0]));
      return isSame ? (values[0] as number) : values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    return Object.fromEntries(Object.keys(local).map((name) => [name, mean(name)]));
  }

  /** Tells the other ranks why this one has failed. */
  fail(error: unknown): void {
    this.world?.fail(error instanceof Error ? error.message : String(error));
  }
}

/** Converts metrics to strings, because JSON has no NaN and no infinities. */
function encode(metrics: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, String(value)]));
}

function decode(text: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(JSON.parse(text) as Record<string, string>).map(([name, value]) => [name, Number(value)]),
  );
}
