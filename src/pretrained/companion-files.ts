import type { ModelSource } from './source.js';

/** Files beside config and weights that are copied where nobody can list a source. */
const known = [
  ...['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja'],
  ...['vocab.json', 'vocab.txt', 'merges.txt', 'spiece.model', 'sentencepiece.bpe.model', 'tokenizer.model'],
  ...['source.spm', 'target.spm', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json'],
  ...['modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json', 'chat_template.json'],
  ...['normalizer.json', 'video_preprocessor_config.json'],
  ...['router_config.json', 'artifact.metadata', 'sparse_linear.pt', 'colbert_linear.pt', 'idf.json'],
];

/** Folders: what sentence-transformers has, such as `1_Pooling/config.json`, and chat templates beside the default. */
const MODULE = /^(\d+_[A-Za-z]+|additional_chat_templates)\//;

/** Files by which sentence-transformers recognizes a model of sentences. */
const OF_SENTENCES = /^(modules|sentence_bert_config|config_sentence_transformers)\.json$|^\d+_|_linear\.pt$/;

/**
 * Files of a model other than config.json and weights: of the tokenizer, the processor and generation settings. For a
 * body without a head, they include the modules of sentence-transformers after it.
 */
export async function companionFiles(source: ModelSource, hasHead: boolean): Promise<Map<string, Uint8Array>> {
  const names = (await source.list())?.filter((name) => known.includes(name) || MODULE.test(name)) ?? known;
  const files = new Map<string, Uint8Array>();
  for (const name of names)
    if (!(hasHead && OF_SENTENCES.test(name)) && (await source.has(name))) files.set(name, await source.bytes(name));
  return files;
}
