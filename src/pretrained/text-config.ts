// Models that read images or sounds beside text have the config of their language model in `text_config`. Where only the
// language model is of a known family, it is loaded alone.

import { isObject } from '../core/check.js';
import { SHARED } from '../models/image-reader.js';
import type { Json } from '../models/model-config.js';
import type { HeadKind } from '../models/pretrained-model.js';
import { familyOf, isFamily } from '../models/registry.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';

/**
 * The config of the language model alone. Null if the whole model is of a known family, and if its language model is not
 * known. `head`: the one that the caller asks for. A model of images and text is loaded whole without one.
 */
export async function textConfig(config: Json, head?: HeadKind): Promise<Record<string, unknown> | null> {
  const { model_type: whole, text_config: text } = config;
  if (!isObject(text)) return null;
  if (isFamily(whole) && (head === undefined || !(await familyOf(whole)).readsImages)) return null;
  const type = text.model_type ?? `${whole}_text`;
  if (!isFamily(type)) return null;
  const { className, writer = `${className}ForCausalLM` } = await familyOf(type);
  const architectures = [writer ?? `${className}Model`];
  const shared = SHARED.filter((key) => config[key] != null).map((key) => [key, config[key]]);
  return { ...text, model_type: type, architectures, ...Object.fromEntries(shared) };
}

/**
 * Prefix of the body: `model.language_model`, `language_model.model` in files of transformers 4, or `language_model` in models
 * without a head.
 */
const BODY = /^(?:model\.(?:language_model|text_model)|language_model\.model|language_model)\./;
const HEAD = /^(?:language_model\.)?(?=lm_head\.)/;

/** The weights of the language model, by the names that it has alone. */
export function textWeights(weights: Weights): Weights {
  const tensors = new Map<string, WeightEntry>();
  for (const [name, entry] of weights.tensors) {
    if (HEAD.test(name)) tensors.set(name.replace(HEAD, ''), entry);
    else if (BODY.test(name)) tensors.set(name.replace(BODY, 'model.'), entry);
  }
  return { ...weights, tensors };
}
