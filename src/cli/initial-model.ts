// The saved model that `--init` names, from which a training starts.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { resolveConfig, type TransformerConfig, type TransformerOptions } from '../models/config.js';
import { Transformer } from '../models/families/transformer.js';
import { loadModel } from './common.js';
import { type TaskConfig, taskProblem } from './config.js';
import { tokenizerProblem } from './encoding.js';

/** Options of training that may differ from those of the saved model. */
const FREE: readonly string[] = ['dropout', 'activationDropout', 'seed'];

/**
 * Loads the saved model that `config.init` names, with its tokenizers; null if there is none. Training options in
 * `config.model` replace saved ones; all others must equal them. Throws ArgumentError if one differs, or if the model
 * cannot learn the task.
 */
export async function initialModel(device: Device, config: TaskConfig): Promise<Transformer | null> {
  const { init: name, model: wanted = {}, seed = wanted.seed } = config;
  if (name === undefined) return null;
  const saved = await loadModel(device, name);
  checkFits(name, saved, config);
  checkAgreement(name, saved.config, wanted);
  const { dropout = saved.config.dropout } = wanted;
  const isOne = saved.config.activationDropout === saved.config.dropout;
  const { activationDropout = isOne ? dropout : saved.config.activationDropout } = wanted;
  const model = new Transformer(device, { ...saved.config, dropout, activationDropout, seed });
  model.loadStateDict(saved.stateDict());
  model.tokenizers = saved.tokenizers;
  saved.dispose();
  return model;
}

function checkFits(name: string, saved: Transformer, { task }: TaskConfig): void {
  const { config, tokenizers } = saved;
  const problem = taskProblem(task, config);
  if (problem !== undefined) throw new ArgumentError(`the model '${name}' cannot be trained further: ${problem}`);
  const { source, target = source } = tokenizers;
  const complete = target !== undefined && (task === 'characters' || (target.bosId ?? target.eosId) !== undefined);
  if (!complete) throw new ArgumentError(`the model '${name}' was saved without the tokenizers that ${task} needs`);
  const unfit = tokenizerProblem(saved);
  if (unfit !== undefined) throw new ArgumentError(`the model '${name}' ${unfit}`);
}

function checkAgreement(name: string, saved: TransformerConfig, wanted: TransformerOptions): void {
  for (const option of Object.keys(wanted) as (keyof TransformerConfig)[]) {
    if (FREE.includes(option) || wanted[option] === undefined) continue;
    const [has, requested] = [saved[option], asSaved(saved, wanted, option)].map((value) => JSON.stringify(value));
    if (has === requested) continue;
    throw new ArgumentError(
      `model.${option} is ${requested}, but the model '${name}' that training begins from has ${has}: leave it out`,
    );
  }
}

/** An option in its saved form, such as "learned" as an object. */
function asSaved(saved: TransformerConfig, wanted: TransformerOptions, option: keyof TransformerConfig): unknown {
  try {
    return resolveConfig({ ...saved, [option]: wanted[option] })[option];
  } catch {
    return wanted[option]; // it contradicts the saved options, so it differs from them
  }
}
