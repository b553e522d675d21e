// float32 as ggml's blocks, by the rounding of its reference: quantize_row_*_ref of ggml-quants.c.

import type { GgmlType } from './ggml-types.js';
import { toHalf } from './half.js';

/** The types that are written. */
export type WritableType = Extract<GgmlType, 'F32' | 'F16' | 'Q8_0' | 'Q4_0' | 'Q4_1'>;

/** Values of whole blocks as bytes. */
export function packBlocks(type: WritableType, values: Float32Array): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === 'F16') return new Uint8Array(toHalf(values).buffer);
  const pack = { Q8_0: packQ8, Q4_0: packQ4, Q4_1: packQ4WithLeast }[type];
  return pack(values);
}

const BLOCK = 32;
const { fround } = Math;

/** Calls `write` with each block, its bytes, and what stores numbers at a byte of them as float16. */
function eachBlock(
  values: Float32Array,
  width: number,
  write: (x: Float32Array, bytes: Uint8Array, half: (at: number, value: number) => void) => void,
): Uint8Array {
  const packed = new Uint8Array((values.length / BLOCK) * width);
  for (let block = 0; block < values.length / BLOCK; block++) {
    const bytes = packed.subarray(block * width, (block + 1) * width);
    const half = (at: number, value: number) => {
      const [bits] = toHalf(Float32Array.of(value)) as unknown as [number];
      bytes[at] = bits & 255;
      bytes[at + 1] = bits >> 8;
    };
    write(values.subarray(block * BLOCK, (block + 1) * BLOCK), bytes, half);
  }
  return packed;
}

const inverse = (scale: number) => (scale === 0 ? 0 : fround(1 / scale));

function packQ8(values: Float32Array): Uint8Array {
  return eachBlock(values, 34, (x, bytes, half) => {
    const scale = fround(x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127);
    const factor = inverse(scale);
    half(0, scale);
    for (let i = 0; i < BLOCK; i++) {
      const level = fround((x[i] as number) * factor);
      bytes[2 + i] = Math.sign(level) * Math.floor(Math.abs(level) + 0.5); // halves go away from 0
    }
  });
}

/** The low nibbles are of the first 16 values, the high ones of the others. */
function writeNibbles(bytes: Uint8Array, at: number, levelOf: (i: number) => number): void {
  for (let i = 0; i < BLOCK / 2; i++) {
    const [low, high] = [levelOf(i), levelOf(i + BLOCK / 2)].map((level) => Math.min(15, Math.trunc(level)));
    bytes[at + i] = (low as number) | ((high as number) << 4);
  }
}

function packQ4(values: Float32Array): Uint8Array {
  return eachBlock(values, 18, (x, bytes, half) => {
    const most = x.reduce((far, value) => (Math.abs(value) > Math.abs(far) ? value : far), 0);
    const scale = fround(most / -8);
    const factor = inverse(scale);
    half(0, scale);
    writeNibbles(bytes, 2, (i) => fround(fround((x[i] as number) * factor) + 8.5));
  });
}

function packQ4WithLeast(values: Float32Array): Uint8Array {
  return eachBlock(values, 20, (x, bytes, half) => {
    const [least, most] = [Math.min(...x), Math.max(...x)];
    const scale = fround(fround(most - least) / 15);
    const factor = inverse(scale);
    half(0, scale);
    half(2, least);
    writeNibbles(bytes, 4, (i) => fround(fround(fround((x[i] as number) - least) * factor) + 0.5));
  });
}
