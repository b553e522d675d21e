/**
 * The safetensors format (https://github.com/huggingface/safetensors#format): an 8-byte little-endian header length, a
 * JSON header, and the bytes of the tensors. This file reads and writes it in memory and runs anywhere; file.ts reads
 * and writes files.
 *
 * A file is untrusted input. The whole header is checked before any tensor is read, so later reads are always in
 * bounds. Arrays are used without conversion, on little-endian machines only.
 */

import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, DTypeError, FormatError, ShapeError } from '../core/errors.js';
import { isTyped } from '../core/kinds.js';
import { type ByteSource, formatOf, inMemory } from './byte-source.js';
import { dtypes, type ElementType, isDType, quote, type SafetensorsDType } from './dtypes.js';

export type { SafetensorsDType };

/** Maximum length of the header in the format. */
const maxHeaderBytes = 100_000_000;

/** A tensor of a file. Its data is read on demand. */
export class SafetensorsEntry {
  /** Number of elements. */
  readonly size: number;

  constructor(
    readonly name: string,
    readonly dtype: SafetensorsDType,
    readonly shape: readonly number[],
    /** Bytes of the data in the file. */
    readonly byteLength: number,
    private readonly source: ByteSource,
    private readonly position: number,
  ) {
    this.size = byteLength / dtypes[dtype].bytes;
  }

  /**
   * @internal The part of `shape` that begins at element `start`, under another name, or all of it in another shape.
   * The caller checks that it lies inside.
   */
  part(name: string, shape: readonly number[], start = 0): SafetensorsEntry {
    const { bytes } = dtypes[this.dtype];
    const length = bytes * shape.reduce((size, n) => size * n, 1);
    return new SafetensorsEntry(name, this.dtype, shape, length, this.source, this.position + start * bytes);
  }

  /** Fills `into` with stored bytes, beginning at byte `start` of the data. */
  read(into: Uint8Array, start = 0): void {
    if (!(Number.isInteger(start) && start >= 0 && start + into.byteLength <= this.byteLength)) {
      const range = `[${start}, ${start + into.byteLength})`;
      throw new ShapeError(`tensor ${quote(this.name)} has ${this.byteLength} bytes: cannot read ${range}`);
    }
    this.source.read(this.position + start, into);
  }

  /** Like `read`, without blocking. */
  async readAsync(into: Uint8Array, start = 0): Promise<void> {
    const { source } = this;
    if (source.readAsync === undefined || start + into.byteLength > this.byteLength) return this.read(into, start);
    await source.readAsync(this.position + start, into);
  }

  /** Returns the stored bytes: a view if the file is in memory, otherwise a new array. */
  bytes(): Uint8Array {
    return this.slice(0, this.byteLength);
  }

  /**
   * Returns the data as float32 for floats, or int32 for integers. F32 and I32 data is a view if the file is in memory
   * and the data is aligned. Throws FormatError if an integer does not fit an int32.
   */
  data(): Float32Array | Int32Array {
    return this.decode(this.bytes());
  }

  /**
   * @internal Yields {@link data} in parts, without blocking. The length of a part is a multiple of `multiple`
   * elements. A part is valid until the next one is requested, because it may use `buffer`, which has at least eight
   * bytes per element.
   */
  async *stream(buffer: Uint8Array, multiple: number): AsyncGenerator<Float32Array | Int32Array> {
    const isInMemory = this.source.readAsync === undefined;
    for await (const part of this.parts(buffer, multiple, isInMemory)) yield this.decode(part);
  }

  /** @internal Yields stored F16 and BF16 elements in parts. */
  async *streamHalves(buffer: Uint8Array, multiple: number): AsyncGenerator<Uint16Array> {
    for await (const part of this.parts(buffer, multiple))
      yield new Uint16Array(part.buffer, part.byteOffset, part.length / 2);
  }

  private async *parts(buffer: Uint8Array, multiple: number, inPlace = false): AsyncGenerator<Uint8Array> {
    const step = Math.floor(buffer.byteLength / 8 / multiple) * multiple * dtypes[this.dtype].bytes;
    for (let start = 0; start < this.byteLength; start += step) {
      const length = Math.min(step, this.byteLength - start);
      const part = inPlace ? this.slice(start, length) : buffer.subarray(0, length);
      if (!inPlace) await this.readAsync(part, start);
      yield part;
    }
  }

