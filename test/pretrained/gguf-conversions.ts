// Checkpoints of test/data as llama.cpp's converter writes them to GGUF files, with the names of gguf-py
// (make_gguf_names.py).
import { expect } from 'vitest';
import { type GgufEntry, type GgufPart, ggufParts } from '../../src/io/gguf-writer.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.js';
import { testData } from '../test-data.js';

interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
type Tensors = Map<string, Tensor>;
// biome-ignore lint/suspicious/noExplicitAny: a config.json
export type Config = Record<string, any>;

/** The changes that the converter makes to a family. */
interface Conversion {
  /** The checkpoint's folder in test/data. Default: `families/NAME`. */
  readonly folder?: string;
  /** Settings of the checkpoint that such files do not hold, as they must be. */
  readonly settings?: Config;
  /** The settings of the file. Those that all files have are added. */
  metadata?(config: Config): Record<string, GgufEntry>;
  /** Other tensors in place of one. Names are still the checkpoint's, or the file's where gguf-py knows none. */
  change?(name: string, tensor: Tensor, config: Config): Record<string, Tensor>;
  /** Changes of all tensors, before the others. */
  prepare?(tensors: Tensors, config: Config): Tensors;
  /** Tensors of the checkpoint that are set to zero. */
  readonly zeros?: RegExp;
}

const known =
  await testData('../pretrained').json<Record<string, { architecture: string; names: Record<string, string> }>>(
    'gguf-names.json',
  );

const count = (value: number): GgufEntry => ({ uint32: value });
const real = (value: number): GgufEntry => ({ float32: value });

/** Rows (of the first dimension) in another order. */
function rowsOf({ shape, data }: Tensor, order: readonly number[]): Tensor {
  const width = data.length / (shape[0] as number);
  const moved = new Float32Array(order.length * width);
  for (const [to, from] of order.entries()) moved.set(data.subarray(from * width, (from + 1) * width), to * width);
  return { shape: [order.length, ...shape.slice(1)], data: moved };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const reshaped = ({ data }: Tensor, ...shape: number[]): Tensor => ({ shape, data });
const mapped = ({ shape, data }: Tensor, change: (value: number) => number): Tensor => ({
  shape,
  data: data.map(change),
});

/** The converter's `permute` for rotary pairs that are neighbours. */
function permuted(tensor: Tensor, heads: number): Tensor {
  const half = (tensor.shape[0] as number) / heads / 2;
  const order = range(0, heads).flatMap((head) =>
    range(0, half).flatMap((i) => [head * 2 * half + i, head * 2 * half + half + i]),
  );
  return rowsOf(tensor, order);
}

const permutes: NonNullable<Conversion['change']> = (name, tensor, config) => {
  if (/self_attn\.q_proj\./.test(name)) return { [name]: permuted(tensor, config.num_attention_heads) };
  if (/self_attn\.k_proj\./.test(name)) return { [name]: permuted(tensor, config.num_key_value_heads) };
  return { [name]: tensor };
};

/** Stacks the matrices of experts. */
function stacked(tensors: Tensors, names: Readonly<Record<string, string>>): Tensors {
  const all: Tensors = new Map();
  const groups = new Map<string, Tensor[]>();
  for (const [name, tensor] of tensors) {
    const found = /^model\.layers\.(\d+)\.\w+\.experts\.\d+\.(\w+)\.weight$/.exec(name);
    if (found === null) all.set(name, tensor);
    else {
      const target = `blk.${found[1]}.${names[found[2] as string]}.weight`;
      groups.set(target, [...(groups.get(target) ?? []), tensor]);
    }
  }
  for (const [name, parts] of groups) {
    const [{ shape }] = parts as [Tensor];
    const data = Float32Array.from(parts.flatMap((part) => Array.from(part.data)));
    all.set(name, { shape: [parts.length, ...shape], data });
  }
  return all;
}

const expertNames = { gate_proj: 'ffn_gate_exps', up_proj: 'ffn_up_exps', down_proj: 'ffn_down_exps' };

/** Mamba-2's tensors. */
const mamba =
  (groups: string): NonNullable<Conversion['change']> =>
  (name, tensor, config) => {
    const [size] = tensor.shape as [number];
    if (name.endsWith('.A_log'))
      return {
        [name]: reshaped(
          mapped(tensor, (value) => -Math.exp(value)),
          size,
          1,
        ),
      };
    if (name.endsWith('.D')) return { [name]: reshaped(tensor, size, 1) };
    if (name.endsWith('conv1d.weight')) return { [name]: reshaped(tensor, size, tensor.shape[2] as number) };
    if (/(mamba|mixer)\.norm\.weight$/.test(name))
      return { [name]: reshaped(tensor, config[groups], size / config[groups]) };
    return { [name]: tensor };
  };

const ssm = (config: Config, prefix = 'mamba_'): Record<string, GgufEntry> => ({
  'ssm.conv_kernel': count(config[`${prefix}d_conv`]),
  'ssm.state_size': count(config[`${prefix}d_state`]),
  'ssm.group_count': count(config[`${prefix}n_groups`]),
  'ssm.inner_size': count(config.mamba_d_ssm ?? config[`${prefix}expand`] * config.hidden_size),
  'ssm.time_step_rank': count(config[`${prefix}n_heads`]),
});

const experts = (config: Config, size: string): Record<string, GgufEntry> => ({
  expert_count: count(config.num_experts ?? config.num_local_experts),
  expert_used_count: count(config.num_experts_per_tok),
  expert_feed_forward_length: count(config[size]),
});

const multipliers = (config: Config): Record<string, GgufEntry> => ({
  embedding_scale: real(config.embedding_multiplier),
  residual_scale: real(config.residual_multiplier),
  'attention.scale': real(config.attention_multiplier),
  logit_scale: real(config.logits_scaling),
});

const headsByLayer = (config: Config): Record<string, GgufEntry> => ({
  'attention.head_count_kv': {
    int32s: config.layer_types.map((type: string) => (type === 'full_attention' ? config.num_key_value_heads : 0)),
  },
});

const epsilon = (value: number) => ({ 'attention.layer_norm_epsilon': real(value) });
const partial = (config: Config) => ({
  'rope.dimension_count': count(
    (config.rope_parameters.partial_rotary_factor * config.hidden_size) / config.num_attention_heads,
  ),
});
const windows = (config: Config): Record<string, GgufEntry> => ({
  'attention.sliding_window': count(config.sliding_window),
});

const yarn = (rope: Config): Record<string, GgufEntry> => ({
  'rope.scaling.type': { string: 'yarn' },
  'rope.scaling.factor': real(rope.factor),
  'rope.scaling.original_context_length': count(rope.original_max_position_embeddings),
  'rope.scaling.yarn_beta_fast': real(rope.beta_fast),
  'rope.scaling.yarn_beta_slow': real(rope.beta_slow),
});

/** Qwen 3.5's heads of values: the first of each key's group, then the second of each. `before`: rows in the usual order. */
function tiled(tensor: Tensor, config: Config, size: number, before = 0): Tensor {
  const keys = config.linear_num_key_heads;
  const each = config.linear_num_value_heads / keys;
  const order = range(0, each).flatMap((i) =>
    range(0, keys).flatMap((key) => range(0, size).map((row) => before + (key * each + i) * size + row)),
  );
  return rowsOf(tensor, [...range(0, before), ...order]);
}

const transposed = ({ shape, data }: Tensor): Tensor => {
  const [rows, columns] = shape as [number, number];
  return { shape: [columns, rows], data: data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!) };
};

