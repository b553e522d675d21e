import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { MixtureOfExperts, type MixtureOfExpertsOptions } from '../../nn/mixture-of-experts.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family, GgufSettings } from '../family.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import { nomicModule } from '../module-names.js';
import { chooseHead, type PredictionHead, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TextEmbeddings } from '../text-embeddings.js';
import { bert, bertHeads, bertSizes } from './bert.js';

/**
 * Nomic's BERT (Nussbaum et al. 2024, arXiv 2402.01613): post-norm layers with rotary positions and SwiGLU, without
 * biases. Version 2 (arXiv 2502.07972) has biases, networks without gates, and a mixture of experts in every second
 * layer.
 */
export class NomicBert extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    for (const name of REFUSED) config.expect(name, false);
    config.expect('num_shared_experts', 0);
    const dModel = config.size('hidden_size');
    const bias = config.flag('qkv_proj_bias');
    const network = {
      dModel,
      dFF: config.size('intermediate_size'),
      activation: activationOf(config.text('hidden_act')),
    };
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.embeddings = new TextEmbeddings(init, {
      vocabulary: config.size('vocab_size'),
      features: dModel,
      types: config.numberOrNull('type_vocab_size') ?? 0,
      paddingId: config.numberOrNull('pad_token_id'),
      eps: config.number('layer_norm_eps'),
      dropout: dropout(),
    });
    const rotary = rotaryOf(init, config);
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads: config.size('num_attention_heads'),
            headSize: config.size('head_dim'),
            bias,
            rotary,
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
          }),
        feedForward: () =>
          isMixture(config, i)
            ? new NomicExperts(init, {
                ...network,
                experts: config.size('num_experts'),
                chosen: config.size('moe_top_k'),
                gated: false,
                bias: config.flag('moe_bias'),
              })
            : new FeedForward(init, {
                ...network,
                gated: config.flag('gated_mlp'),
                bias: config.flag('mlp_fc1_bias'),
                outBias: config.flag('mlp_fc2_bias'),
              }),
        norm,
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    const { 'question-answering': _, ...heads } = bertHeads(context, this.embeddings.tokens, this.randomness);
    this.head = chooseHead(config, context.head, heads);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'nomic_bert';
  }

  override moduleName(name: string): string {
    return nomicModule(name);
  }

  /** Names in checkpoints. transformers uses the same names when it saves. */
  protected override get stateNames(): StateNames {
    const [body, layer, network] = ['nomic_bert', BLOCK, 'encoder.layers.*.feed_forward'];
    const { settings } = this;
    const stacked = settings.number('num_experts');
    const head =
      this.headKind === 'masked-language-model'
        ? wordPredictionNames(settings, 'layer_norm')
        : { 'head.dense': `${body}.pooler.dense`, 'head.out': 'classifier' };
    return {
      ...head,
      'embeddings.tokens': `${body}.embeddings.word_embeddings`,
      'embeddings.types': `${body}.embeddings.token_type_embeddings`,
      'embeddings.norm': `${body}.emb_ln`,
      'encoder.layers.*.self_attn.qkv': `${layer}.attn.Wqkv`,
      'encoder.layers.*.self_attn.out_proj': `${layer}.attn.out_proj`,
      'encoder.layers.*.norm1': `${layer}.norm1`,
      [`${network}.linear1`]: `${layer}.mlp.${settings.flag('gated_mlp') ? 'fc12' : 'fc1'}`,
      [`${network}.linear2`]: `${layer}.mlp.fc2`,
      [`${network}.linear3`]: `${layer}.mlp.fc11`,
      [`${network}.router`]: `${layer}.mlp.router.layer`,
      [`${network}.gates.weight`]: `${layer}.mlp.experts.mlp.w1`,
      [`${network}.downs.weight`]: { name: `${layer}.mlp.experts.mlp.w2`, inOut: true, stacked, flat: true },
      [`${network}.addend`]: `${layer}.mlp.experts.bias`,
      'encoder.layers.*.norm2': `${layer}.norm2`,
    };
  }
}

/** A mixture whose experts have no gates and no biases of their own. One vector is added to the result. */
class NomicExperts extends MixtureOfExperts {
  /** float32 [dModel], or null: GGUF files lack it. */
  readonly addend: Tensor | null;

  constructor(init: Initializer, { bias, ...options }: MixtureOfExpertsOptions) {
    super(init, options);
    this.addend = bias ? init.constant([options.dModel], 0) : null;
  }

  override forward(x: Tensor): Tensor {
    const y = super.forward(x);
    return this.addend ? add(y, this.addend) : y;
  }
}

/** True if the layer has a mixture of experts: the second of each `moe_every_n_layers` layers. */
function isMixture(config: ModelConfig, layer: number): boolean {
  const period = config.number('moe_every_n_layers');
  return config.number('num_experts') > 0 && period > 0 && layer % period === 1;
}

