// Sources of a run's batches: given batches, batches made of an array, or batches of a stream that is read on demand.

import { batchesByLength, batchesOfSize, pairBatches } from './batches.js';
import type { FitOptions } from './fit-options.js';
import type { Data, Learner } from './objective.js';
import { DEFAULT_BUFFER, type ExampleStream, StreamReader } from './stream-batches.js';

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
  const { batchSize: size, batchTokens: tokens = 4096, shuffleBuffer: buffer = DEFAULT_BUFFER, seed = 0 } = options;
  const tokensOf = (item: unknown) => learner.tokensOf(item);
  if (!('batch' in Object(data) || Array.isArray(data))) {
    const stream = new StreamReader(data as ExampleStream<unknown>, { size, tokens, tokensOf, buffer, op: OP }, seed);
    return {
      perEpoch: null,
      fingerprint: undefined,
      batch: (n) => stream.batch(n),
      count: () => stream.count(),
      close: () => stream.close(),
    };
  }
  const { fingerprintOf: fingerprintAll } = learner;
  const batches = ((): WholeBatches => {
    if (!Array.isArray(data)) return data as WholeBatches;
    if (size !== undefined) return batchesOfSize(OP, data, { size, seed, fingerprintAll });
    if (learner.isPaired) return pairBatches(OP, data, { tokens, seed });
    return batchesByLength(OP, data, { tokens, seed, tokensOf, fingerprintAll });
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
