// Modules that have other names in memory than in checkpoints, since transformers 5. PEFT's adapters have the names in
// memory.

/** Parts of names in checkpoints and their replacements, in order. */
type Renames = readonly (readonly [inFiles: RegExp, inMemory: string])[];

const attention = (own: string): Renames => [
  [new RegExp(`\\battention\\.${own}\\.(?:(q)uery|(k)ey|(v)alue)\\b`), 'attention.$1$2$3_proj'],
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

/** Vision Transformers, BEiT and AST. */
export const vitModule = renaming([[/\bencoder\.layer\.(?=\d)/, 'layers.'], ...attention('attention'), ...feedForward]);

export const dinov2Module = renaming([...attention('attention'), [/\bmlp\.weights_out\b/, 'mlp.down_proj']]);

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

export const detrModule = renaming([...shortFeedForward, [/\bbackbone\.conv_encoder\.model\b/, 'backbone.model']]);

export const rtDetrModule = renaming([...shortFeedForward, [/\bencoder\.encoder\.(?=\d)/, 'encoder.aifi.']]);

export const rfDetrModule = renaming([
  [/^backbone\.0\.encoder\.encoder\./, 'model.backbone.backbone.'],
  [/^transformer\./, 'model.'],
  [/\blinear([12])\b/, 'mlp.fc$1'],
  [/\bself_attn\.out_proj\b/, 'self_attn.o_proj'],
  ...attention('attention'),
]);

export const gptNeoxModule = renaming([[/^embed_out\b/, 'lm_head']]);

/** Gemma 3 and PaliGemma with images. */
export const llavaModule = renaming([
  [/^language_model\.lm_head\b/, 'lm_head'],
  [/^language_model\.model\./, 'model.language_model.'],
  [/^vision_tower\.(vision_model\.)?/, 'model.vision_tower.'],
  [/^multi_modal_projector\b/, 'model.multi_modal_projector'],
]);
