// Names in the graphs of onnxruntime-genai's model builder, which most exports of large language models use
// (https://github.com/microsoft/onnxruntime-genai/blob/main/src/python/py/models/builders/base.py).

import type { GgufFamily } from '../../models/family.js';

/** The norm after the last layer, which the builder counts as a layer. */
const FINAL_NORM = /^model\.layers\.\d+\.final_norm_layernorm\./;

/** True for a name that only the builder uses. */
export const isBuilderName = (name: string) => FINAL_NORM.test(name);

/** Returns the name in a state dict for a name of the builder. Other names stay as they are. */
export const fromBuilder = (name: string) =>
  name
    .replace(/\.(MatMul|MatMulNBits|Add)(?=\.(weight|bias)$)/, '')
    .replace(/^(model\.layers\.\d+)\.attn\./, '$1.self_attn.')
    .replace(/\.([qk]_norm)\.layernorm\./, '.$1.')
    .replace(FINAL_NORM, 'model.norm.');

/** Modules that the builder gives the same name in all families, with their names in GGUF files. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  'model.norm': ['output_norm', 'token_embd_norm'],
  'model.layers.*.operator_layernorm': ['blk.*.attn_norm'],
  'model.layers.*.self_attn.o_proj': ['blk.*.attn_output'],
  'model.layers.*.self_attn.q_norm': ['blk.*.attn_q_norm'],
  'model.layers.*.self_attn.k_norm': ['blk.*.attn_k_norm'],
  'model.layers.*.ffn_layernorm': ['blk.*.ffn_norm'],
  'model.layers.*.mlp.gate_proj': ['blk.*.ffn_gate'],
  'model.layers.*.mlp.up_proj': ['blk.*.ffn_up'],
  'model.layers.*.mlp.down_proj': ['blk.*.ffn_down'],
};

/**
 * Returns a family's own name for one that the builder uses in all families. `names`: those in GGUF files. Names of parts
 * of a concatenated projection stay as they are.
 */
export function familyName(name: string, names: GgufFamily['names']): string {
  const [, module = '', suffix] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  const layer = /^model\.layers\.(\d+)\./.exec(module)?.[1] ?? '';
  const own = MODULES[module.replace(/(?<=^model\.layers\.)\d+/, '*')]?.flatMap((gguf) => names[gguf] ?? [])[0];
  const ofFamily = `${own?.replace('*', layer)}.${suffix}`;
  return own === undefined || partsOf(ofFamily) !== null ? name : ofFamily;
}

/** Projections that the builder concatenates, with the names of their parts in state dicts. */
const JOINED: readonly (readonly [whole: string, parts: readonly string[]])[] = [
  ['self_attn.qkv_proj', ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']],
  ['mlp.gate_up_proj', ['mlp.gate_proj', 'mlp.up_proj']],
];

/** Returns the names of the parts whose rows a projection concatenates; null for a projection without parts. */
export function partsOf(name: string): readonly string[] | null {
  for (const [whole, parts] of JOINED)
    if (name.includes(`.${whole}.`)) return parts.map((part) => name.replace(`.${whole}.`, `.${part}.`));
  return null;
}
