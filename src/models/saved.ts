// A model as a folder: config.json, model.safetensors and the tokenizers' JSON. config.json also has the content of
// tokenizer_config.json, so that no such file of an older model can remain.

import { nodeModule } from '../backend/node.js';
import { checkNumber, checkOptions, describeValue } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError, DTypeError, FormatError, OutOfMemoryError, ShapeError } from '../core/errors.js';
import { isBlob } from '../core/kinds.js';
import { type FileParts, writeInFolders } from '../io/atomic-write.js';
import { type ByteSource, inMemory } from '../io/byte-source.js';
import { safetensorsParts } from '../io/file.js';
import { type LoadOptions, openFolder, pathOf } from '../io/folder.js';
import { toHalf } from '../io/half.js';
import {
  readSafetensors,
  type SafetensorsArray,
  type SafetensorsEntry,
  type SafetensorsLater,
  serializeSafetensors,
} from '../io/safetensors.js';
import type { Module, StateValues } from '../nn/module.js';
import { parseTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerConfig } from '../tokenizers/json.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import type { TransformerConfig, TransformerOptions } from './config.js';
import { packedArrays, packedPieces } from './packed-state.js';
import type { Packing } from './read-packed.js';
import { packedFile, packingFields } from './saved-packing.js';

/** Tokenizers of a model: one for both sides, or one for each. */
export interface Tokenizers {
  readonly source?: Tokenizer | undefined;
  readonly target?: Tokenizer | undefined;
}

/** Options of `generate` that are saved with a model. */
export interface GenerationDefaults {
  /** Exponent of lengths in beam search: above 1 longer outputs are preferred, below 1 shorter ones. */
  readonly lengthPenalty?: number | undefined;
}

/** A module that can be saved, with config, tokenizers, and defaults for generation. */
interface Saved extends Module {
  readonly config: TransformerConfig;
  tokenizers: Tokenizers;
  generationConfig: GenerationDefaults;
}

export interface SaveOptions {
  /** Type of the stored weights. float16 halves the size and rounds to 11 bits. Default: `float32`. */
  dtype?: 'float32' | 'float16' | undefined;
}

/** Bytes of a saved model's files, by name. */
export type ModelFiles = Readonly<Record<string, Uint8Array>>;

const CONFIG = 'config.json';
const WEIGHTS = 'model.safetensors';
const TOKENIZERS = { source: 'source-tokenizer.json', target: 'target-tokenizer.json' } as const;
const FORMAT = 'simdformer';
const METADATA = { format: FORMAT };

/** Content of config.json. */
interface Config {
  readonly format: typeof FORMAT;
  readonly model: TransformerOptions;
  /** Absent if the model has none. */
  readonly generation?: GenerationDefaults | undefined;
  /** Configs of tokenizers that were loaded with one. */
  readonly tokenizers?: { readonly [Side in keyof Tokenizers]: TokenizerConfig | undefined } | undefined;
}

/** A model as files in memory, the same files as `save` writes. */
export async function toFiles(model: Saved, values: StateValues, options?: SaveOptions): Promise<ModelFiles> {
  const { files, weights } = await contentsOf(model, values, options);
  const read = await Promise.all(
    Array.from(weights, async ([name, { data, ...array }]): Promise<[string, SafetensorsArray]> => {
      return [name, { ...array, data: typeof data === 'function' ? await data() : data }];
    }),
  );
  return { ...files, [WEIGHTS]: serializeSafetensors(new Map(read), METADATA) };
}

/**
 * Writes a model to a folder. Either all files are replaced, or none, so that a full disk leaves the old ones.
 * Tokenizers of an earlier model are removed.
 */
export async function writeModel(
  folder: string | URL,
  model: Saved,
  values: StateValues,
  options?: SaveOptions,
): Promise<void> {
  const { files, weights } = await contentsOf(model, values, options);
  const path = await pathOf(folder);
  const { rm } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const parts = new Map<string, FileParts>([[join(path, WEIGHTS), safetensorsParts(weights, METADATA)]]);
  for (const [name, bytes] of Object.entries(files)) parts.set(join(path, name), [bytes]);
  await writeInFolders(parts);
  for (const name of Object.values(TOKENIZERS)) if (!(name in files)) await rm(join(path, name), { force: true });
}

