import { FormatError } from '../../core/errors.js';
import { lastOf, type Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type ProjectedQueries,
  type RotaryContext,
} from '../../nn/attention.js';
import { GatedDeltaNet } from '../../nn/gated-delta-net.js';
import type { Initializer } from '../../nn/init.js';
import type { Mixer } from '../../nn/mixer.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { sigmoid } from '../../ops/activation.js';
import { mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat } from '../../ops/move.js';
import { activationOf } from '../config-values.js';
import type { Family, GgufFamily, GgufHeads, GgufSettings } from '../family.js';
import { expectForGguf, ggufSections } from '../gguf-mixtures.js';
import { eachLayer, ModelConfig, numberIn } from '../model-config.js';
import type { PredictorParts } from '../token-predictor.js';
import { decoderDefaults, ggufNames, llamaNames, type MakeAttention, RotaryDecoder } from './llama.js';

/** Qwen 3.5 (2026): three layers of gated delta rules for each one of gated attention. */
export class Qwen35 extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'), 1);
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    const norm = () => new RMSNorm(init, config.size('head_dim'), config.number('rms_norm_eps'), 1);
    return { bias: config.flag('attention_bias'), qNorm: norm, kNorm: norm };
  }

  protected override attention(init: Initializer): MakeAttention {
    return (options) => new GatedAttention(init, options);
  }

  protected override mixer(init: Initializer, config: ModelConfig, i: number, attention: () => Mixer): Mixer {
    const delta = () =>
      new GatedDeltaNet(init, {
        dModel: config.size('hidden_size'),
        heads: config.size('linear_num_value_heads'),
        keyHeads: config.size('linear_num_key_heads'),
        keySize: config.size('linear_key_head_dim'),
        valueSize: config.size('linear_value_head_dim'),
        taps: config.size('linear_conv_kernel_dim'),
        activation: activationOf(config.text('hidden_act')),
        eps: config.number('rms_norm_eps'),
      });
    return config.choice<() => Mixer>('layer_types', i, { linear_attention: delta, full_attention: attention })();
  }

  /** A layer of full attention, as `mtp_num_hidden_layers` in config.json declares. */
  override predictorParts(init: Initializer): PredictorParts {
    const config = new ModelConfig({ ...this.settings.values, layer_types: ['full_attention'] });
    const norm = () => this.norm(init, config);
    const names = { ...llamaNames('mtp'), ...this.networkNames('mtp') };
    return { dModel: config.size('hidden_size'), norm, layer: () => this.layers(init, config)(0), names };
  }

  /** Names of the feed-forward networks, if they differ from Llama's. Subclasses get the path of the layers. */
  protected networkNames(_body: string): StateNames {
    return {};
  }

  /** Layers for multi-token prediction are not part of the model; see `loadPredictor`. */
  override ignores(name: string): boolean {
    return name.startsWith('mtp.');
  }

  protected override get stateNames(): StateNames {
    const { settings } = this;
    const layers = eachLayer(settings.values, (i) => {
      const [path, layer] = [`decoder.layers.${i}.self_attn`, `model.layers.${i}`];
      return settings.choice<StateNames>('layer_types', i, {
        full_attention: { [`${path}.out_proj`]: `${layer}.self_attn.o_proj` },
        linear_attention: deltaNames(path, `${layer}.linear_attn`),
      });
    });
    return { ...Object.assign({}, ...layers), ...this.networkNames('model'), ...super.stateNames };
  }
}

/** Queries with the gates of the heads' outputs, [N, heads·d]. */
interface GatedQueries extends ProjectedQueries {
  readonly gate?: Tensor;
}

/**
 * Attention with an output gate: its sigmoid multiplies the outputs of the heads. The projection of queries makes it,
 * too.
 */
class GatedAttention extends MultiHeadAttention {
  protected override sectionWidths(queries: number, keys: number): number[] {
    return [2 * queries, keys, keys];
  }

  override project(x: Tensor, context: RotaryContext): ProjectedAttention & GatedQueries {
    const { headSize } = this;
    const width = this.heads * headSize;
    const all = this.qkv.forward(x); // [N, query and gate of each head | keys | values]
    const perHead = contiguous(all.columns(0, 2 * width)).reshape(-1, 2 * headSize); // [N·heads, query | gate]
    const [q, gate] = [0, headSize].map((from) =>
      contiguous(perHead.columns(from, from + headSize)).reshape(-1, width),
    ) as [Tensor, Tensor];
    const plain = concat([q, all.columns(2 * width, lastOf(all.shape))], -1); // [N, queries | keys | values]
    return { ...this.splitProjections(plain, context), gate };
  }

  protected override projectOut(mixed: Tensor, projected: GatedQueries = { q: mixed }): Tensor {
    return super.projectOut(projected.gate ? mul(mixed, sigmoid(projected.gate)) : mixed);
  }
}