/** The changes of Qwen 3.5's tensors. */
const deltaNet: NonNullable<Conversion['change']> = (name, tensor, config) => {
  const size = config.linear_value_head_dim;
  const keys = 2 * config.linear_num_key_heads * config.linear_key_head_dim;
  if (/in_proj_[ab]\.|dt_bias/.test(name)) return { [name]: tiled(tensor, config, 1) };
  if (name.endsWith('.A_log'))
    return {
      [name]: tiled(
        mapped(tensor, (value) => -Math.exp(value)),
        config,
        1,
      ),
    };
  if (name.includes('in_proj_z')) return { [name]: tiled(tensor, config, size) };
  if (name.includes('in_proj_qkv')) return { [name]: tiled(tensor, config, size, keys) };
  if (name.includes('conv1d'))
    return { [name]: tiled(reshaped(tensor, tensor.shape[0]!, tensor.shape[2]!), config, size, keys) };
  if (name.includes('linear_attn.out_proj')) return { [name]: transposed(tiled(transposed(tensor), config, size)) };
  const isPlus = name.endsWith('norm.weight') && !name.includes('linear_attn');
  return { [name]: isPlus ? mapped(tensor, (value) => value + 1) : tensor };
};

const deltaSettings = (config: Config): Record<string, GgufEntry> => ({
  'ssm.conv_kernel': count(config.linear_conv_kernel_dim),
  'ssm.state_size': count(config.linear_key_head_dim),
  'ssm.group_count': count(config.linear_num_key_heads),
  'ssm.time_step_rank': count(config.linear_num_value_heads),
  'ssm.inner_size': count(config.linear_value_head_dim * config.linear_num_value_heads),
  'attention.recurrent_layers': { bools: config.layer_types.map((type: string) => type === 'linear_attention') },
  'rope.dimension_count': count(config.head_dim * config.rope_parameters.partial_rotary_factor),
  'rope.dimension_sections': { int32s: Int32Array.of(11, 11, 10, 0) },
});

