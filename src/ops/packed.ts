// Weights of fewer than 32 bits an element, as the engine keeps them: native/formats/layout.h.

import { checkOneOf, describeShape, isCount } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Device, Tensor } from '../core/tensor.js';

/**
 * How elements are packed. `float16` and `bfloat16`; `int8`, of 8 bits with a scale for each output feature; and those of
 * GGUF files, of groups of 32 inputs: the number after q is that of bits, `_0` has a scale, `_1` a minimum besides, `_k`
 * scales of blocks of 256 inputs for these.
 */
export type PackedFormat = keyof typeof FORMATS;

interface FormatSizes {
  /** Inputs in a block of a file, and its bytes. */
  readonly inputs: number;
  readonly bytes: number;
  /** Bytes that come before a feature's blocks. */
  readonly own?: number;
  /** Bytes that the engine has for a block of 16 features, and for the head of all of them. */
  readonly record: number;
  readonly head?: number;
  /** Of formats of integers: what bytes are off, and how many scales 32 inputs have; 0: all of a feature share one. */
  readonly offset?: number;
  readonly scales?: number;
}

const FORMATS = {
  float16: { inputs: 32, bytes: 64, record: 1024 },
  bfloat16: { inputs: 32, bytes: 64, record: 1024 },
  int8: { inputs: 32, bytes: 32, own: 4, record: 512, head: 64, offset: 128, scales: 0 },
  q8_0: { inputs: 32, bytes: 34, record: 544, offset: 128, scales: 1 },
  q4_0: { inputs: 32, bytes: 18, record: 288, offset: 8, scales: 1 },
  q4_1: { inputs: 32, bytes: 20, record: 320, offset: 0, scales: 1 },
  q5_0: { inputs: 32, bytes: 22, record: 352, offset: 16, scales: 1 },
  q5_1: { inputs: 32, bytes: 24, record: 384, offset: 0, scales: 1 },
  q4_k: { inputs: 256, bytes: 144, record: 64 + 8 * 288, offset: 0, scales: 1 },
  q5_k: { inputs: 256, bytes: 176, record: 64 + 8 * 352, offset: 0, scales: 1 },
  q6_k: { inputs: 256, bytes: 210, record: 32 + 8 * 416, offset: 32, scales: 2 },
} as const satisfies Record<string, FormatSizes>;

export const packedFormats = Object.keys(FORMATS) as PackedFormat[];

/** Output features that lie interleaved. */
export const TILE = 16;

/** A packed matrix in the heap: `rows` output features of `cols` inputs each. */
export interface PackedMatrix {
  readonly format: PackedFormat;
  readonly rows: number;
  readonly cols: number;
  /** int32: 32-bit words, as the engine lays them out. */
  readonly words: Tensor;
}

function sizesOf(format: PackedFormat): FormatSizes {
  return FORMATS[format];
}

/** Whether weights are integers with scales. */
export function isInteger(format: PackedFormat): boolean {
  return sizesOf(format).scales !== undefined;
}

/** Of a format of integers: what rows that meet them as integers are made for. */
export function scalesPerGroup(format: PackedFormat): { readonly offset: number; readonly scales: number } {
  const { offset = 0, scales = 0 } = sizesOf(format);
  return { offset, scales };
}

/**
 * Bytes of one feature's blocks in a file; what is `padded` may leave some of the last one unused. Throws ArgumentError for an
 * unknown format, ShapeError if blocks do not fill it.
 */
export function blockRowBytes(format: PackedFormat, cols: number, padded = false): number {
  checkOneOf('packed weights', 'format', format, packedFormats);
  const { inputs, bytes, own = 0 } = sizesOf(format);
  if (!isCount(cols) || (cols % inputs !== 0 && !padded))
    throw new ShapeError(`packed weights: ${cols} inputs are no multiple of ${inputs}, a block of ${format}`);
  return own + Math.ceil(cols / inputs) * bytes;
}

/** Words of so many whole tiles of features. */
export function tileWords(format: PackedFormat, rows: number, cols: number): number {
  const { inputs, record, head = 0 } = sizesOf(format);
  return Math.ceil(rows / TILE) * ((head + Math.ceil(cols / inputs) * record) / 4);
}

/** Memory for a packed matrix, with undefined values, which outlives scopes. Throws ArgumentError, ShapeError, OutOfMemoryError. */
export function emptyPacked(device: Device, format: PackedFormat, rows: number, cols: number): PackedMatrix {
  checkOneOf('packed weights', 'format', format, packedFormats);
  if (!isCount(rows) || !isCount(cols))
    throw new ShapeError(`packed weights: the shape is ${describeShape([rows, cols])}, expected [rows, inputs]`);
  const most = device.constant('format.mostInputs');
  if (cols > most) throw new ShapeError(`packed weights: ${cols} inputs, expected at most ${most}`);
  const words = device.unscoped(() => device.empty([tileWords(format, rows, cols)], 'int32'));
  return { format, rows, cols, words };
}

/** What the manifest calls them; a name that is put together at each call would be slow to look up. */
const constants = new Map(packedFormats.map((format) => [format, `format.${format}`]));

/** The format's number in commands. */
export const formatCode = (device: Device, format: PackedFormat) => device.constant(constants.get(format) as string);

/** The operands that say which features of `w` a command is about. */
function layoutOf(w: PackedMatrix, firstRow: number, count: number) {
  return { format: formatCode(w.words.device, w.format), rows: w.rows, cols: w.cols, firstRow, count };
}

/** Packs a file's blocks, which lie in `blocks`, as features from `firstRow`, a multiple of 16, on. */
export function packBlocks(blocks: Tensor, w: PackedMatrix, firstRow: number, count: number): void {
  w.words.device.emit('packBlocks', { blocks, w: w.words, ...layoutOf(w, firstRow, count) });
}

/** The blocks that a file has of features from `firstRow` on, as words. Belongs to the scope it is called in. */
export function unpackedBlocks(w: PackedMatrix, firstRow: number, count: number): Tensor {
  const { device } = w.words;
  const blocks = device.empty([Math.ceil((count * blockRowBytes(w.format, w.cols, true)) / 4)], 'int32');
  device.emit('unpackBlocks', { w: w.words, blocks, ...layoutOf(w, firstRow, count) });
  return blocks;
}

/** Packs all of x, float32 [rows, cols], or if `transposed` [cols, rows]. */
export function packFloats(x: Tensor, w: PackedMatrix, transposed: boolean): void {
  const strides = transposed ? { rowStride: 1, colStride: x.rowStride } : { rowStride: x.rowStride, colStride: 1 };
  w.words.device.emit('packFloats', { x, w: w.words, ...layoutOf(w, 0, w.rows), ...strides });
}

/** Features from `firstRow` on as floats, float32 [count, cols]. Belongs to the scope it is called in. */
export function unpacked(w: PackedMatrix, firstRow = 0, count = w.rows): Tensor {
  const { device } = w.words;
  const y = device.empty([count, w.cols]);
  device.emit('unpack', { w: w.words, y, ...layoutOf(w, firstRow, count), rowStride: w.cols, colStride: 1 });
  return y;
}
