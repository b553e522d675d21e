// Makes batches of examples that are read on demand: from a file of any length, a database or a generator.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';

/**
 * Examples that are read one by one, again in each epoch: an iterable, sync or async, or a function that returns one.
 */
export type ExampleStream<Item> = Iterable<Item> | AsyncIterable<Item> | (() => Iterable<Item> | AsyncIterable<Item>);

export interface StreamOptions<Item> {
  /** Number of examples in a batch. Default: as many as `tokens` allows. */
  readonly size?: number | undefined;
  /** Maximum number of tokens in a batch, if `size` is not given. Default: 4096. */
  readonly tokens?: number | undefined;
  /** Returns the number of tokens of an example. Default: 1. */
  readonly tokensOf?: ((item: Item) => number) | undefined;
  /** Number of examples in the shuffle buffer, from which batches are drawn. Default: 8192. */
  readonly buffer?: number | undefined;
  /** Seed of the order of examples. Default: 0. */
  readonly seed?: number | undefined;
}

/** An endless sequence of batches. Batch n depends only on the examples, n and the seed. */
export interface StreamBatches<Item> {
  batch(n: number): Promise<readonly Item[]>;
  /** The number of batches in an epoch. Reads an epoch, if none was read yet. */
  count(): Promise<number>;
  /** Closes the stream. */
  close(): Promise<void>;
}

const SHUFFLE_STREAM = 0x57e4a6;
/** Number of examples in the shuffle buffer by default. */
export const DEFAULT_BUFFER = 8192;

const KINDS = {
  size: 'count',
  tokens: 'count',
  tokensOf: 'function',
  buffer: 'count',
  seed: 'seed',
} as const;

/** One pass over the examples. */
interface Pass<Item> {
  readonly epoch: number;
  readonly batches: AsyncGenerator<readonly Item[], void>;
  /** The number of the next batch in the epoch. */
  next: number;
}

/**
 * Makes batches from a stream. Batches are drawn at random from a buffer of examples; no other examples are kept in
 * memory. A resumed run reads the stream again up to its position. With `size` a batch has that many examples;
 * otherwise it has as many as fit into `tokens`, of similar length if the buffer has them. Each epoch reads the stream
 * from its beginning, so pass a generator function instead of a generator. Throws ArgumentError for invalid options,
 * and if an epoch has no examples or one that is longer than `tokens`.
 */
export function streamBatches<Item>(
  examples: ExampleStream<Item>,
  options: StreamOptions<Item> = {},
): StreamBatches<Item> {
  const op = 'streamBatches';
  const {
    size,
    tokens = 4096,
    tokensOf = () => 1,
    buffer = DEFAULT_BUFFER,
    seed = 0,
  } = checkOptions(op, options, KINDS);
  return new StreamReader(examples, { size, tokens, tokensOf, buffer, op }, seed);
}

/** Makes the batches of `streamBatches`. */
export class StreamReader<Item> implements StreamBatches<Item> {
  readonly #examples: ExampleStream<Item>;
  readonly #limits: Limits<Item>;
  readonly #seed: number;
  #perEpoch: number | undefined;
  #pass: Pass<Item> | undefined;
  #opened = 0;
  /** The latest batch, which may be requested again although the stream can be read only once. */
  #latest: { readonly n: number; readonly items: readonly Item[] } | undefined;

  constructor(examples: ExampleStream<Item>, limits: Limits<Item>, seed: number) {
    this.#examples = examples;
    this.#limits = limits;
    this.#seed = seed;
  }

