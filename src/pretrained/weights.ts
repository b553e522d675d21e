// The weights of a model: model.safetensors, or its shards with an index, as one map.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { quote } from '../io/dtypes.js';
import type { OpenFile } from '../io/file.js';
import { checkKeys, readSafetensors, type Safetensors, type SafetensorsEntry } from '../io/safetensors.js';
import type { Weights } from '../models/weight-entry.js';
import { checkFileName } from './file-name.js';
import type { ModelSource } from './source.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Weights in formats of others: code runs when the first of them is read. */
const FOREIGN = [
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'tf_model.h5',
  'flax_model.msgpack',
  'model.ckpt.index',
];

/**
 * Opens all weights of a model; `single`: the file that they are in if they are in one. Throws FormatError if files, their index or what it names are not what the format demands, and if
 * there are only weights in other formats; then the message has the command that converts them.
 */
export async function openWeights(source: ModelSource, single = SINGLE): Promise<Weights> {
  if (source.weights !== undefined) return source.weights;
  if (await source.has(single)) {
    const file = await source.open(single);
    try {
      return { ...readHeader(source, single, file), close: () => file.close() };
    } catch (error) {
      file.close();
      throw error;
    }
  }
  if (await source.has(INDEX)) return openShards(source, parseWeightIndex(await source.bytes(INDEX)));
  for (const name of FOREIGN) if (await source.has(name)) throw await refusal(source, name);
  throw new FormatError(`${source.name} has no weights: neither ${single} nor ${INDEX}`);
}

/** For each tensor the file that holds it: what model.safetensors.index.json says. */
export type WeightIndex = ReadonlyMap<string, string>;

/**
 * Reads an index. Throws FormatError if it is not an object with a `weight_map` of tensors' names to files' in the same folder, or
 * if any object in it has a key twice.
 */
export function parseWeightIndex(bytes: Uint8Array): WeightIndex {
  const refuse = (why: string, cause?: unknown): never => {
    throw new FormatError(`${INDEX}: ${why}`, { cause });
  };
  let json = '';
  let value: unknown;
  try {
    json = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(json);
  } catch (error) {
    return refuse(`it is not JSON in UTF-8: ${(error as Error).message}`, error);
  }
  if (!isObject(value)) return refuse(`it holds ${describeValue(value)}, expected an object`);
  checkKeys(INDEX, json);
  const { weight_map: map } = value;
  if (!isObject(map)) return refuse(`its weight_map is ${describeValue(map)}, expected an object`);
  const index = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    const isShard = typeof file === 'string' && /^[^/]+\.safetensors$/.test(file) && checkFileName(file);
    if (!isShard)
      return refuse(
        `tensor ${quote(tensor)} lies in ${describeValue(file)}, expected a file like model-00001-of-00002.safetensors`,
      );
    index.set(tensor, file);
  }
  if (index.size === 0) return refuse('its weight_map is empty');
  return index;
}

/**
 * All shards as one map of entries, in the order of the index. As in transformers, what is in a shard without being in the
 * index is there, too, unless two shards have it.
 */
async function openShards(source: ModelSource, index: WeightIndex): Promise<Weights> {
  const shards = [...new Set(index.values())].sort();
  const missing: string[] = [];
  for (const shard of shards) if (!(await source.has(shard))) missing.push(shard);
  if (missing.length > 0) {
    throw new FormatError(
      `${source.name} lacks ${missing.length} of ${shards.length} files of its ${INDEX}: ${some(missing)}`,
    );
  }
  const files: OpenFile[] = [];
  const close = () => {
    for (const file of files) file.close();
  };
  try {
    const opened = new Map<string, Safetensors>();
    for (const shard of shards) {
      const file = await source.open(shard);
      files.push(file);
      opened.set(shard, readHeader(source, shard, file));
    }
    return { ...merged(source.name, index, opened), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** @internal What several files and their index say together. Throws FormatError where they do not agree. */
export function merged(name: string, index: WeightIndex, shards: ReadonlyMap<string, Safetensors>): Safetensors {
  const tensors = new Map<string, SafetensorsEntry>();
  const missing: string[] = [];
  for (const [tensor, shard] of index) {
    const entry = shards.get(shard)?.tensors.get(tensor);
    if (entry === undefined) missing.push(`${quote(tensor)} in ${shard}`);
    else tensors.set(tensor, entry);
  }
  if (missing.length > 0)
    throw new FormatError(`${name} lacks ${missing.length} tensors that ${INDEX} names: ${some(missing)}`);
  const metadata = new Map<string, string>();
  for (const [shard, file] of shards) {
    for (const [key, text] of file.metadata) metadata.set(key, text);
    for (const [tensor, entry] of file.tensors) {
      if (index.has(tensor)) continue;
      if (tensors.has(tensor))
        throw new FormatError(
          `${name}: tensor ${quote(tensor)} is in several files, ${shard} among them, and not in ${INDEX}`,
        );
      tensors.set(tensor, entry);
    }
  }
  return { tensors, metadata };
}

function readHeader(source: ModelSource, name: string, file: OpenFile): Safetensors {
  try {
    return readSafetensors(file);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new FormatError(`${source.name}: ${name}: ${cause.message}`, { cause });
  }
}

const some = (names: readonly string[]) =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');

/** Says how weights in a format of others become safetensors: transformers writes nothing else. */
async function refusal(source: ModelSource, file: string): Promise<FormatError> {
  const { architectures } = (await source.has('config.json')) ? await source.json('config.json') : {};
  const [name] = Array.isArray(architectures) ? architectures : [];
  const model = typeof name === 'string' && /^[A-Za-z]\w*$/.test(name) ? name : 'AutoModel';
  const from = file.startsWith('tf') ? ', from_tf=True' : file.startsWith('flax') ? ', from_flax=True' : '';
  const command = `python -c "from transformers import ${model} as M; M.from_pretrained('${source.name}'${from}).save_pretrained('folder')"`;
  return new FormatError(
    `${source.name} has its weights in ${file}, which is not read here, expected ${SINGLE}. To convert it: ${command}, and copy the tokenizer's files beside it`,
  );
}
