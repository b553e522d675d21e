// Shapes of well-known language models, with the tensors and settings of their GGUF files as llama.cpp quantizes them.

import type { GgufEntry } from '../../src/io/gguf-writer.js';

/** Types of blocks that are filled at random. */
export type RandomType = 'Q4_0' | 'Q8_0' | 'Q4_K' | 'Q5_K' | 'Q6_K';

export interface TensorShape {
  readonly name: string;
  /** All types but F32 are random. */
  readonly type: RandomType | 'F32';
  readonly shape: readonly number[];
  /** Value of each number of a tensor in F32. Default: 1. */
  readonly value?: number;
  /** Part of the tensor that writing one token reads. Default: 1. */
  readonly read?: number;
}

/** Formats of whole files, as llama-quantize names them. */
export type FileFormat = 'Q4_K_M' | 'Q5_K_M' | 'Q6_K' | 'Q4_0' | 'Q8_0';

export interface ModelShape {
  readonly format: FileFormat;
  readonly architecture: string;
  readonly vocabulary: number;
  /** Settings of the file; their names get the prefix of the architecture. */
  readonly settings: Readonly<Record<string, GgufEntry>>;
  readonly tensors: readonly TensorShape[];
}

type Type = 'Q4_K' | 'Q6_K';

const count = (uint32: number): GgufEntry => ({ uint32 });
const real = (float32: number): GgufEntry => ({ float32 });
const each = (layers: number, make: (i: number) => number): GgufEntry => ({
  int32s: Array.from({ length: layers }, (_, i) => make(i)),
});

/** The tensors of layer `i`. */
class Layer {
  readonly tensors: TensorShape[] = [];
  readonly #i: number;
  /** Type of tensors that have more bits in some layers: values, and outputs of networks. */
  readonly mixed: Type;

  constructor(i: number, layers: number) {
    this.#i = i;
    const eighth = Math.floor(layers / 8);
    const hasMoreBits = i < eighth || i >= Math.floor((7 * layers) / 8) || (i - eighth) % 3 === 2;
    this.mixed = hasMoreBits ? 'Q6_K' : 'Q4_K';
  }

  matrix(name: string, rows: number, columns: number, type: Type = 'Q4_K'): this {
    this.tensors.push({ name: `blk.${this.#i}.${name}.weight`, type, shape: [rows, columns] });
    return this;
  }

  /** Matrices of `experts` experts, of which a token reads `used`. */
  experts(name: string, sizes: readonly [number, number, number], used: number, type: Type = 'Q4_K'): this {
    const read = used / sizes[0];
    this.tensors.push({ name: `blk.${this.#i}.${name}.weight`, type, shape: sizes, read });
    return this;
  }

  /** A tensor in F32, by its whole name in the layer. */
  constant(name: string, shape: readonly number[], value = 1): this {
    this.tensors.push({ name: `blk.${this.#i}.${name}`, type: 'F32', shape, value });
    return this;
  }

  norms(names: readonly string[], size: number): this {
    for (const name of names) this.constant(`${name}.weight`, [size]);
    return this;
  }

  attention(width: number, heads: number, kvHeads: number, headSize: number): this {
    return this.matrix('attn_q', heads * headSize, width)
      .matrix('attn_k', kvHeads * headSize, width)
      .matrix('attn_v', kvHeads * headSize, width, this.mixed)
      .matrix('attn_output', width, heads * headSize);
  }

  network(width: number, inner: number): this {
    return this.matrix('ffn_gate', inner, width)
      .matrix('ffn_up', inner, width)
      .matrix('ffn_down', width, inner, this.mixed);
  }
}

interface Decoder {
  readonly architecture: string;
  readonly vocabulary: number;
  readonly layers: number;
  readonly width: number;
  readonly inner: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Name of the last norm. */
  readonly lastNorm?: string;
  /** True if logits have their own matrix. */
  readonly hasOutput?: boolean;
  readonly settings?: Readonly<Record<string, GgufEntry>>;
  /** Tensors outside the layers. */
  readonly more?: readonly TensorShape[];
  layer(layer: Layer, i: number): Layer;
}

