import type { Tensor } from '../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../nn/attention.js';
import { Embedding } from '../nn/embedding.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { Initializer } from '../nn/init.js';
import { TransformerLayer } from '../nn/layer.js';
import { Linear } from '../nn/linear.js';
import { RMSNorm } from '../nn/norm.js';
import type { RotaryEmbedding } from '../nn/rotary-embedding.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import { CausalModel } from './causal-model.js';
import { activationOf, labelsOf, rotaryOf } from './config-values.js';
import type { ModelConfig } from './model-config.js';
import { PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext } from './pretrained-model.js';

/** Llama 1 to 3 (Touvron et al. 2023, arXiv 2302.13971): pre-norm by root mean squares, rotary positions, SwiGLU. */
export class Llama extends CausalModel {
  readonly tokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    const norm = () => new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'));
    this.decoder = new Stack(config.size('num_hidden_layers'), this.layers(init, config, norm), norm);
    this.head = llamaHead(context, this.tokens);
  }

  /** What makes layer number i. */
  protected layers(init: Initializer, config: ModelConfig, norm: () => RMSNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const bias = config.flag('attention_bias');
    return () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, { rotary, bias }),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
      });
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids);
  }

  protected override get stateNames(): StateNames {
    return llamaNames;
  }
}

/** Causal attention of grouped heads, as most models have it since. */
export function llamaAttention(
  init: Initializer,
  config: ModelConfig,
  options: Partial<MultiHeadOptions> & { rotary: RotaryEmbedding | null },
): MultiHeadAttention {
  return new MultiHeadAttention(init, {
    dModel: config.size('hidden_size'),
    heads: config.size('num_attention_heads'),
    kvHeads: config.size('num_key_value_heads'),
    headSize: config.size('head_dim'),
    causal: true,
    ...options,
  });
}

/** Gated, without biases unless the config has some. */
export function llamaFeedForward(init: Initializer, config: ModelConfig): FeedForward {
  const [dModel, dFF] = [config.size('hidden_size'), config.size('intermediate_size')];
  const activation = activationOf(config.text(config.values.hidden_activation ? 'hidden_activation' : 'hidden_act'));
  return new FeedForward(init, { dModel, dFF, activation, gated: true, bias: config.flag('mlp_bias') });
}

export function llamaHead({ init, config, head }: FamilyContext, tokens: Embedding): PredictionHead | null {
  if (head === 'none') return null;
  const inputs = config.size('hidden_size');
  if (head === 'sequence-classification')
    return new PredictionHead({ pick: 'last', out: new Linear(init, inputs, labelsOf(config).length, false) });
  const out = vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), false);
  return new PredictionHead({ pick: 'tokens', out });
}

const layer = 'model.layers.*';

/** The names that most decoders' checkpoints have had since. */
export const llamaNames: StateNames = {
  tokens: 'model.embed_tokens',
  'decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
  'decoder.layers.*.self_attn.out_proj': `${layer}.self_attn.o_proj`,
  'decoder.layers.*.norm1': `${layer}.input_layernorm`,
  'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.gate_proj`,
  'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.down_proj`,
  'decoder.layers.*.feed_forward.linear3': `${layer}.mlp.up_proj`,
  'decoder.layers.*.norm2': `${layer}.post_attention_layernorm`,
  'decoder.norm': 'model.norm',
  'head.out': 'lm_head',
};
