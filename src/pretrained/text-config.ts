// Models that read images or sounds beside text have the config of their language model in `text_config`. Where only the
// language model is of a known family, it is loaded alone.

import { isObject } from '../core/check.js';
import type { Json } from '../models/model-config.js';
import { familyOf, isFamily } from '../models/registry.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';

/** Settings of the whole model that its language model shares. */
const SHARED = [
  'tie_word_embeddings',
  'dtype',
  'torch_dtype',
  'quantization_config',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/** The config of the language model alone. Null for a config of a known family, and where the language model is not known. */
export async function textConfig(config: Json): Promise<Record<string, unknown> | null> {
  const { model_type: whole, text_config: text } = config;
  if (isFamily(whole) || !isObject(text)) return null;
  const type = text.model_type ?? `${whole}_text`;
  if (!isFamily(type)) return null;
  const { className, writer = `${className}ForCausalLM` } = await familyOf(type);
  const shared = SHARED.filter((key) => config[key] != null).map((key) => [key, config[key]]);
  return { ...text, model_type: type, architectures: [writer], ...Object.fromEntries(shared) };
}

/** `model.language_model.layers.0`, or `language_model.model.layers.0` in files of transformers 4: the body of the language model. */
const BODY = /^(?:model\.language_model|language_model\.model)\./;
const HEAD = /^(?:language_model\.)?(?=lm_head\.)/;

/** The weights of the language model, by the names that it has alone. */
export function textWeights(weights: Weights): Weights {
  const tensors = new Map<string, WeightEntry>();
  for (const [name, entry] of weights.tensors) {
    if (BODY.test(name)) tensors.set(name.replace(BODY, 'model.'), entry);
    else if (HEAD.test(name)) tensors.set(name.replace(HEAD, ''), entry);
  }
  return { ...weights, tensors };
}
