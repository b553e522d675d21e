// Descriptions of models in Ollama's API.

import { createHash } from 'node:crypto';
import type { ModelEntry, ModelPool } from '../model-pool.js';
import type { ServedModel } from '../served-model.js';

/** Describes a model by its name. Details of models that are not in memory are unknown. */
export function tagOf(models: ModelPool, name: string) {
  const { created, bytes, served } = models.entry(name);
  const time = new Date(created * 1000).toISOString();
  // Files are not read to make a digest. A model of a running server does not change.
  const digest = createHash('sha256').update(`${name}\n${created}`).digest('hex');
  return { name, model: name, modified_at: time, size: bytes, digest, details: detailsOf(served) };
}

/**
 * Returns the models in memory, with the time at which they are unloaded. Models that stay have a time in the far
 * future.
 */
export function running(models: ModelPool) {
  const loaded = models.entries.filter(({ state }) => state === 'loaded');
  return loaded.map((entry) => {
    const { modified_at: _, ...tag } = tagOf(models, entry.id);
    return { ...tag, expires_at: new Date(expiryOf(entry)).toISOString(), size_vram: 0 };
  });
}

const FAR = Date.UTC(9999, 0);

const expiryOf = ({ expires }: ModelEntry) => Math.min(expires ?? FAR, FAR);

function detailsOf(served: ServedModel | null) {
  const family = String(served?.model.config.model_type ?? '');
  return { parent_model: '', format: '', family, families: [family], parameter_size: '', quantization_level: '' };
}

/** Describes a model in memory. */
export function infoOf(served: ServedModel) {
  const { model, batching, embedder } = served;
  const template = model.tokenizer?.chatTemplate;
  const tools = JSON.stringify(template ?? '').includes('tools');
  return {
    modelfile: '',
    parameters: '',
    template: typeof template === 'string' ? template : '',
    details: detailsOf(served),
    model_info: { 'general.architecture': model.config.model_type ?? '' },
    capabilities: [
      ...(batching ? ['completion'] : []),
      ...(batching && tools ? ['tools'] : []),
      ...(embedder ? ['embedding'] : []),
    ],
  };
}
