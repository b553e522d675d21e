// Packed weights, with fewer than 32 bits for each element. native/formats/layout.h describes the layout in memory.

import { checkOneOf, describeShape, isCount } from '../core/check.js';
import type { Device, Format } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/**
 * The format of packed elements: a name of `device.formats`, such as `float16`, `int8`, `q8_0`, `q4_1` or `q4_k`. Names
 * of GGUF's types are in lower case; docs/packed-weights.md describes all of them.
 */
export type PackedFormat = string;

/** A packed matrix in the heap: `rows` output features of `cols` inputs each. */
export interface PackedMatrix {
  readonly format: Format;
  readonly rows: number;
  readonly cols: number;
  /** int32: words in the engine's layout. */
  readonly words: Tensor;
}

/** Returns the format of this name. Throws ArgumentError for an unknown name. */
export function formatOf(device: Device, name: PackedFormat): Format {
  checkOneOf('packed weights', 'format', name, [...device.formats.keys()]);
  return device.formats.get(name) as Format;
}

/** Returns the number of output features that are interleaved in a tile. */
export function tileOf(device: Device): number {
  return device.constant('format.tile');
}

/**
 * Returns the bytes of one feature's blocks in a file. If `padded`, the last block may have more inputs than the
 * feature. Throws ShapeError if the number of inputs is not a multiple of a block and not `padded`.
 */
export function blockRowBytes({ name, inputs, blockBytes, rowHead }: Format, cols: number, padded = false): number {
  if (!isCount(cols) || (cols % inputs !== 0 && !padded))
    throw new ShapeError(`packed weights: ${cols} inputs, expected a multiple of ${inputs}, the block size of ${name}`);
  return rowHead + Math.ceil(cols / inputs) * blockBytes;
}

/** Returns the words of the tiles that hold this many features. */
export function tileWords(device: Device, format: Format, rows: number, cols: number): number {
  const { inputs, recordBytes, tileHead } = format;
  return Math.ceil(rows / tileOf(device)) * ((tileHead + Math.ceil(cols / inputs) * recordBytes) / 4);
}

/**
 * Allocates a packed matrix with undefined values. It outlives scopes. Throws ArgumentError, ShapeError,
 * OutOfMemoryError.
 */
export function emptyPacked(device: Device, name: PackedFormat, rows: number, cols: number): PackedMatrix {
  const format = formatOf(device, name);
  if (!isCount(rows) || !isCount(cols))
    throw new ShapeError(`packed weights: the shape is ${describeShape([rows, cols])}, expected [rows, inputs]`);
  const max = device.constant('format.maxInputs');
  if (cols > max) throw new ShapeError(`packed weights: ${cols} inputs, expected at most ${max}`);
  const words = device.unscoped(() => device.empty([tileWords(device, format, rows, cols)], 'int32'));
  return { format, rows, cols, words };
}

/** Returns the operands that select features of `w`. */
function layoutOf(w: PackedMatrix, firstRow: number, count: number) {
  return { format: w.format.code, rows: w.rows, cols: w.cols, firstRow, count };
}

/** Packs `blocks`, blocks of a file, as features from `firstRow` on, which must be a multiple of a tile. */
export function packBlocks(blocks: Tensor, w: PackedMatrix, firstRow: number, count: number): void {
  w.words.device.emit('packBlocks', { blocks, w: w.words, ...layoutOf(w, firstRow, count) });
}

/**
 * Returns `count` features from `firstRow` on as blocks of a file, in words. The result belongs to the current scope.
 */
export function unpackedBlocks(w: PackedMatrix, firstRow: number, count: number): Tensor {
  const { device } = w.words;
  const blocks = device.empty([Math.ceil((count * blockRowBytes(w.format, w.cols, true)) / 4)], 'int32');
  device.emit('unpackBlocks', { w: w.words, blocks, ...layoutOf(w, firstRow, count) });
  return blocks;
}

/**
 * Packs all of x, float32 [rows, cols], or [cols, rows] if `transposed`. If `refine`, formats that can search for a
 * smaller rounding error do so. Otherwise blocks have the bits of ggml's reference.
 */
export function packFloats(x: Tensor, w: PackedMatrix, transposed: boolean, refine: boolean): void {
  const strides = transposed ? { rowStride: 1, colStride: x.rowStride } : { rowStride: x.rowStride, colStride: 1 };
  w.words.device.emit('packFloats', { x, w: w.words, ...layoutOf(w, 0, w.rows), ...strides, refine: Number(refine) });
}

/** Unpacks `count` features from `firstRow` on to float32 [count, cols]. The result belongs to the current scope. */
export function unpacked(w: PackedMatrix, firstRow = 0, count = w.rows): Tensor {
  const { device } = w.words;
  const y = device.empty([count, w.cols]);
  device.emit('unpack', { w: w.words, y, ...layoutOf(w, firstRow, count), rowStride: w.cols, colStride: 1 });
  return y;
}

/** Returns bytes as words. They are copied if they are not aligned; zeros fill the last word. */
export function wordsOf(bytes: Uint8Array): Int32Array {
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0)
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const copy = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  copy.set(bytes);
  return new Int32Array(copy.buffer);
}

/**
 * Converts blocks of a file to floats [rows, cols], on the host. The last block of a row may have more inputs than the
 * row. Rejects with ArgumentError for an unknown format, OutOfMemoryError.
 */
export async function floatsOfBlocks(
  device: Device,
  format: PackedFormat,
  [rows, cols]: readonly [number, number],
  bytes: Uint8Array,
): Promise<Float32Array> {
  const words = wordsOf(bytes);
  const { w, stage } = staged(device, format, [rows, cols], () => device.tensor(words, [words.length]));
  const y = device.unscoped(() => {
    packBlocks(stage, w, 0, rows);
    return unpacked(w);
  });
  return (await read(y, [stage, w.words])) as Float32Array;
}

/** Converts floats [rows, cols] to blocks of a file, with the bits of ggml's reference. Rejects as `floatsOfBlocks`. */
export async function blocksOfFloats(
  device: Device,
  format: PackedFormat,
  [rows, cols]: readonly [number, number],
  values: Float32Array,
): Promise<Uint8Array> {
  const { w, stage } = staged(device, format, [rows, cols], () => device.tensor(values, [rows, cols]));
  const blocks = device.unscoped(() => {
    packFloats(stage, w, false, false);
    return unpackedBlocks(w, 0, rows);
  });
  const words = (await read(blocks, [stage, w.words])) as Int32Array;
  return new Uint8Array(words.buffer, words.byteOffset, rows * blockRowBytes(w.format, cols, true));
}

/** Allocates a packed matrix, and makes the result of `make`. Both outlive scopes. */
function staged(
  device: Device,
  format: PackedFormat,
  [rows, cols]: readonly [number, number],
  make: () => Tensor,
): { w: PackedMatrix; stage: Tensor } {
  const w = emptyPacked(device, format, rows, cols);
  try {
    return { w, stage: device.unscoped(make) };
  } catch (error) {
    w.words.dispose();
    throw error;
  }
}

/** Reads the values of a result, and disposes of it and of the tensors that it was made from. */
async function read(result: Tensor, made: readonly Tensor[]): Promise<Float32Array | Int32Array> {
  try {
    return await result.data();
  } finally {
    for (const tensor of [result, ...made]) tensor.dispose();
  }
}
