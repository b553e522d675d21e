// Finds the tasks that a model can do: by its heads, its inputs, and the checks of the tasks themselves.

import { isObject } from '../core/check.js';
import { SimdformerError } from '../core/errors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { LogitScore } from '../models/retrieval/modules/logit-score.js';
import { hasTemplate } from '../models/retrieval/rerank-templates.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { taskNames, taskOf } from './registry.js';

/** Tasks that return vectors. They use a model without a head. */
const OF_BODIES = ['feature-extraction', 'sentence-similarity', 'image-feature-extraction'];
/** Text-to-text tasks of encoder–decoders. */
const REWRITING = ['summarization', 'text2text-generation', 'translation'];
/** Tasks that need no text. */
const WITHOUT_TEXT = [
  'audio-classification',
  'automatic-speech-recognition',
  'background-removal',
  'depth-estimation',
  'image-classification',
  'image-feature-extraction',
  'image-segmentation',
  'image-to-image',
  'image-to-text',
  'object-detection',
];
/** Tasks with images or sounds that also need a tokenizer. They check the model's inputs themselves. */
const OF_SEVERAL_KINDS = [
  'document-question-answering',
  'image-text-to-text',
  'text-to-speech',
  'zero-shot-audio-classification',
  'zero-shot-image-classification',
  'zero-shot-object-detection',
];

/**
 * Returns the names of the pipelines that work with a model, whose parameters need no values. `body`: the same model
 * without a head, if the family has one. Tasks that would need new weights are not listed.
 */
export async function supportedTasks(model: PretrainedModel, body: PretrainedModel | null): Promise<string[]> {
  const found: string[] = [];
  for (const name of taskNames) {
    const tested = OF_BODIES.includes(name) && body !== null ? body : model;
    if (await isSupported(name, tested)) found.push(name);
  }
  return found;
}

async function isSupported(name: (typeof taskNames)[number], model: PretrainedModel): Promise<boolean> {
  const task = await taskOf(name);
  if (task.head !== undefined && task.head !== model.headKind) return false;
  const isOfText = !WITHOUT_TEXT.includes(name) && !OF_SEVERAL_KINDS.includes(name);
  if (isOfText && !(model.tokenizer !== null && model.takes('inputIds'))) return false;
  if (REWRITING.includes(name) && (model.encoder === null || model.decoder === null)) return false;
  if (name === 'text-generation' && model.encoder !== null) return false;
  try {
    if (name === 'text-ranking' && !isReranker(model)) return false;
    task.create({ task: name, model: model as LoadedModel });
    return true;
  } catch (error) {
    if (error instanceof SimdformerError) return false;
    throw error;
  }
}

/**
 * True for a classifier with one label, and for a language model that was trained to rank. sentence-transformers lists
 * a module for that. In other folders, only the name reveals it.
 */
function isReranker({ headKind, config, origin, sentenceHead }: PretrainedModel): boolean {
  const { id2label, num_labels: count, model_type: type } = config;
  if (headKind !== 'language-model') return (isObject(id2label) ? Object.keys(id2label).length : (count ?? 2)) === 1;
  if (sentenceHead?.steps.some((step) => step instanceof LogitScore)) return true;
  return hasTemplate(type) && /rerank/i.test(origin?.from ?? '');
}
