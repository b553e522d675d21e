// A call of each public function that takes options.

import type { Call, Calls } from './call.js';
import * as ofModels from './model-calls.js';
import { openModels } from './models.js';
import * as ofParts from './part-calls.js';
import * as ofTasks from './task-calls.js';
import * as ofTraining from './train-calls.js';

/** Opens the models that the calls use. `close` frees them. */
export async function openCalls(): Promise<{ calls: Calls; close(): Promise<void> }> {
  const models = await openModels();
  const groups = [ofModels, ofParts, ofTraining, ofTasks].flatMap((file) => Object.values(file));
  const calls: Record<string, Call> = {};
  for (const group of groups) Object.assign(calls, await group(models));
  return { calls, close: models.close };
}
