// BGE-M3's three similarities of a pair in one pass over the texts, and their weighted means, as FlagEmbedding's
// compute_score.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { type BatchOptions, inTokenBatches, rowsOf } from './batches.js';
import { headOf } from './default-head.js';
import { denseOf } from './encode.js';
import { tokensOf } from './features.js';
import { checkPairs, type TextPair } from './rank.js';
import type { TextReader } from './reader.js';
import { run } from './sentence-head.js';
import {
  type DenseVector,
  type Similarities,
  type SparseVector,
  similarities,
  type TokenVectors,
} from './similarity.js';

/** Weights of the three similarities. */
export interface ScoreWeights {
  readonly dense?: number | undefined;
  readonly sparse?: number | undefined;
  readonly colbert?: number | undefined;
}

/** Options of `computeScore`. */
export interface ComputeScoreOptions extends BatchOptions {
  /** Weights of the means. Default: 1 for each. */
  readonly weights?: ScoreWeights | undefined;
}

/** The scores of a pair, by FlagEmbedding's names. */
export interface CombinedScore {
  readonly dense: number;
  readonly sparse: number;
  readonly colbert: number;
  readonly 'sparse+dense': number;
  readonly 'colbert+sparse+dense': number;
}

interface Vectors {
  readonly dense: DenseVector;
  readonly sparse: SparseVector;
  readonly tokens: TokenVectors;
}

/** The scores of each pair. Each text is read once. Throws ArgumentError for a model that is not BGE-M3. */
export async function combinedScores(
  model: TextReader,
  pairs: readonly TextPair[],
  options: ComputeScoreOptions,
): Promise<CombinedScore[]> {
  const { weights, ...batching } = checkOptions('computeScore', options, {
    weights: 'object',
    signal: 'signal',
    onProgress: 'function',
    batchSize: 'count',
  });
  const combine = combiner(weights ?? {});
  checkPairs(pairs);
  const texts = [...new Set(pairs.flat())];
  const vectors = await vectorsOf(model, texts, batching);
  const names = (await headOf(model)).similarities;
  const byText = new Map(texts.map((text, i) => [text, vectors[i] as Vectors]));
  return pairs.map(([a, b]) => combine(byText.get(a) as Vectors, byText.get(b) as Vectors, names));
}

async function vectorsOf(model: TextReader, texts: readonly string[], options: BatchOptions): Promise<Vectors[]> {
  const head = await headOf(model);
  const { m3 } = head;
  if (m3 === null)
    throw new ArgumentError(
      'computeScore: the model has no sparse_linear.pt and colbert_linear.pt, as BGE-M3 has: call similarity',
    );
  const { input, steps } = head.route(null);
  const encoded = await input.encode(texts, { prompt: '', task: null });
  return inTokenBatches(
    model,
    encoded,
    {
      *compute(part): Generator<unknown, [Tensor, Tensor, Tensor]> {
        const features = yield* input.readInParts(part, null);
        const dense = denseOf(run([input, ...steps], features));
        return [dense, m3.tokenWeights(features), tokensOf(m3.vectors(features))];
      },
      read: ([dense, weights, tokens], { inputIds }) => {
        const count = inputIds.reduce((sum, { length }) => sum + length, 0);
        const sentences = rowsOf(dense as Float32Array, inputIds.length);
        const rows = rowsOf(tokens as Float32Array, count);
        let end = 0;
        return inputIds.map((ids, i) => {
          const start = end;
          end += ids.length;
          const found = [...m3.lexical(ids, (weights as Float32Array).subarray(start, end))].sort(([a], [b]) => a - b);
          const sparse = {
            indices: Int32Array.from(found, ([id]) => id),
            values: Float32Array.from(found, ([, weight]) => weight),
          };
          return { dense: sentences[i] as Float32Array, sparse, tokens: rows.slice(start + 1, end) }; // without [CLS]
        });
      },
    },
    options,
  );
}

const isWeight = {
  accepts: (value: unknown) => Number.isFinite(value) && (value as number) >= 0,
  expected: 'a number, 0 or more',
};

/**
 * Returns the function that combines the similarities of two texts. Throws ArgumentError for weights that make no mean.
 */
function combiner(weights: ScoreWeights): (a: Vectors, b: Vectors, names: Similarities) => CombinedScore {
  const kinds = { dense: isWeight, sparse: isWeight, colbert: isWeight };
  const { dense: d = 1, sparse: s = 1, colbert: c = 1 } = checkOptions('computeScore: weights', weights, kinds);
  if (!(d + s > 0))
    throw new ArgumentError(
      `computeScore: weights is ${describeValue(weights)}, expected a dense or a sparse weight above 0`,
    );
  return (a, b, names) => {
    const scoreOf = (x: Vectors[keyof Vectors], y: Vectors[keyof Vectors]) =>
      (similarities([x] as never, [y] as never, names)[0] as number[])[0] as number;
    const [dense, sparse, colbert] = [
      scoreOf(a.dense, b.dense),
      scoreOf(a.sparse, b.sparse),
      scoreOf(a.tokens, b.tokens),
    ];
    return {
      dense,
      sparse,
      colbert,
      'sparse+dense': (d * dense + s * sparse) / (d + s),
      'colbert+sparse+dense': (d * dense + s * sparse + c * colbert) / (d + s + c),
    };
  };
}