function decoder(shape: Decoder): ModelShape {
  const { architecture, vocabulary, layers, width, inner, heads, kvHeads, headSize, lastNorm = 'output_norm' } = shape;
  const settings = {
    context_length: count(32768),
    embedding_length: count(width),
    block_count: count(layers),
    feed_forward_length: count(inner),
    'attention.head_count': count(heads),
    'attention.head_count_kv': count(kvHeads),
    'attention.key_length': count(headSize),
    'attention.value_length': count(headSize),
    'attention.layer_norm_rms_epsilon': real(1e-6),
    'rope.dimension_count': count(headSize),
    'rope.freq_base': real(1e6),
    vocab_size: count(vocabulary),
    ...shape.settings,
  };
  const table = (name: string, read?: number): TensorShape => ({
    name,
    type: 'Q6_K',
    shape: [vocabulary, width],
    ...(read !== undefined && { read }),
  });
  const tensors = [
    ...(shape.hasOutput ? [table('token_embd.weight', 0), table('output.weight')] : [table('token_embd.weight')]),
    { name: `${lastNorm}.weight`, type: 'F32', shape: [width] } as const,
    ...(shape.more ?? []),
    ...Array.from({ length: layers }, (_, i) => shape.layer(new Layer(i, layers), i).tensors).flat(),
  ];
  return { format: 'Q4_K_M', architecture, vocabulary, settings, tensors };
}

function qwen3(layers: number, width: number, inner: number, heads: number): ModelShape {
  const [kvHeads, headSize] = [8, 128];
  return decoder({
    architecture: 'qwen3',
    vocabulary: 151936,
    layers,
    width,
    inner,
    heads,
    kvHeads,
    headSize,
    layer: (layer) =>
      layer
        .norms(['attn_norm', 'ffn_norm'], width)
        .norms(['attn_q_norm', 'attn_k_norm'], headSize)
        .attention(width, heads, kvHeads, headSize)
        .network(width, inner),
  });
}

function llama1B(): ModelShape {
  const [width, inner, heads, kvHeads, headSize] = [2048, 8192, 32, 8, 64];
  return decoder({
    architecture: 'llama',
    vocabulary: 128256,
    layers: 16,
    width,
    inner,
    heads,
    kvHeads,
    headSize,
    layer: (layer) =>
      layer.norms(['attn_norm', 'ffn_norm'], width).attention(width, heads, kvHeads, headSize).network(width, inner),
  });
}

/** Three layers of gated delta rules for each one of gated attention. */
function qwen35(): ModelShape {
  const [layers, width, inner, heads, kvHeads, headSize] = [24, 1024, 3584, 8, 2, 256];
  const [stateHeads, state, taps] = [16, 128, 4];
  const size = stateHeads * state;
  return decoder({
    architecture: 'qwen35',
    vocabulary: 248320,
    layers,
    width,
    inner,
    heads,
    kvHeads,
    headSize,
    settings: {
      'rope.dimension_count': count(64),
      'rope.dimension_sections': { int32s: [11, 11, 10, 0] },
      'ssm.conv_kernel': count(taps),
      'ssm.inner_size': count(size),
      'ssm.state_size': count(state),
      'ssm.time_step_rank': count(stateHeads),
      'ssm.group_count': count(stateHeads),
      full_attention_interval: count(4),
    },
    layer: (layer, i) => {
      layer.norms(['attn_norm', 'post_attention_norm'], width).network(width, inner);
      if (i % 4 === 3)
        return layer
          .norms(['attn_q_norm', 'attn_k_norm'], headSize)
          .matrix('attn_q', 2 * heads * headSize, width)
          .matrix('attn_k', kvHeads * headSize, width)
          .matrix('attn_v', kvHeads * headSize, width, layer.mixed)
          .matrix('attn_output', width, heads * headSize);
      return layer
        .matrix('attn_qkv', 3 * size, width, layer.mixed)
        .matrix('attn_gate', size, width)
        .constant('ssm_conv1d.weight', [3 * size, taps], 1 / taps)
        .constant('ssm_dt.bias', [stateHeads], 0)
        .constant('ssm_a', [stateHeads], -1)
        .matrix('ssm_alpha', stateHeads, width)
        .matrix('ssm_beta', stateHeads, width)
        .norms(['ssm_norm'], state)
        .matrix('ssm_out', width, size);
    },
  });
}

