// The config of a language model that was part of a model of images and text, and is saved alone.

import { isObject } from '../core/check.js';
import type { Json } from '../models/model-config.js';
import { familyOf, isFamily } from '../models/registry.js';

/**
 * Returns the config that `save` writes. transformers has no class with a head for some language models of larger
 * models. For text alone they compute the same as another family, whose class and settings the result has.
 */
export async function savedTextConfig(config: Json): Promise<Json> {
  const { model_type: type, architectures } = config;
  if (!isFamily(type)) return config;
  const [name] = Array.isArray(architectures) ? architectures.map(String) : [];
  const { sameForText, className, defaults, rope } = await familyOf(type);
  if (sameForText === undefined || !name?.startsWith(`${className}For`)) return config;
  const other = await familyOf(sameForText);
  const known = Object.entries(defaults).filter(([, value]) => value !== null);
  const settings: Record<string, unknown> = { ...Object.fromEntries(known), ...config };
  for (const key of ['rope_parameters', 'rope_scaling'])
    if (isObject(settings[key])) settings[key] = withoutSections(settings[key]);
  const { rope_parameters: parameters, rope_theta: theta } = settings;
  if (theta === undefined && !(isObject(parameters) && parameters.rope_theta !== undefined))
    settings.rope_theta = rope?.theta;
  return { ...settings, model_type: sameForText, architectures: [name.replace(className, other.className)] };
}

/** Settings of a rotary embedding without sections. Texts have the same position on each axis. */
function withoutSections({ mrope_section: _, mrope_interleaved: __, ...settings }: Json): Json {
  const renamed = (key: string) => (settings[key] === 'mrope' ? { [key]: 'default' } : {});
  return { ...settings, ...renamed('type'), ...renamed('rope_type') };
}
