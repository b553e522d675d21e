import { lastOf, type Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type Projected, type Queries } from '../../nn/attention.js';
import { GatedDeltaNet } from '../../nn/gated-delta-net.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { sigmoid } from '../../ops/activation.js';
import { mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat } from '../../ops/move.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import { eachLayer, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, Llama, llamaAttentionOptions, llamaFeedForward, type MakeNorm } from './llama.js';

/** Qwen 3.5 (2026): three layers of gated delta rules for each one of gated attention. */
export class Qwen35 extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'), 1);
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const headNorm = () => new RMSNorm(init, config.size('head_dim'), config.number('rms_norm_eps'), 1);
    const bias = config.flag('attention_bias');
    const options = { rotary, bias, qNorm: headNorm, kNorm: headNorm };
    const attention = () => new GatedAttention(init, llamaAttentionOptions(config, this.randomness, options));
    const delta = () =>
      new GatedDeltaNet(init, {
        dModel: config.size('hidden_size'),
        heads: config.size('linear_num_value_heads'),
        keyHeads: config.size('linear_num_key_heads'),
        keySize: config.size('linear_key_head_dim'),
        valueSize: config.size('linear_value_head_dim'),
        taps: config.size('linear_conv_kernel_dim'),
        eps: config.number('rms_norm_eps'),
      });
    return (i) =>
      new TransformerLayer({
        selfAttn: config.choice('layer_types', i, { linear_attention: delta, full_attention: attention }),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }

  protected override get stateNames(): StateNames {
    const { settings } = this;
    const layers = eachLayer(settings.values, (i) => {
      const [own, layer] = [`decoder.layers.${i}.self_attn`, `model.layers.${i}`];
      return settings.choice<StateNames>('layer_types', i, {
        full_attention: { [`${own}.out_proj`]: `${layer}.self_attn.o_proj` },
        linear_attention: deltaNames(own, `${layer}.linear_attn`),
      });
    });
    return { ...Object.assign({}, ...layers), ...super.stateNames };
  }
}

/** Queries with the gates of the heads' outputs, [N, heads·d]. */
interface GatedQueries extends Queries {
  readonly gate?: Tensor;
}

/** Attention with an output gate: its sigmoid multiplies the outputs of the heads. The projection of queries makes it, too. */
class GatedAttention extends MultiHeadAttention {
  protected override widths(queries: number, keys: number): number[] {
    return [2 * queries, keys, keys];
  }

  override project(
    x: Tensor,
    positions: Tensor,
    length: number,
    grows = false,
    angles: Tensor | null = null,
  ): Projected & GatedQueries {
    const { headSize } = this;
    const width = this.heads * headSize;
    const all = this.qkv.forward(x); // [N, query and gate of each head | keys | values]
    const perHead = contiguous(all.columns(0, 2 * width)).reshape(-1, 2 * headSize); // [N·heads, query | gate]
    const [q, gate] = [0, headSize].map((from) =>
      contiguous(perHead.columns(from, from + headSize)).reshape(-1, width),
    ) as [Tensor, Tensor];
    const plain = concat([q, all.columns(2 * width, lastOf(all.shape))], -1); // [N, queries | keys | values]
    return { ...this.prepared(plain, { positions, length, grows, angles }), gate };
  }

  protected override out(mixed: Tensor, projected: GatedQueries = { q: mixed }): Tensor {
    return super.out(projected.gate ? mul(mixed, sigmoid(projected.gate)) : mixed);
  }
}

/** The names of a `GatedDeltaNet`. `block`: the path of its module. */
function deltaNames(own: string, block: string): StateNames {
  return {
    [`${own}.in_proj`]: ['qkv', 'z', 'b', 'a'].map((name) => `${block}.in_proj_${name}`),
    [`${own}.conv`]: `${block}.conv1d`,
    [`${own}.dt_bias`]: `${block}.dt_bias`,
    [`${own}.a_log`]: `${block}.A_log`,
    [`${own}.norm`]: `${block}.norm`,
    [`${own}.out_proj`]: `${block}.out_proj`,
  };
}

export const qwen35: Family = {
  model: Qwen35,
  className: 'Qwen3_5',
  defaults: {
    ...decoderDefaults,
    vocab_size: 248320,
    hidden_size: 4096,
    intermediate_size: 12288,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 32768,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: false,
    linear_conv_kernel_dim: 4,
    linear_key_head_dim: 128,
    linear_value_head_dim: 128,
    linear_num_key_heads: 16,
    linear_num_value_heads: 32,
    full_attention_interval: 4,
    layer_types: null,
  },
  complete: (config) => {
    const interval = numberIn(config, 'full_attention_interval');
    config.layer_types ??= eachLayer(config, (i) => ((i + 1) % interval === 0 ? 'full_attention' : 'linear_attention'));
  },
  rope: { theta: 10000, partial: 0.25, sections: [11, 11, 10] },
};