/** Short convolutions, and attention in six layers. */
function lfm2(): ModelShape {
  const [layers, width, inner, heads, kvHeads, headSize, taps] = [16, 2048, 8192, 32, 8, 64, 3];
  const attends = (i: number) => [2, 5, 8, 10, 12, 14].includes(i);
  return decoder({
    architecture: 'lfm2',
    vocabulary: 65536,
    layers,
    width,
    inner,
    heads,
    kvHeads,
    headSize,
    lastNorm: 'token_embd_norm',
    settings: {
      'attention.head_count_kv': each(layers, (i) => (attends(i) ? kvHeads : 0)),
      'shortconv.l_cache': count(taps),
    },
    layer: (layer, i) => {
      layer.norms(['attn_norm', 'ffn_norm'], width).network(width, inner);
      if (attends(i))
        return layer.norms(['attn_q_norm', 'attn_k_norm'], headSize).attention(width, heads, kvHeads, headSize);
      return layer
        .matrix('shortconv.in_proj', 3 * width, width)
        .constant('shortconv.conv.weight', [width, taps], 1 / taps)
        .matrix('shortconv.out_proj', width, width);
    },
  });
}

/** Mamba-2, and attention in each tenth layer. */
function granite4(): ModelShape {
  const [layers, width, inner, heads, kvHeads, headSize] = [40, 1536, 4096, 12, 4, 128];
  const [stateHeads, stateHeadSize, state, taps] = [48, 64, 128, 4];
  const size = stateHeads * stateHeadSize;
  return decoder({
    architecture: 'granitehybrid',
    vocabulary: 100352,
    layers,
    width,
    inner,
    heads,
    kvHeads,
    headSize,
    settings: {
      'attention.head_count_kv': each(layers, (i) => (i % 10 === 5 ? kvHeads : 0)),
      'attention.scale': real(0.0078125),
      embedding_scale: real(12),
      residual_scale: real(0.22),
      logit_scale: real(6),
      'rope.scaling.finetuned': { bool: false },
      'ssm.conv_kernel': count(taps),
      'ssm.inner_size': count(size),
      'ssm.state_size': count(state),
      'ssm.time_step_rank': count(stateHeads),
      'ssm.group_count': count(1),
    },
    layer: (layer, i) => {
      layer.norms(['attn_norm', 'ffn_norm'], width).network(width, inner);
      if (i % 10 === 5) return layer.attention(width, heads, kvHeads, headSize);
      return layer
        .matrix('ssm_in', 2 * size + 2 * state + stateHeads, width)
        .constant('ssm_conv1d.weight', [size + 2 * state, taps], 1 / taps)
        .constant('ssm_conv1d.bias', [size + 2 * state], 0)
        .constant('ssm_dt.bias', [stateHeads], 0)
        .constant('ssm_a', [stateHeads, 1], -1)
        .constant('ssm_d', [stateHeads, 1])
        .constant('ssm_norm.weight', [1, size])
        .matrix('ssm_out', width, size);
    },
  });
}

/** A mixture of 64 experts, of which each token uses 8. */
function olmoe(): ModelShape {
  const [layers, width, inner, heads, headSize, experts, used] = [16, 2048, 1024, 16, 128, 64, 8];
  return decoder({
    architecture: 'olmoe',
    vocabulary: 50304,
    layers,
    width,
    inner,
    heads,
    kvHeads: heads,
    headSize,
    hasOutput: true,
    settings: { expert_count: count(experts), expert_used_count: count(used) },
    layer: (layer) =>
      layer
        .norms(['attn_norm', 'ffn_norm', 'attn_q_norm', 'attn_k_norm'], width)
        .attention(width, heads, heads, headSize)
        .constant('ffn_gate_inp.weight', [experts, width])
        .experts('ffn_gate_exps', [experts, inner, width], used)
        .experts('ffn_up_exps', [experts, inner, width], used)
        .experts('ffn_down_exps', [experts, width, inner], used, layer.mixed),
  });
}

