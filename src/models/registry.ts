// The families, by the `model_type` of config.json, loaded when they are needed: a page pays for those that it uses.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Family } from './pretrained-model.js';

const families: Readonly<Record<string, () => Promise<Family>>> = {
  albert: async () => (await import('./albert.js')).Albert,
  bart: async () => (await import('./bart.js')).Bart,
  bert: async () => (await import('./bert.js')).Bert,
  clip: async () => (await import('./clip.js')).Clip,
  clip_text_model: async () => (await import('./clip.js')).Clip,
  clip_vision_model: async () => (await import('./clip.js')).Clip,
  dinov2: async () => (await import('./dinov2.js')).Dinov2,
  deberta: async () => (await import('./deberta.js')).Deberta,
  'deberta-v2': async () => (await import('./deberta.js')).DebertaV2,
  distilbert: async () => (await import('./distilbert.js')).DistilBert,
  electra: async () => (await import('./electra.js')).Electra,
  gemma2: async () => (await import('./gemma.js')).Gemma2,
  gemma3_text: async () => (await import('./gemma.js')).Gemma3,
  gemma: async () => (await import('./gemma.js')).Gemma,
  gpt2: async () => (await import('./gpt2.js')).Gpt2,
  gpt_neox: async () => (await import('./gpt-neox.js')).GptNeox,
  llama: async () => (await import('./llama.js')).Llama,
  m2m_100: async () => (await import('./m2m-100.js')).M2M100,
  marian: async () => (await import('./marian.js')).Marian,
  mbart: async () => (await import('./mbart.js')).MBart,
  mistral: async () => (await import('./mistral.js')).Mistral,
  modernbert: async () => (await import('./modernbert.js')).ModernBert,
  mpnet: async () => (await import('./mpnet.js')).MPNet,
  mt5: async () => (await import('./t5.js')).T5,
  olmo2: async () => (await import('./olmo2.js')).Olmo2,
  nomic_bert: async () => (await import('./nomic-bert.js')).NomicBert,
  opt: async () => (await import('./opt.js')).Opt,
  phi3: async () => (await import('./phi3.js')).Phi3,
  qwen2: async () => (await import('./qwen.js')).Qwen2,
  qwen3: async () => (await import('./qwen.js')).Qwen3,
  roberta: async () => (await import('./roberta.js')).Roberta,
  siglip: async () => (await import('./siglip.js')).Siglip,
  siglip_text_model: async () => (await import('./siglip.js')).Siglip,
  siglip_vision_model: async () => (await import('./siglip.js')).Siglip,
  smollm3: async () => (await import('./smollm3.js')).SmolLM3,
  t5: async () => (await import('./t5.js')).T5,
  vit: async () => (await import('./vit.js')).Vit,
  whisper: async () => (await import('./whisper.js')).Whisper,
  'xlm-roberta': async () => (await import('./roberta.js')).Roberta,
};

/** The family of a model type. Throws FormatError for one that is not known. */
export async function familyOf(type: unknown): Promise<Family> {
  const load = typeof type === 'string' && Object.hasOwn(families, type) ? families[type] : undefined;
  if (load !== undefined) return load();
  const known = Object.keys(families).join(', ');
  throw new FormatError(`config.json: model_type is ${describeValue(type)}, expected one of ${known}`);
}
