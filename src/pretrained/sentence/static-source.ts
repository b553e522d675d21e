// Presents a table of vectors as a model's folder. Its config.json is derived from the table.

import { FormatError } from '../../core/errors.js';
import type { WeightEntry, Weights } from '../../models/weight-entry.js';
import { ComputedWeight } from '../computed-weight.js';
import type { ModelSource } from '../source.js';
import { openWeights } from '../weights.js';

/**
 * The folder of StaticEmbedding, model2vec, WordEmbeddings, or BoW, whose table has the weights of its words. Its
 * weights stay open until closed. Throws FormatError without a table.
 */
export async function staticSource(source: ModelSource): Promise<ModelSource> {
  const weights = (await bagOfWords(source)) ?? (await openWeights(source));
  try {
    const table = tableOf(source, weights);
    const [rows, features] = table.shape;
    const config = {
      model_type: 'static-embedding',
      architectures: ['StaticEmbedding'],
      vocab_size: rows,
      hidden_size: features,
    };
    return {
      ...source,
      json: async (name) => (name === 'config.json' ? config : source.json(name)),
      weights: { ...weights, tensors: new Map([['embedding.weight', table]]), close: () => weights.close() },
    };
  } catch (error) {
    weights.close();
    throw error;
  }
}

/** Names of the table. */
const NAMES = ['embedding.weight', 'embeddings', 'emb_layer.weight'];

/** The weights of BoW's words as a table, [words, 1]; null for another folder. */
async function bagOfWords(source: ModelSource): Promise<Weights | null> {
  if (!(await source.has('config.json'))) return null;
  const config = await source.json('config.json');
  if (config.vocab === undefined || config.model_type !== undefined) return null;
  const { distinctWords, weightsOf } = await import('../../models/retrieval/word-list.js');
  const weights = Float32Array.from(weightsOf({ ...config, vocab: distinctWords(config) }));
  const table = new ComputedWeight([weights.length, 1], async () => weights);
  return { tensors: new Map([['embedding.weight', table]]), metadata: new Map(), close: () => {} };
}

function tableOf(source: ModelSource, { tensors }: Weights): WeightEntry {
  const table = NAMES.flatMap((name) => tensors.get(name) ?? [])[0];
  if (table?.shape.length !== 2)
    throw new FormatError(`${source.name} has no table of vectors: no matrix embedding.weight or embeddings`);
  const [mapping, scales] = [tensors.get('mapping'), tensors.get('weights')];
  if (mapping === undefined && scales === undefined && /^B?F/.test(table.dtype)) return table;
  const [rows, features] = table.shape as [number, number];
  const count = mapping?.size ?? rows;
  if (scales !== undefined && scales.size !== count)
    throw new FormatError(`${source.name}: there are ${scales.size} weights, expected ${count}`);
  return new ComputedWeight([count, features], async () => {
    const values = await table.data();
    const rowOf = mapping && (await mapping.data());
    const factors = scales && (await scales.data());
    const all = new Float32Array(count * features);
    for (let i = 0; i < count; i++) {
      const row = Number(rowOf?.[i] ?? i);
      if (!(row >= 0 && row < rows))
        throw new FormatError(`${source.name}: its mapping has ${row}, expected rows below ${rows}`);
      const factor = factors?.[i] ?? 1;
      for (let j = 0; j < features; j++) all[i * features + j] = (values[row * features + j] as number) * factor;
    }
    return all;
  });
}
