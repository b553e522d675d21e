import type { Tensor } from '../../core/tensor.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Mamba2 } from '../../nn/mamba2.js';
import { ScaledMixer, SideBySide } from '../../nn/side-by-side.js';
import type { StateNames } from '../../nn/state-names.js';
import { scale } from '../../ops/binary.js';
import { activationOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import { type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama, llamaAttention, type MakeNorm } from './llama.js';
import { mamba2GgufNames, mamba2GgufSettings, mamba2GgufStored, mamba2Names, mamba2Settings } from './mamba2.js';

/**
 * Falcon-H1 (TII 2025, arXiv 2507.22448): attention and Mamba-2 side by side in each layer, with constant multipliers.
 */
export class FalconH1 extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, {
      scale: this.settings.number('embedding_multiplier'),
      paddingId: this.paddingId,
    });
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const bias = config.flag('attention_bias');
    // A multiplier of the keys multiplies the scores.
    const scoreScale = config.number('key_multiplier') / Math.sqrt(config.size('head_dim'));
    const mamba = {
      ...mamba2Settings(config),
      outBias: config.flag('projectors_bias'),
      norm: config.flag('mamba_rms_norm') ? (config.flag('mamba_norm_before_gate') ? 'beforeGate' : 'afterGate') : null,
      multipliers: config.list('ssm_multipliers') as readonly number[],
    } as const;
    const [gate, down] = config.list('mlp_multipliers') as readonly [number, number];
    return () =>
      new TransformerLayer({
        selfAttn: () =>
          new SideBySide([
            () =>
              new ScaledMixer(
                () => llamaAttention(init, config, this.randomness, { rotary, bias, scale: scoreScale }),
                config.number('attention_in_multiplier'),
                config.number('attention_out_multiplier'),
              ),
            () =>
              new ScaledMixer(
                () => new Mamba2(init, mamba),
                config.number('ssm_in_multiplier'),
                config.number('ssm_out_multiplier'),
              ),
          ]),
        feedForward: () =>
          new FeedForward(init, {
            dModel: config.size('hidden_size'),
            dFF: config.size('intermediate_size'),
            activation: activationOf(config.text('hidden_act')),
            gated: true,
            gateScale: gate,
            outScale: down,
            bias: config.flag('mlp_bias'),
          }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }

  override logitsOf(features: Tensor): Tensor {
    const logits = super.logitsOf(features);
    return this.headKind === 'language-model' ? scale(logits, this.settings.number('lm_head_multiplier')) : logits;
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['decoder.layers.*', 'model.layers.*'];
    const attention = `${path}.self_attn.mixers.0.mixer`;
    return {
      ...super.stateNames,
      [`${attention}.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
      [`${attention}.out_proj`]: `${layer}.self_attn.o_proj`,
      ...mamba2Names(`${path}.self_attn.mixers.1.mixer`, `${layer}.mamba`),
      [`${path}.feed_forward.linear1`]: `${layer}.feed_forward.gate_proj`,
      [`${path}.feed_forward.linear2`]: `${layer}.feed_forward.down_proj`,
      [`${path}.feed_forward.linear3`]: `${layer}.feed_forward.up_proj`,
      [`${path}.norm2`]: `${layer}.pre_ff_layernorm`,
      'decoder.norm': 'model.final_layernorm',
    };
  }
}

export const falconH1: Family = {
  model: FalconH1,
  className: 'FalconH1',
  defaults: {
    ...decoderDefaults,
    vocab_size: 128000,
    intermediate_size: 14336,
    num_key_value_heads: 8,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    pad_token_id: 0,
    attention_bias: false,
    mlp_bias: false,
    projectors_bias: false,
    mamba_d_ssm: 1024,
    mamba_n_heads: 128,
    mamba_d_head: 'auto',
    mamba_n_groups: 1,
    mamba_d_state: 256,
    mamba_d_conv: 4,
    mamba_expand: 2,
    mamba_conv_bias: true,
    mamba_proj_bias: false,
    mamba_norm_before_gate: true,
    mamba_rms_norm: false,
    time_step_limit: null,
    lm_head_multiplier: 1,
    embedding_multiplier: 1,
    key_multiplier: 1,
    attention_in_multiplier: 1,
    attention_out_multiplier: 1,
    ssm_in_multiplier: 1,
    ssm_out_multiplier: 1,
    mlp_multipliers: null,
    ssm_multipliers: null,
  },
  complete: (config) => {
    const inner = config.mamba_d_ssm ?? numberIn(config, 'mamba_expand') * numberIn(config, 'hidden_size');
    if (config.mamba_d_head === 'auto') config.mamba_d_head = (inner as number) / numberIn(config, 'mamba_n_heads');
    config.mlp_multipliers ??= [1, 1];
    config.ssm_multipliers ??= [1, 1, 1, 1, 1];
  },
  rope: { theta: 10000 },
  // Weights in GGUF files already contain the multipliers.
  gguf: {
    names: {
      ...ggufNames,
      output_norm: 'model.final_layernorm',
      'blk.*.ffn_norm': 'model.layers.*.pre_ff_layernorm.weight', // without a suffix
      'blk.*.ffn_gate': 'model.layers.*.feed_forward.gate_proj',
      'blk.*.ffn_up': 'model.layers.*.feed_forward.up_proj',
      'blk.*.ffn_down': 'model.layers.*.feed_forward.down_proj',
      ...mamba2GgufNames('model.layers.*.mamba'),
    },
    stored: mamba2GgufStored,
    config: (file) => ({
      ...file.decoder(),
      ...mamba2GgufSettings(file),
      mamba_d_ssm: file.needed('ssm.inner_size'),
      mamba_rms_norm: file.tensors.has('blk.0.ssm_norm.weight'),
      mamba_norm_before_gate: false,
    }),
  },
};
