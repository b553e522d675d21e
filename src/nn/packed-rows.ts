// Reads rows of packed weights as blocks of a file, or as floats.

import type { Format } from '../core/device.js';
import { blockRowBytes, type PackedMatrix, unpacked, unpackedBlocks } from '../ops/packed.js';
import type { PackedWeight } from './weight.js';

/** Maximum temporary bytes in the heap. */
const STAGE = 4 << 20;

/** Consecutive output features in a part of a packed weight. */
export interface PackedRows {
  readonly part: PackedMatrix;
  readonly first: number;
  readonly count: number;
}

/** Returns the features start … end − 1, part by part. */
export function rowsIn({ parts }: PackedWeight, start: number, end: number): PackedRows[] {
  let before = 0;
  return parts.flatMap((part) => {
    const [from, to] = [Math.max(start - before, 0), Math.min(end - before, part.rows)];
    before += part.rows;
    return from < to ? [{ part, first: from, count: to - from }] : [];
  });
}

/** Returns the format of all rows, or null if they have different ones. */
export function formatOf(rows: readonly PackedRows[]): Format | null {
  const [format, ...others] = new Set(rows.map(({ part }) => part.format));
  return format !== undefined && others.length === 0 ? format : null;
}

/** Reads blocks of one format, row by row, as in files. The last block of a row may have more inputs than the row. */
export async function readRows(rows: readonly PackedRows[]): Promise<Uint8Array> {
  const [sizes, total] = sizesOf(rows);
  const all = new Uint8Array(total);
  let offset = 0;
  for (const [i, { part, first, count }] of rows.entries()) {
    const rowBytes = sizes[i] as number;
    const step = Math.max(1, Math.floor(STAGE / rowBytes));
    for (let row = 0; row < count; row += step) {
      const length = Math.min(step, count - row);
      const { device } = part.words;
      const blocks = device.unscoped(() => unpackedBlocks(part, first + row, length));
      try {
        const words = (await blocks.data()) as Int32Array;
        all.set(new Uint8Array(words.buffer, words.byteOffset, length * rowBytes), offset);
      } finally {
        blocks.dispose();
      }
      offset += length * rowBytes;
    }
  }
  return all;
}

/** Reads the rows as float32. */
export async function readFloats(rows: readonly PackedRows[]): Promise<Float32Array> {
  const all = new Float32Array(rows.reduce((sum, { part, count }) => sum + count * part.cols, 0));
  let offset = 0;
  for (const { part, first, count } of rows) {
    const step = Math.max(1, Math.floor(STAGE / (4 * part.cols)));
    for (let row = 0; row < count; row += step) {
      const floats = part.words.device.unscoped(() => unpacked(part, first + row, Math.min(step, count - row)));
      try {
        const values = (await floats.data()) as Float32Array;
        all.set(values, offset);
        offset += values.length;
      } finally {
        floats.dispose();
      }
    }
  }
  return all;
}

function sizesOf(rows: readonly PackedRows[]): [sizes: number[], total: number] {
  const sizes = rows.map(({ part }) => blockRowBytes(part.format, part.cols, true));
  return [sizes, sizes.reduce((sum, size, i) => sum + size * (rows[i] as PackedRows).count, 0)];
}
