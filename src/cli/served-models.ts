// Finds the models of `simdformer serve`: the named ones, and those in a folder.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { openSafetensors } from '../io/file.js';
import { hasPackedWeights } from '../models/quantize.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../pretrained/index.js';
import { loadLora } from '../pretrained/peft/load-lora.js';
import type { ManagedModel } from '../server/index.js';
import { isAdapterFolder, isPretrainedFolder } from './pretrained-folder.js';

export interface ServedModelOptions extends Pick<LoadModelOptions, 'weights' | 'cacheType'> {
  /** Names of models that are loaded at the start and never unloaded; true for all. */
  readonly pinned: readonly string[] | true;
}

/** A model or an adapter, by the name for requests. */
interface Named {
  readonly id: string;
  /** A folder, a GGUF file or a hub id. */
  readonly from: string;
}

/** The format of cached keys and values beside packed weights. */
export const PACKED_CACHE = 'float16';

/**
 * The models of some names, of `NAME=FOLDER`, and of a folder's folders and GGUF files. The folder of an adapter
 * becomes an adapter of its base if that is among the models, otherwise a model. Throws ArgumentError.
 */
export async function servedModels(
  device: Device,
  names: readonly string[],
  folder: string | undefined,
  options: ServedModelOptions,
): Promise<Record<string, ManagedModel>> {
  const namedModels = [...names.map(named), ...(folder === undefined ? [] : modelsIn(folder))];
  checkNames(namedModels);
  const adapters = namedModels.filter(({ from }) => isAdapterFolder(from));
  const bases = namedModels.filter((model) => !adapters.includes(model));
  const baseOf = new Map(adapters.map((adapter) => [adapter, bases.find((base) => isBase(base, adapter))]));
  const models: Record<string, ManagedModel> = {};
  for (const model of namedModels) {
    if (baseOf.get(model)) continue;
    const modelAdapters = adapters.filter((adapter) => baseOf.get(adapter) === model);
    models[model.id] = {
      load: () => load(device, model.from, options),
      adapters: Object.fromEntries(
        modelAdapters.map(({ id, from }) => [id, (base: LoadedModel) => loadLora(base, from, { name: id })]),
      ),
      pinned: options.pinned === true || options.pinned.includes(model.id),
      bytes: await expectedBytes(model.from, options.weights),
    };
  }
  const unknown = options.pinned === true ? undefined : options.pinned.find((id) => !(id in models));
  if (unknown !== undefined)
    throw new ArgumentError(`--pin is ${unknown}, expected one of ${Object.keys(models).join(', ')}`);
  return models;
}

async function load(
  device: Device,
  from: string,
  { weights, cacheType }: Pick<LoadModelOptions, 'weights' | 'cacheType'>,
): Promise<LoadedModel> {
  const model = await loadModel(device, from, { weights, cacheType });
  // The keys and values of many sequences can be as large as the weights. If the weights are packed, keys and values
  // are stored in a smaller format, too.
  if (cacheType === undefined && hasPackedWeights(model)) model.cacheType = PACKED_CACHE;
  return model;
}

/** Parses `NAME=FOLDER`, a folder, whose last part is the name, or a hub id. */
function named(text: string): Named {
  const [, id, source] = /^([^=/\\]+)=(.+)$/.exec(text) ?? [];
  const from = id !== undefined && source !== undefined && !existsSync(text) ? source : text;
  if (/^[./~]/.test(from) && !existsSync(from))
    throw new ArgumentError(`there is no model at ${from}, expected a folder, a GGUF file or a hub id`);
  if (id !== undefined && from === source) return { id, from };
  return { id: existsSync(text) ? basename(resolve(text)) : text, from: text };
}

function modelsIn(folder: string): Named[] {
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new ArgumentError(`--models-dir is ${folder}, expected a folder of models`);
  const found = readdirSync(folder)
    .sort()
    .map((name) => ({ id: name.replace(/\.gguf$/i, ''), from: join(folder, name) }))
    .filter(({ from }) => /\.gguf$/i.test(from) || isPretrainedFolder(from) || hasGguf(from));
  if (found.length > 0) return found;
  throw new ArgumentError(
    `--models-dir: ${folder} has no models, expected folders with a config.json or adapter_config.json, or GGUF files`,
  );
}

function hasGguf(folder: string): boolean {
  return statSync(folder).isDirectory() && readdirSync(folder).some((name) => /\.gguf$/i.test(name));
}

function checkNames(models: readonly Named[]): void {
  const seen = new Set<string>();
  for (const { id, from } of models) {
    if (seen.has(id))
      throw new ArgumentError(`two models have the name '${id}': give one of them another name with NAME=${from}`);
    seen.add(id);
  }
}

/** True if an adapter names this model as its base: by its folder, by its id, or by the last part of it. */
function isBase({ id, from }: Named, adapter: Named): boolean {
  const { base_model_name_or_path: base } = JSON.parse(readFileSync(join(adapter.from, 'adapter_config.json'), 'utf8'));
  if (typeof base !== 'string' || base === '') return false;
  const candidates = [resolve(base), resolve(adapter.from, base)];
  return base === from || base === id || candidates.includes(resolve(from)) || basename(base) === id;
}

/** Bytes of an element by the format of weights, with scales. */
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int8: 1.07,
  int4: 0.63,
};

/** Bytes of a model's weights in memory, from the headers of its files. 0 for a model that is not on this machine. */
async function expectedBytes(from: string, weights: LoadModelOptions['weights']): Promise<number> {
  if (!existsSync(from)) return 0;
  const files = statSync(from).isDirectory() ? readdirSync(from).map((name) => join(from, name)) : [from];
  let bytes = 0;
  for (const file of files) {
    if (/\.gguf$/i.test(file)) bytes += statSync(file).size;
    if (!/^model.*\.safetensors$/.test(basename(file))) continue;
    const { tensors, close } = await openSafetensors(file);
    for (const { shape, byteLength } of tensors.values()) {
      const elements = shape.reduce((product, size) => product * size, 1);
      bytes += weights === 'auto' ? byteLength : elements * (ELEMENT_BYTES[weights ?? 'float32'] as number);
    }
    close();
  }
  return Math.round(bytes);
}
