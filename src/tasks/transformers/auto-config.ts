// AutoConfig of transformers.js.

import type { ModelLocation } from '../../pretrained/open-source.js';
import { type FromPretrainedOptions, located } from './auto-tokenizer.js';

/** Content of config.json. */
export interface PretrainedConfig {
  readonly model_type: string;
  readonly [name: string]: unknown;
}

/** Reads settings by the name that transformers.js has for it. */
export const AutoConfig = {
  /** Reads config.json of a folder or of a model on the hub. Rejects as `loadTokenizer`. */
  async from_pretrained(name: ModelLocation, options: FromPretrainedOptions = {}): Promise<PretrainedConfig> {
    const { openSource } = await import('../../pretrained/open-source.js');
    const [location, hub] = await located('AutoConfig', name, options);
    const source = await openSource(location, hub);
    try {
      return (await source.json('config.json')) as PretrainedConfig;
    } finally {
      source.weights?.close();
    }
  },
};