/** Settings of Gemma 3n and 4. */
const gemmaSettings = (config: Config): Record<string, GgufEntry> => ({
  ...windows(config),
  'attention.sliding_window_pattern': { bools: config.layer_types.map((type: string) => type === 'sliding_attention') },
  'attention.shared_kv_layers': count(config.num_kv_shared_layers),
  embedding_length_per_layer_input: count(config.hidden_size_per_layer_input),
  'rope.freq_base_swa': real(config.rope_parameters.sliding_attention.rope_theta),
  ...(config.final_logit_softcapping && { final_logit_softcapping: real(config.final_logit_softcapping) }),
});

/** Tables with a row of zeros for each token that they lack. */
const padded: NonNullable<Conversion['change']> = (name, tensor, config) => {
  if (!name.includes('embed_tokens')) return { [name]: tensor };
  const width = tensor.shape[1]!;
  const data = new Float32Array(config.vocab_size * width);
  data.set(tensor.data);
  return { [name]: { shape: [config.vocab_size, width], data } };
};

/** Gemma 4's layers without a window: their size of heads, and their number of heads of keys. */
function gemma4Settings(config: Config): Record<string, GgufEntry> {
  const [full] = Object.values(config.per_layer_config as Record<string, Config>) as [Config];
  const kvHeads = config.layer_types.map((type: string) =>
    type === 'full_attention' ? (full.num_key_value_heads ?? config.num_key_value_heads) : config.num_key_value_heads,
  );
  return {
    ...gemmaSettings(config),
    'attention.key_length': count(full.head_dim),
    'attention.value_length': count(full.head_dim),
    'attention.key_length_swa': count(config.head_dim),
    'attention.value_length_swa': count(config.head_dim),
    'attention.head_count_kv': { int32s: Int32Array.from(kvHeads) },
    'rope.dimension_count': count(full.head_dim),
    feed_forward_length: { int32s: Int32Array.from(config.layer_types, () => config.intermediate_size) },
    'rope.dimension_count_swa': count(config.head_dim),
    ...(config.num_experts && {
      expert_count: count(config.num_experts),
      expert_used_count: count(config.top_k_experts),
      expert_feed_forward_length: count(config.moe_intermediate_size),
    }),
  };
}

/** The divisors that stop the slow rotations of Gemma 4's layers without a window. */
function withDivisors(tensors: Tensors, config: Config): Tensors {
  const [full] = Object.values(config.per_layer_config as Record<string, Config>) as [Config];
  const pairs = full.head_dim / 2;
  const rotating = Math.trunc(pairs * config.rope_parameters.full_attention.partial_rotary_factor);
  const data = Float32Array.from({ length: pairs }, (_, i) => (i < rotating ? 1 : 1e30));
  return new Map([...tensors, ['rope_freqs.weight', { shape: [pairs], data }]]);
}

const gemma4Change: NonNullable<Conversion['change']> = (name, tensor, config) => {
  const layer = /layers\.(\d+)/.exec(name)?.[1];
  if (name.endsWith('router.scale')) return { [`blk.${layer}.ffn_gate_inp.scale`]: tensor };
  if (name.endsWith('per_expert_scale')) return { [`blk.${layer}.ffn_down_exps.scale`]: tensor };
  if (name.endsWith('experts.gate_up_proj')) return { [`blk.${layer}.ffn_gate_up_exps.weight`]: tensor };
  if (name.endsWith('experts.down_proj')) return { [`blk.${layer}.ffn_down_exps.weight`]: tensor };
  if (name.endsWith('layer_scalar')) return { [`blk.${layer}.layer_output_scale.weight`]: tensor };
  return padded(name, tensor, config);
};

/** The converter drops the pooler. */
function withoutPooler(tensors: Tensors): Tensors {
  return new Map([...tensors].filter(([name]) => !name.includes('pooler')));
}

/** Quantiles of the standard normal distribution. */
const quantiles: Record<string, number> = { 0: -Infinity, 0.95: 1.6448536269514722 };

/** Sections [heads, 3, size] as [3, heads, size]. */
const bySections = (tensor: Tensor, heads: number): Tensor => {
  const size = (tensor.shape[0] as number) / heads / 3;
  return rowsOf(
    tensor,
    range(0, 3).flatMap((section) =>
      range(0, heads).flatMap((head) => range(0, size).map((i) => (head * 3 + section) * size + i)),
    ),
  );
};

