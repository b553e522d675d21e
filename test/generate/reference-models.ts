// Models of test/data/families, and options in transformers' spelling, for tests that compare generated tokens.
import type { Device, GenerateOptions } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/load-later.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';

/** Loads models by the names of their folders. */
export async function referenceModels(device: Device, names: readonly string[]): Promise<Map<string, LoadedModel>> {
  const models = new Map<string, LoadedModel>();
  for (const name of names) {
    const data = testData('families');
    const files = ['config.json', 'model.safetensors'].map(async (file) => [file, await data.bytes(`${name}/${file}`)]);
    models.set(name, await loadModel(device, Object.fromEntries(await Promise.all(files))));
  }
  return models;
}

/** Returns the options for settings such as `num_beams`. */
export function optionsFor(settings: Readonly<Record<string, unknown>>): GenerateOptions {
  const camelCase = (name: string) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [camelCase(name), value]));
}
