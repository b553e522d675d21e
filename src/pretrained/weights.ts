// The weights of a model as one map of tensors: a file of safetensors or of torch.save, or shards with an index.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { quote } from '../io/dtypes.js';
import type { OpenFile } from '../io/file.js';
import { checkKeys, readSafetensors, type Safetensors, type SafetensorsEntry } from '../io/safetensors.js';
import type { Family } from '../models/family.js';
import type { Weights } from '../models/weight-entry.js';
import { checkFileName } from './file-name.js';
import type { OnnxChoice, Tower } from './onnx/files.js';
import type { ModelSource } from './source.js';

/** Supported files of weights, in order of preference. Each may be split into shards, which an index lists. */
const FILES = ['model.safetensors', 'pytorch_model.bin'];
const INDEX = '.index.json';
/** Files of weights in unsupported formats. */
const FOREIGN = ['tf_model.h5', 'flax_model.msgpack', 'model.ckpt.index'];

/** Tensors of a file, with its metadata. They can be read until it is closed. */
export interface TensorFile extends Safetensors {
  close(): void;
}

/** True if the folder has safetensors files or files of torch.save. */
export async function hasTensorFile(source: ModelSource): Promise<boolean> {
  if (source.weights !== undefined) return true;
  for (const file of FILES) if ((await source.has(file)) || (await source.has(file + INDEX))) return true;
  return false;
}

interface WeightOptions {
  /** Name of the file with all weights, if it is known. */
  readonly single?: string | undefined;
  /** The variant of ONNX files to read. */
  readonly dtype?: OnnxChoice | undefined;
  /** The ONNX file without the ending of its variant. */
  readonly onnxFile?: string | undefined;
  /** The encoder that is loaded alone. Its own ONNX file comes first. */
  readonly tower?: Tower | undefined;
  /** The family of the model, which ONNX files do not tell. */
  readonly family?: Family | undefined;
}

/**
 * Opens all weights of a model: safetensors files, files of torch.save, or else ONNX files. Throws FormatError if files
 * or their index are damaged. If there are only weights in other formats, the message has the command that converts
 * them.
 */
export async function openWeights(
  source: ModelSource,
  { single, family, ...choice }: WeightOptions = {},
): Promise<Weights> {
  if (source.weights !== undefined) return source.weights;
  for (const file of single === undefined ? FILES : [single]) {
    if (await source.has(file)) return openTensors(source, file);
    if (await source.has(file + INDEX)) return openShards(source, file + INDEX);
  }
  const onnx = await onnxWeights(source, choice, family);
  if (onnx !== null) return onnx;
  for (const name of FOREIGN) if (await source.has(name)) throw await refusal(source, name);
  throw new FormatError(
    `${source.name} has no weights, expected one of ${FILES.join(', ')}, an index of shards, or ONNX files`,
  );
}

/**
 * Opens a file of tensors: a file of torch.save if its name ends in .bin, .pt or .pth, otherwise a safetensors file.
 */
