// The tasks by the names that Hugging Face has for them, each loaded when it is first asked for.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Task } from './task.js';

const tasks = {
  'automatic-speech-recognition': async () =>
    (await import('./automatic-speech-recognition.js')).automaticSpeechRecognition,
  'feature-extraction': async () => (await import('./feature-extraction.js')).featureExtraction,
  'fill-mask': async () => (await import('./fill-mask.js')).fillMask,
  'image-classification': async () => (await import('./image-classification.js')).imageClassification,
  'image-feature-extraction': async () => (await import('./image-feature-extraction.js')).imageFeatureExtraction,
  'question-answering': async () => (await import('./question-answering.js')).questionAnswering,
  'sentence-similarity': async () => (await import('./sentence-similarity.js')).sentenceSimilarity,
  summarization: async () => (await import('./summarization.js')).summarization,
  'text2text-generation': async () => (await import('./text2text-generation.js')).text2textGeneration,
  'text-classification': async () => (await import('./text-classification.js')).textClassification,
  'text-generation': async () => (await import('./text-generation.js')).textGeneration,
  'text-ranking': async () => (await import('./text-ranking.js')).textRanking,
  'token-classification': async () => (await import('./token-classification.js')).tokenClassification,
  translation: async () => (await import('./translation.js')).translation,
  'zero-shot-classification': async () => (await import('./zero-shot-classification.js')).zeroShotClassification,
  'zero-shot-image-classification': async () =>
    (await import('./zero-shot-image-classification.js')).zeroShotImageClassification,
} satisfies Record<string, () => Promise<Task>>;

/** Other names of transformers.js, and what they stand for. */
const aliases = {
  asr: 'automatic-speech-recognition',
  embeddings: 'feature-extraction',
  ner: 'token-classification',
  'sentiment-analysis': 'text-classification',
} as const satisfies Record<string, keyof typeof tasks>;

type Tasks = { [Name in keyof typeof tasks]: Awaited<ReturnType<(typeof tasks)[Name]>> };
type Aliases = { [Name in keyof typeof aliases]: Tasks[(typeof aliases)[Name]] };

/** A task with its languages, of which config.json may say more. */
type Pairs = { [Name in `translation_${string}_to_${string}`]: Tasks['translation'] };

/** What each name of a task stands for. */
export interface TasksByName extends Tasks, Aliases, Pairs {}

export type TaskName = keyof TasksByName;

/** What a pipeline of that task is called with, and what comes out. */
export type CallOf<Name extends TaskName> = ReturnType<TasksByName[Name]['create']>;

/** Loads a task. Throws ArgumentError for one that is not known. */
export async function taskOf<Name extends TaskName>(name: Name): Promise<Task<CallOf<Name>>> {
  const plain = String(name).replace(/^translation_\w+_to_\w+$/, 'translation');
  const own = Object.hasOwn(aliases, plain) ? aliases[plain as keyof typeof aliases] : plain;
  const load = Object.hasOwn(tasks, own) ? tasks[own as keyof typeof tasks] : undefined;
  if (load !== undefined) return (await load()) as unknown as Task<CallOf<Name>>;
  const known = [...Object.keys(tasks), ...Object.keys(aliases)].join(', ');
  throw new ArgumentError(`pipeline: the task is ${describeValue(name)}, expected one of ${known}`);
}
