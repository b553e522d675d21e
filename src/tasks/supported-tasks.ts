// Finds the tasks that a model can do: by its heads, its inputs, and the checks of the tasks themselves.

import { SimdformerError } from '../core/errors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
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

function isSupported(name: string, task: Task, model: PretrainedModel): boolean {
  const { head, needs } = task;
  if (head !== undefined && head !== model.headKind) return false;
  const { tokenizer = true, inputIds = true, stacks } = needs ?? {};
  if (tokenizer && model.tokenizer === null) return false;
  if (inputIds && !model.takes('inputIds')) return false;
  if (stacks && (model.decoder === null || (model.encoder !== null) !== (stacks === 'encoder-decoder'))) return false;
  if (task.suits?.(model) === false) return false;
  try {
    task.create({ task: name, model: model as LoadedModel });
    return true;
  } catch (error) {
    if (error instanceof SimdformerError) return false;
    throw error;
  }
}
