// Integer matrices of any library, in groups with a common scale and zero point. They become floats, or blocks of a
// packed format that has exactly the same values.

import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { toHalf } from '../../io/half.js';
import type { StoredBlocks } from '../../models/weight-entry.js';
import { blockRowBytes, formatOf } from '../../ops/packed.js';
import { LinearWeight } from '../computed-weight.js';

/** The integers of a matrix, their scales and zero points: an element is `(code − zero) · scale`. */
export interface Codebook {
  code(row: number, input: number): number;
  /** A finite float32. */
  scale(row: number, group: number): number;
  zero(row: number, group: number): number;
  /** The group of an input. Undefined if inputs are in the order of their groups. */
  readonly groupOf?: ((input: number) => number) | undefined;
}

/** A matrix of integers in a file. `load` reads it. */
export interface GroupedMatrix {
  readonly name: string;
  /** [out, in]. */
  readonly shape: readonly [rows: number, inputs: number];
  /** Number of bits of a code; codes are 0 to 2 ** bits - 1. */
  readonly bits: number;
  /** Inputs of a group. The last group may be smaller. */
  readonly groupSize: number;
  /** The zero points: all are the middle of the codes ('middle'), they are integers among the codes, or others. */
  readonly zeros: 'middle' | 'codes' | 'any';
  /** True if scales are stored as float16. */
  readonly isHalf: boolean;
  /** True if `groupOf` is expected. No packed format supports it. */
  readonly isOrdered: boolean;
  load(): Promise<Codebook>;
}

/** Inputs of a block in the formats with groups. */
const BLOCK = 32;
/** Elements that are computed before the event loop may run. */
const SLICE = 1 << 18;

/** The weight of a matrix: its floats, and its blocks if a packed format has exactly its values. */
export function groupedWeight(matrix: GroupedMatrix): LinearWeight {
  return new LinearWeight(matrix.shape, () => floatsOf(matrix), groupedBlocks(matrix));
}

/** Returns a function that gives the blocks of a matrix; undefined if no packed format has exactly its values. */
export function groupedBlocks(matrix: GroupedMatrix): ((device: Device) => StoredBlocks) | undefined {
  const format = formatFor(matrix);
  return format === null ? undefined : (device) => blocksOf(matrix, format, device);
}

type KeptFormat = 'q4_0' | 'q8_0' | 'uint4' | 'int8';

function formatFor({ shape, bits, groupSize, zeros, isHalf, isOrdered }: GroupedMatrix): KeptFormat | null {
  const [, inputs] = shape;
  const isOne = groupSize >= inputs;
  if (isOrdered) return null;
  if (bits === 8 && isOne && zeros === 'middle') return 'int8';
  if ((!isOne && groupSize % BLOCK !== 0) || inputs % BLOCK !== 0) return null;
  if (zeros === 'middle' && isHalf && (bits === 4 || bits === 8)) return bits === 4 ? 'q4_0' : 'q8_0';
  return bits <= 4 && zeros !== 'any' ? 'uint4' : null;
}

async function floatsOf({ shape: [rows, inputs], groupSize, name, load }: GroupedMatrix): Promise<Float32Array> {
  const { code, scale, zero, groupOf = (input) => Math.floor(input / groupSize) } = await load();
  const groups = Math.ceil(inputs / groupSize);
  const order = Int32Array.from({ length: inputs }, (_, input) => groupOf(input));
  const wrong = order.find((group) => !(group >= 0 && group < groups));
  if (wrong !== undefined) throw new FormatError(`g_idx of ${name} has group ${wrong}, of ${groups}`);
  const floats = new Float32Array(rows * inputs);
  const perSlice = Math.max(1, Math.floor(SLICE / inputs));
  const [scales, zeros] = [new Float32Array(groups), new Float32Array(groups)];
  for (let row = 0; row < rows; row++) {
    if (row % perSlice === 0) await yieldToEventLoop();
    for (let group = 0; group < groups; group++) {
      scales[group] = scale(row, group);
      zeros[group] = zero(row, group);
    }
    for (let input = 0; input < inputs; input++) {
      const group = order[input] as number;
      floats[row * inputs + input] = (code(row, input) - (zeros[group] as number)) * (scales[group] as number);
    }
  }
  return floats;
}

