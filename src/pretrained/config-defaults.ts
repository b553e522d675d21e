// What transformers takes for settings that a config.json lacks, by `model_type`: those of the architecture, of dropout and of special
// tokens. Files written by transformers have nearly all of them; what lacks some are files of old, from before a setting was
// introduced, and the parts of CLIP and SigLIP, which hold only what differs from this.
//
// Null stands for what is derived from others, in config.ts: `num_key_value_heads`, `head_dim`, `n_inner`, `num_decoder_layers` …

import { decoders } from './decoder-defaults.js';
import { encoders } from './encoder-defaults.js';

type Defaults = Readonly<Record<string, unknown>>;

const t5 = {
  d_model: 512,
  d_kv: 64,
  d_ff: 2048,
  num_layers: 6,
  num_decoder_layers: null,
  num_heads: 8,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  dropout_rate: 0.1,
  layer_norm_epsilon: 1e-6,
  feed_forward_proj: 'relu',
  pad_token_id: 0,
  eos_token_id: 1,
  classifier_dropout: 0,
};

const bart = {
  max_position_embeddings: 1024,
  encoder_layers: 12,
  encoder_ffn_dim: 4096,
  encoder_attention_heads: 16,
  decoder_layers: 12,
  decoder_ffn_dim: 4096,
  decoder_attention_heads: 16,
  encoder_layerdrop: 0,
  decoder_layerdrop: 0,
  activation_function: 'gelu',
  d_model: 1024,
  dropout: 0.1,
  attention_dropout: 0,
  activation_dropout: 0,
  classifier_dropout: 0,
  scale_embedding: false,
  pad_token_id: 1,
  bos_token_id: 0,
  eos_token_id: 2,
  decoder_start_token_id: 2,
  forced_eos_token_id: 2,
  tie_word_embeddings: true,
};

const encoderDecoders = {
  t5,
  mt5: { ...t5, d_ff: 1024, num_layers: 8, num_heads: 6, feed_forward_proj: 'gated-gelu', decoder_start_token_id: 0 },
  bart: { ...bart, num_labels: 3 },
  mbart: { ...bart, decoder_start_token_id: null }, // the target's language
  marian: {
    ...bart,
    decoder_start_token_id: 58100,
    pad_token_id: 58100,
    eos_token_id: 0,
    bos_token_id: null,
    forced_eos_token_id: 0,
    share_encoder_decoder_embeddings: true,
  },
  m2m_100: {
    ...bart,
    encoder_layerdrop: 0.05,
    decoder_layerdrop: 0.05,
    activation_function: 'relu',
    attention_dropout: 0.1,
    scale_embedding: true,
    forced_eos_token_id: null,
  },
  whisper: {
    num_mel_bins: 80,
    encoder_layers: 4,
    encoder_attention_heads: 6,
    decoder_layers: 4,
    decoder_attention_heads: 6,
    decoder_ffn_dim: 1536,
    encoder_ffn_dim: 1536,
    encoder_layerdrop: 0,
    decoder_layerdrop: 0,
    decoder_start_token_id: 50257,
    activation_function: 'gelu',
    d_model: 384,
    dropout: 0,
    attention_dropout: 0,
    activation_dropout: 0,
    scale_embedding: false,
    max_source_positions: 1500,
    max_target_positions: 448,
    pad_token_id: 50256,
    bos_token_id: 50256,
    eos_token_id: 50256,
    suppress_tokens: null,
    begin_suppress_tokens: [220, 50256],
    median_filter_width: 7,
    tie_word_embeddings: true,
  },
};

const image = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  hidden_act: 'gelu',
  image_size: 224,
  patch_size: 16,
  num_channels: 3,
};

const tower = {
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  attention_dropout: 0,
};
const clipTower = { ...tower, projection_dim: 512, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 };
const siglipTower = { ...tower, hidden_act: 'gelu_pytorch_tanh', layer_norm_eps: 1e-6 };
const textTokens = { pad_token_id: 1, bos_token_id: 49406, eos_token_id: 49407 };

const images = {
  vit: {
    ...image,
    intermediate_size: 3072,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    layer_norm_eps: 1e-12,
    qkv_bias: true,
    pooler_act: 'tanh',
    pooler_output_size: null,
  },
  dinov2: {
    ...image,
    mlp_ratio: 4,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    layer_norm_eps: 1e-6,
    patch_size: 14,
    qkv_bias: true,
    layerscale_value: 1,
    drop_path_rate: 0,
    use_swiglu_ffn: false,
    apply_layernorm: true,
    use_mask_token: true,
  },
  clip: { projection_dim: 512, logit_scale_init_value: 2.6592 },
  clip_text_model: {
    ...clipTower,
    ...textTokens,
    vocab_size: 49408,
    hidden_size: 512,
    intermediate_size: 2048,
    num_attention_heads: 8,
    max_position_embeddings: 77,
  },
  clip_vision_model: { ...clipTower, num_channels: 3, image_size: 224, patch_size: 32 },
  siglip: {},
  siglip_text_model: {
    ...siglipTower,
    ...textTokens,
    vocab_size: 32000,
    max_position_embeddings: 64,
    projection_size: null,
  },
  siglip_vision_model: { ...siglipTower, num_channels: 3, image_size: 224, patch_size: 16, vision_use_head: true },
};

/** Settings that are assumed where a config.json has none, by its `model_type`. */
export const configDefaults: Readonly<Record<string, Defaults>> = {
  ...encoders,
  ...decoders,
  ...encoderDecoders,
  ...images,
};
