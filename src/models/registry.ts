// Families by the `model_type` of config.json. They are loaded on demand, so that a page loads only those that it uses.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Family, GgufReadable } from './family.js';
import type { Json } from './model-config.js';

interface Entry {
  load(): Promise<Family>;
  /** Values of `general.architecture` in its GGUF files. */
  readonly gguf?: readonly string[];
  /** The value that `saveGguf` writes. Default: the first of `gguf`. */
  readonly savedAs?: string;
}

/** @internal Sorted by name. */
export const families: Readonly<Record<string, Entry>> = {
  albert: { load: async () => (await import('./families/albert.js')).albert },
  'audio-spectrogram-transformer': { load: async () => (await import('./families/ast.js')).ast },
  bart: { load: async () => (await import('./families/bart.js')).bart },
  beit: { load: async () => (await import('./families/beit.js')).beit },
  bert: { load: async () => (await import('./families/bert.js')).bert, gguf: ['bert'] },
  bit: { load: async () => (await import('./families/bit.js')).bit },
  bitnet: { load: async () => (await import('./families/bitnet.js')).bitnet },
  blenderbot: { load: async () => (await import('./families/blenderbot.js')).blenderbot },
  'blenderbot-small': { load: async () => (await import('./families/blenderbot-small.js')).blenderbotSmall },
  bloom: { load: async () => (await import('./families/bloom.js')).bloom, gguf: ['bloom'] },
  camembert: { load: async () => (await import('./families/roberta.js')).camembert },
  clap: { load: async () => (await import('./families/clap.js')).clap },
  clap_audio_model: { load: async () => (await import('./families/clap.js')).clapAudioModel },
  clap_text_model: { load: async () => (await import('./families/clap.js')).clapTextModel },
  clip: { load: async () => (await import('./families/clip.js')).clip },
  clip_text_model: { load: async () => (await import('./families/clip.js')).clipTextModel },
  clip_vision_model: { load: async () => (await import('./families/clip.js')).clipVisionModel },
  clipseg: { load: async () => (await import('./families/clipseg.js')).clipSeg },
  cohere: { load: async () => (await import('./families/cohere.js')).cohere, gguf: ['command-r'] },
  cohere2: { load: async () => (await import('./families/cohere.js')).cohere2, gguf: ['cohere2'] },
  convbert: { load: async () => (await import('./families/convbert.js')).convBert },
  convnext: { load: async () => (await import('./families/convnext.js')).convNext },
  convnextv2: { load: async () => (await import('./families/convnext.js')).convNextV2 },
  'data2vec-audio': { load: async () => (await import('./families/data2vec-audio.js')).data2VecAudio },
  'data2vec-text': { load: async () => (await import('./families/roberta.js')).data2VecText },
  'data2vec-vision': { load: async () => (await import('./families/beit.js')).data2VecVision },
  deberta: { load: async () => (await import('./families/deberta.js')).deberta },
  'deberta-v2': { load: async () => (await import('./families/deberta.js')).debertaV2 },
  deit: { load: async () => (await import('./families/vit.js')).deit },
  depth_anything: { load: async () => (await import('./families/depth-anything.js')).depthAnything },
  detr: { load: async () => (await import('./families/detr.js')).detr },
  dinov2: { load: async () => (await import('./families/dinov2.js')).dinov2 },
  dinov2_with_registers: { load: async () => (await import('./families/dinov2.js')).dinov2WithRegisters },
  dinov3_vit: { load: async () => (await import('./families/dinov3.js')).dinov3 },
  distilbert: { load: async () => (await import('./families/distilbert.js')).distilBert },
  'donut-swin': { load: async () => (await import('./families/swin.js')).donutSwin },
  dpt: { load: async () => (await import('./families/dpt.js')).dpt },
  electra: { load: async () => (await import('./families/electra.js')).electra },
  embedding_gemma2_text: { load: async () => (await import('./families/embedding-gemma2.js')).embeddingGemma2 },
  ernie: { load: async () => (await import('./families/ernie.js')).ernie },
  ernie4_5: { load: async () => (await import('./families/ernie4-5.js')).ernie45, gguf: ['ernie4_5'] },
  ernie4_5_moe: {
    load: async () => (await import('./families/ernie4-5-moe.js')).ernie45Moe,
    gguf: ['ernie4_5-moe'],
  },
  eurobert: { load: async () => (await import('./families/eurobert.js')).euroBert },
  exaone4: { load: async () => (await import('./families/exaone4.js')).exaone4, gguf: ['exaone4'] },
  falcon: { load: async () => (await import('./families/falcon.js')).falcon, gguf: ['falcon'] },
  falcon_h1: { load: async () => (await import('./families/falcon-h1.js')).falconH1, gguf: ['falcon-h1'] },
  florence2: { load: async () => (await import('./families/florence2.js')).florence2 },
  gemma: { load: async () => (await import('./families/gemma.js')).gemma, gguf: ['gemma'] },
  gemma2: { load: async () => (await import('./families/gemma.js')).gemma2, gguf: ['gemma2'] },
  gemma3: { load: async () => (await import('./families/gemma3-vision.js')).gemma3Vision },
  gemma3_text: { load: async () => (await import('./families/gemma.js')).gemma3, gguf: ['gemma3', 'gemma-embedding'] },
  gemma3n_text: { load: async () => (await import('./families/gemma3n.js')).gemma3n, gguf: ['gemma3n'] },
  gemma4: { load: async () => (await import('./families/gemma4-vision.js')).gemma4Vision },
  gemma4_text: { load: async () => (await import('./families/gemma4.js')).gemma4, gguf: ['gemma4'] },
  gemma4_vision: { load: async () => (await import('./families/gemma4-vision.js')).gemma4VisionTower },
  glm4: { load: async () => (await import('./families/glm4.js')).glm4, gguf: ['glm4'] },
  glpn: { load: async () => (await import('./families/glpn.js')).glpn },
  gpt2: { load: async () => (await import('./families/gpt2.js')).gpt2, gguf: ['gpt2'] },
  gpt_neox: { load: async () => (await import('./families/gpt-neox.js')).gptNeox, gguf: ['gptneox'] },
  gpt_oss: { load: async () => (await import('./families/gpt-oss.js')).gptOss, gguf: ['gpt-oss'] },
  gptj: { load: async () => (await import('./families/gptj.js')).gptJ },
  granite: { load: async () => (await import('./families/granite.js')).granite, gguf: ['granite'] },
  granitemoe: { load: async () => (await import('./families/granite-hybrid.js')).graniteMoe, savedAs: 'granitemoe' },
  granitemoehybrid: {
    load: async () => (await import('./families/granite-hybrid.js')).graniteHybrid,
    gguf: ['granitehybrid', 'granitemoe'],
  },
  granitemoeshared: {
    load: async () => (await import('./families/granite-hybrid.js')).graniteMoeShared,
    savedAs: 'granitemoe',
  },
  gte: { load: async () => (await import('./families/gte.js')).gte },
  hiera: { load: async () => (await import('./families/hiera.js')).hiera },
  hifigan: { load: async () => (await import('./families/speecht5-hifigan.js')).speechT5HifiGan },
  hubert: { load: async () => (await import('./families/wav2vec2.js')).hubert },
  hunyuan_v1_dense: { load: async () => (await import('./families/hunyuan.js')).hunYuan, gguf: ['hunyuan-dense'] },
  idefics3: { load: async () => (await import('./families/smolvlm.js')).idefics3 },
  ijepa: { load: async () => (await import('./families/vit.js')).iJepa },
  jina_embeddings_v3: {
    load: async () => (await import('./families/jina-embeddings-v3.js')).jinaEmbeddingsV3,
    gguf: ['jina-bert-v3'],
  },
  layoutlmv3: { load: async () => (await import('./families/layoutlmv3.js')).layoutLMv3 },
  led: { load: async () => (await import('./families/led.js')).led },
  lfm2: { load: async () => (await import('./families/lfm2.js')).lfm2, gguf: ['lfm2'] },
  lfm2_moe: { load: async () => (await import('./families/lfm2.js')).lfm2Moe, gguf: ['lfm2moe'] },
  lfm2_vl: { load: async () => (await import('./families/lfm2-vl.js')).lfm2Vl },
  llama: { load: async () => (await import('./families/llama.js')).llama, gguf: ['llama'] },
  longformer: { load: async () => (await import('./families/longformer.js')).longformer },
  longt5: { load: async () => (await import('./families/longt5.js')).longT5 },
  m2m_100: { load: async () => (await import('./families/m2m-100.js')).m2m100 },
  mamba2: { load: async () => (await import('./families/mamba2.js')).mamba2, gguf: ['mamba2'] },
  marian: { load: async () => (await import('./families/marian.js')).marian },
  mbart: { load: async () => (await import('./families/mbart.js')).mBart },
  ministral3: { load: async () => (await import('./families/ministral3.js')).ministral3, gguf: ['mistral3'] },
  mistral: { load: async () => (await import('./families/mistral.js')).mistral, savedAs: 'llama' },
  mixtral: { load: async () => (await import('./families/mixtral.js')).mixtral, gguf: ['llama'] },
  mobilebert: { load: async () => (await import('./families/mobilebert.js')).mobileBert },
  mobilevit: { load: async () => (await import('./families/mobilevit.js')).mobileVit },
  modernbert: { load: async () => (await import('./families/modernbert.js')).modernBert, gguf: ['modern-bert'] },
  'modernbert-decoder': {
    load: async () => (await import('./families/modernbert-decoder.js')).modernBertDecoder,
  },
  moonshine: { load: async () => (await import('./families/moonshine.js')).moonshine },
  moonshine_streaming: {
    load: async () => (await import('./families/moonshine-streaming.js')).moonshineStreaming,
  },
  mpnet: { load: async () => (await import('./families/mpnet.js')).mpnet },
  mpt: { load: async () => (await import('./families/mpt.js')).mpt, gguf: ['mpt'] },
  mt5: { load: async () => (await import('./families/t5.js')).mt5, gguf: ['t5'] },
  new: { load: async () => (await import('./families/gte-new.js')).gteNew },
  nomic_bert: { load: async () => (await import('./families/nomic-bert.js')).nomicBert, gguf: ['nomic-bert'] },
  olmo2: { load: async () => (await import('./families/olmo2.js')).olmo2, gguf: ['olmo2'] },
  olmo3: { load: async () => (await import('./families/olmo3.js')).olmo3, savedAs: 'olmo2' },
  olmoe: { load: async () => (await import('./families/olmoe.js')).olmoe, gguf: ['olmoe'] },
  opt: { load: async () => (await import('./families/opt.js')).opt },
  owlv2: { load: async () => (await import('./families/owl.js')).owlV2 },
  owlv2_text_model: { load: async () => (await import('./families/owl.js')).owlText },
  owlv2_vision_model: { load: async () => (await import('./families/owl.js')).owlV2Vision },
  owlvit: { load: async () => (await import('./families/owl.js')).owlVit },
  owlvit_text_model: { load: async () => (await import('./families/owl.js')).owlText },
  owlvit_vision_model: { load: async () => (await import('./families/owl.js')).owlVitVision },
  paligemma: { load: async () => (await import('./families/paligemma.js')).paliGemma },
  parakeet_ctc: { load: async () => (await import('./families/parakeet.js')).parakeetCtc },
  parakeet_rnnt: { load: async () => (await import('./families/parakeet.js')).parakeetRnnt },
  parakeet_tdt: { load: async () => (await import('./families/parakeet.js')).parakeetTdt },
  pegasus: { load: async () => (await import('./families/pegasus.js')).pegasus },
  phi: { load: async () => (await import('./families/phi.js')).phi, gguf: ['phi2'] },
  phi3: { load: async () => (await import('./families/phi3.js')).phi3, gguf: ['phi3'] },
  pvt: { load: async () => (await import('./families/pvt.js')).pvt },
  qwen2: { load: async () => (await import('./families/qwen.js')).qwen2, gguf: ['qwen2'] },
  qwen2_5_vl: { load: async () => (await import('./families/qwen2-vl.js')).qwen25Vl },
  qwen2_5_vl_text: {
    load: async () => (await import('./families/qwen2-vl.js')).qwen25VlText,
    savedAs: 'qwen2vl',
  },
  qwen2_5_vl_vision: { load: async () => (await import('./families/qwen2-vl.js')).qwen25VlVision },
  qwen2_vl: { load: async () => (await import('./families/qwen2-vl.js')).qwen2Vl },
  qwen2_vl_text: { load: async () => (await import('./families/qwen2-vl.js')).qwen2VlText, gguf: ['qwen2vl'] },
  qwen2_vl_vision: { load: async () => (await import('./families/qwen2-vl.js')).qwen2VlVision },
  qwen3: { load: async () => (await import('./families/qwen.js')).qwen3, gguf: ['qwen3'] },
  qwen3_5: { load: async () => (await import('./families/qwen3-vl.js')).qwen35Vl },
  qwen3_5_moe_text: {
    load: async () => (await import('./families/qwen3-5-moe.js')).qwen35Moe,
    gguf: ['qwen35moe'],
  },
  qwen3_5_text: { load: async () => (await import('./families/qwen3-5.js')).qwen35, gguf: ['qwen35'] },
  qwen3_5_vision: { load: async () => (await import('./families/qwen3-vl.js')).qwen35Vision },
  qwen3_moe: { load: async () => (await import('./families/qwen3-moe.js')).qwen3Moe, gguf: ['qwen3moe'] },
  qwen3_vl: { load: async () => (await import('./families/qwen3-vl.js')).qwen3Vl },
  qwen3_vl_text: { load: async () => (await import('./families/qwen3-vl.js')).qwen3VlText, gguf: ['qwen3vl'] },
  qwen3_vl_vision: { load: async () => (await import('./families/qwen3-vl.js')).qwen3VlVision },
  resnet: { load: async () => (await import('./families/resnet.js')).resNet },
  rf_detr: { load: async () => (await import('./families/rf-detr.js')).rfDetr },
  roberta: { load: async () => (await import('./families/roberta.js')).roberta },
  roformer: { load: async () => (await import('./families/roformer.js')).roformer },
  rt_detr: { load: async () => (await import('./families/rt-detr.js')).rtDetr },
  sam: { load: async () => (await import('./families/sam.js')).sam },
  segformer: { load: async () => (await import('./families/segformer.js')).segformer },
  sew: { load: async () => (await import('./families/sew.js')).sew },
  siglip: { load: async () => (await import('./families/siglip.js')).siglip },
  siglip2: { load: async () => (await import('./families/siglip2.js')).siglip2 },
  siglip2_text_model: { load: async () => (await import('./families/siglip2.js')).siglip2TextModel },
  siglip2_vision_model: { load: async () => (await import('./families/siglip2.js')).siglip2VisionModel },
  siglip_text_model: { load: async () => (await import('./families/siglip.js')).siglipTextModel },
  siglip_vision_model: { load: async () => (await import('./families/siglip.js')).siglipVisionModel },
  smollm3: { load: async () => (await import('./families/smollm3.js')).smolLM3, gguf: ['smollm3'] },
  smolvlm: { load: async () => (await import('./families/smolvlm.js')).smolVlm },
  smolvlm_vision: { load: async () => (await import('./families/smolvlm.js')).smolVlmVision },
  speecht5: { load: async () => (await import('./families/speecht5.js')).speechT5 },
  speecht5_hifigan: { load: async () => (await import('./families/speecht5-hifigan.js')).speechT5HifiGan },
  squeezebert: { load: async () => (await import('./families/squeezebert.js')).squeezeBert },
  stablelm: { load: async () => (await import('./families/stablelm.js')).stableLm, gguf: ['stablelm'] },
  starcoder2: { load: async () => (await import('./families/starcoder2.js')).starcoder2, gguf: ['starcoder2'] },
  'static-embedding': { load: async () => (await import('./families/static-embedding.js')).staticEmbedding },
  swin: { load: async () => (await import('./families/swin.js')).swin },
  swin2sr: { load: async () => (await import('./families/swin2sr.js')).swin2sr },
  t5: { load: async () => (await import('./families/t5.js')).t5, gguf: ['t5', 't5encoder'] },
  t5gemma: { load: async () => (await import('./families/t5gemma.js')).t5Gemma },
  t5gemma2: { load: async () => (await import('./families/t5gemma2.js')).t5Gemma2 },
  'table-transformer': { load: async () => (await import('./families/table-transformer.js')).tableTransformer },
  umt5: { load: async () => (await import('./families/t5.js')).umt5, gguf: ['t5'] },
  unispeech: { load: async () => (await import('./families/wav2vec2.js')).uniSpeech },
  'unispeech-sat': { load: async () => (await import('./families/wav2vec2.js')).uniSpeechSat },
  'vision-encoder-decoder': {
    load: async () => (await import('./families/vision-encoder-decoder.js')).visionEncoderDecoder,
  },
  vit: { load: async () => (await import('./families/vit.js')).vit },
  vit_mae: { load: async () => (await import('./families/vit.js')).vitMae },
  vit_msn: { load: async () => (await import('./families/vit.js')).vitMsn },
  vits: { load: async () => (await import('./families/vits.js')).vits },
  wav2vec2: { load: async () => (await import('./families/wav2vec2.js')).wav2vec2 },
  'wav2vec2-bert': { load: async () => (await import('./families/wav2vec2-bert.js')).wav2vec2Bert },
  'wav2vec2-conformer': { load: async () => (await import('./families/wav2vec2-conformer.js')).wav2vec2Conformer },
  wavlm: { load: async () => (await import('./families/wavlm.js')).wavLm },
  whisper: { load: async () => (await import('./families/whisper.js')).whisper },
  'xlm-roberta': { load: async () => (await import('./families/roberta.js')).xlmRoberta },
  xlnet: { load: async () => (await import('./families/xlnet.js')).xlnet },
  yolos: { load: async () => (await import('./families/yolos.js')).yolos },
};

