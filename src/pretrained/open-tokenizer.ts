// Loads a tokenizer without its model.

import { FormatError } from '../core/errors.js';
import { familyOf } from '../models/registry.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import { checkHubOptions, type HubOptions } from './hub-options.js';
import { loadModelTokenizer, type TokenizerForm } from './load-tokenizer.js';
import { type ModelLocation, openSource } from './open-source.js';
import type { ModelSource } from './source.js';

/** See `loadTokenizer` in load-later.ts. A path or URL of a tokenizer.json stands for its folder. */
export async function openTokenizer(from: ModelLocation, options: HubOptions): Promise<PretrainedTokenizer> {
  checkHubOptions('loadTokenizer', options);
  const source = await openSource(typeof from === 'string' ? from.replace(FILE, '') || '.' : from, options);
  try {
    const tokenizer = await loadModelTokenizer(source, await formOf(source));
    if (tokenizer !== null) return tokenizer;
  } finally {
    source.weights?.close();
  }
  throw new FormatError(`${source.name} has no tokenizer.json and no other supported vocabulary`);
}

const FILE = /[\\/]?\btokenizer\.json$/;

/** Returns the family of the model, which tells the kind of a vocabulary without a tokenizer.json. */
async function formOf(source: ModelSource): Promise<TokenizerForm> {
  if (await source.has('tokenizer.json')) return {};
  if (!(await source.has('config.json'))) return { vocabulary: 'bert' }; // only vocab.txt exists
  const { model_type: type } = await source.json('config.json');
  return familyOf(type);
}