/** All files but the weights, and the current weights, unaffected by later training. */
async function contentsOf(model: Saved, values: StateValues, options: SaveOptions = {}) {
  const { dtype = 'float32' } = checkOptions('save', options, { dtype: ['float32', 'float16'] });
  if (typeof model.config.positions.frequencies === 'function') {
    throw new ArgumentError("save: positions.frequencies is a function, expected 'paper', 'tensor2tensor' or an array");
  }
  const packed = packedPieces(model);
  const tensors = (await values).map(({ name, shape, data }): [string, SafetensorsArray] => [
    name,
    dtype === 'float32' ? { dtype: 'F32', shape, data } : { dtype: 'F16', shape, data: toHalf(data) },
  ]);
  const files: Record<string, Uint8Array> = {};
  const { source, target } = model.tokenizers;
  if (source !== undefined) files[TOKENIZERS.source] = encodeJson(source.toJSON());
  if (target !== undefined) files[TOKENIZERS.target] = encodeJson(target.toJSON());
  const configs = { source: source?.config, target: target?.config };
  const tokenizers = (configs.source ?? configs.target) ? configs : undefined;
  const packing = packingFields(packed);
  const generation = Object.keys(model.generationConfig).length > 0 ? model.generationConfig : undefined;
  files[CONFIG] = encodeJson({
    format: FORMAT,
    model: model.config,
    generation,
    tokenizers,
    ...packing,
  } satisfies Config);
  return {
    files,
    weights: new Map<string, SafetensorsArray | SafetensorsLater>([...tensors, ...packedArrays(packed)]),
  };
}

interface Read {
  readonly config: TransformerOptions;
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly tokenizers: Tokenizers;
  readonly generation: GenerationDefaults;
  readonly isPacked: boolean;
}

/** Contents of a saved model's files. Throws FormatError if one is missing or damaged. */
async function readFiles(files: ModelFiles, weights: ByteSource | undefined): Promise<Read> {
  checkOrigin(files);
  const { model, generation, tokenizers: configs, ...packing } = decodeJson(files, CONFIG) as Config;
  if (!weights) throw new FormatError(`the model has no ${WEIGHTS}`);
  const tokenizers: { source?: Tokenizer; target?: Tokenizer } = {};
  for (const side of ['source', 'target'] as const) {
    if (files[TOKENIZERS[side]] !== undefined) tokenizers[side] = await readTokenizer(files, side, configs?.[side]);
  }
  const isPacked = packedFile(packing) !== null;
  const defaults = generationDefaults(generation);
  const config = model as TransformerOptions;
  return { config, tensors: parseWeights(weights), tokenizers, generation: defaults, isPacked };
}

function generationDefaults(defaults: unknown = {}): GenerationDefaults {
  const { lengthPenalty, ...remaining } = Object(defaults) as Record<string, unknown>;
  const isNumber = lengthPenalty === undefined || Number.isFinite(lengthPenalty);
  if (Object(defaults) !== defaults || !isNumber || Object.keys(remaining).length > 0)
    throw new FormatError(
      `${CONFIG}: generation is ${describeValue(defaults)}, expected an object with a lengthPenalty`,
    );
  return defaults as GenerationDefaults;
}

/** Throws FormatError unless `save` wrote the config.json, naming its origin if it is known. */
function checkOrigin(files: ModelFiles): void {
  const { format, model_type: type } = decodeJson(files, CONFIG) as Partial<Config> & { readonly model_type?: unknown };
  if (format === FORMAT) return;
  if (typeof type === 'string') {
    throw new FormatError(
      `${CONFIG} is of Hugging Face's transformers, a model of type ${JSON.stringify(type)}, expected one that save() ` +
        'wrote: such a model is loaded with loadModel(device, folder)',
    );
  }
  throw new FormatError(`${CONFIG} is not of a model saved by this package: its format is ${describeValue(format)}`);
}

type Make<Model extends Saved> = (options: TransformerOptions) => Model;

/** Loads a model from a folder, a path in Node or a URL. `make` is its constructor. */
export async function modelFromFolder<Model extends Saved>(
  folder: string | URL,
  make: Make<Model>,
  options?: LoadOptions,
): Promise<Model> {
  const recognize = (config: Uint8Array) => checkOrigin({ [CONFIG]: config });
  const names = { required: [CONFIG], optional: Object.values(TOKENIZERS), recognize };
  const { files, opened } = await openFolder(folder, names, WEIGHTS, options);
  try {
    return await modelFrom(files, opened, make, options?.signal);
  } finally {
    opened.close();
  }
}