/** True if a family has this model type. */
export function isFamily(type: unknown): type is string {
  return typeof type === 'string' && Object.hasOwn(families, type);
}

/** The family of a model type. Throws FormatError for an unknown one. */
export async function familyOf(type: unknown): Promise<Family> {
  const entry = isFamily(type) ? families[type] : undefined;
  if (entry !== undefined) return entry.load();
  // Parts of models, such as clip_text_model, are not named beside the model.
  const known = Object.keys(families).filter((name) => {
    const [, whole] = /^(.*)_(?:audio|text|vision)_model$/.exec(name) ?? [];
    return !isFamily(whole);
  });
  const near = nearest(String(type), known);
  const nearby = near.length > 0 ? `. The nearest: ${near.join(', ')}` : '';
  throw new FormatError(
    `config.json: model_type is ${describeValue(type)}, expected one of ${known.join(', ')}${nearby}`,
  );
}

/** Names that begin alike: up to three that have the most first letters in common, from four on. */
function nearest(name: string, known: readonly string[]): string[] {
  const common = (other: string) => [...other].findIndex((letter, i) => letter !== name[i]);
  const lengths = known.map((other) => (name.startsWith(other) ? other.length : common(other)));
  const max = Math.max(...lengths);
  return max < 4 ? [] : known.filter((_, i) => lengths[i] === max).slice(0, 3);
}

