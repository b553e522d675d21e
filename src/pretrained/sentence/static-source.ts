// Presents a table of vectors as a model's folder. Its config.json is derived from the table.

import { FormatError } from '../../core/errors.js';
import type { WeightEntry, Weights } from '../../models/weight-entry.js';
import { ComputedWeight } from '../computed-weight.js';
import type { ModelSource } from '../source.js';
import { openWeights } from '../weights.js';

/**
 * The folder of StaticEmbedding or model2vec. Its weights stay open until closed. Throws FormatError without a table.
 */
export async function staticSource(source: ModelSource): Promise<ModelSource> {
  const weights = await openWeights(source);
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

function tableOf(source: ModelSource, { tensors }: Weights): WeightEntry {
  const table = tensors.get('embedding.weight') ?? tensors.get('embeddings');
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
    const places = mapping && (await mapping.data());
    const factors = scales && (await scales.data());
    const all = new Float32Array(count * features);
    for (let i = 0; i < count; i++) {
      const row = Number(places?.[i] ?? i);
      if (!(row >= 0 && row < rows))
        throw new FormatError(`${source.name}: its mapping has ${row}, expected rows below ${rows}`);
      const factor = factors?.[i] ?? 1;
      for (let j = 0; j < features; j++) all[i * features + j] = (values[row * features + j] as number) * factor;
    }
    return all;
  });
}
