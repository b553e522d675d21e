/**
 * The GGUF format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, little-endian: a
 * header, metadata by name, descriptions of tensors, and their data. This file reads everything before the data, and
 * runs anywhere.
 *
 * A file is untrusted input. Every count is compared with the remaining bytes before memory is allocated for it. Every
 * tensor must lie inside the file, so later reads are always in bounds.
 */

import { FormatError } from '../core/errors.js';
import { freeBytes, passingBytes } from '../core/passing-bytes.js';
import { type ByteSource, bytesOf } from './byte-source.js';
import { quote } from './dtypes.js';
import { type GgmlType, ggmlLayouts, ggmlTypeOf } from './ggml-types.js';
import { GgufCursor, type GgufValue, MoreBytesNeeded } from './gguf-values.js';

/** The description of a tensor in a file. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Row-major shape, with the contiguous dimension last. ggml lists dimensions in the opposite order. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /** Position of its first byte in the file. */
  readonly position: number;
}

/** Everything before the data. Maps allow any name, such as `__proto__`. */
export interface Gguf {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Positions of tensors are multiples of it, relative to the first tensor. */
  readonly alignment: number;
}

const MAGIC = 0x46554747; // GGUF
const MAX_DIMENSIONS = 4;
/** Minimum number of bytes of a metadata entry, and of a tensor's description. */
const MIN_ENTRY = 13;
const MIN_TENSOR = 32;

/**
 * Reads the header of a file in memory. Throws FormatError if it is not a GGUF file, or if any part contradicts its
 * size.
 */
export function parseGguf(file: Uint8Array): Gguf {
  return parse(new GgufCursor(file, file.byteLength));
}

/**
 * Number of bytes that are read first, unless the source has a window. A longer header is read again, with twice as
 * many.
 */
const FIRST = 1 << 22;
const GROWTH = 2;

/** Reads the header of a file with random access, without blocking if it has `readAsync`. */
export async function readGguf(source: ByteSource): Promise<Gguf> {
  let length = Math.min(source.window ?? FIRST, source.size);
  for (;;) {
    const bytes = await bytesOf(source, 0, length, passingBytes);
    try {
      return parse(new GgufCursor(bytes, source.size));
    } catch (error) {
      if (!(error instanceof MoreBytesNeeded)) throw error;
      length = Math.min(source.size, Math.max(error.wanted, length * GROWTH));
    } finally {
      if (!source.view) freeBytes(bytes); // the header's values are copies
    }
  }
}

function parse(cursor: GgufCursor): Gguf {
  if (cursor.size < 24) throw new FormatError(`the file has ${cursor.size} bytes: a GGUF file has at least 24`);
  if (cursor.uint32('the magic number') !== MAGIC)
    throw new FormatError('the file does not begin with GGUF: expected a GGUF file');
  const version = cursor.uint32('the version');
  if (version !== 2 && version !== 3) {
    const isBig = (version & 0xffff) === 0;
    throw new FormatError(
      isBig
        ? 'the file is big-endian, expected a little-endian GGUF file'
        : `the file is GGUF of version ${version}, expected 2 or 3`,
    );
  }
  const tensorCount = cursor.count('the number of tensors');
  const entryCount = cursor.count('the number of metadata entries');
  cursor.expect('the number of tensors', tensorCount, MIN_TENSOR);
  cursor.expect('the number of metadata entries', entryCount, MIN_ENTRY);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = cursor.text(`the name of metadata entry ${i}`);
    if (metadata.has(key)) throw new FormatError(`the metadata has the key ${quote(key)} twice`);
    metadata.set(key, cursor.value(key));
  }
  const alignment = alignmentOf(metadata);
  const infos = Array.from({ length: tensorCount }, (_, i) => readTensor(cursor, i, alignment));
  const start = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const { offset, ...info } of infos) {
    const { name, byteLength } = info;
    if (tensors.has(name)) throw new FormatError(`the file has the tensor ${quote(name)} twice`);
    const position = start + offset;
    if (position + byteLength > cursor.size)
      throw new FormatError(
        `tensor ${quote(name)} ends at byte ${position + byteLength}: the file has only ${cursor.size}`,
      );
    tensors.set(name, { ...info, position });
  }
  return { version, metadata, tensors, alignment };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  const isPower =
    typeof alignment === 'number' && alignment > 0 && alignment <= 2 ** 20 && Number.isInteger(Math.log2(alignment));
  if (!isPower) throw new FormatError(`general.alignment is ${alignment}, expected a power of two up to 2²⁰`);
  return alignment;
}

function readTensor(
  cursor: GgufCursor,
  number: number,
  alignment: number,
): Omit<GgufTensor, 'position'> & { offset: number } {
  const name = cursor.text(`the name of tensor ${number}`);
  const what = `tensor ${quote(name)}`;
  const dimensions = cursor.uint32(what);
  if (dimensions > MAX_DIMENSIONS)
    throw new FormatError(`${what} has ${dimensions} dimensions, expected at most ${MAX_DIMENSIONS}`);
  const shape = Array.from({ length: dimensions }, () => cursor.count(what)).reverse();
  const typeNumber = cursor.uint32(what);
  const type = ggmlTypeOf(typeNumber);
  if (type === undefined) throw new FormatError(`${what} is of type ${typeNumber}, which ggml does not define`);
  const offset = cursor.count(what);
  if (offset % alignment !== 0)
    throw new FormatError(`${what} begins at byte ${offset} of the data: expected a multiple of ${alignment}`);
  return { name, type, shape, byteLength: byteLengthOf(what, type, shape), offset };
}

/** Bytes of a tensor. Throws FormatError if rows are not whole blocks, or if the tensor is larger than any file. */
export function byteLengthOf(what: string, type: GgmlType, shape: readonly number[]): number {
  const { elements, bytes } = ggmlLayouts[type];
  const columns = shape.at(-1) ?? 1;
  if (columns % elements !== 0)
    throw new FormatError(`${what} has rows of ${columns} elements, expected a multiple of ${elements} for ${type}`);
  const total = shape.slice(0, -1).reduce((product, n) => product * n, (columns / elements) * bytes);
  if (Number.isSafeInteger(total)) return total;
  throw new FormatError(`${what} is [${shape.join(', ')}], which is too large for any file`);
}
