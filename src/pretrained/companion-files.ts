import type { ModelSource } from './source.js';

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

/**
 * Reads the files of a model other than config.json and weights: those of the tokenizer, the processor and generation
 * settings. For a body without a head, they include the modules of sentence-transformers.
 */
export async function companionFiles(source: ModelSource, hasHead: boolean): Promise<Map<string, Uint8Array>> {
  const names = (await source.list())?.filter((name) => known.includes(name) || MODULE.test(name)) ?? known;
  const files = new Map<string, Uint8Array>();
  for (const name of names)
    if (!(hasHead && OF_SENTENCES.test(name)) && (await source.has(name))) files.set(name, await source.bytes(name));
  return files;
}
