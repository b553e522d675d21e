/**
 * ggml's blocks as float32, to the bit what ggml gives: products of a scale and small integers are exact in float32, so that each value
 * is rounded once, when it is stored. Blocks are told in ggml-common.h of https://github.com/ggml-org/ggml.
 */

import { FormatError } from '../core/errors.js';
import { halfValues } from './dtypes.js';
import { type GgmlType, ggmlLayouts } from './ggml-types.js';

/** Unpacks the block that begins at byte `at` into `into`, from `to` on. */
type UnpackBlock = (bytes: Uint8Array, at: number, into: Float32Array, to: number) => void;

const half = (bytes: Uint8Array, at: number): number =>
  halfValues()[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;

const int8 = (byte: number): number => (byte << 24) >> 24;

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

const floatOf = new Float32Array(1);
const bitsOf = new Uint32Array(floatOf.buffer);

function fromBits(bits: number): number {
  bitsOf[0] = bits;
  return floatOf[0] as number;
}

/** Nibbles `from` byte `at` on, the low ones of 16 bytes and then the high ones, as `scale` · (nibble + `offset`) + `least`. */
function nibbles(
  bytes: Uint8Array,
  at: number,
  into: Float32Array,
  to: number,
  scale: number,
  offset: number,
  least: number,
) {
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + i] as number;
    into[to + i] = scale * ((byte & 15) + offset) + least;
    into[to + 16 + i] = scale * ((byte >> 4) + offset) + least;
  }
}

/** The same with a fifth bit each, in the word at `high`. */
function withFifth(
  bytes: Uint8Array,
  high: number,
  into: Float32Array,
  to: number,
  scale: number,
  offset: number,
  least: number,
) {
  const fifth = word(bytes, high);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[high + 4 + i] as number;
    into[to + i] = scale * (((byte & 15) | (((fifth >>> i) & 1) << 4)) + offset) + least;
    into[to + 16 + i] = scale * (((byte >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) + offset) + least;
  }
}

/** The six bits of scale and minimum of part `part`, of eight, that Q4_K and Q5_K have in twelve bytes from `at` on. */
function scaleOf(bytes: Uint8Array, at: number, part: number): number {
  const byte = bytes[at + part] as number;
  return part < 4
    ? byte & 63
    : ((bytes[at + part + 4] as number) & 15) | (((bytes[at + part - 4] as number) >> 6) << 4);
}

function leastOf(bytes: Uint8Array, at: number, part: number): number {
  const byte = bytes[at + part + 4] as number;
  return part < 4 ? byte & 63 : (byte >> 4) | (((bytes[at + part] as number) >> 6) << 4);
}

/** Eight parts of 32; `fifth` gives the part's fifth bit of each of its elements. */
function eightParts(
  bytes: Uint8Array,
  at: number,
  low: number,
  into: Float32Array,
  to: number,
  fifth: (part: number, i: number) => number,
): void {
  const [scale, least] = [half(bytes, at), half(bytes, at + 2)];
  for (let part = 0; part < 8; part++) {
    const own = scale * scaleOf(bytes, at + 4, part);
    const from = least * leastOf(bytes, at + 4, part);
    const [start, shift] = [low + (part >> 1) * 32, (part & 1) * 4];
    for (let i = 0; i < 32; i++) {
      const level = (((bytes[start + i] as number) >> shift) & 15) + fifth(part, i);
      into[to + part * 32 + i] = own * level - from;
    }
  }
}

const unpackers: Partial<Record<GgmlType, UnpackBlock>> = {
  F32(bytes, at, into, to) {
    into[to] = fromBits(word(bytes, at));
  },
  F16(bytes, at, into, to) {
    into[to] = half(bytes, at);
  },
  BF16(bytes, at, into, to) {
    into[to] = fromBits(((bytes[at] as number) | ((bytes[at + 1] as number) << 8)) << 16);
  },
  Q8_0(bytes, at, into, to) {
    const scale = half(bytes, at);
    for (let i = 0; i < 32; i++) into[to + i] = scale * int8(bytes[at + 2 + i] as number);
  },
  Q4_0: (bytes, at, into, to) => nibbles(bytes, at + 2, into, to, half(bytes, at), -8, -0),
  Q4_1: (bytes, at, into, to) => nibbles(bytes, at + 4, into, to, half(bytes, at), 0, half(bytes, at + 2)),
  Q5_0: (bytes, at, into, to) => withFifth(bytes, at + 2, into, to, half(bytes, at), -16, -0),
  Q5_1: (bytes, at, into, to) => withFifth(bytes, at + 4, into, to, half(bytes, at), 0, half(bytes, at + 2)),
  Q4_K: (bytes, at, into, to) => eightParts(bytes, at, at + 16, into, to, () => 0),
  Q5_K: (bytes, at, into, to) =>
    eightParts(bytes, at, at + 48, into, to, (part, i) => (((bytes[at + 16 + i] as number) >> part) & 1) << 4),
  Q6_K(bytes, at, into, to) {
    const scale = half(bytes, at + 208);
    for (let part = 0; part < 16; part++) {
      // Parts of 16 elements; halves of 128 have 64 bytes of low nibbles, 32 of high bits, each byte for four elements.
      const [side, quarter, place] = [part >> 3, (part & 7) >> 1, (part & 1) * 16];
      const own = scale * int8(bytes[at + 192 + part] as number);
      const low = at + side * 64 + (quarter & 1) * 32 + place;
      const high = at + 128 + side * 32 + place;
      for (let i = 0; i < 16; i++) {
        const level = ((bytes[low + i] as number) >> ((quarter >> 1) * 4)) & 15;
        const top = (((bytes[high + i] as number) >> (quarter * 2)) & 3) << 4;
        into[to + part * 16 + i] = own * ((level | top) - 32);
      }
    }
  },
};

/** The types whose numbers are read. */
export const readableTypes = Object.keys(unpackers) as GgmlType[];

/** Throws FormatError, naming the type, for one that is not read. */
export function checkReadable(what: string, type: GgmlType): void {
  if (unpackers[type] !== undefined) return;
  throw new FormatError(`${what} is of type ${type}, which is not read: expected one of ${readableTypes.join(' ')}`);
}

/**
 * Unpacks whole blocks. `into` has room for all their elements. Throws FormatError for a type that is not read.
 */
export function unpackBlocks(type: GgmlType, bytes: Uint8Array, into: Float32Array): void {
  checkReadable('the tensor', type);
  const unpack = unpackers[type] as UnpackBlock;
  const { elements, bytes: width } = ggmlLayouts[type];
  for (let at = 0, to = 0; at < bytes.byteLength; at += width, to += elements) unpack(bytes, at, into, to);
}
