// What the ranks of a run must agree on, beside gradients: how much each batch counts, losses, and when to stop.

import type { World } from './world.js';

/** What is known of a step once it has been computed, by one rank, or by all of them together. */
export interface Step {
  /** Of its batches, in their order. */
  readonly losses: readonly number[];
  readonly tokens: number;
  readonly examples: number;
  /** Whether it, or one of them, was asked to stop. */
  readonly isAborted: boolean;
  /** Whether much would be lost without a checkpoint. */
  readonly isLate: boolean;
}

/** The ranks of a run; one, without a world. */
export class Ranks {
  constructor(private readonly world: World | undefined) {}

  get size(): number {
    return this.world?.size ?? 1;
  }

  /** Whether this one writes files. */
  get isFirst(): boolean {
    return (this.world?.rank ?? 0) === 0;
  }

  /** The numbers of the batches of a step that are this rank's, where each rank has `each` of them. */
  batches(step: number, each: number): number[] {
    const { rank = 0, size = 1 } = this.world ?? {};
    return Array.from({ length: each }, (_, i) => (step - 1) * each * size + i * size + rank);
  }

  /** Values of this rank's batches to those of all, in the order of batches. */
  async all(own: readonly number[]): Promise<number[]> {
    if (this.world === undefined) return [...own];
    const given = await this.world.exchange(Float64Array.from(own));
    return own.flatMap((_, i) => given.map((values) => values[i] as number));
  }

  /** What all ranks know of a step together. */
  async step({ losses, tokens, examples, isAborted, isLate }: Step): Promise<Step> {
    if (this.world === undefined) return { losses, tokens, examples, isAborted, isLate };
    const flags = [Number(isAborted), Number(isLate)];
    const given = await this.world.exchange(Float64Array.of(tokens, examples, ...flags, ...losses));
    const sum = (i: number) => given.reduce((total, values) => total + (values[i] as number), 0);
    const all = losses.flatMap((_, i) => given.map((values) => values[4 + i] as number));
    return { losses: all, tokens: sum(0), examples: sum(1), isAborted: sum(2) > 0, isLate: sum(3) > 0 };
  }

  /** Whether one of them says so. */
  async any(own: boolean): Promise<boolean> {
    return (await this.all([Number(own)])).some((value) => value > 0);
  }

  /** The mean over the ranks of what each has measured; what all found alike stays as it is. */
  async mean(own: Readonly<Record<string, number>>): Promise<Readonly<Record<string, number>>> {
    if (this.world === undefined) return own;
    const given = (await this.world.exchangeText(JSON.stringify(encode(own)))).map(decode);
    const mean = (name: string) => {
      const values = given.map((each) => each[name] ?? Number.NaN);
      const isSame = values.every((value) => Object.is(value, values[0]));
      return isSame ? (values[0] as number) : values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    return Object.fromEntries(Object.keys(own).map((name) => [name, mean(name)]));
  }

  /** Tells the others why this one has failed. */
  fail(error: unknown): void {
    this.world?.fail(error instanceof Error ? error.message : String(error));
  }
}

/** JSON has no numbers that are not finite. */
function encode(metrics: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, String(value)]));
}

function decode(text: string): Record<string, number> {
  return Object.fromEntries(
    Object.entries(JSON.parse(text) as Record<string, string>).map(([name, value]) => [name, Number(value)]),
  );
}
