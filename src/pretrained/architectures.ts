// Maps the class names of transformers to heads. In a config.json, only the class name tells what a model predicts.

import { FormatError } from '../core/errors.js';
import type { Family } from '../models/family.js';
import type { HeadKind } from '../models/pretrained-model.js';
import type { Config } from './config.js';

/** Heads by the ending of class names. The first ending of a head is used for new models. */
const suffixes: readonly (readonly [suffix: string, head: HeadKind])[] = [
  ['ForMaskedLM', 'masked-language-model'],
  ['ForCausalLM', 'language-model'],
  ['LMHeadModel', 'language-model'],
  ['ForConditionalGeneration', 'language-model'],
  ['MTModel', 'language-model'],
  ['EncoderDecoderModel', 'language-model'],
  ['ForSequenceClassification', 'sequence-classification'],
  ['ForAudioClassification', 'sequence-classification'],
  ['ForNextSentencePrediction', 'next-sentence'],
  ['ForTokenClassification', 'token-classification'],
  ['ForQuestionAnswering', 'question-answering'],
  ['ForQuestionAnsweringSimple', 'question-answering'],
  ['ForPreTraining', 'discriminator'],
  ['ForPreTraining', 'pretraining'],
  ['ForImageClassification', 'image-classification'],
  ['ForImageClassificationWithTeacher', 'image-classification'],
  ['ForObjectDetection', 'object-detection'],
  ['ForSemanticSegmentation', 'semantic-segmentation'],
  ['ForSegmentation', 'panoptic-segmentation'],
  ['ForImageSegmentation', 'prompted-segmentation'],
  ['ForDepthEstimation', 'depth-estimation'],
  ['ForImageSuperResolution', 'image-super-resolution'],
  ['ForAudioFrameClassification', 'frame-classification'],
  ['ForXVector', 'x-vector'],
  ['ForCTC', 'ctc'],
  ['ForTDT', 'transducer'],
  ['ForRNNT', 'transducer'],
  ['ForTextToSpeech', 'text-to-speech'],
  ['ModelWithProjection', 'projection'],
  ['Model', 'none'],
];

/** All kinds of heads. */
export const headKinds: readonly HeadKind[] = [...new Set(suffixes.map(([, head]) => head))];

/** Class names of heads: those for a task, and GPT-2's with a second head. */
const HAS_HEAD = /For[A-Z]|DoubleHeads/;

/**
 * Returns the head of the model that a config.json describes. Throws FormatError for a head that no family has, such as
 * that for multiple choice.
 */
export function headOf(config: Config): HeadKind {
  const [name, head] = knownHead(config);
  if (head !== undefined) return head;
  if (!HAS_HEAD.test(name)) return 'none';
  const heads = headKinds.filter((kind) => kind !== 'none').join(', ');
  throw new FormatError(
    `config.json: the head of ${name} is not supported, expected one for ${heads}; loadModel(…, { head: 'none' }) reads the model without it`,
  );
}

/** The class name of a config.json and its head: undefined for unknown names. */
function knownHead({ architectures }: Config): [name: string, head: HeadKind | undefined] {
  const name = Array.isArray(architectures) ? String(architectures[0]) : '';
  if (/^(ViTMAE|Hiera)ForPreTraining$/.test(name)) return [name, 'none']; // their decoders are for training
  if (predictsPairs(name)) return [name, 'masked-language-model'];
  if (name.includes('DoubleHeads') || isContrastive(name)) return [name, undefined];
  return [name, suffixes.find(([suffix]) => name.endsWith(suffix))?.[1]];
}

/**
 * True for a pretraining class that also predicts the order of two texts: those of BERT and ALBERT, but not of ELECTRA.
 */
function predictsPairs(name: string): boolean {
  return name.endsWith('ForPreTraining') && !name.startsWith('Electra') && !isContrastive(name);
}

/** True for pretraining classes of sounds, which choose the masked features among others. */
const isContrastive = (name: string) => /^(Wav2Vec2|UniSpeech).*ForPreTraining$/.test(name);

/**
 * Returns the class name for a head: that of the config if it has this head, otherwise one made from the family's
 * names.
 */
export function architectureOf(
  { className, generationClass, classificationClass, questionAnsweringClass, encoder }: Family,
  config: Config,
  head: HeadKind,
): string {
  const [knownClass, known] = knownHead(config);
  const isOwn = known === head || (head === 'none' && known === undefined && !HAS_HEAD.test(knownClass));
  if (knownClass !== '' && isOwn && !predictsPairs(knownClass)) return knownClass;
  if (head === 'none' && encoder && config.is_encoder_decoder === false) return `${className}EncoderModel`;
  if (head === 'sequence-classification' && classificationClass) return classificationClass;
  if (head === 'question-answering' && questionAnsweringClass) return questionAnsweringClass;
  if (head === 'language-model') return generationClass ?? `${className}ForCausalLM`;
  return `${className}${suffixes.find(([, kind]) => kind === head)?.[0]}`;
}

/** Returns our class that computes the same as transformers' class of that name. */
export function modelOf(
  { model, encoder, encoderOnly, decoder, variants }: Family,
  architecture: string,
  config: Config,
): Family['model'] {
  const { model_type: text } = (config.text_config ?? {}) as Config;
  if (variants && typeof text === 'string' && Object.hasOwn(variants, text)) return variants[text] as Family['model'];
  if (decoder && config.is_decoder === true && config.add_cross_attention !== true) return decoder;
  if (encoder === undefined) return model;
  const isAlone = config.is_encoder_decoder === false && /(EncoderModel|Classification)$/.test(architecture);
  const isOnly = encoderOnly !== undefined && architecture.endsWith(encoderOnly);
  return isAlone || isOnly || architecture.endsWith('EncoderModel') ? encoder : model;
}