/** Loads a model from files in memory. `packing` overrides the packing of the files. */
export async function modelFromFiles<Model extends Saved>(
  contents: Readonly<Record<string, Uint8Array | Blob>>,
  make: Make<Model>,
  packing?: Packing | null,
): Promise<Model> {
  const files: Record<string, Uint8Array> = {};
  for (const [name, file] of Object.entries(checkOptions('fromFiles', contents)))
    files[name] = isBlob(file) ? new Uint8Array(await file.arrayBuffer()) : file;
  const weights = files[WEIGHTS];
  return modelFrom(files, weights && inMemory(weights), make, undefined, packing);
}

/** Reads weights, also packed ones. Throws as `loadStateDict`, and FormatError. */
async function readPackedState(
  model: Module,
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  packing: Packing | null,
  signal?: AbortSignal,
): Promise<void> {
  const { withPacked } = await import('./packed-entry.js');
  const entries = withPacked(tensors, model);
  if (packing === null) return model.readState(entries, signal);
  const { readPacked } = await import('./read-packed.js');
  await readPacked(model, model.matched(entries), packing, signal);
}

async function modelFrom<Model extends Saved>(
  files: ModelFiles,
  weights: ByteSource | undefined,
  make: Make<Model>,
  signal?: AbortSignal,
  wanted?: Packing | null,
): Promise<Model> {
  const { config, tensors, tokenizers, generation, isPacked } = await readFiles(files, weights);
  const packing =
    wanted !== undefined ? wanted : isPacked ? (await import('./read-packed.js')).keepStoredFormats() : null;
  let model: Model | undefined;
  try {
    const { size } = tensors;
    for (const name of ['encoderLayers', 'decoderLayers'] as const) // checked before millions of layers would be made
      checkNumber('load', name, config?.[name] ?? 0, (layers) => layers <= size, `at most ${size}, for its tensors`);
    model = make(config);
    if (packing === null && !isPacked) await model.readState(tensors, signal);
    else await readPackedState(model, tensors, packing, signal);
  } catch (cause) {
    model?.dispose();
    const isOther = [ArgumentError, ShapeError, DTypeError].some((Kind) => cause instanceof Kind);
    if (!isOther && !(cause instanceof OutOfMemoryError && outgrows(config, weights as ByteSource))) throw cause;
    const problem = model ? `${WEIGHTS} is not of the model that ${CONFIG} describes` : `${CONFIG} describes no model`;
    throw new FormatError(`${problem}: ${(cause as Error).message}`, { cause });
  }
  model.tokenizers = tokenizers;
  model.generationConfig = generation;
  return model.eval();
}

/** True if a tensor of the model would have more numbers than the file has bytes. The file is then wrong. */
function outgrows(config: TransformerOptions, file: ByteSource): boolean {
  const { dModel, dFF, sourceVocab, targetVocab, maxLength } = config as Complete<TransformerOptions>;
  return dModel * Math.max(dFF, sourceVocab, targetVocab, maxLength) > file.size;
}

async function readTokenizer(files: ModelFiles, side: keyof Tokenizers, config?: TokenizerConfig): Promise<Tokenizer> {
  const name = TOKENIZERS[side];
  const json = decodeJson(files, name);
  try {
    return await parseTokenizer(json, config);
  } catch (cause) {
    if (!(cause instanceof FormatError || cause instanceof ArgumentError)) throw cause;
    throw new FormatError(`${name}, or its part of ${CONFIG}, is damaged: ${cause.message}`, { cause });
  }
}

function parseWeights(source: ByteSource): ReadonlyMap<string, SafetensorsEntry> {
  try {
    return readSafetensors(source).tensors;
  } catch (cause) {
    throw new FormatError(`${WEIGHTS} is damaged: ${(cause as Error).message}`, { cause });
  }
}

function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`);
}

function decodeJson(files: ModelFiles, name: string): object {
  const bytes = files[name];
  if (bytes === undefined) throw new FormatError(`the model has no ${name}`);
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new FormatError(`${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  throw new FormatError(`${name} is not a JSON object`);
}