  async count(): Promise<number> {
    if (this.#perEpoch !== undefined) return this.#perEpoch;
    const whole = this.#begin(0);
    while ((await this.#advance(whole)) !== undefined);
    return this.#perEpoch as unknown as number;
  }

  async close(): Promise<void> {
    await this.#pass?.batches.return();
    this.#pass = undefined;
  }

  async batch(n: number): Promise<readonly Item[]> {
    if (this.#latest?.n === n) return this.#latest.items;
    // The number of batches in an epoch may be unknown until the epoch ends.
    for (let first = 0, epoch = 0; ; first += this.#perEpoch as number, epoch++) {
      if (this.#perEpoch !== undefined && n >= first + this.#perEpoch) continue;
      const items = await this.#batchOf(epoch, n - first);
      if (items === undefined) continue;
      this.#latest = { n, items };
      return items;
    }
  }

  /** Returns batch n of an epoch; undefined if the epoch is shorter. */
  async #batchOf(epoch: number, n: number): Promise<readonly Item[] | undefined> {
    if (this.#pass === undefined || this.#pass.epoch !== epoch || this.#pass.next > n) {
      await this.close();
      this.#pass = this.#begin(epoch);
    }
    const pass = this.#pass;
    for (;;) {
      const isWanted = pass.next === n;
      const items = await this.#advance(pass);
      if (items === undefined || isWanted) return items;
    }
  }

  #begin(epoch: number): Pass<Item> {
    this.#opened++;
    const random = new Random(this.#seed, SHUFFLE_STREAM + epoch);
    return { epoch, batches: drawn(open(this.#limits.op, this.#examples), this.#limits, random), next: 0 };
  }

  /** Returns the next batch of a pass; undefined at its end, when the number of batches becomes known. */
  async #advance(pass: Pass<Item>): Promise<readonly Item[] | undefined> {
    const { value, done } = await pass.batches.next();
    if (!done) {
      pass.next++;
      return value;
    }
    if (pass.next === 0)
      throw new ArgumentError(nothingIn(this.#limits.op, this.#examples, pass.epoch, this.#opened > 1));
    this.#perEpoch = pass.next;
    return undefined;
  }
}

function nothingIn<Item>(op: string, examples: ExampleStream<Item>, epoch: number, isAgain: boolean): string {
  const again = isAgain && typeof examples !== 'function' ? ': it can be read once; give a function that opens it' : '';
  return `${op}: there are no examples in epoch ${epoch}${again}`;
}

function open<Item>(op: string, examples: ExampleStream<Item>): AsyncIterable<Item> | Iterable<Item> {
  const opened = typeof examples === 'function' ? examples() : examples;
  if (Symbol.asyncIterator in Object(opened) || Symbol.iterator in Object(opened)) return opened;
  throw new ArgumentError(`${op}: the examples are ${describeValue(opened)}, expected an iterable or async iterable`);
}

interface Limits<Item> {
  readonly size: number | undefined;
  readonly tokens: number;
  readonly tokensOf: (item: Item) => number;
  readonly buffer: number;
  /** The function that errors name. */
  readonly op: string;
}

/** Fills the buffer, and yields batches drawn from it once it is full. */
async function* drawn<Item>(
  examples: AsyncIterable<Item> | Iterable<Item>,
  limits: Limits<Item>,
  random: Random,
): AsyncGenerator<readonly Item[], void> {
  const held: Item[] = [];
  for await (const item of examples) {
    held.push(item);
    if (held.length >= limits.buffer) yield draw(held, limits, random);
  }
  while (held.length > 0) yield draw(held, limits, random);
}

/** Takes a batch from the buffer: a random example, then random others (with `size`) or those of the nearest length. */
function draw<Item>(held: Item[], { size, tokens, tokensOf, op }: Limits<Item>, random: Random): Item[] {
  const first = take(held, random.below(held.length));
  if (size !== undefined) {
    const batch = [first];
    while (batch.length < size && held.length > 0) batch.push(take(held, random.below(held.length)));
    return batch;
  }
  const length = tokensOf(first);
  if (!(length > 0 && length <= tokens))
    throw new ArgumentError(`${op}: an example has ${length} tokens, a batch may have 1 to ${tokens}`);
  // Among examples of equal distance in length, their order in the buffer decides, which is random.
  const near = held.map((item, i) => ({ i, length: tokensOf(item) }));
  near.sort((a, b) => Math.abs(a.length - length) - Math.abs(b.length - length) || a.i - b.i);
  const chosen: number[] = [];
  let sum = length;
  for (const other of near) {
    if (sum + other.length > tokens) break;
    sum += other.length;
    chosen.push(other.i);
  }
  const batch = [first, ...chosen.map((i) => held[i] as Item)];
  for (const i of chosen.sort((a, b) => b - a)) take(held, i);
  return batch;
}

/** Removes an item, and puts the last one in its place. */
function take<Item>(held: Item[], i: number): Item {
  const item = held[i] as Item;
  const last = held.pop() as Item;
  if (i < held.length) held[i] = last;
  return item;
}
