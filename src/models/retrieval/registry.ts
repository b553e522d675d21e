// The modules of sentence-transformers by type. Each file of modules/ reads one of them.

import { FormatError } from '../../core/errors.js';
import type { SentenceModule } from './features.js';
import { INPUT_TYPES, type ModuleFolder, shortType } from './module-folder.js';

type Reader = (folder: ModuleFolder) => Promise<SentenceModule>;

/** Modules that read texts are made by the loader, which knows their models. */
const readers: Readonly<Record<string, () => Promise<{ read: Reader }>>> = {
  Pooling: async () => (await import('./modules/pooling.js')).Pooling,
  Dense: async () => (await import('./modules/dense.js')).Dense,
  Normalize: async () => (await import('./modules/normalize.js')).Normalize,
  LayerNorm: async () => (await import('./modules/layer-norm.js')).LayerNorm,
  Router: async () => (await import('./modules/router.js')).Router,
  Asym: async () => (await import('./modules/router.js')).Router,
  SpladePooling: async () => (await import('./modules/splade-pooling.js')).SpladePooling,
  SparseStaticEmbedding: async () => (await import('./modules/sparse-static-embedding.js')).SparseStaticEmbedding,
  SparseAutoEncoder: async () => (await import('./modules/sparse-auto-encoder.js')).SparseAutoEncoder,
  MultiVectorMask: async () => (await import('./modules/multi-vector-mask.js')).MultiVectorMask,
  WeightedLayerPooling: async () => (await import('./modules/weighted-layer-pooling.js')).WeightedLayerPooling,
  WordWeights: async () => (await import('./modules/word-weights.js')).WordWeights,
  HierarchicalTokenPooling: async () =>
    (await import('./modules/hierarchical-token-pooling.js')).HierarchicalTokenPooling,
  CNN: async () => (await import('./modules/cnn.js')).Cnn,
  LSTM: async () => (await import('./modules/lstm.js')).Lstm,
  LogitScore: async () => (await import('./modules/logit-score.js')).LogitScore,
};

/** Older names. */
const aliases: Readonly<Record<string, string>> = { IDF: 'SparseStaticEmbedding', CSRSparsity: 'SparseAutoEncoder' };

/** Dropout does nothing here. */
const INERT = ['Dropout'];

/**
 * Reads a module that is not of `INPUT_TYPES`; null for one that does nothing. Throws FormatError for an unknown type.
 */
export async function readModule(type: string, folder: ModuleFolder): Promise<SentenceModule | null> {
  const reader = readerOf(type);
  return reader === null ? null : (await reader()).read(folder);
}

/** The reader of a type; null for one that does nothing. Throws FormatError for an unknown type. */
function readerOf(type: string): (typeof readers)[string] | null {
  const name = shortType(type);
  if (INERT.includes(name)) return null;
  const resolved = aliases[name] ?? name;
  const reader = Object.hasOwn(readers, resolved) ? readers[resolved] : undefined;
  if (reader) return reader;
  const known = [...INPUT_TYPES, ...Object.keys(readers)].join(', ');
  throw new FormatError(`modules.json: module ${JSON.stringify(type)}, expected one of ${known}`);
}
