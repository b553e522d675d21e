import { checkKnown, checkNumber, checkOptions, checkSeed, describeValue, isCount } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { fingerprint, fingerprintOf } from './fingerprint.js';

/** One side of an example: token ids, or other numbers if the model reads or predicts numbers. */
export type Row = ArrayLike<number>;

/**
 * An example for training. A `Transformer` takes token ids. Its encoder reads `source`, which decoder-only models do
 * not have. `target` begins with the start token and ends with the end token. The decoder learns each token from the
 * ones before it. For encoder-only models, `target` has one label per token of the source.
 */
export interface Example<Source extends Row = readonly number[], Target extends Row = readonly number[]> {
  readonly source?: Source | undefined;
  readonly target: Target;
}

/** An endless sequence of batches. Batch n depends only on n and the seed, so a run can be resumed anywhere. */
export interface Batches<Source extends Row = readonly number[], Target extends Row = readonly number[]> {
  /** Number of batches in one epoch. */
  readonly perEpoch: number;
  batch(n: number): readonly Example<Source, Target>[];
  /**
   * A number that identifies the data and their batches. A resumed run compares it with that of the checkpoint.
   * Default: none, and the first batches are compared instead.
   */
  readonly fingerprint?: number | undefined;
}

/** Maximum number of tokens in a batch of windows. More would exhaust JavaScript's memory and end the process. */
const MAX_TOKENS = 2 ** 24;

const SHUFFLE_STREAM = 0x5175ff1e;

/** Options of `lengthBatches`. */
export interface LengthBatchesOptions {
  tokens?: number | undefined;
  seed?: number | undefined;
}

function sidesLength({ source, target }: Example<Row, Row>): number {
  return (source?.length ?? 0) + target.length;
}

/**
 * Batches of examples of similar length. A batch has at most `tokens` source and target tokens together, 4096 by
 * default. Each epoch draws from `seed` (default 0) which examples of similar length share a batch, and the order of
 * the batches. Throws ArgumentError for invalid options, for no examples, and for an example that is empty or longer
 * than `tokens`.
 */
export function lengthBatches<Source extends Row = readonly number[], Target extends Row = readonly number[]>(
  examples: readonly Example<Source, Target>[],
  options: LengthBatchesOptions = {},
): Batches<Source, Target> {
  const op = 'lengthBatches';
  const { tokens = 4096, seed = 0 } = checkOptions(op, options, { tokens: 'count', seed: 'seed' });
  return pairBatches(op, examples, { tokens, seed });
}

/** Same as `lengthBatches`, for checked options. Errors name `op`. */
export function pairBatches<Source extends Row, Target extends Row>(
  op: string,
  examples: readonly Example<Source, Target>[],
  { tokens, seed }: Complete<LengthBatchesOptions>,
): Batches<Source, Target> {
  checkExamples(op, examples);
  return batchesByLength(op, examples, { tokens, seed, tokensOf: sidesLength, fingerprintAll: fingerprintOf });
}

/** Same as `pairBatches`, for any examples of which `tokensOf` tells the length. */
export function batchesByLength<Item>(
  op: string,
  examples: readonly Item[],
  options: {
    readonly tokens: number;
    readonly seed: number;
    readonly tokensOf: (item: Item) => number;
    readonly fingerprintAll: (items: readonly Item[]) => number;
  },
): ShuffledBatches<Item> {
  const { tokens, seed, tokensOf, fingerprintAll } = options;
  if (examples.length === 0) throw new ArgumentError(`${op}: there are no examples to train on`);
  const lengths = examples.map(tokensOf);
  lengths.forEach((length, i) => {
    if (length > tokens || length === 0) {
      throw new ArgumentError(`${op}: example ${i} has ${length} tokens, a batch may have 1 to ${tokens}`);
    }
  });
  const sorted = [...lengths].sort((a, b) => a - b);
  const ends: number[] = [];
  let sum = 0;
  sorted.forEach((length, i) => {
    if (sum + length > tokens) {
      ends.push(i);
      sum = 0;
    }
    sum += length;
  });
  ends.push(sorted.length);

  let epoch = -1;
  let order: number[] = [];
  let sequence: number[] = [];
  return {
    perEpoch: ends.length,
    get fingerprint() {
      return fingerprint([tokens], fingerprintAll(examples));
    },
    batch(n) {
      const wanted = Math.floor(n / ends.length);
      if (wanted !== epoch) {
        epoch = wanted;
        const random = new Random(seed, SHUFFLE_STREAM + epoch);
        // Sorting is stable: equal lengths keep the random order.
        order = random
          .shuffle(examples.map((_, i) => i))
          .sort((a, b) => (lengths[a] as number) - (lengths[b] as number));
        sequence = random.shuffle(ends.map((_, i) => i));
      }
      const index = sequence[n % ends.length] as number;
      const from = index === 0 ? 0 : (ends[index - 1] as number);
      return order.slice(from, ends[index]).map((i) => examples[i] as Item);
    },
  };
}

