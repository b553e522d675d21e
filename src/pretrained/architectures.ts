// transformers' classes: what a model predicts is in their names, and nowhere else in a config.json.

import type { Family } from '../models/family.js';
import type { HeadKind } from '../models/pretrained-model.js';
import type { Config } from './config.js';

/** Heads by how class names end; the first of a head is what new ones are called. */
const suffixes: readonly (readonly [suffix: string, head: HeadKind])[] = [
  ['ForMaskedLM', 'masked-language-model'],
  ['ForCausalLM', 'language-model'],
  ['LMHeadModel', 'language-model'],
  ['ForConditionalGeneration', 'language-model'],
  ['MTModel', 'language-model'],
  ['EncoderDecoderModel', 'language-model'],
  ['ForSequenceClassification', 'sequence-classification'],
  ['ForTokenClassification', 'token-classification'],
  ['ForQuestionAnswering', 'question-answering'],
  ['ForQuestionAnsweringSimple', 'question-answering'],
  ['ForPreTraining', 'discriminator'],
  ['ForImageClassification', 'image-classification'],
  ['ForObjectDetection', 'object-detection'],
  ['ForSemanticSegmentation', 'semantic-segmentation'],
  ['ForDepthEstimation', 'depth-estimation'],
  ['ForCTC', 'ctc'],
  ['ForTDT', 'transducer'],
  ['ForRNNT', 'transducer'],
  ['ForTextToSpeech', 'text-to-speech'],
  ['ModelWithProjection', 'projection'],
  ['Model', 'none'],
];

/** All that a model may predict. */
export const headKinds: readonly HeadKind[] = [...new Set(suffixes.map(([, head]) => head))];

/** The head of the model of a config.json. */
export function headOf({ architectures }: Config): HeadKind {
  const name = Array.isArray(architectures) ? String(architectures[0]) : '';
  if (predictsPairs(name)) return 'masked-language-model';
  return suffixes.find(([suffix]) => name.endsWith(suffix))?.[1] ?? 'none';
}

/** True for a class that predicts which of two texts comes first, beside hidden words: BERT's and ALBERT's, not ELECTRA's. */
function predictsPairs(name: string): boolean {
  return name.endsWith('ForPreTraining') && !name.startsWith('Electra');
}

/** The class of a model that predicts this: the config's own if it does. */
export function architectureOf(
  { className, writer, answerer, encoder }: Family,
  config: Config,
  head: HeadKind,
): string {
  const own = Array.isArray(config.architectures) ? config.architectures[0] : undefined;
  if (typeof own === 'string' && headOf(config) === head && !predictsPairs(own)) return own;
  if (head === 'none' && encoder && config.is_encoder_decoder === false) return `${className}EncoderModel`;
  if (head === 'question-answering' && answerer) return answerer;
  if (head === 'language-model') return writer ?? `${className}ForCausalLM`;
  return `${className}${suffixes.find(([, each]) => each === head)?.[0]}`;
}

/** The class that computes the same as transformers' class of that name. */
export function modelOf({ model, encoder, variants }: Family, architecture: string, config: Config): Family['model'] {
  const { model_type: text } = (config.text_config ?? {}) as Config;
  if (variants && typeof text === 'string' && Object.hasOwn(variants, text)) return variants[text] as Family['model'];
  return encoder !== undefined && /(EncoderModel|ForTokenClassification)$/.test(architecture) ? encoder : model;
}
