// Where a run's batches come from: given, made of examples at once, or read as they are needed.

import { lengthBatches, shuffledBatches } from './batches.js';
import type { FitOptions } from './fit-options.js';
import type { Data, Learner } from './objective.js';
import { type ExampleStream, streamBatches } from './stream-batches.js';

export interface Reader {
  /** Batches of an epoch; null of a stream, for which `count` reads one. */
  readonly perEpoch: number | null;
  /** Tells apart what is learnt from, where that can be known before it is read. */
  readonly fingerprint: number | undefined;
  /** A promise, where it has to be read. */
  batch(n: number): readonly unknown[] | Promise<readonly unknown[]>;
  count(): Promise<number>;
  close(): Promise<void>;
}

/** Batches of data that are there as a whole. */
interface WholeBatches {
  readonly perEpoch: number;
  readonly fingerprint?: number | undefined;
  batch(n: number): readonly unknown[];
}

/** Reads data as the options say. Throws what making batches throws. */
export function readerOf(data: Data, learner: Learner, options: FitOptions): Reader {
  const { batchSize, batchTokens = 4096, shuffleBuffer, seed = 0 } = options;
  const tokensOf = (item: unknown) => learner.tokensOf(item);
  if (!('batch' in Object(data) || Array.isArray(data))) {
    const limits = { size: batchSize, tokens: batchTokens, tokensOf, buffer: shuffleBuffer, seed };
    const stream = streamBatches(data as ExampleStream<unknown>, limits);
    return {
      perEpoch: null,
      fingerprint: undefined,
      batch: (n) => stream.batch(n),
      count: () => stream.count(),
      close: () => stream.close(),
    };
  }
  const { fingerprintOf } = learner;
  const batches = ((): WholeBatches => {
    if (!Array.isArray(data)) return data as WholeBatches;
    if (batchSize !== undefined) return shuffledBatches(data, { size: batchSize, seed, fingerprint: fingerprintOf });
    const tokens = { tokens: batchTokens, seed };
    return lengthBatches(data, learner.isPaired ? tokens : { ...tokens, tokensOf, fingerprint: fingerprintOf });
  })();
  return {
    perEpoch: batches.perEpoch,
    get fingerprint() {
      return batches.fingerprint;
    },
    batch: (n) => batches.batch(n),
    count: async () => batches.perEpoch,
    close: async () => {},
  };
}