export async function openTensors(source: ModelSource, name: string): Promise<TensorFile> {
  const file = await source.open(name);
  try {
    const read = await readHeader(source, name, file);
    return { ...read, tensors: withoutWrapper(read.tensors), close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

const WRAPPER = 'module.';

/** Removes the prefix `module.`, which torch's DataParallel adds to all names. */
function withoutWrapper(tensors: Safetensors['tensors']): Safetensors['tensors'] {
  const names = [...tensors.keys()];
  if (!names.every((name) => name.startsWith(WRAPPER))) return tensors;
  return new Map([...tensors].map(([name, entry]) => [name.slice(WRAPPER.length), entry]));
}

/**
 * Opens weights in ONNX files; null if there are none. Throws ArgumentError if there are ONNX files, but none of the
 * requested variant.
 */
async function onnxWeights(
  source: ModelSource,
  { dtype, onnxFile, tower }: Pick<WeightOptions, 'dtype' | 'onnxFile' | 'tower'>,
  family: Family | undefined,
): Promise<Weights | null> {
  const { onnxFiles, noSuchVariant } = await import('./onnx/files.js');
  const files = await onnxFiles(source, dtype, onnxFile, tower);
  if (files === null)
    return (await onnxFiles(source)) === null
      ? null
      : noSuchVariant(source, dtype ?? 'auto', onnxFile ?? (tower && `${tower}_model`));
  const { openOnnx } = await import('./onnx/open.js');
  return openOnnx(source, files, family);
}

/** The file that contains each tensor, by tensor name. */
export type WeightIndex = ReadonlyMap<string, string>;

/**
 * Reads an index such as model.safetensors.index.json. Throws FormatError unless it is an object with a `weight_map`
 * from names of tensors to files. It also throws for duplicate keys, for files of different kinds, and for files in
 * other folders.
 */
export function parseWeightIndex(bytes: Uint8Array, name = FILES[0] + INDEX): WeightIndex {
  const refuse = (why: string, cause?: unknown): never => {
    throw new FormatError(`${name}: ${why}`, { cause });
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
  checkKeys(name, json);
  const { weight_map: map } = value;
  if (!isObject(map)) return refuse(`its weight_map is ${describeValue(map)}, expected an object`);
  const [, stem, extension] = /([^/.]*)(\.\w+)\.index\.json$/.exec(name) ?? [];
  const index = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    const isShard =
      typeof file === 'string' && /^[^/]+\.\w+$/.test(file) && file.endsWith(`${extension}`) && checkFileName(file);
    if (!isShard)
      return refuse(
        `tensor ${quote(tensor)} lies in ${describeValue(file)}, expected a file like ${stem}-00001-of-00002${extension}`,
      );
    index.set(tensor, file);
  }
  if (index.size === 0) return refuse('its weight_map is empty');
  return index;
}

/**
 * Opens all shards as one map of entries, in the order of the index. As in transformers, tensors that the index does
 * not list are included, unless several shards have them.
 */
async function openShards(source: ModelSource, indexName: string): Promise<Weights> {
  const index = parseWeightIndex(await source.bytes(indexName), indexName);
  const shards = [...new Set(index.values())].sort();
  const missing: string[] = [];
  for (const shard of shards) if (!(await source.has(shard))) missing.push(shard);
  if (missing.length > 0) {
    throw new FormatError(
      `${source.name} lacks ${missing.length} of ${shards.length} files of its ${indexName}: ${some(missing)}`,
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
      opened.set(shard, await readHeader(source, shard, file));
    }
    const { tensors, metadata } = merged(source.name, index, opened, indexName);
    return { tensors: withoutWrapper(tensors), metadata, close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * @internal Merges the tensors of several files by their index. Throws FormatError if files and index contradict each
 * other.
 */
export function merged(
  name: string,
  index: WeightIndex,
  shards: ReadonlyMap<string, Safetensors>,
  indexName = FILES[0] + INDEX,
): Safetensors {
  const tensors = new Map<string, SafetensorsEntry>();
  const missing: string[] = [];
  for (const [tensor, shard] of index) {
    const entry = shards.get(shard)?.tensors.get(tensor);
    if (entry === undefined) missing.push(`${quote(tensor)} in ${shard}`);
    else tensors.set(tensor, entry);
  }
  if (missing.length > 0)
    throw new FormatError(`${name} lacks ${missing.length} tensors that ${indexName} names: ${some(missing)}`);
  const metadata = new Map<string, string>();
  for (const [shard, file] of shards) {
    for (const [key, text] of file.metadata) metadata.set(key, text);
    for (const [tensor, entry] of file.tensors) {
      if (index.has(tensor)) continue;
      if (tensors.has(tensor))
        throw new FormatError(
          `${name}: tensor ${quote(tensor)} is in several files, ${shard} among them, and not in ${indexName}`,
        );
      tensors.set(tensor, entry);
    }
  }
  return { tensors, metadata };
}

async function readHeader(source: ModelSource, name: string, file: OpenFile): Promise<Safetensors> {
  try {
    if (!/\.(bin|pth?)$/.test(name)) return readSafetensors(file);
    const { readTorchFile } = await import('../io/torch-file.js');
    return await readTorchFile(file);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new FormatError(`${source.name}: ${name}: ${cause.message}`, { cause });
  }
}

const some = (names: readonly string[]) =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');

/** Makes the error for weights in an unsupported format, with the command that converts them to safetensors. */
async function refusal(source: ModelSource, file: string): Promise<FormatError> {
  const { architectures } = (await source.has('config.json')) ? await source.json('config.json') : {};
  const [name] = Array.isArray(architectures) ? architectures : [];
  const model = typeof name === 'string' && /^[A-Za-z]\w*$/.test(name) ? name : 'AutoModel';
  const from = file.startsWith('tf') ? ', from_tf=True' : file.startsWith('flax') ? ', from_flax=True' : '';
  const command = `python -c "from transformers import ${model} as M; M.from_pretrained('${source.name}'${from}).save_pretrained('folder')"`;
  return new FormatError(
    `${source.name} has its weights in ${file}, which is not supported, expected ${FILES.join(' or ')}. To convert it: ${command}, and copy the tokenizer's files to the new folder`,
  );
}
