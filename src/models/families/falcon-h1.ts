import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { Mamba2 } from '../../nn/mamba2.js';
import type { Mixer } from '../../nn/mixer.js';
import { ScaledMixer, SideBySide } from '../../nn/side-by-side.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';
import {
  mamba2GgufNames,
  mamba2GgufRows,
  mamba2GgufSaved,
  mamba2GgufSettings,
  mamba2GgufStored,
  mamba2Names,
  mamba2Settings,
} from './mamba2.js';

/**
 * Falcon-H1 (TII 2025, arXiv 2507.22448): attention and Mamba-2 side by side in each layer, with constant multipliers.
 */
export class FalconH1 extends RotaryDecoder {
  protected override embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, {
      scale: this.settings.number('embedding_multiplier'),
      paddingId: this.paddingId,
    });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    // A multiplier of the keys multiplies the scores.
    const scale = config.number('key_multiplier') / Math.sqrt(config.size('head_dim'));
    return { bias: config.flag('attention_bias'), scale };
  }

  protected override mixer(init: Initializer, config: ModelConfig, _i: number, attention: () => Mixer): Mixer {
    const scaled = (part: () => Mixer, name: string) => () =>
      new ScaledMixer(part, config.number(`${name}_in_multiplier`), config.number(`${name}_out_multiplier`));
    const norm = config.flag('mamba_norm_before_gate') ? 'beforeGate' : 'afterGate';
    const mamba = () =>
      new Mamba2(init, {
        ...mamba2Settings(config),
        outBias: config.flag('projectors_bias'),
        norm: config.flag('mamba_rms_norm') ? norm : null,
        multipliers: config.list('ssm_multipliers') as readonly number[],
      });
    return new SideBySide([scaled(attention, 'attention'), scaled(mamba, 'ssm')]);
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const [gateScale, outScale] = config.list('mlp_multipliers') as readonly [number, number];
    return llamaFeedForward(init, config, { gateScale, outScale, bias: config.flag('mlp_bias') });
  }

  protected override get logitScale(): number {
    return this.settings.number('lm_head_multiplier');
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

/** The multipliers that GGUF files contain, by tensor. */
function ggufFactors(config: ModelConfig): Record<string, number | readonly number[]> {
  const of = (name: string) => config.number(`${name}_multiplier`);
  const [gate, down] = config.list('mlp_multipliers') as readonly [number, number];
  const { heads, headSize, groups, stateSize } = mamba2Settings(config);
  const sections = [heads * headSize, heads * headSize, groups * stateSize, groups * stateSize, heads];
  const multipliers = config.list('ssm_multipliers') as readonly number[];
  return {
    'token_embd.weight': of('embedding'),
    'output.weight': of('lm_head'),
    'blk.*.attn_q.weight': of('attention_in'),
    'blk.*.attn_k.weight': of('attention_in') * of('key'),
    'blk.*.attn_v.weight': of('attention_in'),
    'blk.*.attn_output.weight': of('attention_out'),
    'blk.*.ffn_gate.weight': gate,
    'blk.*.ffn_down.weight': down,
    'blk.*.ssm_in.weight': sections.flatMap((rows, i) =>
      Array<number>(rows).fill(of('ssm_in') * (multipliers[i] as number)),
    ),
    'blk.*.ssm_out.weight': of('ssm_out'),
  };
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
    rows: (config) => mamba2GgufRows(mamba2Settings(config)),
    factors: ggufFactors,
    saved: (config) => {
      expectForGguf(config, { attention_bias: false, mlp_bias: false, projectors_bias: false });
      if (config.flag('mamba_rms_norm')) expectForGguf(config, { mamba_norm_before_gate: false });
      // llama.cpp reads tied embeddings as the output, too.
      if (config.flag('tie_word_embeddings'))
        expectForGguf(config, { lm_head_multiplier: config.number('embedding_multiplier') });
      return mamba2GgufSaved(mamba2Settings(config));
    },
    config: (file) => ({
      ...file.decoder(),
      ...mamba2GgufSettings(file),
      mamba_d_ssm: file.needed('ssm.inner_size'),
      mamba_rms_norm: file.tensors.has('blk.0.ssm_norm.weight'),
      mamba_norm_before_gate: false,
    }),
  },
};
