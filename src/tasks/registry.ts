// The tasks by their names at Hugging Face. The code of a task is loaded at its first use.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Task } from './task.js';

const tasks = {
  'audio-classification': async () => (await import('./audio-classification.js')).audioClassification,
  'automatic-speech-recognition': async () =>
    (await import('./automatic-speech-recognition.js')).automaticSpeechRecognition,
  'background-removal': async () => (await import('./image-segmentation.js')).backgroundRemoval,
  'depth-estimation': async () => (await import('./depth-estimation.js')).depthEstimation,
  'document-question-answering': async () => (await import('./image-to-text.js')).documentQuestionAnswering,
  'feature-extraction': async () => (await import('./feature-extraction.js')).featureExtraction,
  'fill-mask': async () => (await import('./fill-mask.js')).fillMask,
  'image-classification': async () => (await import('./image-classification.js')).imageClassification,
  'image-feature-extraction': async () => (await import('./image-feature-extraction.js')).imageFeatureExtraction,
  'image-segmentation': async () => (await import('./image-segmentation.js')).imageSegmentation,
  'image-text-to-text': async () => (await import('./image-text-to-text.js')).imageTextToText,
  'image-to-image': async () => (await import('./image-to-image.js')).imageToImage,
  'image-to-text': async () => (await import('./image-to-text.js')).imageToText,
  'mask-generation': async () => (await import('./mask-generation.js')).maskGeneration,
  'object-detection': async () => (await import('./object-detection.js')).objectDetection,
  'question-answering': async () => (await import('./question-answering.js')).questionAnswering,
  'sentence-similarity': async () => (await import('./sentence-similarity.js')).sentenceSimilarity,
  summarization: async () => (await import('./summarization.js')).summarization,
  'text-classification': async () => (await import('./text-classification.js')).textClassification,
  'text-generation': async () => (await import('./text-generation.js')).textGeneration,
  'text-ranking': async () => (await import('./text-ranking.js')).textRanking,
  'text-to-speech': async () => (await import('./text-to-speech.js')).textToSpeech,
  'text2text-generation': async () => (await import('./text2text-generation.js')).text2textGeneration,
  'token-classification': async () => (await import('./token-classification.js')).tokenClassification,
  translation: async () => (await import('./translation.js')).translation,
  'zero-shot-audio-classification': async () =>
    (await import('./zero-shot-audio-classification.js')).zeroShotAudioClassification,
  'zero-shot-classification': async () => (await import('./zero-shot-classification.js')).zeroShotClassification,
  'zero-shot-image-classification': async () =>
    (await import('./zero-shot-image-classification.js')).zeroShotImageClassification,
  'zero-shot-object-detection': async () => (await import('./zero-shot-object-detection.js')).zeroShotObjectDetection,
} satisfies Record<string, () => Promise<Task>>;

/** The names of all tasks. */
export const taskNames = Object.keys(tasks) as readonly (keyof typeof tasks)[];

/** Other names of tasks in transformers.js. */
const aliases = {
  asr: 'automatic-speech-recognition',
  embeddings: 'feature-extraction',
  ner: 'token-classification',
  'sentiment-analysis': 'text-classification',
  'text-to-audio': 'text-to-speech',
} as const satisfies Record<string, keyof typeof tasks>;

/** Default models of tasks: small models from the hub, with weights as safetensors. */
const defaults: Partial<Record<keyof typeof tasks, string>> = {
  'automatic-speech-recognition': 'openai/whisper-tiny.en',
  'feature-extraction': 'sentence-transformers/all-MiniLM-L6-v2',
  'fill-mask': 'google-bert/bert-base-uncased',
  'image-classification': 'google/vit-base-patch16-224',
  'question-answering': 'distilbert/distilbert-base-cased-distilled-squad',
  'sentence-similarity': 'sentence-transformers/all-MiniLM-L6-v2',
  'text-classification': 'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
  'text-generation': 'HuggingFaceTB/SmolLM2-135M-Instruct',
  'text-to-speech': 'facebook/mms-tts-eng',
  'token-classification': 'dslim/bert-base-NER',
  translation: 'google-t5/t5-small',
  'zero-shot-classification': 'MoritzLaurer/deberta-v3-xsmall-zeroshot-v1.1-all-33',
};

type Tasks = { [Name in keyof typeof tasks]: Awaited<ReturnType<(typeof tasks)[Name]>> };
type Aliases = { [Name in keyof typeof aliases]: Tasks[(typeof aliases)[Name]] };

/** Names of translation tasks that contain the languages. */
type Pairs = { [Name in `translation_${string}_to_${string}`]: Tasks['translation'] };

/** Tasks by all of their names. */
export interface TasksByName extends Tasks, Aliases, Pairs {}

export type TaskName = keyof TasksByName;

/** Type of a pipeline's function by its task. */
export type CallOf<Name extends TaskName> = ReturnType<TasksByName[Name]['create']>;

const plainName = (name: string) => {
  const plain = name.replace(/^translation_\w+_to_\w+$/, 'translation');
  return Object.hasOwn(aliases, plain) ? aliases[plain as keyof typeof aliases] : plain;
};

/** Returns the hub id of a task's default model. Throws ArgumentError for a task that has none. */
export function defaultModel(task: string): string {
  const id = defaults[plainName(task) as keyof typeof tasks];
  if (id !== undefined) return id;
  throw new ArgumentError(
    `pipeline: the model is missing, and ${task} has no default model: give a folder or a hub id`,
  );
}

/** Loads a task. Throws ArgumentError for an unknown task. */
export async function taskOf<Name extends TaskName>(name: Name): Promise<Task<CallOf<Name>>> {
  const plain = plainName(String(name));
  const load = Object.hasOwn(tasks, plain) ? tasks[plain as keyof typeof tasks] : undefined;
  if (load !== undefined) return (await load()) as unknown as Task<CallOf<Name>>;
  const known = [...Object.keys(tasks), ...Object.keys(aliases)].join(', ');
  throw new ArgumentError(`pipeline: the task is ${describeValue(name)}, expected one of ${known}`);
}
