import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Embedding } from '../../nn/embedding.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Mamba2 as Mamba2Mixer } from '../../nn/mamba2.js';
import { RMSNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, timeLimitOf } from '../config-values.js';
import type { Family, GgufFamily, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** Mamba-2 (Dao, Gu 2024, arXiv 2405.21060): all layers are selective state spaces; there is no attention. */
export class Mamba2 extends CausalModel {
  readonly tokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    const norm = () => new RMSNorm(init, dModel, mixer.eps);
    const mixer = mixerSettings(config);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new Mamba2Mixer(init, mixer),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, norm, {
      hiddenStates: 'outputs',
    });
    this.head = causalHead(context, this.tokens, this.randomness, { answers: false });
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids);
  }

  protected override get bodyName(): string {
    return 'backbone';
  }

  protected override get stateNames(): StateNames {
    return {
      tokens: 'backbone.embeddings',
      ...mamba2Names('decoder.layers.*.self_attn', 'backbone.layers.*.mixer'),
      'decoder.layers.*.norm1': 'backbone.layers.*.norm',
      'decoder.norm': 'backbone.norm_f',
      'head.out': headName(this.headKind),
    };
  }
}

/** Returns the options of Mamba-2 layers in hybrid models, whose configs prefix these settings with `mamba_`. */
export function mamba2Settings(config: ModelConfig) {
  return {
    dModel: config.size('hidden_size'),
    heads: config.size('mamba_n_heads'),
    headSize: config.size('mamba_d_head'),
    stateSize: config.size('mamba_d_state'),
    groups: config.size('mamba_n_groups'),
    taps: config.size('mamba_d_conv'),
    convBias: config.flag('mamba_conv_bias'),
    activation: activationOf(config.text('hidden_act')),
    bias: config.flag('mamba_proj_bias'),
    timeLimit: timeLimitOf(config),
    eps: config.number('rms_norm_eps'),
  };
}

/** Settings of the mixers of a model without other layers. */
function mixerSettings(config: ModelConfig) {
  return {
    dModel: config.size('hidden_size'),
    heads: config.size('num_heads'),
    headSize: config.size('head_dim'),
    stateSize: config.size('state_size'),
    groups: config.size('n_groups'),
    taps: config.size('conv_kernel'),
    convBias: config.flag('use_conv_bias'),
    activation: activationOf(config.text('hidden_act')),
    bias: config.flag('use_bias'),
    timeLimit: timeLimitOf(config),
    eps: config.number('layer_norm_epsilon'),
  };
}

/** The names of a `Mamba2` mixer. `block`: the path of its module. */
export function mamba2Names(path: string, block: string): StateNames {
  return {
    [`${path}.in_proj`]: `${block}.in_proj`,
    [`${path}.conv`]: `${block}.conv1d`,
    [`${path}.dt_bias`]: `${block}.dt_bias`,
    [`${path}.a_log`]: `${block}.A_log`,
    [`${path}.d`]: `${block}.D`,
    [`${path}.norm`]: `${block}.norm`,
    [`${path}.out_proj`]: `${block}.out_proj`,
  };
}

/** Names of Mamba-2's tensors in GGUF files. `block`: the path of its module in a checkpoint. */
export function mamba2GgufNames(block: string): GgufFamily['names'] {
  return {
    'blk.*.ssm_in': `${block}.in_proj`,
    'blk.*.ssm_conv1d': `${block}.conv1d`,
    'blk.*.ssm_dt.bias': `${block}.dt_bias`,
    'blk.*.ssm_a': `${block}.A_log`,
    'blk.*.ssm_d': `${block}.D`,
    'blk.*.ssm_norm': `${block}.norm`,
    'blk.*.ssm_out': `${block}.out_proj`,
  };
}

/** Layouts of Mamba-2's tensors in GGUF files. */
export const mamba2GgufStored: NonNullable<GgufFamily['stored']> = {
  'blk.*.ssm_a': 'logarithm',
  'blk.*.ssm_d': 'vector',
  'blk.*.ssm_norm.weight': 'vector',
  'blk.*.ssm_conv1d.weight': 'taps',
};

/** Numbers of rows of Mamba-2's tensors in GGUF files. */
export const mamba2GgufRows = ({ heads, groups }: MambaSettings): Record<string, number> => ({
  'blk.*.ssm_a': heads,
  'blk.*.ssm_d': heads,
  'blk.*.ssm_norm.weight': groups,
});

