// Distinguishes folders of Hugging Face models from those of `Transformer.save`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** True if a folder holds a pretrained model, or an adapter of one. */
export function isPretrainedFolder(folder: string): boolean {
  const config = read(join(folder, 'config.json'));
  if (config === null) return read(join(folder, 'adapter_config.json')) !== null;
  return config.format !== 'simdformer' && typeof config.model_type === 'string';
}

/** True if a folder holds a model that `Transformer.save` or `simdformer train` wrote. */
export function isOwnFolder(folder: string): boolean {
  return read(join(folder, 'config.json'))?.format === 'simdformer';
}

/** True if the folder holds only an adapter. */
export function isAdapterFolder(folder: string): boolean {
  return read(join(folder, 'config.json')) === null && read(join(folder, 'adapter_config.json')) !== null;
}

function read(path: string): Record<string, unknown> | null {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null; // loading reports the problem
  }
}
