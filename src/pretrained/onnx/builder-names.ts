// Names in the graphs of onnxruntime-genai's model builder, which most exports of large language models use
// (https://github.com/microsoft/onnxruntime-genai/blob/main/src/python/py/models/builders/base.py).

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
