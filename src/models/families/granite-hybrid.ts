import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { Mamba2 } from '../../nn/mamba2.js';
import type { Mixer } from '../../nn/mixer.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { SharedExperts } from '../../nn/shared-experts.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, rotaryOf } from '../config-values.js';
import type { Family, GgufFamily, GgufNumber } from '../family.js';
import { expectForGguf, expectKinds, ggufExpertCounts } from '../gguf-mixtures.js';
import { routerLoss } from '../mixtures.js';
import { eachLayer, type ModelConfig, numberIn } from '../model-config.js';
import { Granite, granite, graniteSaved, graniteSettings } from './granite.js';
import { ggufNames } from './llama.js';
import {
  mamba2GgufNames,
  mamba2GgufRows,
  mamba2GgufSaved,
  mamba2GgufSettings,
  mamba2GgufStored,
  mamba2Names,
  mamba2Settings,
} from './mamba2.js';

/** Granite 4's hybrids (IBM 2025): most layers are Mamba-2, some attention; experts beside a network for all tokens. */
export class GraniteHybrid extends Granite {
  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return config.values.position_embedding_type === 'rope' ? rotaryOf(init, config) : null;
  }

  protected override mixer(init: Initializer, config: ModelConfig, i: number, attention: () => Mixer): Mixer {
    const mamba = () => new Mamba2(init, mamba2Settings(config));
    return config.choice('layer_types', i, mixers<() => Mixer>(mamba, attention))();
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const dModel = config.size('hidden_size');
    const activation = activationOf(config.text('hidden_act'));
    const dense = () => ({
      dModel,
      dFF: config.size('shared_intermediate_size'),
      activation,
      gated: true,
      fused: true,
      bias: false,
    });
    const shared = () => new FeedForward(init, dense());
    if (config.number('num_local_experts') === 0) return shared();
    const experts = {
      dModel,
      dFF: config.size('intermediate_size'),
      experts: config.size('num_local_experts'),
      chosen: config.size('num_experts_per_tok'),
      activation,
      weights: 'softmaxOfChosen',
      fused: true,
    } as const;
    const mixture = () => new MixtureOfExperts(init, experts);
    return config.number('shared_intermediate_size') > 0 ? new SharedExperts(mixture, shared) : mixture();
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override get stateNames(): StateNames {
    const { settings } = this;
    const experts = settings.number('num_local_experts');
    const [path, layer] = ['decoder.layers.*.feed_forward', 'model.layers.*'];
    const isMixed = experts > 0 && settings.number('shared_intermediate_size') > 0;
    const mixture = isMixed ? `${path}.experts` : path;
    const shared = isMixed ? `${path}.shared` : path;
    const mamba = eachLayer(settings.values, (i) =>
      settings.choice<StateNames>(
        'layer_types',
        i,
        mixers(mamba2Names(`decoder.layers.${i}.self_attn`, `model.layers.${i}.mamba`), {}),
      ),
    );
    return {
      ...Object.assign({}, ...mamba),
      [`${mixture}.router`]: `${layer}.block_sparse_moe.router.layer`,
      [`${mixture}.gates.weight`]: { name: `${layer}.block_sparse_moe.input_linear.weight`, leading: [experts] },
      [`${mixture}.downs.weight`]: { name: `${layer}.block_sparse_moe.output_linear.weight`, leading: [experts] },
      ...super.stateNames,
      // After Llama's names, because these replace them in models without experts.
      [`${shared}.linear1`]: `${layer}.shared_mlp.input_linear`,
      [`${shared}.linear2`]: `${layer}.shared_mlp.output_linear`,
    };
  }
}

/** Settings by kind of layer. Files before transformers 5 have shorter names of the kinds. */
function mixers<T>(mamba: T, attention: T): Record<string, T> {
  return { linear_attention: mamba, mamba, full_attention: attention, attention };
}

const LAYER = 'model.layers.*';

export const graniteHybrid: Family = {
  model: GraniteHybrid,
  className: 'GraniteMoeHybrid',
  defaults: {
    ...granite.defaults,
    vocab_size: 32000,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
    shared_intermediate_size: 1024,
    position_embedding_type: null,
    layer_types: null,
    mamba_n_heads: 128,
    mamba_n_groups: 1,
    mamba_d_state: 256,
    mamba_d_head: 'auto',
    mamba_d_conv: 4,
    mamba_expand: 2,
    mamba_conv_bias: true,
    mamba_proj_bias: false,
    time_step_limit: null,
  },
  complete: (config, fileConfig) => {
    config.layer_types ??= fileConfig.layers_block_type ?? eachLayer(config, () => 'linear_attention');
    if (config.mamba_d_head === 'auto')
      config.mamba_d_head =
        (numberIn(config, 'mamba_expand') * numberIn(config, 'hidden_size')) / numberIn(config, 'mamba_n_heads');
  },
  rope: { theta: 10000 },
  gguf: {
    ...ggufOf(''),
    rows: (config) => mamba2GgufRows(mamba2Settings(config)),
    architecture: (config) =>
      hasMamba(config) ? null : config.number('num_local_experts') > 0 ? 'granitemoe' : 'granite',
    variants: [
      {
        tensor: 'blk.0.ffn_gate_shexp.weight',
        isOf: (config) => config.number('num_local_experts') > 0,
        gguf: { ...ggufOf('_shexp'), rows: (config) => mamba2GgufRows(mamba2Settings(config)) },
      },
    ],
  },
};

