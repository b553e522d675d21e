// transformers' classes: what a model predicts is in their names, and nowhere else in a config.json.

import type { HeadKind } from '../models/pretrained-model.js';
import type { Config } from './config.js';

/** Heads by how class names end; the first of a head is what new ones are called. */
const suffixes: readonly (readonly [suffix: string, head: HeadKind])[] = [
  ['ForMaskedLM', 'masked-language-model'],
  ['ForCausalLM', 'language-model'],
  ['LMHeadModel', 'language-model'],
  ['ForConditionalGeneration', 'language-model'],
  ['MTModel', 'language-model'],
  ['ForSequenceClassification', 'sequence-classification'],
  ['ForTokenClassification', 'token-classification'],
  ['ForQuestionAnswering', 'question-answering'],
  ['ForPreTraining', 'discriminator'],
  ['ForImageClassification', 'image-classification'],
  ['ModelWithProjection', 'projection'],
  ['Model', 'none'],
];

/** What a model type's classes begin with, and what writes where that is not `ForCausalLM` behind the same name. */
const classes: Readonly<Record<string, readonly [name: string, writer?: string, ofWriter?: string]>> = {
  bert: ['Bert'],
  distilbert: ['DistilBert'],
  roberta: ['Roberta'],
  'xlm-roberta': ['XLMRoberta'],
  mpnet: ['MPNet'],
  albert: ['Albert'],
  electra: ['Electra'],
  modernbert: ['ModernBert'],
  nomic_bert: ['NomicBert'],
  deberta: ['Deberta'],
  'deberta-v2': ['DebertaV2'],
  gpt2: ['GPT2', 'LMHeadModel'],
  gpt_neox: ['GPTNeoX'],
  opt: ['OPT'],
  llama: ['Llama'],
  mistral: ['Mistral'],
  qwen2: ['Qwen2'],
  qwen3: ['Qwen3'],
  gemma: ['Gemma'],
  gemma2: ['Gemma2'],
  gemma3_text: ['Gemma3Text', 'ForCausalLM', 'Gemma3'],
  phi3: ['Phi3'],
  olmo2: ['Olmo2'],
  smollm3: ['SmolLM3'],
  t5: ['T5', 'ForConditionalGeneration'],
  mt5: ['MT5', 'ForConditionalGeneration'],
  bart: ['Bart', 'ForConditionalGeneration'],
  mbart: ['MBart', 'ForConditionalGeneration'],
  marian: ['Marian', 'MTModel'],
  m2m_100: ['M2M100', 'ForConditionalGeneration'],
  whisper: ['Whisper', 'ForConditionalGeneration'],
  vit: ['ViT'],
  dinov2: ['Dinov2'],
  clip: ['CLIP'],
  clip_text_model: ['CLIPText'],
  clip_vision_model: ['CLIPVision'],
  siglip: ['Siglip'],
  siglip_text_model: ['SiglipText'],
  siglip_vision_model: ['SiglipVision'],
};

/** All that a model may predict. */
export const headKinds: readonly HeadKind[] = [...new Set(suffixes.map(([, head]) => head))];

/** What the model of a config.json predicts. */
export function headOf({ architectures }: Config): HeadKind {
  const name = Array.isArray(architectures) ? String(architectures[0]) : '';
  return suffixes.find(([suffix]) => name.endsWith(suffix))?.[1] ?? 'none';
}

/** The class of a model that predicts this: the config's own if it does. */
export function architectureOf(config: Config, head: HeadKind): string {
  const own = Array.isArray(config.architectures) ? config.architectures[0] : undefined;
  if (typeof own === 'string' && headOf(config) === head) return own;
  const [name, writer = 'ForCausalLM', ofWriter = name] = classes[String(config.model_type)] ?? ['PreTrained'];
  if (head === 'language-model') return `${ofWriter}${writer}`;
  return `${name}${suffixes.find(([, each]) => each === head)?.[0]}`;
}
