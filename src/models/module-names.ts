// Modules that have other names in memory than in checkpoints, since transformers 5. PEFT's adapters have the names in
// memory.

/**
 * Parts of names in checkpoints and their replacements, in order. `(q|k|v)_proj` stands for three modules in memory,
 * which are one fused projection in checkpoints.
 */
type Renames = readonly (readonly [inFiles: RegExp, inMemory: string])[];

const attention = (name: string): Renames => [
  [new RegExp(`\\battention\\.${name}\\.(?:(q)uery|(k)ey|(v)alue)\\b`), 'attention.$1$2$3_proj'],
  [/\battention\.output\.dense\b/, 'attention.o_proj'],
];
const feedForward: Renames = [
  [/\bintermediate\.dense\b/, 'mlp.fc1'],
  [/\boutput\.dense\b/, 'mlp.fc2'],
];
const shortFeedForward: Renames = [
  [/(layers\.\d+)\.(fc[12])\b/, '$1.mlp.$2'],
  [/\b(self_attn|encoder_attn)\.out_proj\b/, '$1.o_proj'],
];

/** Returns a function that maps a module's name in checkpoints to its name in memory. */
const renaming = (renames: Renames) => (name: string) =>
  renames.reduce((renamed, [inFiles, inMemory]) => renamed.replace(inFiles, inMemory), name);

/** Names of modules in memory by the name that `renaming` returns. */
export function sectionNames(name: string): readonly string[] {
  const [, start, sections, end] = /^(.*)\((.*)\)(.*)$/.exec(name) ?? [];
  return sections === undefined ? [name] : sections.split('|').map((section) => `${start}${section}${end}`);
}

/** Vision Transformers, BEiT and AST. */
export const vitModule = renaming([[/\bencoder\.layer\.(?=\d)/, 'layers.'], ...attention('attention'), ...feedForward]);

const gatedFeedForward: Renames = [
  [/\bmlp\.weights_in\b/, 'mlp.(gate|up)_proj'],
  [/\bmlp\.weights_out\b/, 'mlp.down_proj'],
];

export const dinov2Module = renaming([...attention('attention'), ...gatedFeedForward]);

export const dinov3Module = renaming([[/^layer\./, 'model.layer.']]);

export const swinModule = renaming([...attention('self'), ...feedForward]);

export const segformerModule = renaming([
  [/\bencoder\.block\.(\d+)\.(?=\d)/, 'stages.$1.blocks.'],
  [/\bencoder\.patch_embeddings\.(\d+)/, 'stages.$1.patch_embeddings'],
  [/\bdecode_head\.linear_c\b/, 'decode_head.linear_projections'],
  [/\battention\.self\.sr\b/, 'attention.sequence_reduction.sequence_reduction'],
  ...attention('self'),
  [/\bmlp\.dense([12])\b/, 'mlp.fc$1'],
]);

export const detrModule = renaming([
  ...shortFeedForward,
  [/\bbackbone\.conv_encoder\.model\b/, 'backbone.model'],
  [/\bbbox_attention\.([qk])_linear\b/, 'bbox_attention.$1_proj'],
]);

export const rtDetrModule = renaming([...shortFeedForward, [/\bencoder\.encoder\.(?=\d)/, 'encoder.aifi.']]);

export const rfDetrModule = renaming([
  [/^backbone\.0\.encoder\.encoder\./, 'model.backbone.backbone.'],
  [/^transformer\./, 'model.'],
  [/\blinear([12])\b/, 'mlp.fc$1'],
  [/\bself_attn\.out_proj\b/, 'self_attn.o_proj'],
  [/\bself_attn\.in_proj_(?:weight|bias)\b/, 'self_attn.(q|k|v)_proj'],
  ...attention('attention'),
  ...gatedFeedForward,
]);

export const gteModule = renaming([
  [/\battn_ln\b/, 'post_attention_layernorm'],
  [/\bmlp_ln\b/, 'post_mlp_layernorm'],
  [/\blm_head\.norm\b/, 'lm_head.layer_norm'],
  [/\bencoder\.layer\.(?=\d)/, 'layers.'],
  [/\battention\.o_proj\b/, 'self_attn.o_proj'],
  [/\battention\.qkv_proj\b/, 'self_attn.(q|k|v)_proj'],
  [/\bmlp\.up_gate_proj\b/, 'mlp.(up|gate)_proj'],
]);

const nomicLayer: Renames = [
  [/\bemb_ln\b/, 'embeddings.LayerNorm'],
  [/\bnorm1\b/, 'post_attention_layernorm'],
  [/\bnorm2\b/, 'post_mlp_layernorm'],
  [/\bencoder\.layers\.(?=\d)/, 'layers.'],
  [/\b(?:attn|mixer)\.out_proj\b/, 'self_attn.o_proj'],
  [/\b(?:attn|mixer)\.Wqkv\b/, 'self_attn.(q|k|v)_proj'],
];

export const nomicModule = renaming([
  ...nomicLayer,
  [/\bmlp\.fc11\b/, 'mlp.up_proj'],
  [/\bmlp\.fc12\b/, 'mlp.gate_proj'],
  [/\bmlp\.fc2\b/, 'mlp.down_proj'],
]);

export const jinaV3Module = renaming(nomicLayer);

export const t5Gemma2Module = renaming([
  [/^((?:model\.)?encoder\.)(?=layers\.|embed_tokens\b|norm\b)/, '$1text_model.'],
]);

export const gptNeoxModule = renaming([[/^embed_out\b/, 'lm_head']]);

/** Gemma 3 and PaliGemma with images. */
export const llavaModule = renaming([
  [/^language_model\.lm_head\b/, 'lm_head'],
  [/^language_model\.model\./, 'model.language_model.'],
  [/^vision_tower\.(vision_model\.)?/, 'model.vision_tower.'],
  [/^multi_modal_projector\b/, 'model.multi_modal_projector'],
]);

/** Qwen2-VL and Qwen2.5-VL. */
export const qwen2VlModule = renaming([
  [/^model\.(?!language_model\.|visual\.)/, 'model.language_model.'],
  [/^visual\./, 'model.visual.'],
]);