/** Inputs of each layer from a table of their own, windows, and keys that later layers share. */
function gemma4E2B(): ModelShape {
  const [layers, width, inner, heads, kvHeads] = [35, 1536, 6144, 8, 1];
  const [near, far, perLayer, shared, vocabulary] = [256, 512, 256, 20, 262144];
  const isFar = (i: number) => i % 5 === 4;
  const widthOf = (i: number) => (i < layers - shared ? inner : 2 * inner);
  return decoder({
    architecture: 'gemma4',
    vocabulary,
    layers,
    width,
    inner,
    heads,
    kvHeads,
    headSize: far,
    settings: {
      feed_forward_length: each(layers, widthOf),
      'attention.key_length_swa': count(near),
      'attention.value_length_swa': count(near),
      'attention.sliding_window': count(512),
      'attention.sliding_window_pattern': { bools: Array.from({ length: layers }, (_, i) => !isFar(i)) },
      'attention.shared_kv_layers': count(shared),
      'rope.dimension_count_swa': count(near),
      'rope.freq_base_swa': real(1e4),
      embedding_length_per_layer_input: count(perLayer),
      final_logit_softcapping: real(30),
    },
    more: [
      { name: 'per_layer_token_embd.weight', type: 'Q6_K', shape: [vocabulary, perLayer * layers], read: 0 },
      { name: 'per_layer_model_proj.weight', type: 'Q4_K', shape: [perLayer * layers, width] },
      { name: 'per_layer_proj_norm.weight', type: 'F32', shape: [perLayer] },
      { name: 'rope_freqs.weight', type: 'F32', shape: [far / 2] },
    ],
    layer: (layer, i) => {
      const size = isFar(i) ? far : near;
      layer
        .norms(['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm', 'post_norm'], width)
        .norms(['attn_q_norm'], size)
        .constant('layer_output_scale.weight', [1])
        .matrix('inp_gate', perLayer, width)
        .matrix('proj', width, perLayer)
        .network(width, widthOf(i));
      if (i < layers - shared) return layer.norms(['attn_k_norm'], size).attention(width, heads, kvHeads, size);
      return layer.matrix('attn_q', heads * size, width).matrix('attn_output', width, heads * size);
    },
  });
}

/** Types that replace those of Q4_K_M. */
const replaced: Readonly<Record<FileFormat, Readonly<Partial<Record<Type, RandomType>>>>> = {
  Q4_K_M: {},
  Q5_K_M: { Q4_K: 'Q5_K' },
  Q6_K: { Q4_K: 'Q6_K' },
  Q4_0: { Q4_K: 'Q4_0' },
  Q8_0: { Q4_K: 'Q8_0', Q6_K: 'Q8_0' },
};

/** A model's shape in another format. In Q4_0, llama.cpp keeps only the output in Q6_K. */
function inFormat(shape: ModelShape, format: FileFormat): ModelShape {
  const typeOf = ({ name, type }: TensorShape) => {
    if (type === 'F32') return type;
    if (format === 'Q4_0' && name.startsWith('blk.')) return 'Q4_0';
    return (replaced[format] as Partial<Record<RandomType, RandomType>>)[type] ?? type;
  };
  return { ...shape, format, tensors: shape.tensors.map((tensor) => ({ ...tensor, type: typeOf(tensor) })) };
}

const qwen06 = () => qwen3(28, 1024, 3072, 16);

export const modelShapes: Readonly<Record<string, () => ModelShape>> = {
  'Qwen3-0.6B': qwen06,
  'Llama-3.2-1B': llama1B,
  'Qwen3-1.7B': () => qwen3(28, 2048, 6144, 16),
  'Qwen3-4B': () => qwen3(36, 2560, 9728, 32),
  'Qwen3.5-0.8B': qwen35,
  'LFM2-1.2B': lfm2,
  'Granite-4.0-H-1B': granite4,
  'Gemma-4-E2B': gemma4E2B,
  'OLMoE-1B-7B': olmoe,
  'Qwen3-0.6B in Q4_0': () => inFormat(qwen06(), 'Q4_0'),
  'Qwen3-0.6B in Q5_K_M': () => inFormat(qwen06(), 'Q5_K_M'),
  'Qwen3-0.6B in Q6_K': () => inFormat(qwen06(), 'Q6_K'),
  'Qwen3-0.6B in Q8_0': () => inFormat(qwen06(), 'Q8_0'),
};
