// The part of a source that a saved model takes over: companion files, and weights that the model does not read.

import { ArgumentError } from '../core/errors.js';
import { isWordList } from '../models/retrieval/module-folder.js';
import type { Companions, KeptTensor } from '../models/saved-pretrained.js';
import { savedTextConfig } from './saved-text-config.js';
import type { SentenceLayout } from './sentence/layout.js';
import type { ModelSource } from './source.js';
import { openWeights } from './weights.js';

/** Files, other than config and weights, that are copied if a source cannot list its files. */
const known = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
  'spiece.model',
  'sentencepiece.bpe.model',
  'tokenizer.model',
  'source.spm',
  'target.spm',
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  'chat_template.json',
  'normalizer.json',
  'video_preprocessor_config.json',
  'router_config.json',
  'artifact.metadata',
  'sparse_linear.pt',
  'colbert_linear.pt',
  'idf.json',
  'wordembedding_config.json',
  'whitespacetokenizer_config.json',
];

/** Subfolders that are copied: those of sentence-transformers, such as `1_Pooling`, and additional chat templates. */
const MODULE = /^(\d+_[A-Za-z]+|additional_chat_templates)\//;

/** Files that make a folder a model of sentence-transformers. */
const OF_SENTENCES = /^(modules|sentence_bert_config|config_sentence_transformers)\.json$|^\d+_|_linear\.pt$/;

interface CompanionOptions {
  /** True if the model has a head that modules of sentence-transformers do not read. */
  readonly hasHead: boolean;
  /** Names of tensors that the model does not read, but keeps when it is saved. Null: none. */
  readonly kept: RegExp | null;
}

/**
 * Reads the files of a model other than config.json and weights: those of the tokenizer, the processor and generation
 * settings. For a body without a head, they include the modules of sentence-transformers. Throws ArgumentError for a
 * model that cannot be saved.
 */
export async function readCompanions(
  source: ModelSource,
  layout: SentenceLayout | null,
  { hasHead, kept }: CompanionOptions,
): Promise<Companions> {
  checkSavable(layout);
  const names = (await source.list())?.filter((name) => known.includes(name) || MODULE.test(name)) ?? known;
  const files = new Map<string, Uint8Array>();
  for (const name of names)
    if (!(hasHead && OF_SENTENCES.test(name)) && (await source.has(name))) files.set(name, await source.bytes(name));
  const tensors = () => (kept ? readKept(source, kept) : Promise.resolve([]));
  return { files, tensors, savedConfig: savedTextConfig };
}

async function readKept(source: ModelSource, kept: RegExp): Promise<KeptTensor[]> {
  const weights = await openWeights(source);
  try {
    const tensors: KeptTensor[] = [];
    for (const [name, entry] of weights.tensors)
      if (kept.test(name)) tensors.push({ name, shape: entry.shape, data: Float32Array.from(await entry.data()) });
    return tensors;
  } finally {
    weights.close();
  }
}

/** Throws ArgumentError for word lists, and for a model in a subfolder next to other models, which cannot be saved. */
function checkSavable(layout: SentenceLayout | null): void {
  if (layout === null) return;
  if (isWordList(layout.backbone.type))
    throw new ArgumentError('save: a model of word lists cannot be saved: save it with sentence-transformers');
  if (layout.backbone.path === '') return;
  throw new ArgumentError(
    `save: the folder has the model in ${layout.backbone.path}, next to others that cannot be saved: save it with sentence-transformers`,
  );
}
