// Multimodal models have the config of their language model in `text_config`. If only the language model belongs to a
// supported family, it is loaded alone.

import { isObject } from '../core/check.js';
import type { Family } from '../models/family.js';
import { SHARED_SETTINGS } from '../models/image-reader.js';
import type { Json } from '../models/model-config.js';
import type { HeadKind } from '../models/pretrained-model.js';
import { familyOf, isFamily } from '../models/registry.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';

/**
 * Returns the config of the language model alone. Null if the whole model is supported, or if its language model is
 * not. `head` is the head that the caller requests. Without one, a supported model of images and text is loaded as a
 * whole.
 */
export async function textConfig(config: Json, head?: HeadKind): Promise<Record<string, unknown> | null> {
  const { model_type: whole } = config;
  const text = config.text_config ?? (isFamily(whole) ? flatTextConfig(await familyOf(whole), config) : null);
  if (!isObject(text)) return null;
  if (isFamily(whole) && (head === undefined || !(await familyOf(whole)).readsImages)) return null;
  const type = text.model_type ?? `${whole}_text`;
  if (!isFamily(type)) return null;
  const { className, generationClass = `${className}ForCausalLM` } = await familyOf(type);
  const architectures = [generationClass ?? `${className}Model`];
  const shared = SHARED_SETTINGS.filter((key) => config[key] != null).map((key) => [key, config[key]]);
  return { ...text, model_type: type, architectures, ...Object.fromEntries(shared) };
}

/** The settings of the language model in an older file that has them beside `vision_config`; null in other files. */
export function flatTextConfig({ hadFlatConfig }: Family, config: Json): Json | null {
  if (!hadFlatConfig || config.text_config != null) return null;
  const { vision_config: _, model_type: __, architectures: ___, ...text } = config;
  return text;
}

/**
 * Prefix of the body: `model.language_model`, `language_model.model` or `model` in files of transformers 4, or
 * `language_model` in models without a head.
 */
const BODY =
  /^(?:model\.(?:language_model|text_model)|language_model\.model|language_model|model(?=\.(?:embed_tokens|layers|norm)\.))\./;
const HEAD = /^(?:language_model\.)?(?=lm_head\.)/;

/** Returns the weights of the language model, renamed as in a separate language model. */
export function textWeights(weights: Weights): Weights {
  const tensors = new Map<string, WeightEntry>();
  for (const [name, entry] of weights.tensors) {
    if (HEAD.test(name)) tensors.set(name.replace(HEAD, ''), entry);
    else if (BODY.test(name)) tensors.set(name.replace(BODY, 'model.'), entry);
  }
  return { ...weights, tensors };
}
