// The config.json that a GGUF file stands for.

import { FormatError } from '../../core/errors.js';
import { unpackBlocks } from '../../io/ggml-unpack.js';
import { bytesOf, type Gguf } from '../../io/gguf.js';
import type { ByteSource } from '../../io/safetensors.js';
import type { Config } from '../config.js';
import type { GgufArchitecture } from './architectures.js';
import type { GgufMetadata } from './metadata.js';

/** What the parts of a config are made of. */
interface Given {
  readonly gguf: Gguf;
  readonly metadata: GgufMetadata;
  readonly architecture: GgufArchitecture;
  /** Divisors of the frequencies of rotary positions, by the tensor's name. */
  readonly divisors: ReadonlyMap<string, readonly number[]>;
}

/** What classes of transformers are called, by the model's type. */
const classes: Readonly<Record<string, string>> = {
  llama: 'LlamaForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  gemma: 'GemmaForCausalLM',
  gemma2: 'Gemma2ForCausalLM',
  gemma3_text: 'Gemma3ForCausalLM',
  phi3: 'Phi3ForCausalLM',
  gpt2: 'GPT2LMHeadModel',
  bert: 'BertModel',
  nomic_bert: 'NomicBertModel',
  t5: 'T5ForConditionalGeneration',
};

/** Throws FormatError for what a model needs and the file does not say, and for kinds of models that are not supported. */
export async function ggufConfig(
  gguf: Gguf,
  metadata: GgufMetadata,
  architecture: GgufArchitecture,
  source: ByteSource,
): Promise<Config> {
  refuseUnsupported(gguf, metadata);
  const { type } = architecture;
  const given = { gguf, metadata, architecture, divisors: await divisorsOf(gguf, source) };
  const own = (parts[type] ?? decoder)(given);
  const isClassifier = type === 'bert' && gguf.tensors.has('cls.output.weight');
  return {
    architectures: [isClassifier ? 'BertForSequenceClassification' : classes[type]],
    model_type: type,
    ...own,
    vocab_size: rowsOf(given, 'token_embd.weight'),
    ...specialIds(metadata),
  };
}

function refuseUnsupported({ tensors }: Gguf, metadata: GgufMetadata): void {
  const parts = metadata.number('split.count') ?? 1;
  if (parts > 1)
    throw new FormatError(
      `the file is one of ${parts} parts, expected one file: join them by llama-gguf-split --merge`,
    );
  const experts = metadata.own('expert_count') ?? 0;
  if (experts > 0) throw new FormatError(`the model has ${experts} experts: mixtures of experts are not supported`);
  const adapter = metadata.text('general.type');
  if (adapter !== undefined && adapter !== 'model')
    throw new FormatError(`general.type is ${adapter}, expected a model`);
  if (tensors.size === 0) throw new FormatError('the file has no tensors, only a vocabulary');
}

function rowsOf({ gguf }: Given, name: string): number {
  const rows = gguf.tensors.get(name)?.shape[0];
  if (rows === undefined) throw new FormatError(`the file has no tensor ${name}`);
  return rows;
}

/** The decimal number that is meant by a float32: 1e-6, not 9.999999974752427e-7. */
function decimal(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

const headIds = { bos_token_id: 'bos', eos_token_id: 'eos', pad_token_id: 'padding' } as const;

/** The ids that llama.cpp takes where the file does not say them. */
const usualIds: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  llama: { bos_token_id: 1, eos_token_id: 2 },
  t5: { eos_token_id: 1, pad_token_id: 0 },
  bert: { pad_token_id: 0 },
};

function specialIds(metadata: GgufMetadata): Record<string, number | null> {
  const usual = usualIds[metadata.text('tokenizer.ggml.model') ?? ''] ?? {};
  return Object.fromEntries(
    Object.entries(headIds).map(([name, key]) => [
      name,
      metadata.whole(`tokenizer.ggml.${key}_token_id`) ?? usual[name] ?? null,
    ]),
  );
}

/** What is no decoder with rotary positions, by the model's type. */
const parts: Readonly<Record<string, (given: Given) => Record<string, unknown>>> = {
  bert,
  nomic_bert: nomicBert,
  gpt2,
  t5,
};

