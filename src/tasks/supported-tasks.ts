// Finds the tasks that a model can do: by its heads, its inputs, and the checks of the tasks themselves.

import { isObject } from '../core/check.js';
import { SimdformerError } from '../core/errors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { LogitScore } from '../models/retrieval/modules/logit-score.js';
import { hasTemplate } from '../models/retrieval/rerank-templates.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { taskNames, taskOf } from './registry.js';
import type { Task } from './task.js';

/**
 * Returns the names of the pipelines that work with a model, whose parameters need no values. `body`: the same model
 * without a head, if the family has one. Tasks that would need new weights are not listed.
 */
export async function supportedTasks(model: PretrainedModel, body: PretrainedModel | null): Promise<string[]> {
  const found: string[] = [];
  for (const name of taskNames) {
    const task = await taskOf(name);
    if (isSupported(name, task, task.needs?.body && body !== null ? body : model)) found.push(name);
  }
  return found;
}

function isSupported(name: string, { head, needs, create }: Task, model: PretrainedModel): boolean {
  if (head !== undefined && head !== model.headKind) return false;
  const { tokenizer = true, inputIds = true, stacks } = needs ?? {};
  if (tokenizer && model.tokenizer === null) return false;
  if (inputIds && !model.takes('inputIds')) return false;
  if (stacks && (model.decoder === null || (model.encoder !== null) !== (stacks === 'encoder-decoder'))) return false;
  try {
    if (name === 'text-ranking' && !isReranker(model)) return false;
    create({ task: name, model: model as LoadedModel });
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