type MambaSettings = ReturnType<typeof mamba2Settings>;

/** The settings of Mamba-2 layers that `saveGguf` writes. Throws ArgumentError for those that llama.cpp lacks. */
export function mamba2GgufSaved(mixer: MambaSettings): Record<string, GgufNumber> {
  const { heads, headSize, stateSize, groups, taps, bias, timeLimit } = mixer;
  if (bias || timeLimit !== undefined)
    throw new ArgumentError(
      'saveGguf: llama.cpp knows no biases of the projections in Mamba-2, and no limits of its time steps. Save the model as safetensors',
    );
  return {
    'ssm.conv_kernel': { uint32: taps },
    'ssm.inner_size': { uint32: heads * headSize },
    'ssm.state_size': { uint32: stateSize },
    'ssm.time_step_rank': { uint32: heads },
    'ssm.group_count': { uint32: groups },
  };
}

/** Settings of the Mamba-2 layers of hybrids in a GGUF file. */
export function mamba2GgufSettings(file: GgufSettings): Json {
  const [inner, heads] = [file.needed('ssm.inner_size'), file.needed('ssm.time_step_rank')];
  return {
    mamba_expand: inner / file.needed('embedding_length'),
    mamba_n_heads: heads,
    mamba_d_head: inner / heads,
    mamba_d_state: file.needed('ssm.state_size'),
    mamba_n_groups: file.needed('ssm.group_count'),
    mamba_d_conv: file.needed('ssm.conv_kernel'),
    mamba_conv_bias: file.hasTensor('ssm_conv1d.bias'),
    mamba_proj_bias: false,
  };
}

export const mamba2: Family = {
  model: Mamba2,
  className: 'Mamba2',
  defaults: {
    vocab_size: 32768,
    hidden_size: 4096,
    num_hidden_layers: 64,
    num_heads: 128,
    head_dim: 64,
    state_size: 128,
    n_groups: 8,
    expand: 2,
    conv_kernel: 4,
    layer_norm_epsilon: 1e-5,
    hidden_act: 'silu',
    use_bias: false,
    use_conv_bias: true,
    time_step_limit: null, // no upper limit; the lower one is 0
    max_position_embeddings: 1 << 20, // a large number, because there are no positions
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    tie_word_embeddings: false,
  },
  complete: (config) => {
    numberIn(config, 'num_heads');
  },
  gguf: {
    names: {
      token_embd: 'backbone.embeddings',
      output_norm: 'backbone.norm_f',
      output: 'lm_head',
      'blk.*.attn_norm': 'backbone.layers.*.norm',
      ...mamba2GgufNames('backbone.layers.*.mixer'),
    },
    stored: mamba2GgufStored,
    rows: (config) => mamba2GgufRows(mixerSettings(config)),
    saved: (config) => {
      expectForGguf(config, { use_conv_bias: true });
      return {
        context_length: { uint32: config.size('max_position_embeddings') },
        embedding_length: { uint32: config.size('hidden_size') },
        feed_forward_length: { uint32: 0 },
        block_count: { uint32: config.size('num_hidden_layers') },
        'attention.head_count': { uint32: 0 },
        'attention.layer_norm_rms_epsilon': { float32: config.number('layer_norm_epsilon') },
        ...mamba2GgufSaved(mixerSettings(config)),
      };
    },
    config: (file) => {
      const {
        mamba_expand,
        mamba_n_heads,
        mamba_d_head,
        mamba_d_state,
        mamba_n_groups,
        mamba_d_conv,
        mamba_conv_bias,
      } = mamba2GgufSettings(file);
      return {
        expand: mamba_expand,
        num_heads: mamba_n_heads,
        head_dim: mamba_d_head,
        state_size: mamba_d_state,
        n_groups: mamba_n_groups,
        conv_kernel: mamba_d_conv,
        use_conv_bias: mamba_conv_bias,
        use_bias: false,
        hidden_size: file.needed('embedding_length'),
        num_hidden_layers: file.needed('block_count'),
        layer_norm_epsilon: file.needed('attention.layer_norm_rms_epsilon'),
        tie_word_embeddings: !file.tensors.has('output.weight'),
      };
    },
  },
};
