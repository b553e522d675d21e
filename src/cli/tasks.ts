// The tasks of `simdformer train`, each in a file of its own.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { prepareCharacters } from './characters.js';
import type { TaskConfig } from './config.js';
import type { PreparedTask } from './prepared-task.js';
import { preparePronunciation } from './pronunciation.js';
import { prepareTranslation } from './translation.js';

const PREPARE = { pronunciation: preparePronunciation, translation: prepareTranslation, characters: prepareCharacters };

/** Reads the data of a task and makes its model, for a training by `ranks` processes. */
export async function prepareTask(device: Device, config: TaskConfig, ranks = 1): Promise<PreparedTask> {
  const task = await PREPARE[config.task](device, config, ranks);
  const needs = (['averageLast', 'earlyStopping'] as const).find((name) => config[name] !== undefined);
  if (task.validate !== undefined || needs === undefined) return task;
  throw new ArgumentError(`${needs} needs validations, but validation is 0: raise it, or omit ${needs}`);
}