/** Batches of an array. The order of the examples is drawn again in each epoch. */
export interface ShuffledBatches<Item> {
  /** Number of batches in an epoch. */
  readonly perEpoch: number;
  /** Number that differs for other examples, so that a resumed training finds out; undefined if none was asked for. */
  readonly fingerprint: number | undefined;
  /** Returns the examples of batch `n`, counted from 0 over all epochs. */
  batch(n: number): readonly Item[];
}

/**
 * Batches of `size` examples each, drawn again in each epoch; the last batch of an epoch has the remaining examples.
 * Throws ArgumentError for invalid options and if there are no examples.
 */
export function shuffledBatches<Item>(
  examples: readonly Item[],
  options: {
    size: number;
    seed?: number | undefined;
    fingerprint?: ((items: readonly Item[]) => number) | undefined;
  },
): ShuffledBatches<Item> {
  const op = 'shuffledBatches';
  const kinds = { size: 'count', seed: 'seed', fingerprint: 'function' } as const;
  const { size, seed = 0, fingerprint: fingerprintAll } = checkOptions(op, options, kinds);
  checkNumber(op, 'size', size, isCount, 'a positive integer'); // untyped callers may omit it
  return batchesOfSize(op, examples, { size, seed, fingerprintAll });
}

/** Same as `shuffledBatches`, for checked options. Errors name `op`. */
export function batchesOfSize<Item>(
  op: string,
  examples: readonly Item[],
  options: {
    readonly size: number;
    readonly seed: number;
    readonly fingerprintAll: ((items: readonly Item[]) => number) | undefined;
  },
): ShuffledBatches<Item> {
  const { size, seed, fingerprintAll } = options;
  if (examples.length === 0) throw new ArgumentError(`${op}: there are no examples to train on`);
  const perEpoch = Math.ceil(examples.length / size);
  let epoch = -1;
  let order: readonly Item[] = [];
  return {
    perEpoch,
    get fingerprint() {
      return fingerprintAll && fingerprint([size], fingerprintAll(examples));
    },
    batch(n) {
      if (Math.floor(n / perEpoch) !== epoch) {
        epoch = Math.floor(n / perEpoch);
        order = new Random(seed, SHUFFLE_STREAM + epoch).shuffle([...examples]);
      }
      const first = (n % perEpoch) * size;
      return order.slice(first, first + size);
    },
  };
}

/**
 * Random windows of one long text, for a decoder-only model. A batch has `batchSize` examples of `blockSize` + 1
 * consecutive ids, so that `blockSize` tokens are predicted. `seed` is 0 by default. Throws ArgumentError for invalid
 * options, a text shorter than a window, or batches of more than 2²⁴ tokens.
 */
export function windowBatches(
  ids: ArrayLike<number>,
  options: { blockSize: number; batchSize: number; seed?: number | undefined },
): Batches {
  const { blockSize, batchSize, seed = 0 } = checkKnown('windowBatches', options, ['blockSize', 'batchSize', 'seed']);
  checkNumber('windowBatches', 'blockSize', blockSize, isCount, 'a positive integer');
  checkNumber('windowBatches', 'batchSize', batchSize, isCount, 'a positive integer');
  checkSeed('windowBatches', seed);
  if (typeof ids?.length !== 'number')
    throw new ArgumentError(`windowBatches: the text is ${describeValue(ids)}, expected ids`);
  if (ids.length <= blockSize) {
    throw new ArgumentError(
      `windowBatches: the text has ${ids.length} tokens, expected at least ${blockSize + 1}, blockSize + 1`,
    );
  }
  if (batchSize * blockSize > MAX_TOKENS) {
    throw new ArgumentError(
      `windowBatches: ${batchSize} windows of ${blockSize} tokens are too many: a batch has at most ${MAX_TOKENS} tokens`,
    );
  }
  return {
    get fingerprint() {
      return fingerprint([blockSize, batchSize], fingerprint(ids));
    },
    perEpoch: Math.ceil(ids.length / (blockSize * batchSize)),
    batch(n) {
      const random = new Random(seed, SHUFFLE_STREAM + n);
      return Array.from({ length: batchSize }, () => {
        const start = random.below(ids.length - blockSize);
        return { target: Array.prototype.slice.call(ids, start, start + blockSize + 1) as number[] };
      });
    },
  };
}

function checkExamples(op: string, examples: readonly Example<Row, Row>[]): void {
  if (!Array.isArray(examples))
    throw new ArgumentError(`${op}: the examples are ${describeValue(examples)}, expected an array`);
  const isTokens = (ids: unknown) => Array.isArray(ids) || ArrayBuffer.isView(ids);
  for (const [i, example] of examples.entries()) {
    if (!isTokens(example?.target)) throw new ArgumentError(`${op}: example ${i} has no target`);
    const { source } = example;
    if (source === undefined || isTokens(source)) continue;
    throw new ArgumentError(`${op}: the source of example ${i} is ${describeValue(source)}, expected token ids`);
  }
}
