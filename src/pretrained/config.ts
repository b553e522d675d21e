// Completes a config.json: with transformers' defaults, with derived settings, and with transformers 5's names for
// older settings. Settings of a single family are in its file in models/families/.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { eachLayer, type Json, numberIn } from '../models/model-config.js';
import { familyOfConfig } from '../models/registry.js';
import { ropeParameters } from './rope-parameters.js';
import { flatTextConfig } from './text-config.js';

/** The content of config.json with unchanged keys. */
export type Config = Json;

/**
 * Returns a config with all attributes that transformers' config would have, under the names of transformers 5. Missing
 * settings have their defaults. `dtype` replaces `torch_dtype`, `rope_parameters` replaces `rope_theta` and
 * `rope_scaling`, and `layer_types` replaces patterns of windows. `num_key_value_heads` and `head_dim` are derived if
 * necessary. `text_config` and `vision_config` of CLIP and SigLIP are completed, too. Other keys stay unchanged. Throws
 * FormatError for an unknown model type.
 */
export async function completeConfig(config: Config): Promise<Config> {
  const { model_type: type, torch_dtype: dtype, ...settings } = config;
  const family = await familyOfConfig(config);
  const all: Record<string, unknown> = { model_type: type, ...family.defaults, ...settings };
  const text = flatTextConfig(family, config);
  if (text) all.text_config = text;
  if (dtype !== undefined) all.dtype ??= dtype;
  if ('num_key_value_heads' in all) all.num_key_value_heads ??= all.num_attention_heads;
  if ('head_dim' in all)
    all.head_dim ??= Math.floor(numberIn(all, 'hidden_size') / numberIn(all, 'num_attention_heads'));
  family.complete?.(all, config);
  const { isSliding, rope, parts = {} } = family;
  if (isSliding)
    all.layer_types ??= eachLayer(all, (layer) => (isSliding(layer, all) ? 'sliding_attention' : 'full_attention'));
  if (rope) all.rope_parameters = ropeParameters(rope, all);
  for (const [key, model] of Object.entries(parts)) all[key] = await completePart(all, key, model);
  return all;
}

/**
 * Completes the config of a model that is a part of another. Settings in the obsolete `text_config_dict` take
 * precedence over `text_config`.
 */
async function completePart(all: Config, key: string, model: string | readonly string[]): Promise<Config> {
  const parameters = all[key] ?? {};
  const older = all[`${key}_dict`] ?? {};
  if (!isObject(parameters) || !isObject(older))
    throw new FormatError(`config.json: ${key} is ${describeValue(parameters)}, expected an object`);
  if (typeof model === 'string') return completeConfig({ ...parameters, ...older, model_type: model });
  const { model_type: type = model[0] } = parameters;
  if (model.includes(String(type))) return completeConfig({ ...parameters, ...older, model_type: type });
  const expected = `expected one of ${model.join(', ')}`;
  throw new FormatError(`config.json: ${key} has the model_type ${describeValue(type)}, ${expected}`);
}