/** The names of a `GatedDeltaNet`. `block`: the path of its module. */
function deltaNames(path: string, block: string): StateNames {
  return {
    [`${path}.in_proj`]: ['qkv', 'z', 'b', 'a'].map((name) => `${block}.in_proj_${name}`),
    [`${path}.conv`]: `${block}.conv1d`,
    [`${path}.dt_bias`]: `${block}.dt_bias`,
    [`${path}.a_log`]: `${block}.A_log`,
    [`${path}.norm`]: `${block}.norm`,
    [`${path}.out_proj`]: `${block}.out_proj`,
  };
}

const LAYER = 'model.layers.*';
const DELTA = `${LAYER}.linear_attn`;

/**
 * The heads of values in a GGUF file: the first of each group of a key, then the second of each, and so on. `before`:
 * rows of queries and keys before them.
 */
function valueHeads(file: GgufSettings, before = 0): GgufHeads {
  const groups = file.needed('ssm.group_count');
  const headsPerGroup = file.needed('ssm.time_step_rank') / groups;
  if (!(Number.isInteger(headsPerGroup) && headsPerGroup > 0))
    throw new FormatError('the file has too few heads of values for its keys');
  return { groups, heads: Array<number>(headsPerGroup).fill(1), before };
}

const withKeys = (file: GgufSettings) =>
  valueHeads(file, 2 * file.needed('ssm.group_count') * file.needed('ssm.state_size'));

/** Tensors with heads of values, and their names in checkpoints. */
const withHeads: Readonly<Record<string, string>> = {
  'attn_gate.weight': 'in_proj_z.weight',
  'ssm_alpha.weight': 'in_proj_a.weight',
  'ssm_beta.weight': 'in_proj_b.weight',
  ssm_a: 'A_log',
  'ssm_dt.bias': 'dt_bias',
};

/** GGUF files of Qwen 3.5, apart from its feed-forward networks. */
export const qwen35Gguf = {
  names: {
    ...ggufNames,
    'blk.*.post_attention_norm': `${LAYER}.post_attention_layernorm`,
    'blk.*.ssm_norm': `${DELTA}.norm`,
  },
  joined: [
    { name: `${DELTA}.in_proj_qkv.weight`, of: ['blk.*.attn_qkv.weight'], perHead: withKeys },
    { name: `${DELTA}.conv1d.weight`, of: ['blk.*.ssm_conv1d.weight'], perHead: withKeys },
    {
      name: `${DELTA}.out_proj.weight`,
      of: ['blk.*.ssm_out.weight'],
      perHead: (file) => ({ ...valueHeads(file), inColumns: true }),
    },
    ...Object.entries(withHeads).map(([suffix, name]) => ({
      name: `${DELTA}.${name}`,
      of: [`blk.*.${suffix}`],
      perHead: (file: GgufSettings) => valueHeads(file),
    })),
  ],
  stored: { 'blk.*.ssm_a': 'logarithm', 'blk.*.ssm_conv1d.weight': 'taps' },
  plusOne: ['attn_norm', 'post_attention_norm', 'attn_q_norm', 'attn_k_norm', 'output_norm'],
  saved: (config) => {
    expectForGguf(config, { attention_bias: false });
    const count = (name: string) => ({ uint32: config.size(`linear_${name}`) });
    return {
      'ssm.conv_kernel': count('conv_kernel_dim'),
      'ssm.state_size': count('key_head_dim'),
      'ssm.group_count': count('num_key_heads'),
      'ssm.time_step_rank': count('num_value_heads'),
      'ssm.inner_size': { uint32: config.size('linear_num_value_heads') * config.size('linear_value_head_dim') },
      'attention.recurrent_layers': { bools: config.list('layer_types').map((kind) => kind === 'linear_attention') },
      ...ggufSections(config),
    };
  },
  config: (file) => {
    const [heads, inner] = [file.needed('ssm.time_step_rank'), file.needed('ssm.inner_size')];
    const interval = file.number('full_attention_interval') ?? 4;
    const isDelta = file.pattern('attention.recurrent_layers');
    const ofLayer = (i: number) => (Array.isArray(isDelta) ? isDelta[i] === true : (i + 1) % interval !== 0);
    return {
      ...file.decoder(),
      linear_conv_kernel_dim: file.needed('ssm.conv_kernel'),
      linear_key_head_dim: file.needed('ssm.state_size'),
      linear_value_head_dim: inner / heads,
      linear_num_key_heads: file.needed('ssm.group_count'),
      linear_num_value_heads: heads,
      layer_types: Array.from({ length: file.layers }, (_, i) => (ofLayer(i) ? 'linear_attention' : 'full_attention')),
    };
  },
} satisfies GgufFamily;

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
  gguf: qwen35Gguf,
};
