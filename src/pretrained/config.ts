// What a config.json means: with the defaults that transformers assumes, what is derived from other settings, and the names that
// transformers 5 gave to settings of before.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { configDefaults } from './config-defaults.js';
import { ropeParameters } from './rope-parameters.js';

/** What config.json holds, keys as they are. */
export type Config = Readonly<Record<string, unknown>>;

/**
 * A config with everything that transformers reads from its attributes, under the names of transformers 5: defaults where the file says
 * nothing, `dtype` for `torch_dtype`, `rope_parameters` for `rope_theta` and `rope_scaling`, `layer_types` for patterns of windows,
 * `num_key_value_heads` and `head_dim` where they follow from others. CLIP's and SigLIP's `text_config` and `vision_config` are made
 * complete, too. Other keys stay as they are. Throws FormatError if the model's type is not one of the families'.
 */
export function completeConfig(config: Config): Config {
  const { model_type: type, torch_dtype: dtype, ...given } = config;
  if (typeof type !== 'string' || !Object.hasOwn(configDefaults, type)) {
    const known = Object.keys(configDefaults).filter((name) => !/_(text|vision)_model$/.test(name));
    throw new FormatError(`config.json: model_type is ${describeValue(type)}, expected one of ${known.join(', ')}`);
  }
  const all: Record<string, unknown> = { model_type: type, ...configDefaults[type], ...given };
  if (dtype !== undefined) all.dtype ??= dtype;
  derive(type, all, config);
  return all;
}

/** What is derived, a family at a time. `all` has the defaults already; `given` is the file. */
function derive(type: string, all: Record<string, unknown>, given: Config): void {
  const fallTo = (name: string, value: unknown) => {
    all[name] ??= value;
  };
  if ('num_key_value_heads' in all) fallTo('num_key_value_heads', all.num_attention_heads);
  if ('head_dim' in all)
    fallTo('head_dim', Math.floor(numberIn(all, 'hidden_size') / numberIn(all, 'num_attention_heads')));
  if (type.startsWith('deberta')) {
    // Files of before have 'p2c|c2p'.
    if (typeof all.pos_att_type === 'string') all.pos_att_type = all.pos_att_type.toLowerCase().split('|');
    fallTo('pooler_hidden_size', all.hidden_size);
  }
  if (type === 'gpt2') fallTo('n_inner', 4 * numberIn(all, 'n_embd'));
  if (type === 'opt') fallTo('word_embed_proj_dim', all.hidden_size);
  if (type === 'vit') fallTo('pooler_output_size', all.hidden_size);
  if (type === 'siglip_text_model') fallTo('projection_size', all.hidden_size);
  if (type === 't5' || type === 'mt5') deriveT5(all, given);
  if (type === 'gemma' && all.hidden_act === 'gelu') all.hidden_act = 'gelu_pytorch_tanh'; // the first files have it wrong
  if (type === 'modernbert') all.sliding_window = Math.floor(numberIn(all, 'local_attention') / 2);
  if (type === 'qwen2' || type === 'qwen3')
    all.sliding_window = all.use_sliding_window === true ? all.sliding_window : null;
  if (type === 'smollm3') {
    const interval = numberIn(all, 'no_rope_layer_interval');
    fallTo(
      'no_rope_layers',
      layersOf(all, (layer) => ((layer + 1) % interval === 0 ? 0 : 1)),
    );
  }
  const layerType = layerTypes[type];
  if (layerType !== undefined)
    fallTo(
      'layer_types',
      layersOf(all, (layer) => (layerType(layer, all) ? SLIDING : FULL)),
    );
  const rope = ropeParameters(type, all);
  if (rope !== null) all.rope_parameters = rope;
  if (type === 'clip' || type === 'siglip') deriveTowers(type, all);
}

const SLIDING = 'sliding_attention';
const FULL = 'full_attention';

/** Whether a layer attends within a window, for families of which some do. */
const layerTypes: Readonly<Record<string, (layer: number, all: Config) => boolean>> = {
  modernbert: (layer, all) => layer % numberIn(all, 'global_attn_every_n_layers') !== 0,
  gemma2: (layer) => layer % 2 === 0,
  gemma3_text: (layer, all) => (layer + 1) % numberIn(all, 'sliding_window_pattern') !== 0,
  qwen2: (layer, all) => all.sliding_window != null && layer >= numberIn(all, 'max_window_layers'),
  qwen3: (layer, all) => all.sliding_window != null && layer >= numberIn(all, 'max_window_layers'),
  smollm3: (layer, all) =>
    all.use_sliding_window === true && all.sliding_window != null && (all.no_rope_layers as unknown[])[layer] === 0,
};

function layersOf<T>(all: Config, of: (layer: number) => T): T[] {
  return Array.from({ length: numberIn(all, 'num_hidden_layers') }, (_, layer) => of(layer));
}

/**
 * T5's feed-forward, `relu` or `gated-gelu`, whose gelu is the one by tanh; and whether logits are scaled by d_model^−½, which T5 1.0 does
 * and 1.1 does not: files tell by `tie_word_embeddings`.
 */
function deriveT5(all: Record<string, unknown>, given: Config): void {
  all.num_decoder_layers ??= all.num_layers;
  const feedForward = String(all.feed_forward_proj);
  const [gated, act] = feedForward.startsWith('gated-') ? [true, feedForward.slice(6)] : [false, feedForward];
  all.is_gated_act ??= gated; // files of transformers say these, too, and then they count
  all.dense_act_fn ??= feedForward === 'gated-gelu' ? 'gelu_new' : act;
  all.tie_word_embeddings = true; // but for files that have both tables: those of 1.1
  all.scale_decoder_outputs = given.scale_decoder_outputs ?? given.tie_word_embeddings !== false;
}

/** Two models in one file. What is in `text_config_dict`, of old, counts more. */
function deriveTowers(type: string, all: Record<string, unknown>): void {
  for (const part of ['text', 'vision']) {
    const model = `${type}_${part}_model`;
    const given = all[`${part}_config`] ?? {};
    const older = all[`${part}_config_dict`] ?? {};
    if (!isObject(given) || !isObject(older))
      throw new FormatError(`config.json: ${part}_config is ${describeValue(given)}, expected an object`);
    all[`${part}_config`] = completeConfig({ ...given, ...older, model_type: model });
  }
}

/**
 * A number of a config. Throws FormatError if it is none: what a size is not must not become a shape.
 */
export function numberIn(config: Config, name: string): number {
  const value = config[name];
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0 && value < 2 ** 31) return value;
  throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected a number from 0 to 2³¹ − 1`);
}
