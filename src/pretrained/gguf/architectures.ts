// The architectures of GGUF files: which family each is, and what its tensors are called there.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';

/** Names in a GGUF file and in a checkpoint of transformers, without `.weight` and `.bias`; a star is a layer's number. */
type Names = Readonly<Record<string, string>>;

export interface GgufArchitecture {
  /** transformers' `model_type`. */
  readonly type: string;
  readonly names: Names;
  /** Tensors whose heads have pairs of features side by side that transformers has in two halves. */
  readonly turned?: readonly string[];
  /** Norms hold 1 + weight. */
  readonly plusOne?: boolean;
  /** Matrices that transformers stores the other way round. */
  readonly inOut?: readonly string[];
}

const layer = 'model.layers.*';
const body: Names = { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' };
const gated: Names = {
  'blk.*.ffn_gate': `${layer}.mlp.gate_proj`,
  'blk.*.ffn_up': `${layer}.mlp.up_proj`,
  'blk.*.ffn_down': `${layer}.mlp.down_proj`,
};
const attention: Names = {
  'blk.*.attn_q': `${layer}.self_attn.q_proj`,
  'blk.*.attn_k': `${layer}.self_attn.k_proj`,
  'blk.*.attn_v': `${layer}.self_attn.v_proj`,
  'blk.*.attn_output': `${layer}.self_attn.o_proj`,
  'blk.*.attn_q_norm': `${layer}.self_attn.q_norm`,
  'blk.*.attn_k_norm': `${layer}.self_attn.k_norm`,
};
const norms: Names = {
  'blk.*.attn_norm': `${layer}.input_layernorm`,
  'blk.*.ffn_norm': `${layer}.post_attention_layernorm`,
};
const llama: Names = { ...body, ...attention, ...gated, ...norms };
/** With norms behind the sub-layers, too. */
const sandwich: Names = {
  ...llama,
  'blk.*.post_attention_norm': `${layer}.post_attention_layernorm`,
  'blk.*.ffn_norm': `${layer}.pre_feedforward_layernorm`,
  'blk.*.post_ffw_norm': `${layer}.post_feedforward_layernorm`,
};

const h = 'transformer.h.*';
const gpt2: Names = {
  token_embd: 'transformer.wte',
  position_embd: 'transformer.wpe',
  output_norm: 'transformer.ln_f',
  output: 'lm_head',
  'blk.*.attn_norm': `${h}.ln_1`,
  'blk.*.attn_qkv': `${h}.attn.c_attn`,
  'blk.*.attn_output': `${h}.attn.c_proj`,
  'blk.*.ffn_norm': `${h}.ln_2`,
  'blk.*.ffn_up': `${h}.mlp.c_fc`,
  'blk.*.ffn_down': `${h}.mlp.c_proj`,
};

const block = 'bert.encoder.layer.*';
const bert: Names = {
  token_embd: 'bert.embeddings.word_embeddings',
  position_embd: 'bert.embeddings.position_embeddings',
  token_types: 'bert.embeddings.token_type_embeddings',
  token_embd_norm: 'bert.embeddings.LayerNorm',
  'blk.*.attn_q': `${block}.attention.self.query`,
  'blk.*.attn_k': `${block}.attention.self.key`,
  'blk.*.attn_v': `${block}.attention.self.value`,
  'blk.*.attn_output': `${block}.attention.output.dense`,
  'blk.*.attn_output_norm': `${block}.attention.output.LayerNorm`,
  'blk.*.ffn_up': `${block}.intermediate.dense`,
  'blk.*.ffn_down': `${block}.output.dense`,
  'blk.*.layer_output_norm': `${block}.output.LayerNorm`,
  cls: 'bert.pooler.dense',
  'cls.output': 'classifier',
};

const nomicBlock = 'nomic_bert.encoder.layers.*';
const nomicBert: Names = {
  token_embd: 'nomic_bert.embeddings.word_embeddings',
  token_types: 'nomic_bert.embeddings.token_type_embeddings',
  token_embd_norm: 'nomic_bert.emb_ln',
  'blk.*.attn_qkv': `${nomicBlock}.attn.Wqkv`,
  'blk.*.attn_output': `${nomicBlock}.attn.out_proj`,
  'blk.*.attn_output_norm': `${nomicBlock}.norm1`,
  'blk.*.ffn_gate': `${nomicBlock}.mlp.fc12`,
  'blk.*.ffn_up': `${nomicBlock}.mlp.fc11`,
  'blk.*.ffn_down': `${nomicBlock}.mlp.fc2`,
  'blk.*.layer_output_norm': `${nomicBlock}.norm2`,
};

/** One of T5's stacks; `last`: the number of its feed-forward sub-layer. */
function t5Stack(from: string, to: string, last: number): Names {
  const sub = `${to}.block.*.layer`;
  return {
    [`${from}.output_norm`]: `${to}.final_layer_norm`,
    [`${from}.blk.*.attn_q`]: `${sub}.0.SelfAttention.q`,
    [`${from}.blk.*.attn_k`]: `${sub}.0.SelfAttention.k`,
    [`${from}.blk.*.attn_v`]: `${sub}.0.SelfAttention.v`,
    [`${from}.blk.*.attn_o`]: `${sub}.0.SelfAttention.o`,
    [`${from}.blk.*.attn_rel_b`]: `${sub}.0.SelfAttention.relative_attention_bias`,
    [`${from}.blk.*.attn_norm`]: `${sub}.0.layer_norm`,
    [`${from}.blk.*.cross_attn_q`]: `${sub}.1.EncDecAttention.q`,
    [`${from}.blk.*.cross_attn_k`]: `${sub}.1.EncDecAttention.k`,
    [`${from}.blk.*.cross_attn_v`]: `${sub}.1.EncDecAttention.v`,
    [`${from}.blk.*.cross_attn_o`]: `${sub}.1.EncDecAttention.o`,
    [`${from}.blk.*.cross_attn_norm`]: `${sub}.1.layer_norm`,
    [`${from}.blk.*.ffn_gate`]: `${sub}.${last}.DenseReluDense.wi_0`,
    [`${from}.blk.*.ffn_up`]: `${sub}.${last}.DenseReluDense.wi_1`,
    [`${from}.blk.*.ffn_down`]: `${sub}.${last}.DenseReluDense.wo`,
    [`${from}.blk.*.ffn_norm`]: `${sub}.${last}.layer_norm`,
  };
}

const architectures: Readonly<Record<string, GgufArchitecture>> = {
  llama: { type: 'llama', names: llama, turned: ['attn_q', 'attn_k'] },
  qwen2: { type: 'qwen2', names: llama },
  qwen3: { type: 'qwen3', names: llama },
  gemma: { type: 'gemma', names: llama, plusOne: true },
  gemma2: { type: 'gemma2', names: sandwich, plusOne: true },
  gemma3: { type: 'gemma3_text', names: sandwich, plusOne: true },
  phi3: {
    type: 'phi3',
    names: {
      ...llama,
      'blk.*.attn_qkv': `${layer}.self_attn.qkv_proj`,
      'blk.*.ffn_up': `${layer}.mlp.gate_up_proj`,
    },
  },
  gpt2: { type: 'gpt2', names: gpt2, inOut: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'] },
  bert: { type: 'bert', names: bert },
  'nomic-bert': { type: 'nomic_bert', names: nomicBert },
  t5: {
    type: 't5',
    names: {
      token_embd: 'shared',
      output: 'lm_head',
      ...t5Stack('enc', 'encoder', 1),
      ...t5Stack('dec', 'decoder', 2),
    },
  },
};

/** Throws FormatError for one that is not known. */
export function architectureNamed(name: string): GgufArchitecture {
  if (Object.hasOwn(architectures, name)) return architectures[name] as GgufArchitecture;
  const known = Object.keys(architectures).join(', ');
  throw new FormatError(`general.architecture is ${describeValue(name)}, expected one of ${known}`);
}

/** A tensor's name by patterns such as `blk.*.attn_q`; undefined if none of them fits. `.weight` or `.bias` stays. */
export function renamed(names: Names, name: string): { name: string; pattern: string } | undefined {
  const end = name.lastIndexOf('.');
  const [stem, suffix] = [name.slice(0, end), name.slice(end)];
  const number = /(?<=blk\.)\d+/.exec(stem)?.[0];
  const pattern = number === undefined ? stem : stem.replace(`blk.${number}`, 'blk.*');
  const target = Object.hasOwn(names, pattern) ? names[pattern] : undefined;
  return target === undefined ? undefined : { name: target.replace('*', number ?? '*') + suffix, pattern };
}