  private slice(start: number, length: number): Uint8Array {
    if (this.source.view) return this.source.view(this.position + start, length);
    const bytes = new Uint8Array(length);
    this.source.read(this.position + start, bytes);
    return bytes;
  }

  private decode(bytes: Uint8Array): Float32Array | Int32Array {
    const { array: Stored, bytes: width, decode } = dtypes[this.dtype] as ElementType;
    const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
    return decode(new Stored(aligned.buffer, aligned.byteOffset, aligned.byteLength / width), this.name);
  }
}

/**
 * Tensors of a file by name, in the order of their data, and its metadata. Maps allow any name, such as `__proto__`.
 */
export interface Safetensors {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a file in memory without copying: entries are views of `file`. Throws FormatError, with the tensor and the
 * expected value, if the header is wrong. Throws ArgumentError for a value that is not bytes.
 */
export function parseSafetensors(file: Uint8Array | ArrayBuffer): Safetensors {
  return readSafetensors(inMemory(file));
}

/** Reads the header of a file with random access; see {@link parseSafetensors}. */
export function readSafetensors(source: ByteSource): Safetensors {
  if (source.size < 8)
    throw new FormatError(`the file has ${source.size} bytes: expected at least 8 for the header's length`);
  const prefix = new Uint8Array(8);
  source.read(0, prefix);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  const isTooLong = length > Math.min(maxHeaderBytes, source.size - 8);
  const foreign = isTooLong ? formatOf(prefix) : null;
  if (foreign !== null) throw new FormatError(`this is ${FOREIGN[foreign]}, expected a safetensors file`);
  if (length > maxHeaderBytes)
    throw new FormatError(`the header claims ${length} bytes: at most ${maxHeaderBytes} are allowed`);
  if (length > source.size - 8)
    throw new FormatError(`the header claims ${length} bytes: the file has ${source.size - 8} after its length`);
  const header = new Uint8Array(length);
  source.read(8, header);

  const metadata = new Map<string, string>();
  const entries: { name: string; info: TensorInfo }[] = [];
  for (const [name, value] of Object.entries(parseHeader(header))) {
    if (name === '__metadata__') readMetadata(value ?? {}, metadata);
    else entries.push({ name, info: checkTensor(name, value) });
  }

  // In the order of their data, tensors must be adjacent and end at the end of the file.
  entries.sort((a, b) => a.info.begin - b.info.begin || a.info.end - b.info.end);
  const tensors = new Map<string, SafetensorsEntry>();
  let position = 0;
  let last = '';
  for (const { name, info } of entries) {
    const { dtype, shape, begin, end } = info;
    if (begin < position)
      throw new FormatError(
        `tensor ${quote(name)} begins at byte ${begin} of the data, but ${quote(last)} ends at byte ${position}`,
      );
    if (begin > position)
      throw new FormatError(
        `tensor ${quote(name)} begins at byte ${begin} of the data: expected ${position}, holes are not allowed`,
      );
    tensors.set(name, new SafetensorsEntry(name, dtype, shape, end - begin, source, 8 + length + begin));
    position = end;
    last = name;
  }
  const dataBytes = source.size - 8 - length;
  if (position > dataBytes)
    throw new FormatError(`tensor ${quote(last)} ends at byte ${position} of the data: the file has only ${dataBytes}`);
  if (position < dataBytes)
    throw new FormatError(`the file has ${dataBytes - position} bytes after its last tensor: expected none`);
  return { tensors, metadata };
}

/** Other weight formats, for errors. Their first bytes cannot be a valid header length. */
const FOREIGN = {
  zip: 'a zip archive, as torch.save writes .bin, .pt and .pth files, which loadModel reads',
  pickle: 'a pickle, as older versions of torch.save write .bin, .pt and .pth files, which loadModel reads',
  GGUF: 'a GGUF file',
  HDF5: 'an HDF5 file, as Keras writes .h5 files',
  'Git LFS pointer': 'a Git LFS pointer: fetch the file with git lfs pull',
  HTML: 'a page of HTML: a server sent an error or a login instead of the file',
  tar: 'a tar archive',
};

function parseHeader(header: Uint8Array): Record<string, unknown> {
  if (header[0] !== 0x7b) throw new FormatError('the header does not begin with {');
  let json: string;
  let value: Record<string, unknown>;
  try {
    json = new TextDecoder('utf-8', { fatal: true }).decode(header);
    value = JSON.parse(json);
  } catch (error) {
    throw new FormatError(`the header is not JSON in UTF-8: ${(error as Error).message}`, { cause: error });
  }
  checkKeys('the header', json);
  return value;
}

/**
 * Refuses duplicate keys. JSON.parse keeps the last one and other readers the first, so that each could see a different
 * tensor.
 */
export function checkKeys(what: string, json: string): void {
  const seen: Set<string>[] = [];
  for (let index = 0; index < json.length; index++) {
    if (json[index] === '{') seen.push(new Set());
    else if (json[index] === '}') seen.pop();
    else if (json[index] === '"') {
      const start = index++;
      while (json[index] !== '"') index += json[index] === '\\' ? 2 : 1;
      let next = index + 1;
      while (' \t\r\n'.includes(json[next] as string)) next++;
      if (json[next] !== ':') continue;
      const key: string = JSON.parse(json.slice(start, index + 1));
      const keys = seen[seen.length - 1] as Set<string>;
      if (keys.has(key)) throw new FormatError(`${what} has the key ${quote(key)} twice`);
      keys.add(key);
    }
  }
}

function readMetadata(value: unknown, metadata: Map<string, string>): void {
  if (!isObject(value)) throw new FormatError('__metadata__ is not an object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new FormatError(`__metadata__: the value of ${quote(key)} is not a string`);
    metadata.set(key, text);
  }
}

interface TensorInfo {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function checkTensor(name: string, value: unknown): TensorInfo {
  const refuse = (reason: string): never => {
    throw new FormatError(`tensor ${quote(name)}: ${reason}`);
  };
  if (!isObject(value)) return refuse('expected an object with dtype, shape and data_offsets');
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDType(dtype))
    return refuse(`unknown dtype ${JSON.stringify(dtype)}: expected one of ${Object.keys(dtypes).join(' ')}`);
  if (!Array.isArray(shape) || !shape.every(isSize)) return refuse('expected a shape of non-negative integers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    return refuse('expected data_offsets of two non-negative integers');
  const [begin, end] = offsets as [number, number];
  if (end < begin) return refuse(`its data ends at byte ${end}, before it begins at ${begin}`);
  const bytes = byteLengthOf(dtype, shape) ?? refuse(`its shape [${shape.join(', ')}] has too many elements`);
  if (bytes !== end - begin)
    return refuse(`${dtype} of shape [${shape.join(', ')}] takes ${bytes} bytes, its data_offsets hold ${end - begin}`);
  return { dtype, shape, begin, end };
}

/** Returns the number of bytes, or undefined if it exceeds the exact integers of a number. */
function byteLengthOf(dtype: SafetensorsDType, shape: readonly number[]): number | undefined {
  let bytes: number = dtypes[dtype].bytes;
  for (const n of shape) {
    bytes *= n;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** An array to write: bytes in a Uint8Array, or elements in the typed array of the dtype (Uint16Array for halves). */
export interface SafetensorsArray {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** The part of a Tensor that is written. */
export interface SafetensorsTensor {
  readonly dtype: 'float32' | 'int32';
  readonly shape: readonly number[];
  data(): Promise<ArrayBufferView>;
  dataSync(): ArrayBufferView;
}

/** An array whose data is requested when it is written. The data has the type `dtype`. */
export interface SafetensorsLater {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  data(): Promise<ArrayBufferView>;
}

/** An array or a tensor. */
export type SafetensorsSource = SafetensorsArray | SafetensorsTensor;
/** Arrays and tensors by name. A Map allows any name, such as `__proto__`. */
export type SafetensorsTensors = Readonly<Record<string, SafetensorsSource>> | ReadonlyMap<string, SafetensorsSource>;
/** Tensors by name. Some are read when they are written. */
export type SafetensorsParts = ReadonlyMap<string, SafetensorsSource | SafetensorsLater>;
/** Texts of the header by name. */
export type SafetensorsMetadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>;

type Stored = SafetensorsSource | SafetensorsLater;

interface Layout {
  /** The header with its length before it. */
  readonly header: Uint8Array;
  /** Parts in the order of their data, which follows the header. */
  readonly parts: readonly { name: string; dtype: SafetensorsDType; byteLength: number; tensor: Stored }[];
  readonly byteLength: number;
}

const entriesOf = <T>(named: Readonly<Record<string, T>> | ReadonlyMap<string, T>): [string, T][] =>
  named instanceof Map ? [...named] : Object.entries(named);

const storedDType = (dtype: Stored['dtype']) => (dtype === 'float32' ? 'F32' : dtype === 'int32' ? 'I32' : dtype);

/** Plans the file: wide elements first, then by name, so that all data is aligned to its elements. */
export function layOut(tensors: SafetensorsTensors | SafetensorsParts, metadata: SafetensorsMetadata = {}): Layout {
  const parts = entriesOf<Stored>(tensors).map(([name, tensor]) => {
    if (!isObject(tensor))
      throw new ArgumentError(
        `tensor ${quote(name)} is ${describeValue(tensor)}, expected a tensor or an object with dtype, shape and data`,
      );
    const dtype = storedDType(tensor.dtype);
    if (name === '__metadata__') throw new FormatError('a tensor cannot be named __metadata__');
    if (!isDType(dtype)) throw new DTypeError(`tensor ${quote(name)}: unknown dtype ${JSON.stringify(dtype)}`);
    const byteLength = tensor.shape.every(isSize) ? byteLengthOf(dtype, tensor.shape) : undefined;
    if (byteLength === undefined)
      throw new ShapeError(`tensor ${quote(name)}: impossible shape [${tensor.shape.join(', ')}]`);
    return { name, dtype, byteLength, tensor };
  });
  parts.sort((a, b) => dtypes[b.dtype].bytes - dtypes[a.dtype].bytes || (a.name < b.name ? -1 : 1));

  const fields: string[] = [];
  const notes = entriesOf(metadata).map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(String(text))}`);
  if (notes.length > 0) fields.push(`"__metadata__":{${notes.join(',')}}`);
  let offset = 0;
  for (const { name, dtype, byteLength, tensor } of parts) {
    const info = { dtype, shape: tensor.shape, data_offsets: [offset, offset + byteLength] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    offset += byteLength;
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > maxHeaderBytes)
    throw new FormatError(`the header would take ${padded} bytes: at most ${maxHeaderBytes} are allowed`);
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return { header, parts, byteLength: header.byteLength + offset };
}

/** Returns the bytes of `data` for the file. Throws DTypeError or ShapeError if they do not fit the header. */
export function storedBytes({ name, dtype, byteLength }: Layout['parts'][number], data: ArrayBufferView): Uint8Array {
  if (!(isTyped(data, 'Uint8Array') || isTyped(data, dtypes[dtype].array.name)))
    throw new DTypeError(
      `tensor ${quote(name)}: the data is ${Object.prototype.toString.call(data)}, which cannot hold ${dtype}`,
    );
  if (data.byteLength !== byteLength)
    throw new ShapeError(
      `tensor ${quote(name)}: its data has ${data.byteLength} bytes, its shape and dtype need ${byteLength}`,
    );
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Writes a file in memory. Tensors are read with `dataSync()`. Throws ShapeError or DTypeError if the data do not fit
 * their shape or dtype. Throws ArgumentError for a value that is not an object of tensors.
 */
export function serializeSafetensors(tensors: SafetensorsTensors, metadata?: SafetensorsMetadata): Uint8Array {
  const { header, parts, byteLength } = layOut(checkOptions('serializeSafetensors', tensors), metadata);
  const file = new Uint8Array(byteLength);
  file.set(header);
  let offset = header.byteLength;
  for (const part of parts) {
    const tensor = part.tensor as SafetensorsSource;
    file.set(storedBytes(part, 'dataSync' in tensor ? tensor.dataSync() : tensor.data), offset);
    offset += part.byteLength;
  }
  return file;
}