export const conversions: Record<string, Conversion> = {
  qwen3_moe: {
    metadata: (config) => experts(config, 'moe_intermediate_size'),
    prepare: (tensors) => stacked(tensors, expertNames),
  },
  olmoe: {
    settings: { clip_qkv: null },
    metadata: (config) => experts(config, 'intermediate_size'),
    prepare: (tensors) => stacked(tensors, expertNames),
  },
  gpt_oss: {
    settings: { swiglu_limit: 7 },
    metadata: (config) => ({
      ...experts(config, 'intermediate_size'),
      ...windows(config),
      ...yarn(config.rope_parameters),
    }),
    change(name, tensor) {
      const layer = /layers\.(\d+)/.exec(name)?.[1];
      const [n, depth, width] = tensor.shape as [number, number, number];
      if (name.endsWith('sinks')) return { [`blk.${layer}.attn_sinks.weight`]: tensor };
      if (name.endsWith('down_proj_bias')) return { [`blk.${layer}.ffn_down_exps.bias`]: tensor };
      const transposed = (pick: (feature: number) => boolean, columns: readonly number[]) => {
        const kept = columns.filter(pick);
        const data = Float32Array.from(
          range(0, n).flatMap((expert) =>
            kept.flatMap((column) =>
              range(0, depth).map((row) => tensor.data[(expert * depth + row) * width + column] as number),
            ),
          ),
        );
        return { shape: [n, kept.length, depth], data };
      };
      if (name.endsWith('down_proj'))
        return { [`blk.${layer}.ffn_down_exps.weight`]: transposed(() => true, range(0, width)) };
      if (name.endsWith('gate_up_proj'))
        return {
          [`blk.${layer}.ffn_gate_exps.weight`]: transposed((i) => i % 2 === 0, range(0, width)),
          [`blk.${layer}.ffn_up_exps.weight`]: transposed((i) => i % 2 === 1, range(0, width)),
        };
      if (!name.endsWith('gate_up_proj_bias')) return { [name]: tensor };
      const half = (odd: number) => ({ shape: [n, depth / 2], data: tensor.data.filter((_, i) => i % 2 === odd) });
      return { [`blk.${layer}.ffn_gate_exps.bias`]: half(0), [`blk.${layer}.ffn_up_exps.bias`]: half(1) };
    },
  },
  lfm2: {
    metadata: (config) => ({
      ...headsByLayer(config),
      'shortconv.l_cache': count(config.conv_L_cache),
      feed_forward_length: count(40),
    }),
    change: (name, tensor) => ({
      [name]: name.endsWith('conv.conv.weight') ? reshaped(tensor, tensor.shape[0]!, tensor.shape[2]!) : tensor,
    }),
  },
  lfm2_moe: {
    metadata: (config) => ({
      ...headsByLayer(config),
      ...experts(config, 'moe_intermediate_size'),
      'shortconv.l_cache': count(config.conv_L_cache),
      leading_dense_block_count: count(config.num_dense_layers),
      expert_gating_func: count(2),
    }),
    prepare: (tensors) => stacked(tensors, { w1: 'ffn_gate_exps', w2: 'ffn_down_exps', w3: 'ffn_up_exps' }),
    change: (name, tensor) => ({
      [name]: name.endsWith('conv.conv.weight') ? reshaped(tensor, tensor.shape[0]!, tensor.shape[2]!) : tensor,
    }),
  },
  granite: { metadata: multipliers, change: permutes },
  granitemoehybrid: {
    metadata: (config) => ({
      ...multipliers(config),
      ...headsByLayer(config),
      ...experts(config, 'intermediate_size'),
      ...ssm(config),
      expert_shared_feed_forward_length: count(config.shared_intermediate_size),
      'rope.scaling.finetuned': { bool: false },
    }),
    change(name, tensor, config) {
      const layer = /layers\.(\d+)/.exec(name)?.[1];
      const halves = (rows: number, experts: number) =>
        [0, 1].map((half) =>
          rowsOf(
            reshaped(tensor, experts * rows, tensor.shape.at(-1) as number),
            range(0, experts).flatMap((e) => range(0, rows / 2).map((i) => e * rows + (half * rows) / 2 + i)),
          ),
        );
      if (name.endsWith('block_sparse_moe.input_linear.weight')) {
        const [experts, rows, depth] = tensor.shape as [number, number, number];
        const [gate, up] = halves(rows, experts).map((each) => reshaped(each, experts, rows / 2, depth));
        return { [`blk.${layer}.ffn_gate_exps.weight`]: gate!, [`blk.${layer}.ffn_up_exps.weight`]: up! };
      }
      if (name.endsWith('shared_mlp.input_linear.weight')) {
        const [gate, up] = halves(tensor.shape[0] as number, 1);
        return { [`blk.${layer}.ffn_gate_shexp.weight`]: gate!, [`blk.${layer}.ffn_up_shexp.weight`]: up! };
      }
      return {
        ...mamba('mamba_n_groups')(name, tensor, config),
        ...(/_proj/.test(name) && permutes(name, tensor, config)),
      };
    },
  },
  falcon_h1: {
    metadata: (config) => ssm(config),
    prepare(tensors, config) {
      const of = (name: string): number => config[`${name}_multiplier`];
      const inner = config.mamba_d_ssm;
      const states = config.mamba_n_groups * config.mamba_d_state;
      const parts = [inner, inner, states, states, config.mamba_n_heads] as number[];
      const byRow = parts.flatMap((size, i) => Array<number>(size).fill(config.ssm_multipliers[i]));
      const factors: readonly [RegExp, number][] = [
        [/embed_tokens/, of('embedding')],
        [/lm_head/, of('lm_head')],
        [/q_proj|v_proj/, of('attention_in')],
        [/k_proj/, of('attention_in') * of('key')],
        [/o_proj/, of('attention_out')],
        [/mamba\.out_proj/, of('ssm_out')],
        [/gate_proj/, config.mlp_multipliers[0]],
        [/down_proj/, config.mlp_multipliers[1]],
      ];
      return new Map(
        [...tensors].map(([name, tensor]) => {
          const factor = factors.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
          const scaled = mapped(tensor, (value) => value * factor);
          if (!name.includes('mamba.in_proj')) return [name, scaled];
          const width = tensor.shape[1] as number;
          const data = tensor.data.map((value, i) => value * byRow[Math.floor(i / width)]! * of('ssm_in'));
          return [name, { shape: tensor.shape, data }];
        }),
      );
    },
    change: mamba('mamba_n_groups'),
  },
  mamba2: {
    metadata: (config) => ({
      context_length: count(2 ** 20),
      'ssm.conv_kernel': count(config.conv_kernel),
      'ssm.state_size': count(config.state_size),
      'ssm.group_count': count(config.n_groups),
      'ssm.time_step_rank': count(config.num_heads),
      'ssm.inner_size': count(config.expand * config.hidden_size),
      'attention.layer_norm_rms_epsilon': real(config.layer_norm_epsilon),
    }),
    change: mamba('n_groups'),
  },
  olmo3: {
    metadata: (config) => ({
      ...windows(config),
      ...yarn(config.rope_parameters.full_attention),
      'rope.scaling.yarn_attn_factor': real(config.rope_parameters.full_attention.attention_factor),
    }),
  },
  glm4: {
    metadata: (config) => ({
      'rope.dimension_count': count(config.rope_parameters.partial_rotary_factor * config.head_dim),
    }),
  },
  exaone4: { metadata: (config) => (config.sliding_window === null ? {} : windows(config)) },
  ernie4_5: {},
  hunyuan_v1_dense: {
    metadata: ({ rope_parameters: { rope_theta: theta, alpha }, head_dim: size }) => ({
      'rope.freq_base': real(theta * alpha ** (size / (size - 2))),
    }),
  },
  phi: { metadata: (config) => ({ ...epsilon(config.layer_norm_eps), ...partial(config) }) },
  starcoder2: { settings: { sliding_window: null }, metadata: (config) => epsilon(config.norm_epsilon) },
  stablelm: { metadata: (config) => ({ ...epsilon(config.layer_norm_eps), ...partial(config) }) },
  cohere2: {
    metadata: (config) => ({
      ...epsilon(config.layer_norm_eps),
      ...windows(config),
      logit_scale: real(config.logit_scale),
    }),
  },
  falcon: {
    metadata: (config) => ({
      ...epsilon(config.layer_norm_epsilon),
      feed_forward_length: count(config.ffn_hidden_size),
      'attention.head_count_kv': count(1),
    }),
  },
  bloom: {
    metadata: (config) => ({
      block_count: count(config.n_layer),
      'attention.head_count': count(config.n_head),
      ...epsilon(config.layer_norm_epsilon),
    }),
    change: (name, tensor, config) => ({
      [name]: name.includes('query_key_value') ? bySections(tensor, config.n_head) : tensor,
    }),
  },
  ministral3: {
    metadata: ({ rope_parameters: rope }) => ({
      ...yarn(rope),
      'rope.scaling.yarn_log_multiplier': real(rope.mscale_all_dim),
      'attention.temperature_scale': real(rope.llama_4_scaling_beta),
    }),
    change: permutes,
  },
  qwen3_5: { metadata: deltaSettings, change: deltaNet },
  'qwen3-5-moe': {
    metadata: (config) => ({
      ...deltaSettings(config),
      ...experts(config, 'moe_intermediate_size'),
      expert_shared_feed_forward_length: count(config.shared_expert_intermediate_size),
      // A layer that predicts a second token follows.
      block_count: count(config.num_hidden_layers + 1),
      nextn_predict_layers: count(1),
    }),
    prepare: (tensors) =>
      new Map([...stacked(tensors, expertNames), ['blk.2.attn_norm.weight', { shape: [1], data: Float32Array.of(1) }]]),
    change: (name, tensor, config) =>
      name.endsWith('shared_expert_gate.weight')
        ? { [name]: reshaped(tensor, tensor.data.length) }
        : deltaNet(name, tensor, config),
  },
  'ernie4-5-moe': {
    metadata: (config) => ({
      expert_count: count(config.moe_num_experts),
      expert_used_count: count(config.moe_k),
      interleave_moe_layer_step: count(1),
      leading_dense_block_count: count(1),
      expert_feed_forward_length: count(config.moe_intermediate_size),
      expert_shared_count: count(config.moe_num_shared_experts),
    }),
    prepare: (tensors) => stacked(tensors, expertNames),
  },
  gemma3n: {
    metadata: (config) => ({
      ...gemmaSettings(config),
      'altup.active_idx': count(config.altup_active_idx),
      'altup.num_inputs': count(config.altup_num_inputs),
      activation_sparsity_scale: {
        float32s: Float32Array.from(config.activation_sparsity_pattern, (share) => quantiles[String(share)]!),
      },
      feed_forward_length: { int32s: Int32Array.from(config.intermediate_size) },
    }),
    prepare: (tensors) => {
      const all: Tensors = new Map();
      for (const [name, tensor] of tensors) {
        const [, kind, number] = /^model\.(altup(?:_unembed)?)_projections\.(\d)/.exec(name) ?? [];
        if (kind === undefined) all.set(name, tensor);
        else {
          const target = kind === 'altup' ? 'altup_proj.weight' : 'altup_unembd_proj.weight';
          const before = number === '0' ? [] : Array.from(all.get(target)!.data);
          const data = Float32Array.from([...before, ...tensor.data]);
          all.set(target, { shape: [Number(number) + 1, ...tensor.shape], data });
        }
      }
      return all;
    },
    change(name, tensor, config) {
      const layer = /layers\.(\d+)/.exec(name)?.[1];
      if (name.endsWith('correct_output_scale')) return { [`blk.${layer}.altup_correct_scale.weight`]: tensor };
      return padded(name, tensor, config);
    },
  },
  gemma4: { metadata: gemma4Settings, prepare: withDivisors, change: gemma4Change },
  gemma4_moe: { metadata: gemma4Settings, prepare: withDivisors, change: gemma4Change },
  'modernbert-sequence': {
    metadata: (config) => ({
      ...epsilon(config.norm_eps),
      'attention.sliding_window': count(config.local_attention),
      'attention.sliding_window_pattern': count(config.global_attn_every_n_layers),
      'rope.freq_base_swa': real(config.rope_parameters.sliding_attention.rope_theta),
      'rope.scaling.type': { string: 'none' },
      hidden_activation: { string: config.hidden_activation },
      'classifier.output_labels': { strings: Object.values(config.id2label) as string[] },
      'classifier.pooling_type': count(2),
    }),
  },
  jina_embeddings_v3_model: {
    metadata: (config) => epsilon(config.layer_norm_eps),
    prepare: withoutPooler,
  },
  'jina-bert': {
    folder: 'remote-code/jina-bert',
    metadata: (config) => epsilon(config.layer_norm_eps),
    prepare: withoutPooler,
  },
  'jina-bert-code': {
    folder: 'remote-code/jina-bert-code',
    metadata: (config) => epsilon(config.layer_norm_eps),
    prepare: withoutPooler,
    // The converter takes the gates out of the projections.
    change(name, tensor, config) {
      const [rows, layer] = [config.intermediate_size as number, /layer\.(\d+)/.exec(name)?.[1]];
      if (!name.includes('up_gated_layer')) return { [name]: tensor };
      return {
        [`blk.${layer}.ffn_up.weight`]: rowsOf(tensor, range(0, rows)),
        [`blk.${layer}.ffn_gate.weight`]: rowsOf(tensor, range(rows, 2 * rows)),
      };
    },
  },
  'falcon-two-norms': {
    metadata: (config) => ({
      ...epsilon(config.layer_norm_epsilon),
      feed_forward_length: count(config.ffn_hidden_size),
      'attention.head_count_kv': count(config.num_kv_heads),
    }),
    change(name, tensor, config) {
      if (!name.includes('query_key_value')) return { [name]: tensor };
      const groups = config.num_kv_heads as number;
      const heads = config.num_attention_heads / groups;
      const size = tensor.shape[0]! / groups / (heads + 2);
      const of = (first: number, count: number) =>
        range(0, groups).flatMap((group) =>
          range(0, count * size).map((i) => (group * (heads + 2) + first) * size + i),
        );
      return { [name]: rowsOf(tensor, [...of(0, heads), ...of(heads, 1), ...of(heads + 1, 1)]) };
    },
  },
  'nomic-moe': {
    folder: 'remote-code/nomic-moe',
    metadata: (config) => ({
      ...epsilon(config.layer_norm_epsilon),
      block_count: count(config.n_layer),
      context_length: count(config.n_positions),
      embedding_length: count(config.n_embd),
      feed_forward_length: count(config.n_inner),
      'attention.head_count': count(config.n_head),
      'rope.freq_base': real(config.rotary_emb_base),
      expert_count: count(config.num_experts),
      expert_used_count: count(config.moe_top_k),
      moe_every_n_layers: count(config.moe_every_n_layers),
      pooling_type: count(1),
    }),
    // The file cannot hold the vector that the checkpoint adds to the experts' result.
    zeros: /experts\.bias$/,
    change(name, tensor, config) {
      const layer = /layers\.(\d+)/.exec(name)?.[1];
      const [experts, hidden, width] = [config.num_experts, config.n_inner, config.n_embd] as [number, number, number];
      if (name.endsWith('experts.bias')) return {};
      if (name.endsWith('mlp.w1'))
        return { [`blk.${layer}.ffn_up_exps.weight`]: reshaped(tensor, experts, hidden, width) };
      if (!name.endsWith('mlp.w2')) return { [name]: tensor };
      const each = range(0, experts).flatMap((expert) => {
        const data = tensor.data.subarray(expert * hidden * width, (expert + 1) * hidden * width);
        return Array.from(transposed({ shape: [hidden, width], data }).data);
      });
      return {
        [`blk.${layer}.ffn_down_exps.weight`]: { shape: [experts, width, hidden], data: Float32Array.from(each) },
      };
    },
  },
  'granite-moe': {
    metadata: (config) => ({ ...multipliers(config), ...experts(config, 'intermediate_size') }),
    change(name, tensor, config) {
      const layer = /layers\.(\d+)/.exec(name)?.[1];
      if (!name.endsWith('block_sparse_moe.input_linear.weight')) return permutes(name, tensor, config);
      const [count, rows, depth] = tensor.shape as [number, number, number];
      const half = (first: number) =>
        reshaped(
          rowsOf(
            reshaped(tensor, count * rows, depth),
            range(0, count).flatMap((e) => range(0, rows / 2).map((i) => e * rows + first + i)),
          ),
          count,
          rows / 2,
          depth,
        );
      return { [`blk.${layer}.ffn_gate_exps.weight`]: half(0), [`blk.${layer}.ffn_up_exps.weight`]: half(rows / 2) };
    },
  },
  'mixtral-window': {
    settings: { hidden_act: 'silu', sliding_window: null },
    metadata: (config) => ({
      expert_count: count(config.num_local_experts),
      expert_used_count: count(config.num_experts_per_tok),
    }),
    prepare: (tensors) => stacked(tensors, { w1: 'ffn_gate_exps', w2: 'ffn_down_exps', w3: 'ffn_up_exps' }),
    change: permutes,
  },
  smollm3: {
    folder: 'families/smollm3-untied',
    settings: { no_rope_layers: null, layer_types: null, use_sliding_window: false, sliding_window: null },
    change: permutes,
  },
};

