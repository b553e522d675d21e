// Speech models with an adapter and an output for each language (MMS): the folder as it is for one of them.

import { FormatError } from '../core/errors.js';
import { inMemory } from '../io/byte-source.js';
import type { Json } from '../models/model-config.js';
import type { ModelSource } from './source.js';
import { openTensors } from './weights.js';

/**
 * The folder with the weights of `adapter.LANGUAGE.safetensors` in place of its own, and with the vocabulary of that
 * language. Throws FormatError if the folder has no such file.
 */
export async function withTargetLanguage(source: ModelSource, language: string): Promise<ModelSource> {
  const file = `adapter.${language}.safetensors`;
  if (!(await source.has(file))) throw new FormatError(`${source.name} has no ${file}${await known(source)}`);
  const contents = new Map<string, Json>([
    ['config.json', { ...(await source.json('config.json')), ...(await outputsOf(source, file)) }],
    ['tokenizer_config.json', { ...(await settingsOf(source)), target_lang: language }],
  ]);
  const bytes = async (name: string) => {
    const content = contents.get(name);
    return content ? new TextEncoder().encode(JSON.stringify(content, null, 1)) : source.bytes(name);
  };
  return {
    name: source.name,
    list: () => source.list(),
    has: async (name) => contents.has(name) || source.has(name),
    bytes,
    json: async (name) => contents.get(name) ?? source.json(name),
    open: async (name) => (contents.has(name) ? { ...inMemory(await bytes(name)), close() {} } : source.open(name)),
    weights: source.weights,
    replacements: () => openTensors(source, file),
  };
}

async function settingsOf(source: ModelSource): Promise<Json> {
  return (await source.has('tokenizer_config.json')) ? source.json('tokenizer_config.json') : {};
}

/** The size of the language's vocabulary. */
async function outputsOf(source: ModelSource, file: string): Promise<Json> {
  const { tensors, close } = await openTensors(source, file);
  close();
  const size = tensors.get('lm_head.weight')?.shape[0];
  return size === undefined ? {} : { vocab_size: size };
}

/** The languages of a folder, for messages. */
async function known(source: ModelSource): Promise<string> {
  const names = (await source.list()) ?? [];
  const languages = names.flatMap((name) => /^adapter\.(.+)\.safetensors$/.exec(name)?.[1] ?? []);
  return languages.length === 0 ? '' : `: targetLang can be ${languages.join(', ')}`;
}