/** The layout of GGUF files. `network`: the ending of the names of a network for all tokens, which differs with experts. */
function ggufOf(network: '' | '_shexp'): GgufFamily {
  return {
    names: {
      ...ggufNames,
      'blk.*.ffn_gate_inp': `${LAYER}.block_sparse_moe.router.layer`,
      'blk.*.ffn_down_exps': `${LAYER}.block_sparse_moe.output_linear`,
      [`blk.*.ffn_down${network}`]: `${LAYER}.shared_mlp.output_linear`,
      ...mamba2GgufNames(`${LAYER}.mamba`),
    },
    joined: [
      {
        name: `${LAYER}.block_sparse_moe.input_linear.weight`,
        of: ['blk.*.ffn_gate_exps.weight', 'blk.*.ffn_up_exps.weight'],
      },
      {
        name: `${LAYER}.shared_mlp.input_linear.weight`,
        of: [`blk.*.ffn_gate${network}.weight`, `blk.*.ffn_up${network}.weight`],
      },
    ],
    stored: mamba2GgufStored,
    pairedRows: ['attn_q', 'attn_k'],
    saved: hybridSaved,
    config: (file) => {
      const experts = file.number('expert_count') ?? 0;
      const heads = file.ofLayers('attention.head_count_kv') ?? [];
      const isHybrid = file.architecture === 'granitehybrid';
      const sizes = graniteSettings(file);
      const shared = file.number('expert_shared_feed_forward_length') ?? 0;
      return {
        ...sizes,
        ...(experts > 0 && shared === 0 && { model_type: 'granitemoe', architectures: ['GraniteMoeForCausalLM'] }),
        ...(isHybrid && mamba2GgufSettings(file)),
        layer_types: heads.map((count) => (count > 0 ? 'full_attention' : 'linear_attention')),
        position_embedding_type: !isHybrid || file.flag('rope.scaling.finetuned') ? 'rope' : null,
        intermediate_size: file.number('expert_feed_forward_length') ?? sizes.intermediate_size,
        shared_intermediate_size: experts > 0 ? shared : sizes.intermediate_size,
        num_local_experts: experts,
        num_experts_per_tok: file.number('expert_used_count') ?? 0,
      };
    },
  };
}

/** True if some layers are Mamba-2. */
function hasMamba(config: ModelConfig): boolean {
  return config.list('layer_types').some((kind) => mixers(true, false)[String(kind)]);
}

/** The settings that `saveGguf` writes. A model whose layers all attend is one of the families without Mamba-2. */
function hybridSaved(config: ModelConfig): Record<string, GgufNumber> {
  if (!hasMamba(config)) {
    expectForGguf(config, { position_embedding_type: 'rope' });
    return mixtureSaved(config);
  }
  const heads = config.size('num_key_value_heads');
  const kinds = config.list('layer_types');
  expectKinds(
    'layer_types',
    kinds.map((kind) => mixers('mamba', 'attention')[String(kind)]),
    ['attention'],
  );
  return {
    ...mixtureSaved(config),
    ...mamba2GgufSaved(mamba2Settings(config)),
    'attention.head_count_kv': { int32s: kinds.map((kind) => mixers(0, heads)[String(kind)] ?? 0) },
    'rope.scaling.finetuned': { bool: config.values.position_embedding_type === 'rope' },
  };
}

/** The settings of multipliers, experts and networks that `saveGguf` writes. */
function mixtureSaved(config: ModelConfig): Record<string, GgufNumber> {
  expectForGguf(config, { attention_bias: false });
  const shared = config.number('shared_intermediate_size');
  if (config.number('num_local_experts') === 0)
    return { ...graniteSaved(config), feed_forward_length: { uint32: shared } };
  return {
    ...graniteSaved(config),
    ...ggufExpertCounts(config, 'num_local_experts'),
    expert_feed_forward_length: { uint32: config.size('intermediate_size') },
    ...(shared > 0 && { expert_shared_feed_forward_length: { uint32: shared } }),
  };
}

/** Granite 3's mixtures (IBM 2024): attention in all layers. */
export const graniteMoe: Family = {
  ...graniteHybrid,
  className: 'GraniteMoe',
  defaults: { ...graniteHybrid.defaults, shared_intermediate_size: 0, position_embedding_type: 'rope' },
  complete: (config) => {
    config.layer_types = eachLayer(config, () => 'full_attention');
  },
  gguf: { ...ggufOf('_shexp'), saved: mixtureSaved },
};

/** Granite 3's mixtures beside a network for all tokens. */
export const graniteMoeShared: Family = {
  ...graniteMoe,
  className: 'GraniteMoeShared',
};