/** Settings of checkpoints that llama.cpp computes, where those of the conversion are for our reader alone. */
export const readable: Readonly<Record<string, Config>> = {
  exaone4: { sliding_window: null, layer_types: null },
  olmoe: { num_key_value_heads: 4 },
};

/** A checkpoint whose heads of keys and values are repeated, so that each query has its own. Its results are the same. */
function withAllKeys(weights: Uint8Array, { num_attention_heads: heads, head_dim, hidden_size }: Config): Uint8Array {
  const size = head_dim ?? hidden_size / heads;
  const tensors = [...parseSafetensors(weights).tensors].map(([name, entry]) => {
    const tensor: Tensor = { shape: entry.shape, data: entry.data() as Float32Array };
    const each = heads / ((tensor.shape[0] as number) / size);
    const order = range(0, heads).flatMap((head) => range(0, size).map((i) => Math.floor(head / each) * size + i));
    return [name, /self_attn\.([kv]_proj|k_norm)/.test(name) ? rowsOf(tensor, order) : tensor] as const;
  });
  const written = tensors.map(([name, { shape, data }]) => {
    return [name, { dtype: 'float32', shape, data: async () => data, dataSync: () => data }] as const;
  });
  return serializeSafetensors(new Map(written));
}

/** The nearest number with 11 bits, as a half holds it. */
function toHalf(value: number): number {
  const step = 2 ** Math.max(-24, Math.floor(Math.log2(Math.abs(value) || 1)) - 10);
  return Math.round(value / step) * step;
}