/**
 * The family of a config.json. Repositories that bring their own code may have the model type of another family. Throws
 * FormatError for an unknown model type.
 */
export async function familyOfConfig({ model_type: type, position_embedding_type: positions }: Json): Promise<Family> {
  return type === 'bert' && positions === 'alibi' ? ownCode['jina-bert-v2'].load() : familyOf(type);
}

/** Families whose repositories bring their own code, under the model type of another one, by the name in GGUF files. */
const ownCode = {
  'jina-bert-v2': { type: 'bert', load: async () => (await import('./families/jina-bert.js')).jinaBert },
  'nomic-bert-moe': { type: 'nomic_bert', load: async () => (await import('./families/nomic-bert.js')).nomicBertMoe },
} as const;

/**
 * The family and model type of a GGUF file's architecture. Mixtral's files have Llama's architecture, with experts.
 * Throws FormatError for an unknown architecture.
 */
export async function familyOfGguf(
  architecture: string,
  { hasExperts = false }: { readonly hasExperts?: boolean } = {},
): Promise<{ type: string; family: GgufReadable }> {
  const customCode = Object.hasOwn(ownCode, architecture) ? ownCode[architecture as keyof typeof ownCode] : undefined;
  const reads = ([name, { gguf }]: [string, Entry]) =>
    gguf?.includes(architecture) && (name === 'mixtral') === (architecture === 'llama' && hasExperts);
  const found = Object.entries(families).filter(reads);
  const [type, entry] = customCode
    ? [customCode.type, customCode]
    : (found.find(([name]) => name === architecture) ?? found[0] ?? []);
  const family = await entry?.load();
  if (type !== undefined && family?.gguf !== undefined) return { type, family: { ...family, gguf: family.gguf } };
  const known = new Set([...ggufTypes.flatMap((name) => families[name]?.gguf ?? []), ...Object.keys(ownCode)]);
  throw new FormatError(
    `general.architecture is ${describeValue(architecture)}, expected one of ${[...known].join(', ')}`,
  );
}

/** The name of a model type in GGUF files that `saveGguf` writes. */
export const ggufNameOf = (type: string): string => families[type]?.savedAs ?? families[type]?.gguf?.[0] ?? type;

/** Model types with GGUF files that are read. */
export const ggufTypes: readonly string[] = Object.keys(families).filter((type) => families[type]?.gguf !== undefined);

/** Model types that may be written as GGUF files. */
export const ggufSavedTypes: readonly string[] = Object.entries(families)
  .filter(([, { gguf, savedAs }]) => gguf !== undefined || savedAs !== undefined)
  .map(([type]) => type);
