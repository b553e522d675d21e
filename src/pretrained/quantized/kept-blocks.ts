// Weights of other libraries that one of our packed formats can hold exactly. With `weights: 'auto'` they stay packed.

import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { StoredBlocks } from '../../models/weight-entry.js';

/** Inputs that share a scale in a block of q4_0 or q8_0. */
const BLOCK = 32;

/** Codes whose middle stands for zero, with one float16 scale per group of inputs. */
export interface Codebook {
  code(row: number, input: number): number;
  /** The float16 bits of a group's scale. */
  scale(row: number, group: number): number;
}

/**
 * Symmetric codes of 4 or 8 bits as blocks of q4_0 or q8_0. Undefined if groups of inputs do not consist of whole
 * blocks. `load` runs at the first read. Its result is released after the last one.
 */
export function symmetricBlocks(
  [rows, inputs]: readonly [number, number],
  bits: number,
  groups: number,
  load: () => Promise<Codebook>,
): StoredBlocks | undefined {
  const group = inputs / groups;
  if (!(bits === 4 || bits === 8) || !Number.isInteger(group / BLOCK)) return undefined;
  const width = 2 + (BLOCK * bits) / 8;
  const perRow = inputs / BLOCK;
  let codes: Codebook | null = null;
  const read = async (buffer: Uint8Array, from: number) => {
    codes ??= await load();
    const first = from / width;
    const count = buffer.length / width;
    for (let block = 0; block < count; block++) {
      const row = Math.floor((first + block) / perRow);
      const input = ((first + block) % perRow) * BLOCK;
      writeBlock(
        buffer.subarray(block * width, (block + 1) * width),
        codes,
        row,
        input,
        Math.floor(input / group),
        bits,
      );
    }
    if (first + count === rows * perRow) codes = null;
  };
  return { format: bits === 4 ? 'q4_0' : 'q8_0', shape: [rows, inputs], unit: 1, read };
}

/** Writes a float16 scale and its codes. 4-bit codes have their low halves first, 8-bit codes are reduced by 128. */
function writeBlock(to: Uint8Array, codes: Codebook, row: number, input: number, group: number, bits: number): void {
  const scale = codes.scale(row, group);
  to[0] = scale & 255;
  to[1] = scale >> 8;
  const half = BLOCK / 2;
  if (bits === 4)
    for (let i = 0; i < half; i++) to[2 + i] = codes.code(row, input + i) | (codes.code(row, input + half + i) << 4);
  else for (let i = 0; i < BLOCK; i++) to[2 + i] = codes.code(row, input + i) - 128;
}

/** The bits of a tensor's float16 numbers. */
export async function bitsOfHalves(entry: SafetensorsEntry): Promise<Uint16Array> {
  const bytes = new Uint8Array(entry.byteLength);
  await entry.readAsync(bytes);
  return new Uint16Array(bytes.buffer);
}

/** An int8 matrix with one scale per row, as blocks of our format int8. Undefined for other scales. */
export function int8Rows(
  [rows, columns]: readonly [number, number],
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
): StoredBlocks | undefined {
  if (weight.dtype !== 'I8' || scale.size !== rows || !['F32', 'F16', 'BF16'].includes(scale.dtype)) return undefined;
  const width = 4 + Math.ceil(columns / INT8_BLOCK) * INT8_BLOCK;
  let scales: Float32Array | null = null;
  const read = async (buffer: Uint8Array, from: number) => {
    scales ??= await floatsOf(scale);
    const [first, count] = [from / width, buffer.length / width];
    const q = new Uint8Array(count * columns);
    await weight.readAsync(q, first * columns);
    buffer.fill(0);
    for (let row = 0; row < count; row++) {
      const bytes = new Uint8Array(Float32Array.of(scales[first + row] as number).buffer);
      buffer.set(bytes, row * width);
      buffer.set(q.subarray(row * columns, (row + 1) * columns), row * width + 4);
    }
  };
  return { format: 'int8', shape: [rows, columns], unit: 1, padded: true, read };
}

/** Bytes of a block of the format int8. */
const INT8_BLOCK = 64;

async function floatsOf(entry: SafetensorsEntry): Promise<Float32Array> {
  const all = new Float32Array(entry.size);
  let at = 0;
  for await (const part of entry.stream(new Uint8Array(8 * Math.max(1, entry.size)), 1)) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Throws FormatError for a zero point that is not the middle, although the file declares itself symmetric. */
export function checkMiddle(name: string, zero: number, bits: number): void {
  const middle = 2 ** (bits - 1);
  if (zero === middle) return;
  throw new FormatError(
    `${name} has the zero point ${zero}, expected ${middle} of a symmetric file: load it with weights: 'float32'`,
  );
}