/** Rounds all values to halves, which a saved file holds without loss. */
function roundToHalves(weights: Uint8Array): void {
  for (const entry of parseSafetensors(weights).tensors.values()) {
    const data = entry.data() as Float32Array;
    data.set(data.map(toHalf));
  }
}

/** The settings of most files. */
function usual(config: Config): Record<string, GgufEntry> {
  const rope = config.rope_parameters?.full_attention ?? config.rope_parameters ?? {};
  const given: Record<string, number | undefined> = {
    block_count: config.num_hidden_layers,
    context_length: config.max_position_embeddings ?? 2048,
    embedding_length: config.hidden_size,
    feed_forward_length: config.intermediate_size,
    'attention.head_count': config.num_attention_heads,
    'attention.head_count_kv': config.num_key_value_heads,
    'attention.key_length': config.num_attention_heads && config.head_dim,
    'attention.value_length': config.num_attention_heads && config.head_dim,
  };
  const reals: Record<string, number | undefined> = {
    'attention.layer_norm_rms_epsilon': config.rms_norm_eps ?? config.norm_eps,
    'rope.freq_base': rope.rope_theta,
  };
  const entries = (values: typeof given, wrap: (value: number) => GgufEntry) =>
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, wrap(value)] as const]));
  return Object.fromEntries([...entries(given, count), ...entries(reals, real)]);
}