/** Settings that repositories with their own code may have, and that are not supported. */
const REFUSED = [
  'prenorm',
  'parallel_block',
  'causal',
  'use_rms_norm',
  'rotary_emb_interleaved',
  'expert_choice_router',
  'moe_normalize_expert_weights',
  'rotary_emb_scale_base',
];

/** transformers' names for settings of repositories with their own code. */
const RENAMED: Readonly<Record<string, string>> = {
  n_embd: 'hidden_size',
  n_layer: 'num_hidden_layers',
  n_head: 'num_attention_heads',
  n_inner: 'intermediate_size',
  n_positions: 'max_position_embeddings',
  layer_norm_epsilon: 'layer_norm_eps',
  resid_pdrop: 'hidden_dropout_prob',
  attn_pdrop: 'attention_probs_dropout_prob',
  rotary_emb_base: 'rope_theta',
  rotary_emb_fraction: 'partial_rotary_factor',
};

/** Activations of gated networks in these repositories. */
const GATES: Readonly<Record<string, string>> = { swiglu: 'silu', geglu: 'gelu', glu: 'sigmoid' };

/** Reads the settings of repositories with their own code. */
function complete(config: Record<string, unknown>, fileConfig: Json): void {
  for (const [older, name] of Object.entries(RENAMED))
    config[name] = fileConfig[name] ?? fileConfig[older] ?? config[name];
  config.head_dim = fileConfig.head_dim ?? numberIn(config, 'hidden_size') / numberIn(config, 'num_attention_heads');
  const { activation_function: activation, rotary_scaling_factor: factor } = fileConfig;
  if (typeof activation === 'string') {
    config.gated_mlp = activation in GATES;
    config.hidden_act = GATES[activation] ?? activation;
  }
  if (factor == null || fileConfig.rope_parameters != null) return;
  config.rope_parameters = { rope_type: 'dynamic', factor, rope_theta: config.rope_theta };
  config.max_position_embeddings = fileConfig.max_trained_positions ?? 2048;
}

const BLOCK = 'nomic_bert.encoder.layers.*';

const ggufNames = {
  token_embd: 'nomic_bert.embeddings.word_embeddings',
  token_types: 'nomic_bert.embeddings.token_type_embeddings',
  token_embd_norm: 'nomic_bert.emb_ln',
  'blk.*.attn_qkv': `${BLOCK}.attn.Wqkv`,
  'blk.*.attn_output': `${BLOCK}.attn.out_proj`,
  'blk.*.attn_output_norm': `${BLOCK}.norm1`,
  'blk.*.ffn_down': `${BLOCK}.mlp.fc2`,
  'blk.*.layer_output_norm': `${BLOCK}.norm2`,
} as const;

const sizesOf = (file: GgufSettings): Json => ({
  ...bertSizes(file),
  max_position_embeddings: file.needed('context_length'),
  ...file.rope(file.needed('embedding_length') / file.needed('attention.head_count')),
});

export const nomicBert: Family = {
  model: NomicBert,
  className: 'NomicBert',
  defaults: {
    ...bert.defaults,
    vocab_size: 30528,
    hidden_act: 'silu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    max_position_embeddings: 2048,
    head_dim: null,
    // Settings of repositories with their own code:
    gated_mlp: true,
    qkv_proj_bias: false,
    mlp_fc1_bias: false,
    mlp_fc2_bias: false,
    num_experts: 0,
    moe_top_k: 2,
    moe_every_n_layers: 0,
    moe_bias: true,
  },
  complete,
  rope: { theta: 1000 },
  vocabulary: 'bert',
  gguf: {
    isEncoder: true,
    names: {
      ...ggufNames,
      'blk.*.ffn_gate': `${BLOCK}.mlp.fc12`,
      'blk.*.ffn_up': `${BLOCK}.mlp.fc11`,
    },
    config: sizesOf,
  },
};

/**
 * Version 2 in GGUF files. Its dense networks have no gates. Files lack the vector that is added to the experts'
 * result.
 */
export const nomicBertMoe: Family = {
  ...nomicBert,
  gguf: {
    isEncoder: true,
    names: {
      ...ggufNames,
      'blk.*.ffn_up': `${BLOCK}.mlp.fc1`,
      'blk.*.ffn_gate_inp': `${BLOCK}.mlp.router.layer`,
    },
    joined: [
      { name: `${BLOCK}.mlp.experts.mlp.w1`, of: ['blk.*.ffn_up_exps.weight'], flat: true },
      { name: `${BLOCK}.mlp.experts.mlp.w2`, of: ['blk.*.ffn_down_exps.weight'], inOut: true, flat: true },
    ],
    config: (file) => ({
      ...sizesOf(file),
      activation_function: 'gelu',
      qkv_proj_bias: true,
      mlp_fc1_bias: true,
      mlp_fc2_bias: true,
      moe_bias: false,
      num_experts: file.needed('expert_count'),
      moe_top_k: file.needed('expert_used_count'),
      moe_every_n_layers: file.needed('moe_every_n_layers'),
    }),
  },
};
