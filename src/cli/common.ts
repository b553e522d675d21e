// What commands share.

import { existsSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { createDevice } from '../core/create-device.js';
import type { Device } from '../core/device.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import { Transformer } from '../models/families/transformer.js';
import { isPretrainedFolder } from './pretrained-folder.js';

/** Models that come with the package. */
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

/** The device that the command's options ask for; of `processes` on this machine each has its part of the cores. */
export function openDevice(command: Command, processes = 1): Promise<Device> {
  const { threads, isa } = command.optsWithGlobals<{ threads?: number; isa?: string }>();
  const part = Math.max(1, Math.floor(cpus().length / processes));
  const fair = processes > 1 ? Math.min(part, availableParallelism()) : undefined;
  return createDevice({ threads: threads ?? fair, isa });
}

/** A model by its folder, or by the name of one that comes with the package. */
export async function loadModel(device: Device, name: string): Promise<Transformer> {
  const shipped = join(MODELS, name);
  const folder = existsSync(name) || !existsSync(join(shipped, 'config.json')) ? name : shipped;
  if (!existsSync(folder)) {
    const expected = 'the folder of a saved model, or the name of one that comes with the package, such as g2p-en';
    throw new ArgumentError(`there is no model '${name}': expected ${expected}`);
  }
  if (folder.endsWith('.gguf') || isPretrainedFolder(folder))
    throw new ArgumentError(`'${name}' is a pretrained model, expected one that \`simdformer train\` saved`);
  try {
    return await Transformer.load(device, folder);
  } catch (cause) {
    if (!(cause instanceof SimdformerError)) throw cause;
    throw new FormatError(`the model '${name}' cannot be loaded: ${cause.message}`, { cause });
  }
}

export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}

/** Whether standard output shows the 256 colours of heat maps: a terminal, unless NO_COLOR or TERM say otherwise. */
export function showsColors(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors(256);
}

/** A token that can be seen where it labels a row or column. */
export function visible(token: string): string {
  return token.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣');
}