/** What all decoders with rotary positions have in common. */
function decoder(given: Given): Record<string, unknown> {
  const { gguf, metadata, architecture } = given;
  const { type } = architecture;
  const heads = metadata.needed('attention.head_count');
  const width = metadata.needed('embedding_length');
  const headSize = metadata.own('attention.key_length') ?? Math.floor(width / heads);
  if ((metadata.own('attention.value_length') ?? headSize) !== headSize)
    throw new FormatError('keys and values of heads differ in size: such models are not supported');
  const layers = metadata.needed('block_count');
  const hasBias = (name: string) => gguf.tensors.has(`blk.0.${name}.bias`);
  return {
    hidden_size: width,
    intermediate_size: metadata.needed('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: metadata.own('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    max_position_embeddings: metadata.needed('context_length'),
    rms_norm_eps: decimal(metadata.needed('attention.layer_norm_rms_epsilon')),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    attention_bias: type !== 'qwen2' && hasBias('attn_q'),
    mlp_bias: hasBias('ffn_gate'),
    ...(type.startsWith('gemma') ? gemma(given, layers, headSize, width / heads) : {}),
    ...(type === 'phi3' ? { sliding_window: metadata.own('attention.sliding_window') ?? null } : {}),
    ...rope(given, headSize),
  };
}

/** What the first layers of Gemma 2 and 3 have: a window, but for every second or sixth layer; and how scores are scaled. */
function gemma({ metadata, architecture: { type } }: Given, layers: number, headSize: number, share: number) {
  const activation = { hidden_act: 'gelu_pytorch_tanh', hidden_activation: 'gelu_pytorch_tanh' };
  if (type === 'gemma') return activation;
  const window = metadata.own('attention.sliding_window') ?? (type === 'gemma2' ? 4096 : 0);
  const pattern = metadata.pattern('attention.sliding_window_pattern') ?? (type === 'gemma2' ? 2 : 6);
  const isNear = (layer: number) =>
    window > 0 &&
    (typeof pattern === 'number' ? pattern === 0 || (layer + 1) % pattern !== 0 : pattern[layer] === true);
  const cap = (name: string, usual: number | null) => {
    const value = metadata.own(name) ?? usual;
    return value === null || value === 0 ? null : decimal(value);
  };
  // The largest models divide by the root of their width's share, all others of their heads' size.
  const isLargest = layers === (type === 'gemma2' ? 46 : 62);
  return {
    ...activation,
    sliding_window: window > 0 ? window : null,
    layer_types: Array.from({ length: layers }, (_, i) => (isNear(i) ? 'sliding_attention' : 'full_attention')),
    query_pre_attn_scalar: isLargest ? share : headSize,
    attn_logit_softcapping: type === 'gemma2' ? cap('attn_logit_softcapping', 50) : null,
    final_logit_softcapping: cap('final_logit_softcapping', type === 'gemma2' ? 30 : null),
  };
}

/** How queries and keys turn. Divisors of the frequencies, as Llama 3.1's and Phi-3's, are tensors of the file. */
function rope({ metadata, architecture: { type }, divisors }: Given, headSize: number): Record<string, unknown> {
  const theta = decimal(metadata.own('rope.freq_base') ?? 10000);
  const turning = metadata.own('rope.dimension_count') ?? headSize;
  const partial = turning < headSize ? { partial_rotary_factor: turning / headSize } : {};
  const scaling = { ...ropeScaling(metadata, divisors), ...partial };
  if (type !== 'gemma3_text')
    return { rope_theta: theta, ...partial, rope_parameters: { rope_theta: theta, ...scaling } };
  const near = decimal(metadata.own('rope.freq_base_swa') ?? 10000);
  return {
    rope_parameters: {
      full_attention: { rope_theta: theta, ...scaling },
      sliding_attention: { rope_type: 'default', rope_theta: near, ...partial },
    },
  };
}

function ropeScaling(metadata: GgufMetadata, divisors: Given['divisors']): Record<string, unknown> {
  const own = (name: string) => metadata.own(`rope.scaling.${name}`);
  const original = own('original_context_length') ?? metadata.needed('context_length');
  const listed = divisors.get('rope_freqs.weight');
  if (listed !== undefined) return longRope(listed, listed, original, 1);
  const [short, long] = [divisors.get('rope_factors_short.weight'), divisors.get('rope_factors_long.weight')];
  if (short !== undefined && long !== undefined)
    return longRope(short, long, original, decimal(own('attn_factor') ?? 1));
  const type =
    metadata.text(`${metadata.architecture}.rope.scaling.type`) ?? (own('factor') === undefined ? 'none' : 'linear');
  const factor = decimal(own('factor') ?? metadata.own('rope.scale_linear') ?? 1);
  if (type === 'none' || (type === 'linear' && factor <= 1)) return { rope_type: 'default' };
  if (type === 'linear') return { rope_type: 'linear', factor };
  if (type === 'longrope') return { rope_type: 'default' }; // without divisors it scales nothing
  if (type !== 'yarn') throw new FormatError(`rope.scaling.type is ${type}, expected none, linear, yarn or longrope`);
  const given = Object.entries({
    attention_factor: own('yarn_attn_factor'),
    beta_fast: own('yarn_beta_fast'),
    beta_slow: own('yarn_beta_slow'),
  }).flatMap(([name, value]) => (value === undefined ? [] : [[name, decimal(value)]]));
  return { rope_type: 'yarn', factor, original_max_position_embeddings: original, ...Object.fromEntries(given) };
}

function longRope(short: readonly number[], long: readonly number[], original: number, amplitude: number) {
  return {
    ...{ rope_type: 'longrope', short_factor: short, long_factor: long },
    ...{ original_max_position_embeddings: original, attention_factor: amplitude },
  };
}

const DIVISORS = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'];
/** Half of a head, at most. */
const MOST_DIVISORS = 1 << 16;

async function divisorsOf({ tensors }: Gguf, source: ByteSource): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const name of DIVISORS) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const count = tensor.shape.reduce((product, n) => product * n, 1);
    if (tensor.type !== 'F32' || count > MOST_DIVISORS)
      throw new FormatError(
        `tensor ${name} has ${count} numbers of type ${tensor.type}, expected half a head's of F32`,
      );
    const values = new Float32Array(count);
    unpackBlocks('F32', await bytesOf(source, tensor.position, tensor.byteLength), values);
    found.set(name, Array.from(values));
  }
  return found;
}

