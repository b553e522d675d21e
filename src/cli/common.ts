// Functions that several commands use.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { InstructionSet } from '../backend/backend.js';
import { createDevice } from '../core/create-device.js';
import type { Device, MatmulArithmetic } from '../core/device.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import { Transformer } from '../models/families/transformer.js';
import { isPretrainedFolder } from './pretrained-folder.js';

/** Folder of the models in the repository. An installed package finds them in separate packages. */
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));
const MODEL_PACKAGES = ['g2p-en'];

/** Folder of a named model; undefined if it is not installed. */
export function namedModel(name: string): string | undefined {
  const inClone = join(MODELS, name);
  if (existsSync(join(inClone, 'config.json'))) return inClone;
  if (!MODEL_PACKAGES.includes(name)) return undefined;
  const installed = [import.meta.url, join(process.cwd(), 'package.json')].map((from) =>
    createRequire(from).resolve.paths(`simdformer-${name}`),
  );
  return installed
    .flatMap((paths) => paths ?? [])
    .map((folder) => join(folder, `simdformer-${name}`))
    .find((folder) => existsSync(join(folder, 'config.json')));
}

/**
 * Opens the device that the command's options choose. If `processes` processes run on this machine, each gets an equal
 * part of the cores.
 */
export function openDevice(command: Command, processes = 1): Promise<Device> {
  const { threads, isa, matmul } = command.optsWithGlobals<{
    threads?: number;
    isa?: InstructionSet;
    matmul?: MatmulArithmetic;
  }>();
  const part = Math.max(1, Math.floor(cpus().length / processes));
  const fair = processes > 1 ? Math.min(part, availableParallelism()) : undefined;
  return createDevice({ threads: threads ?? fair, isa, matmul });
}

/** Loads a model by its folder, or by the name of a model package. `expected` describes the names of models. */
export async function loadModel(
  device: Device,
  name: string,
  expected = 'the folder of a saved model',
): Promise<Transformer> {
  const folder = existsSync(name) ? name : (namedModel(name) ?? name);
  if (!existsSync(folder)) {
    const install = MODEL_PACKAGES.includes(name) ? `. This model has a package: npm install simdformer-${name}` : '';
    throw new ArgumentError(`there is no model '${name}': expected ${expected}${install}`);
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

/** True if standard output shows 256 colours: it is a terminal, and neither NO_COLOR nor TERM forbids colours. */
export function showsColors(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors(256);
}

/** Replaces invisible characters of a token, so that it can label a row or column. */
export function visible(token: string): string {
  return token.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣');
}
