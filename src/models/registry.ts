// The families, by the `model_type` of config.json, loaded when they are needed: a page pays for those that it uses.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Family } from './pretrained-model.js';

const families: Readonly<Record<string, () => Promise<Family>>> = {
  albert: async () => (await import('./albert.js')).Albert,
  bart: async () => (await import('./bart.js')).Bart,
  bert: async () => (await import('./bert.js')).Bert,
  distilbert: async () => (await import('./distilbert.js')).DistilBert,
  electra: async () => (await import('./electra.js')).Electra,
  mpnet: async () => (await import('./mpnet.js')).MPNet,
  roberta: async () => (await import('./roberta.js')).Roberta,
  'xlm-roberta': async () => (await import('./roberta.js')).Roberta,
  llama: async () => (await import('./llama.js')).Llama,
  m2m_100: async () => (await import('./m2m-100.js')).M2M100,
  marian: async () => (await import('./marian.js')).Marian,
  mbart: async () => (await import('./mbart.js')).MBart,
};

/** The family of a model type. Throws FormatError for one that is not known. */
export async function familyOf(type: unknown): Promise<Family> {
  const load = typeof type === 'string' && Object.hasOwn(families, type) ? families[type] : undefined;
  if (load !== undefined) return load();
  const known = Object.keys(families).join(', ');
  throw new FormatError(`config.json: model_type is ${describeValue(type)}, expected one of ${known}`);
}
