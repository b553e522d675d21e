// A pretrained model as a folder in Hugging Face's layout: config.json, model.safetensors, and companion files.

import { nodeModule } from '../backend/node.js';
import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { type FileParts, writeInFolders } from '../io/atomic-write.js';
import { safetensorsParts } from '../io/file.js';
import { pathOf } from '../io/folder.js';
import type { GgufValue } from '../io/gguf-values.js';
import { toHalf } from '../io/half.js';
import type { SafetensorsLater, SafetensorsSource } from '../io/safetensors.js';
import type { StateValues } from '../nn/module.js';
import type { Json } from './model-config.js';
import { type PackedPiece, packedArrays } from './packed-state.js';
import type { SaveOptions } from './saved.js';
import { packingFields, weightFiles, withoutPacking } from './saved-packing.js';

/** Origin of a model: the parts that saving needs. */
export interface Origin {
  /** The folder, the URL or the id on the hub. */
  readonly from?: string | undefined;
  /** Content of config.json, with the class of the model's current head. */
  readonly config: Json;
  /** Keys, at any depth, whose numbers config.json writes with a point. Python distinguishes 0.0 from 0. */
  readonly fractions?: ReadonlySet<string> | undefined;
  /** Names of parameters in the checkpoint that differ from the family's table. */
  readonly names: ReadonlyMap<string, string>;
  /** Parameters in separate files, such as those of sentence-transformers' modules. */
  readonly elsewhere?: ReadonlyMap<string, StoredElsewhere> | undefined;
  /** Reads what is saved with the model unchanged. */
  companions(): Promise<Companions>;
  /** Metadata of the vocabulary, if the model came from a GGUF file. */
  readonly vocabulary?: ReadonlyMap<string, GgufValue> | undefined;
}

/** The parts of a model's source that are saved unchanged. */
export interface Companions {
  /** Files such as the tokenizer's, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Reads weights that the model does not read, such as those of an image encoder beside a model of text. */
  tensors(): Promise<readonly KeptTensor[]>;
  /** Returns the content of config.json for the model's config. */
  savedConfig(config: Json): Promise<Json>;
}

/** Values of a tensor that the model does not read. */
export interface KeptTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A safetensors file such as `2_Dense/model.safetensors`, and the parameter's name in it. */
export interface StoredElsewhere {
  readonly file: string;
  readonly name: string;
}

/** The contents of a folder's safetensors. */
export interface SavedWeights {
  readonly values: StateValues;
  readonly packed: readonly PackedPiece[];
}

/** Weight files of an earlier model, which would be read beside the new one. */
const STALE = /^(model\.safetensors\.index\.json|model-\d{5}-of-\d{5}\.safetensors)$/;

/** Writes a folder that transformers loads. Either all files are replaced, or none. */
export async function writePretrained(
  folder: string | URL,
  origin: Origin,
  { values, packed }: SavedWeights,
  options: SaveOptions = {},
): Promise<void> {
  const { dtype = 'float32' } = checkOptions('save', options, { dtype: ['float32', 'float16'] });
  const { file: weights, other } = weightFiles(packed);
  const files = new Map<string, Map<string, SafetensorsSource | SafetensorsLater>>();
  const put = (ownName: string, array: SafetensorsSource | SafetensorsLater) => {
    const { file, name } = origin.elsewhere?.get(ownName) ?? { file: weights, name: ownName };
    files.set(file, (files.get(file) ?? new Map()).set(name, array));
  };
  const isElsewhere = ({ name }: PackedPiece) => origin.elsewhere?.has(name) ?? false;
  for (const [name, array] of packedArrays(packed.filter((piece) => !isElsewhere(piece)))) put(name, array);
  // Module files have floats, because sentence-transformers reads nothing else.
  for (const { name, shape, floats } of packed.filter(isElsewhere)) put(name, { dtype: 'F32', shape, data: floats });
  // Companions are read before anything is written, because it may be the same folder.
  const { files: companions, tensors, savedConfig } = await origin.companions();
  for (const { name, shape, data } of [...(await values), ...(await tensors())])
    put(name, { shape, ...storedAs(name, data, dtype) });
  const config = await savedConfig(origin.config);
  const path = await pathOf(folder);
  const { readdir, rm } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const parts = new Map<string, FileParts>([
    ...[...companions].map(([name, bytes]): [string, FileParts] => [join(path, name), [bytes]]),
    [join(path, 'config.json'), [configBytes({ ...origin, config }, dtypeOf(packed) ?? dtype, packed)]],
  ]);
  // After the companions, which include the old weights of modules.
  for (const [name, tensors] of files) parts.set(join(path, name), safetensorsParts(tensors, { format: 'pt' }));
  await writeInFolders(parts);
  for (const name of await readdir(path))
    if (name === other || STALE.test(name)) await rm(join(path, name), { force: true });
}

/** Values as a file has them. Numbers of batches are integers, as torch.nn.BatchNorm2d has them. */
function storedAs(name: string, data: Float32Array, dtype: 'float32' | 'float16') {
  if (name.endsWith('num_batches_tracked')) return { dtype: 'I64', data: BigInt64Array.from(data, BigInt) } as const;
  return dtype === 'float32' ? ({ dtype: 'F32', data } as const) : ({ dtype: 'F16', data: toHalf(data) } as const);
}

/** The type of halves, if all packed weights have it. */
function dtypeOf(packed: readonly PackedPiece[]): string | null {
  const [format, ...otherFormats] = new Set(packed.map((piece) => piece.format));
  return otherFormats.length === 0 && (format === 'float16' || format === 'bfloat16') ? format : null;
}

/** Content of config.json. `dtype` is the type of the weights in Python. */
function configBytes(
  { config, fractions = new Set() }: Origin,
  dtype: string,
  packed: readonly PackedPiece[],
): Uint8Array {
  const { torch_dtype: _, ...rest } = withoutPacking(config);
  const lines = JSON.stringify({ ...rest, dtype, ...packingFields(packed) }, null, 2).split('\n');
  let key = '';
  const written = lines.map((line) => {
    key = /^\s*"([^"]*)": /.exec(line)?.[1] ?? key; // numbers of a list are on separate lines
    return fractions.has(key) ? line.replace(/((?:^|": )\s*-?\d+)(,?)$/, '$1.0$2') : line;
  });
  return new TextEncoder().encode(`${written.join('\n')}\n`);
}

/** Throws ArgumentError for a model that was not loaded. */
export function originOf(origin: Origin | null): Origin {
  if (origin !== null) return origin;
  throw new ArgumentError('save: the model was not made by loadModel, which knows its config.json');
}
