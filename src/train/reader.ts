// Sources of a run's batches: given batches, batches made of an array, or batches of a stream that is read on demand.

import { lengthBatches, shuffledBatches } from './batches.js';
import type { FitOptions } from './fit-options.js';
import type { Data, Learner } from './objective.js';
import { type ExampleStream, streamBatches } from './stream-batches.js';

export interface Reader {
  /** Number of batches per epoch. Null for a stream, for which `count` reads an epoch. */
  readonly perEpoch: number | null;
  /** A number that identifies the data; undefined if the data would have to be read first. */
  readonly fingerprint: number | undefined;
  /** Returns batch n, or a promise if it must be read. */
  batch(n: number): readonly unknown[] | Promise<readonly unknown[]>;
  count(): Promise<number>;
  close(): Promise<void>;
}

/** Batches of data in memory. */
interface WholeBatches {
  readonly perEpoch: number;
  readonly fingerprint?: number | undefined;
  batch(n: number): readonly unknown[];
}

/** The function that the errors of batches name. */
const OP = 'fit';

/** Makes the reader of `data` by the options of `fit`. Throws the errors of the functions that make batches. */
export function readerOf(data: Data, learner: Learner, options: FitOptions): Reader {
  const { batchSize, batchTokens = 4096, shuffleBuffer, seed = 0 } = options;
  const tokensOf = (item: unknown) => learner.tokensOf(item);
  if (!('batch' in Object(data) || Array.isArray(data))) {
    const limits = { size: batchSize, tokens: batchTokens, tokensOf, buffer: shuffleBuffer, seed, op: OP };
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
    if (batchSize !== undefined)
      return shuffledBatches(data, { size: batchSize, seed, fingerprint: fingerprintOf, op: OP });
    const tokens = { tokens: batchTokens, seed, op: OP };
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