function blocksOf(matrix: GroupedMatrix, format: KeptFormat, device: Device): StoredBlocks {
  const { shape } = matrix;
  const [rows, inputs] = shape;
  const groupSize = Math.min(matrix.groupSize, inputs);
  const padded = format === 'int8';
  const { rowHead, blockBytes } = formatOf(device, format);
  const width = blockRowBytes(formatOf(device, format), inputs, padded);
  const perSlice = Math.max(1, Math.floor(SLICE / inputs));
  const write = WRITERS[format];
  let loading: Promise<Codebook> | null = null;
  const read = async (buffer: Uint8Array, from: number) => {
    loading ??= matrix.load();
    const codes = await loading;
    if (codes.groupOf !== undefined)
      throw new FormatError(
        `g_idx of ${matrix.name} orders inputs, but config.json says that they are in order: load it with weights: 'float32'`,
      );
    const [first, count] = [from / width, buffer.length / width];
    buffer.fill(0);
    for (let row = first; row < first + count; row++) {
      if (row % perSlice === 0) await yieldToEventLoop();
      checkZeros(matrix, codes, row);
      const start = (row - first) * width;
      if (rowHead > 0) putFloat(buffer.subarray(start, start + rowHead), codes.scale(row, 0));
      for (let input = 0; input < inputs; input += BLOCK) {
        const offset = start + rowHead + (input / BLOCK) * blockBytes;
        const block = { row, input, group: Math.floor(input / groupSize), count: Math.min(BLOCK, inputs - input) };
        write(buffer.subarray(offset, offset + blockBytes), codes, block);
      }
    }
    if (first + count === rows) loading = null; // the codes are not needed any more
  };
  return { format, shape, unit: 1, padded, read };
}

/** Throws FormatError for a zero point that is not a code, or not the middle of the codes in a symmetric file. */
function checkZeros({ name, bits, zeros, shape, groupSize }: GroupedMatrix, codes: Codebook, row: number): void {
  const middle = 2 ** (bits - 1);
  for (let group = 0; group * groupSize < shape[1]; group++) {
    const zero = codes.zero(row, group);
    if (zeros === 'middle' ? zero === middle : Number.isInteger(zero) && zero >= 0 && zero <= MAX_ZERO) continue;
    const expected = zeros === 'middle' ? `${middle} of a symmetric file` : `0 to ${MAX_ZERO}`;
    throw new FormatError(`${name} has the zero point ${zero}, expected ${expected}: load it with weights: 'float32'`);
  }
}

/** The largest zero point of the format uint4. */
const MAX_ZERO = 16;

/** The location of a block of at most 32 inputs. */
interface BlockLocation {
  readonly row: number;
  readonly input: number;
  readonly group: number;
  readonly count: number;
}

const WRITERS: Readonly<Record<KeptFormat, (to: Uint8Array, codes: Codebook, block: BlockLocation) => void>> = {
  q4_0: (to, codes, block) => {
    putHalf(to, codes.scale(block.row, block.group));
    putNibbles(to.subarray(2), codes, block);
  },
  q8_0: (to, codes, block) => {
    putHalf(to, codes.scale(block.row, block.group));
    putBytes(to.subarray(2), codes, block);
  },
  uint4: (to, codes, block) => {
    putFloat(to, codes.scale(block.row, block.group));
    to[4] = codes.zero(block.row, block.group);
    putNibbles(to.subarray(5), codes, block);
  },
  int8: putBytes,
};

/** Writes 32 codes of at most 4 bits. The first 16 are the low halves of the bytes. */
function putNibbles(to: Uint8Array, codes: Codebook, { row, input }: BlockLocation): void {
  const half = BLOCK / 2;
  for (let i = 0; i < half; i++) to[i] = codes.code(row, input + i) | (codes.code(row, input + half + i) << 4);
}

/** Writes codes of 8 bits less their middle. */
function putBytes(to: Uint8Array, codes: Codebook, { row, input, count }: BlockLocation): void {
  for (let i = 0; i < count; i++) to[i] = codes.code(row, input + i) - 128;
}

function putFloat(to: Uint8Array, value: number): void {
  to.set(new Uint8Array(Float32Array.of(value).buffer));
}

/** Writes a float that is exactly a float16. */
function putHalf(to: Uint8Array, value: number): void {
  to.set(new Uint8Array(toHalf(Float32Array.of(value)).buffer));
}
