import { isObject } from '../../core/check.js';
import type { Family } from '../family.js';
import { type Json, numberIn } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Gte, gte } from './gte.js';

/** GTE in repositories that bring their own code, with the model type `new`. */
export class GteNew extends Gte {
  constructor(context: FamilyContext) {
    const { config } = context;
    config.expect('layer_norm_type', 'layer_norm');
    config.expect('position_embedding_type', 'rope');
    config.expect('logn_attention_scale', false);
    config.expect('pack_qkv', true);
    super(context);
  }

  protected override get bodyName(): string {
    return 'new';
  }
}

/**
 * Returns divisors of the frequencies for "ntk" scaling. The base grows by the factor, and the slowest pair rotates as
 * far as with linear scaling. With `mixed_b`, the divisors grow with the index of the pair instead.
 */
function ntkDivisors(pairs: number, { factor, mixed_b: b }: Json): number[] {
  const growth = Number(factor);
  if (b === undefined || b === null) return Array.from({ length: pairs }, (_, i) => growth ** ((i + 1) / pairs));
  const slope = Math.log(growth) / pairs ** Number(b);
  return Array.from({ length: pairs }, (_, i) => Math.exp(slope * (i + 1) ** Number(b)));
}

export const gteNew: Family = {
  ...gte,
  model: GteNew,
  className: 'New',
  defaults: {
    ...gte.defaults,
    pad_token_id: 0,
    max_position_embeddings: 2048,
    layer_norm_type: 'layer_norm',
    position_embedding_type: 'rope',
    logn_attention_scale: false,
    pack_qkv: true,
  },
  complete: (config) => {
    const { rope_scaling: scaling } = config;
    if (!isObject(scaling) || scaling.type !== 'ntk') return;
    const pairs = numberIn(config, 'hidden_size') / numberIn(config, 'num_attention_heads') / 2;
    const divisors = ntkDivisors(pairs, scaling);
    const length = { original_max_position_embeddings: config.max_position_embeddings };
    config.rope_scaling = {
      rope_type: 'longrope',
      short_factor: divisors,
      long_factor: divisors,
      attention_factor: 1,
      ...length,
    };
  },
  // The code of some repositories makes a pooler, although config.json does not mention it.
  impliedBy: (names) => ({ add_pooling_layer: names.some((name) => name.endsWith('pooler.dense.weight')) }),
  rope: { theta: 10000 },
};
