// Converts types of GGUF files that the engine does not support. Their blocks are unpacked as in ggml and stored in
// another format.

import { halfValues } from '../../io/dtypes.js';
import { toHalf } from '../../io/half.js';
import * as codebooks from './codebooks.js';
import type { ConvertedType } from './converted-names.js';

/** Number of values of a block, the same for all of these types. */
const VALUES = 256;

const f = Math.fround;

/** Unpacks one block: `offset` is its first byte, `to` its first value. */
type Unpack = (bytes: DataView, offset: number, out: Float32Array, to: number) => void;

const tables = new Map<codebooks.Codebook, Float32Array>();

/** The values of a codebook, row by row. */
function tableOf(codebook: codebooks.Codebook): Float32Array {
  const known = tables.get(codebook);
  if (known) return known;
  const { base64, bits, rows, width, values } = codebook;
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const perByte = 8 / bits;
  const table = Float32Array.from({ length: rows * width }, (_, i) => {
    const index = ((bytes[Math.floor(i / perByte)] as number) >> (bits * (i % perByte))) & ((1 << bits) - 1);
    return values[index] as number;
  });
  tables.set(codebook, table);
  return table;
}

/** Converts the bits of a float16 to its value. */
const half = (bits: number) => halfValues()[bits] as number;

/** Returns eight signs of which seven are stored. The number of negative signs is even. */
function signsOf(seven: number): number {
  let odd = seven;
  odd ^= odd >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return seven | ((odd & 1) << 7);
}

/**
 * Writes eight values: rows of a codebook times a scale, with a sign for each. Codebooks have 8 or 4 values in a row.
 */
function writeScaled(
  out: Float32Array,
  to: number,
  scale: number,
  signs: number,
  table: Float32Array,
  rows: readonly number[],
) {
  const width = 8 / rows.length;
  for (let i = 0; i < 8; i++) {
    const value = f(scale * (table[(rows[Math.floor(i / width)] as number) * width + (i % width)] as number));
    out[to + i] = (signs >> i) & 1 ? -value : value;
  }
}

const iq2xxs: Unpack = (bytes, offset, out, to) => {
  const table = tableOf(codebooks.IQ2_XXS);
  const d = half(bytes.getUint16(offset, true));
  for (let group = 0; group < 8; group++) {
    const start = offset + 2 + 8 * group;
    const tail = bytes.getUint32(start + 4, true);
    const scale = f(f(d * (0.5 + (tail >>> 28))) * 0.25);
    for (let i = 0; i < 4; i++) {
      const signs = signsOf((tail >>> (7 * i)) & 127);
      writeScaled(out, to + 32 * group + 8 * i, scale, signs, table, [bytes.getUint8(start + i)]);
    }
  }
};

const iq2xs: Unpack = (bytes, offset, out, to) => {
  const table = tableOf(codebooks.IQ2_XS);
  const d = half(bytes.getUint16(offset, true));
  for (let i = 0; i < 32; i++) {
    const code = bytes.getUint16(offset + 2 + 2 * i, true);
    const scale = scaleOf(d, bytes.getUint8(offset + 66 + (i >> 2)), (i >> 1) & 1);
    writeScaled(out, to + 8 * i, scale, signsOf(code >> 9), table, [code & 511]);
  }
};

/** Returns the scale of one of two groups whose 4-bit scales share a byte. */
const scaleOf = (d: number, pair: number, which: number) => f(f(d * (0.5 + ((pair >> (4 * which)) & 15))) * 0.25);

const iq2s: Unpack = (bytes, offset, out, to) => {
  const table = tableOf(codebooks.IQ2_S);
  const d = half(bytes.getUint16(offset, true));
  for (let i = 0; i < 32; i++) {
    const high = (bytes.getUint8(offset + 66 + (i >> 2)) >> (2 * (i & 3))) & 3;
    const scale = scaleOf(d, bytes.getUint8(offset + 74 + (i >> 2)), (i >> 1) & 1);
    const row = bytes.getUint8(offset + 2 + i) | (high << 8);
    writeScaled(out, to + 8 * i, scale, bytes.getUint8(offset + 34 + i), table, [row]);
  }
};

const iq3xxs: Unpack = (bytes, offset, out, to) => {
  const table = tableOf(codebooks.IQ3_XXS);
  const d = half(bytes.getUint16(offset, true));
  for (let group = 0; group < 8; group++) {
    const tail = bytes.getUint32(offset + 66 + 4 * group, true);
    const scale = f(f(d * (0.5 + (tail >>> 28))) * 0.5);
    for (let i = 0; i < 4; i++) {
      const first = offset + 2 + 8 * group + 2 * i;
      const rows = [bytes.getUint8(first), bytes.getUint8(first + 1)];
      writeScaled(out, to + 32 * group + 8 * i, scale, signsOf((tail >>> (7 * i)) & 127), table, rows);
    }
  }
};

const iq3s: Unpack = (bytes, offset, out, to) => {
  const table = tableOf(codebooks.IQ3_S);
  const d = half(bytes.getUint16(offset, true));
  for (let i = 0; i < 32; i++) {
    const group = i >> 2;
    const high = bytes.getUint8(offset + 66 + group);
    const rowOf = (j: number) => bytes.getUint8(offset + 2 + j) | (((high >> (j & 7)) & 1) << 8);
    const scale = f(d * (1 + 2 * ((bytes.getUint8(offset + 106 + (group >> 1)) >> (4 * (group & 1))) & 15)));
    writeScaled(out, to + 8 * i, scale, bytes.getUint8(offset + 74 + i), table, [rowOf(2 * i), rowOf(2 * i + 1)]);
  }
};