function gpt2({ gguf, metadata }: Given): Record<string, unknown> {
  const width = metadata.needed('embedding_length');
  return {
    n_embd: width,
    n_inner: metadata.own('feed_forward_length') ?? 4 * width,
    n_layer: metadata.needed('block_count'),
    n_head: metadata.needed('attention.head_count'),
    n_positions: metadata.needed('context_length'),
    layer_norm_epsilon: decimal(metadata.needed('attention.layer_norm_epsilon')),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
  };
}

function encoder(given: Given): Record<string, unknown> {
  const { metadata } = given;
  return {
    hidden_size: metadata.needed('embedding_length'),
    intermediate_size: metadata.needed('feed_forward_length'),
    num_hidden_layers: metadata.needed('block_count'),
    num_attention_heads: metadata.needed('attention.head_count'),
    type_vocab_size: rowsOf(given, 'token_types.weight'),
    layer_norm_eps: decimal(metadata.needed('attention.layer_norm_epsilon')),
  };
}

function nomicBert(given: Given): Record<string, unknown> {
  const { metadata } = given;
  const headSize = metadata.needed('embedding_length') / metadata.needed('attention.head_count');
  return {
    ...encoder(given),
    max_position_embeddings: metadata.needed('context_length'),
    ...rope(given, headSize),
  };
}

function bert(given: Given): Record<string, unknown> {
  const { gguf, metadata } = given;
  const labels = metadata.texts('bert.classifier.output_labels');
  return {
    ...encoder(given),
    max_position_embeddings: rowsOf(given, 'position_embd.weight'),
    add_pooling_layer: gguf.tensors.has('cls.weight'),
    ...(labels === undefined ? {} : { id2label: Object.fromEntries(labels.map((label, id) => [String(id), label])) }),
  };
}

function t5({ gguf, metadata }: Given): Record<string, unknown> {
  const layers = metadata.needed('block_count');
  const heads = metadata.needed('attention.head_count');
  const width = metadata.needed('embedding_length');
  if (gguf.tensors.has('enc.blk.1.attn_rel_b.weight'))
    throw new FormatError('every layer has its own bias of distances, as in UMT5: such models are not supported');
  return {
    d_model: width,
    d_kv: metadata.own('attention.key_length') ?? Math.floor(width / heads),
    d_ff: metadata.needed('feed_forward_length'),
    num_layers: layers,
    num_decoder_layers: metadata.own('decoder_block_count') ?? layers,
    num_heads: heads,
    relative_attention_num_buckets: metadata.own('attention.relative_buckets_count') ?? 32,
    layer_norm_epsilon: decimal(metadata.needed('attention.layer_norm_rms_epsilon')),
    feed_forward_proj: gguf.tensors.has('enc.blk.0.ffn_gate.weight') ? 'gated-gelu' : 'relu',
    decoder_start_token_id: metadata.own('decoder_start_token_id') ?? 0,
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
  };
}
