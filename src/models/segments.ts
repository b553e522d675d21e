// The segments of two texts, by which models tell them apart.

import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import type { ModelInputs } from './inputs.js';
import type { Json } from './model-config.js';

interface Reader {
  readonly config: Json;
  readonly tokenizer: PretrainedTokenizer | null;
  takes(name: keyof ModelInputs): boolean;
}

/** Classes of tokenizers that know no model. Those of a model's own class give the segments that it was taught. */
const GENERAL: readonly unknown[] = ['PreTrainedTokenizer', 'PreTrainedTokenizerFast', 'TokenizersBackend'];

/**
 * True if a model was taught to tell two texts apart, and its tokenizer gives the segments. As in transformers 5, a
 * tokenizer of a general class gives them only if `model_input_names` in its config names them.
 */
export function hasSegments(model: Reader): boolean {
  const { config, tokenizer } = model;
  if (!model.takes('tokenTypeIds') || !(Number(config.type_vocab_size ?? 0) > 1)) return false;
  const { model_input_names: names, tokenizer_class: name } = tokenizer?.config ?? {};
  return Array.isArray(names) ? names.includes('token_type_ids') : !GENERAL.includes(name);
}
