// Loads a tokenizer without its model.

import { FormatError } from '../core/errors.js';
import type { Family } from '../models/family.js';
import { familyOf } from '../models/registry.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import { checkHubOptions, type HubOptions } from './hub-options.js';
import { loadModelTokenizer } from './load-tokenizer.js';
import { type ModelLocation, openSource } from './open-source.js';
import type { ModelSource } from './source.js';

/** See `loadTokenizer` in load-later.ts. A path or URL of a tokenizer.json stands for its folder. */
export async function openTokenizer(from: ModelLocation, options: HubOptions): Promise<PretrainedTokenizer> {
  checkHubOptions('loadTokenizer', options);
  const source = await openSource(typeof from === 'string' ? from.replace(FILE, '') || '.' : from, options);
  try {
    const tokenizer = await loadModelTokenizer(source, await vocabularyOf(source));
    if (tokenizer !== null) return tokenizer;
  } finally {
    source.weights?.close();
  }
  throw new FormatError(`${source.name} has no tokenizer.json and no other supported vocabulary`);
}

const FILE = /[\\/]?\btokenizer\.json$/;

/** Returns the kind of a vocabulary without a tokenizer.json, which depends on the family of the model. */
async function vocabularyOf(source: ModelSource): Promise<Family['vocabulary']> {
  if (await source.has('tokenizer.json')) return undefined;
  if (!(await source.has('config.json'))) return 'bert'; // only vocab.txt exists
  const { model_type: type } = await source.json('config.json');
  return (await familyOf(type)).vocabulary;
}