/** No other settings, and the checkpoint's own values. */
const UNCHANGED: Config = {};

/** A file as the converter writes it; matrices whose rows fill blocks in `type`. */
export async function converted(
  name: string,
  type: 'F32' | 'Q8_0' = 'F32',
  changes: Config = UNCHANGED,
): Promise<{ file: Blob; files: Record<string, Uint8Array> }> {
  const { settings = {}, metadata, change, prepare, zeros, folder = `families/${name}` } = conversions[name]!;
  const reference = testData(folder);
  const config: Config = { ...(await reference.json<Config>('config.json')), ...settings, ...changes };
  const given = (await reference.bytes('model.safetensors')).slice();
  const weights = changes.num_key_value_heads === undefined ? given : withAllKeys(given, config);
  if (changes !== UNCHANGED) roundToHalves(weights);
  if (zeros !== undefined)
    for (const [each, entry] of parseSafetensors(weights).tensors) if (zeros.test(each)) entry.data().fill(0);
  const { architecture, names } = known[name]!;
  const read: Tensors = new Map(
    [...parseSafetensors(weights).tensors].map(([each, entry]) => [
      each,
      { shape: entry.shape, data: (entry.data() as Float32Array).slice() },
    ]),
  );
  const parts: GgufPart[] = [];
  for (const [own, tensor] of prepare?.(read, config) ?? read)
    for (const [each, { shape, data: values }] of Object.entries(change?.(own, tensor, config) ?? { [own]: tensor })) {
      const layer = /(?<=\.)\d+(?=\.)/.exec(each)?.[0] ?? '*';
      const found = /^(blk|rope_freqs|altup\w*_proj)\./.test(each)
        ? each
        : names[each.replace(/(?<=\.)\d+(?=\.)/, '*')]?.replace('*', layer);
      expect(found, `the name of ${each}`).toBeDefined();
      const isBlocks =
        type === 'Q8_0' && shape.length > 1 && (shape.at(-1) as number) % 32 === 0 && !/norm|conv/.test(found!);
      const bytes = () =>
        isBlocks ? roundedTo8Bits(values) : new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      parts.push({ name: found!, type: isBlocks ? 'Q8_0' : 'F32', shape, bytes });
    }
  const own = { ...usual(config), ...metadata?.(config) };
  const entries = new Map<string, GgufEntry>([
    ['general.architecture', { string: architecture }],
    ...Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value] as const),
    ['tokenizer.ggml.model', { string: 'none' }],
  ]);
  const chunks: Uint8Array[] = [];
  for await (const part of ggufParts(entries, parts)) chunks.push(part.slice());
  const file = new Blob(chunks as Uint8Array<ArrayBuffer>[]);
  const files = { 'config.json': new TextEncoder().encode(JSON.stringify(config)), 'model.safetensors': weights };
  return { file, files };
}

/** Blocks of 32 integers and a scale, as ggml's reference makes them. */
function roundedTo8Bits(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / 32) * 34);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < values.length / 32; block++) {
    const some = values.subarray(block * 32, (block + 1) * 32);
    // A power of two is exact in 16 bits.
    const exponent = Math.ceil(Math.log2(Math.max(...some.map(Math.abs), 2 ** -10) / 127));
    view.setUint16(block * 34, (exponent + 15) << 10, true);
    for (const [i, value] of some.entries()) view.setInt8(block * 34 + 2 + i, Math.round(value / 2 ** exponent));
  }
  return bytes;
}
