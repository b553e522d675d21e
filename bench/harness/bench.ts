// One run of one benchmark: its options, its results, and their output.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './contest.js';
import { BenchError } from './error.js';
import { LIMIT, Limits } from './limits.js';
import { commit, type Machine, thisMachine } from './machine.js';
import type { Peer } from './peer.js';
import type { Timing } from './statistics.js';

export interface BenchOptions {
  readonly name: string;
  readonly threads: number;
  readonly json: boolean;
  /** True for few rounds, for a first look. */
  readonly quick: boolean;
  /** Only rows whose names match are measured. */
  readonly only: RegExp | null;
  /** The command line, as typed after `npm run`. */
  readonly command: string;
}

/** A file of bench/: a question, and the function that answers it. */
export interface Bench {
  readonly question: string;
  run(run: Run): Promise<void>;
}

export interface Row {
  readonly what: string;
  /** Seconds by contestant. */
  readonly times: Readonly<Record<string, Timing>>;
  /** Speed relative to each peer: above 1 means that simdformer is faster. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Seconds that the machine needs at least. */
  readonly limit?: number;
  /** Ratio of the limit to our time: 1 is as fast as the machine allows. */
  readonly ofLimit?: number;
  /** Further figures by name, their unit in it. */
  readonly figures: Figures;
}

type Figures = Readonly<Record<string, number>>;

/** bench/results/<name>.json. */
export interface Results {
  readonly bench: string;
  readonly question: string;
  readonly command: string;
  readonly date: string;
  readonly commit: string;
  readonly threads: number;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  /** Measured in this run. */
  readonly machineLimits: Readonly<Record<string, number>>;
  /** Notes on rows that are not measured, with the reason. */
  readonly notes: readonly string[];
  /** Single figures of the whole, such as a mean of ratios. */
  readonly summary: Readonly<Record<string, number>>;
  readonly rows: readonly Row[];
}

export const resultsFolder = fileURLToPath(new URL('../results/', import.meta.url));

export class Run {
  readonly #rows: Row[] = [];
  readonly summary: Record<string, number> = {};
  readonly limits = new Limits();
  readonly #versions: Record<string, string> = { node: process.version };
  readonly #notes: string[] = [];
  readonly #peers: Peer[] = [];
  readonly #unwanted: string[] = [];

  constructor(
    readonly options: BenchOptions,
    private readonly question: string,
  ) {
    this.say(`${options.name}: ${question}`);
  }

  get threads(): number {
    return this.options.threads;
  }

  /** Number of rounds, in each of which every contestant runs once. */
  rounds(usual: number): number {
    return this.options.quick ? Math.min(3, usual) : usual;
  }

  wants(what: string): boolean {
    const isWanted = this.options.only?.test(what) ?? true;
    if (!isWanted) this.#unwanted.push(what);
    return isWanted;
  }

  /**
   * Starts a peer by `start`, which returns it and its version. Returns null, and prints a note, if the peer is not
   * available.
   */
  async peer(name: string, how: string, start: () => Promise<readonly [Peer, string]>): Promise<Peer | null> {
    try {
      const [peer, version] = await start();
      this.#peers.push(peer);
      this.version(name, version);
      return peer;
    } catch (error) {
      this.note(`${name} is NOT measured: ${(error as Error).message}. ${how}`);
      return null;
    }
  }

  version(of: string, version: string): void {
    this.#versions[of] = version;
  }

  note(text: string): void {
    this.#notes.push(text);
    console.error(text);
  }

  /** Measures the limits of the machine, beside which every result is printed. */
  async measureMachine(): Promise<void> {
    const told = Object.entries(await this.#machineLimits()).map(([name, value]) => `${value.toFixed(0)} ${name}`);
    this.say(`this machine reaches ${told.join(', ')}\n`);
  }

  async #machineLimits(): Promise<Record<string, number>> {
    const limits: Record<string, number> = {};
    for (const threads of new Set([1, this.threads])) {
      const by = `with ${threads} thread${threads > 1 ? 's' : ''}`;
      limits[`GFLOP/s ${by}`] = (await this.limits.flops(threads)) / 1e9;
      limits[`GB/s from memory ${by}`] = (await this.limits.reading(threads)) / 1e9;
    }
    return limits;
  }

  /** Notes a row, and prints it. */
  row(what: string, { times: all, ratios, shares }: Outcome, figures: Figures = {}): void {
    const { [LIMIT]: limit, ...times } = all;
    const ofLimit = shares[LIMIT];
    const row: Row = { what, times, ratios, ...(limit && ofLimit ? { limit: limit.median, ofLimit } : {}), figures };
    this.#rows.push(row);
    this.say(renderRow(row));
  }

  /** Prints a line for people. */
  say(text: string): void {
    if (!this.options.json) console.log(text);
  }

  /** Ends the run: prints the results as JSON, and saves them if the run was complete. */
  async finish(): Promise<void> {
    const hasNothing = this.#rows.length === 0 && Object.keys(this.summary).length === 0;
    if (hasNothing && this.#unwanted.length > 0) {
      throw new BenchError(`no row matches ${this.options.only}; there are:\n  ${this.#unwanted.join('\n  ')}`);
    }
    for (const [name, value] of Object.entries(this.summary)) this.say(`${name}: ${value.toPrecision(3)}`);
    const { name, threads, command, quick, only, json } = this.options;
    const results: Results = {
      bench: name,
      question: this.question,
      command,
      date: new Date().toISOString().slice(0, 16),
      commit: commit(),
      threads,
      machine: thisMachine(),
      versions: this.#versions,
      machineLimits: await this.#machineLimits(),
      notes: this.#notes,
      summary: this.summary,
      rows: this.#rows,
    };
    const text = `${JSON.stringify(results, (_, value) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value), 2)}\n`;
    if (json) process.stdout.write(text);
    if (quick || only) {
      this.say('\nA part, or quick: bench/results is left as it was.');
      return;
    }
    const path = join(resultsFolder, `${name}.json`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.${process.pid}`, text);
    renameSync(`${path}.${process.pid}`, path);
    this.say(`\n→ bench/results/${name}.json`);
  }

  close(): void {
    this.limits.close();
    for (const peer of this.#peers) peer.close();
  }
}

/** Formats a time for people. */
export function duration(seconds: number): string {
  const [value, unit] = seconds < 1e-3 ? [seconds * 1e6, 'µs'] : seconds < 1 ? [seconds * 1e3, 'ms'] : [seconds, 's'];
  return `${value.toPrecision(value < 100 ? 3 : 4)} ${unit}`;
}

function renderRow({ what, times, ratios, ofLimit, figures }: Row): string {
  const sides = Object.entries(times).map(([name, { median, quartiles }]) => {
    const spread = (100 * (quartiles[1] - quartiles[0])) / median;
    const ratio = ratios[name] === undefined ? '' : ` (${ratios[name].toFixed(2)}×)`;
    return `${name} ${duration(median)} ±${(spread / 2).toFixed(0)} %${ratio}`;
  });
  if (ofLimit !== undefined) sides.push(`${(100 * ofLimit).toFixed(0)} % of the limit`);
  for (const [name, value] of Object.entries(figures)) sides.push(`${name} ${Number(value.toPrecision(3))}`);
  return `${what.padEnd(34)} ${sides.join('   ')}`;
}