/** Writes eight values of the ternary codebook, shifted by a small delta, times a scale. */
function writeTernary(out: Float32Array, to: number, scale: number, row: number, isNegative: boolean): void {
  const table = tableOf(codebooks.IQ1_S);
  const delta = isNegative ? -0.125 : 0.125;
  for (let i = 0; i < 8; i++) out[to + i] = f(scale * ((table[8 * row + i] as number) + delta));
}

const iq1s: Unpack = (bytes, offset, out, to) => {
  const d = half(bytes.getUint16(offset, true));
  for (let i = 0; i < 32; i++) {
    const high = bytes.getUint16(offset + 34 + 2 * (i >> 2), true);
    const scale = f(d * (2 * ((high >> 12) & 7) + 1));
    const row = bytes.getUint8(offset + 2 + i) | (((high >> (3 * (i & 3))) & 7) << 8);
    writeTernary(out, to + 8 * i, scale, row, (high & 0x8000) !== 0);
  }
};

const iq1m: Unpack = (bytes, offset, out, to) => {
  const words = [0, 1, 2, 3].map((i) => bytes.getUint16(offset + 48 + 2 * i, true)) as [number, number, number, number];
  // The four high bits of each of four words form the scale of the block.
  const d = half(words.reduce((bits, word, i) => bits | ((word >> 12) << (4 * i)), 0));
  for (let i = 0; i < 32; i++) {
    const group = i >> 1;
    const scale = f(d * (2 * (((words[group >> 2] as number) >> (3 * (group & 3))) & 7) + 1));
    const high = (bytes.getUint8(offset + 32 + group) >> (4 * (i & 1))) & 15;
    writeTernary(out, to + 8 * i, scale, bytes.getUint8(offset + i) | ((high & 7) << 8), (high & 8) !== 0);
  }
};

/** Returns the 256 base-3 digits of a block: 0, 1 or 2. */
function digitsOf(bytes: DataView, offset: number): Uint8Array {
  const digits = new Uint8Array(VALUES);
  const read = (first: number, width: number, count: number, to: number) => {
    for (let power = 0; power < count; power++)
      for (let i = 0; i < width; i++)
        digits[to + power * width + i] = (((bytes.getUint8(offset + first + i) * 3 ** power) & 255) * 3) >> 8;
  };
  read(0, 32, 5, 0);
  read(32, 16, 5, 160);
  read(48, 4, 4, 240);
  return digits;
}

const tq1: Unpack = (bytes, offset, out, to) => {
  const d = half(bytes.getUint16(offset + 52, true));
  for (const [i, digit] of digitsOf(bytes, offset).entries()) out[to + i] = f(d * (digit - 1));
};

const types: Readonly<Record<ConvertedType, { readonly bytes: number; readonly unpack: Unpack }>> = {
  IQ1_S: { bytes: 50, unpack: iq1s },
  IQ1_M: { bytes: 56, unpack: iq1m },
  IQ2_XXS: { bytes: 66, unpack: iq2xxs },
  IQ2_XS: { bytes: 74, unpack: iq2xs },
  IQ2_S: { bytes: 82, unpack: iq2s },
  IQ3_XXS: { bytes: 98, unpack: iq3xxs },
  IQ3_S: { bytes: 110, unpack: iq3s },
  TQ1_0: { bytes: 54, unpack: tq1 },
};

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Unpacks whole blocks. The values equal ggml's bit for bit. */
export function unpacked(type: ConvertedType, blocks: Uint8Array): Float32Array {
  const { bytes: width, unpack } = types[type];
  const count = blocks.length / width;
  const out = new Float32Array(count * VALUES);
  const view = viewOf(blocks);
  for (let i = 0; i < count; i++) unpack(view, i * width, out, i * VALUES);
  return out;
}

/** Converts whole blocks to the format of their type in `CONVERTED`. */
export function converted(type: ConvertedType, blocks: Uint8Array): Uint8Array {
  if (type === 'TQ1_0') return asBaseFour(blocks);
  const halves = toHalf(unpacked(type, blocks));
  return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
}

/**
 * Converts TQ1_0, which has five base-3 digits per byte, to TQ2_0, which has four base-4 digits. The values are equal.
 */
function asBaseFour(blocks: Uint8Array): Uint8Array {
  const [from, to] = [54, 66];
  const out = new Uint8Array((blocks.length / from) * to);
  const view = viewOf(blocks);
  for (let block = 0; block * from < blocks.length; block++) {
    const digits = digitsOf(view, block * from);
    for (let i = 0; i < VALUES; i++) {
      // Values 32 apart share a byte, in each half of the block.
      const index = block * to + 32 * (i >> 7) + (i & 31);
      out[index] = (out[index] as number) | ((digits[i] as number) << (2 * ((i >> 5) & 3)));
    }
    out.set(blocks.subarray(block * from + 52, block * from + 54), block * to + 64);
  }
  return out;
}
