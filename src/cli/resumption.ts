// Settings that may change when a training resumes. They control its duration and speed, not what it learns or in which
// order.

import { readFileSync } from 'node:fs';
import { ArgumentError } from '../core/errors.js';

/** Settings, including nested ones, that may change. Paths of files may change, because `fit` compares the data. */
const FREE = [
  'data',
  'validationData',
  'bpeDropout',
  'steps',
  'epochs',
  'schedule',
  'optimizer',
  'labelSmoothing',
  'headDiversity',
  'rDrop',
  'clipNorm',
  'skipNonFinite',
  'validation',
  'lr',
  'weightDecay',
  'warmup',
  // `fit` checks that a step keeps its number of batches.
  'gradientAccumulation',
  'gradientCheckpointing',
  'validateEvery',
  'checkpointEvery',
  'earlyStopping.patience',
  'model.dropout',
  'model.activationDropout',
];

/**
 * Settings that differ from those of the training that wrote `path`, each as "name: old → new". Empty if the file is
 * missing or invalid. Throws ArgumentError, naming them, if some may not change.
 */
export function changedSettings(path: string, config: object): string[] {
  const before = readSettings(path);
  if (before === null) return [];
  const now = settingsOf(config);
  const changed = [...new Set([...before.keys(), ...now.keys()])].filter((name) => before.get(name) !== now.get(name));
  const describe = (name: string) => `${name}: ${before.get(name) ?? 'none'} → ${now.get(name) ?? 'none'}`;
  const fixed = changed.filter((name) => !FREE.some((free) => name === free || name.startsWith(`${free}.`)));
  if (fixed.length > 0) {
    throw new ArgumentError(
      `--resume continues the training in this folder, but its settings differ: ${fixed.map(describe).join(', ')}. Give the same settings, or another folder`,
    );
  }
  return changed.map(describe);
}

/** Every number, text and choice by its path, such as 'model.dropout'. */
function settingsOf(value: object, prefix = ''): Map<string, string> {
  const entries = Object.entries(value).flatMap(([name, setting]): [string, string][] => {
    if (setting === undefined) return [];
    if (typeof setting === 'object' && setting !== null) return [...settingsOf(setting, `${prefix}${name}.`)];
    return [[prefix + name, JSON.stringify(setting)]];
  });
  return new Map(entries);
}

function readSettings(path: string): Map<string, string> | null {
  try {
    return settingsOf(JSON.parse(readFileSync(path, 'utf8')) as object);
  } catch {
    return null;
  }
}
