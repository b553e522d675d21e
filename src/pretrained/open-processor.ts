// Loads the processor and the tokenizer of a model without its weights.

import { FormatError } from '../core/errors.js';
import { familyOfConfig } from '../models/registry.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import { completeConfig } from './config.js';
import { checkHubOptions, type HubOptions } from './hub-options.js';
import { loadModelTokenizer } from './load-tokenizer.js';
import { type ModelLocation, openSource } from './open-source.js';
import { loadProcessor, type Processor } from './processors/load-processor.js';

/** The parts of a folder that prepare the inputs of its model. */
export interface OpenedProcessor {
  /** Null if the model reads neither images nor sounds. */
  readonly processor: Processor | null;
  readonly tokenizer: PretrainedTokenizer | null;
  /** Content of config.json, with defaults. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Takes the locations and options of `loadTokenizer`. Throws FormatError for damaged files, and for a folder without a
 * processor and a tokenizer.
 */
export async function openProcessor(op: string, from: ModelLocation, options: HubOptions): Promise<OpenedProcessor> {
  checkHubOptions(op, options);
  const source = await openSource(from, options);
  try {
    const file = await source.json('config.json');
    const [family, config] = [await familyOfConfig(file), await completeConfig(file)];
    const tokenizer = await loadModelTokenizer(source, family);
    const processor = await loadProcessor(source, String(config.model_type), config);
    if (tokenizer === null && processor === null)
      throw new FormatError(
        `${source.name} has no preprocessor_config.json, no processor_config.json and no tokenizer`,
      );
    return { processor, tokenizer, config };
  } finally {
    source.weights?.close();
  }
}
