// Matrices of MatMulNBits and GatherBlockQuantized: codes of a few bits, in blocks with a scale and a zero point.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import type { OnnxTensor } from '../../io/onnx.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { groupedWeight } from '../quantized/grouped.js';
import { type Numbers, sizeOf } from './values.js';

/** Sizes of a matrix: [outputs, inputs], blocks of inputs, bits of each number. */
export interface NBits {
  readonly rows: number;
  readonly columns: number;
  readonly block: number;
  readonly bits: number;
}

interface NBitsTensors {
  readonly packed: OnnxTensor;
  readonly scales: OnnxTensor;
  readonly zeros: OnnxTensor | undefined;
  /** The block of each input, if inputs are not in the order of their blocks. */
  readonly order: OnnxTensor | undefined;
}

interface Reader {
  bytes(tensor: OnnxTensor): Promise<Uint8Array>;
  elements(tensor: OnnxTensor): Promise<Numbers>;
}

/**
 * Returns the matrix. The codes of a block fill bytes from their low bits on, and the last block of a row is padded.
 * Zero points are numbers, or bytes that they fill in the same way, row by row. Without them the middle is zero.
 */
export function nBitsWeight(
  { rows, columns, block, bits }: NBits,
  { packed, scales, zeros, order }: NBitsTensors,
  read: Reader,
): WeightEntry {
  const blocks = Math.ceil(columns / block);
  const rowBytes = blocks * Math.ceil((block * bits) / 8);
  const zeroRow = Math.ceil((blocks * bits) / 8);
  const isPackedZero = zeros?.dtype === 'U8';
  const isComplete = packed.byteLength === rows * rowBytes && sizeOf(scales) === rows * blocks;
  if (!isComplete || (zeros && sizeOf(zeros) !== (isPackedZero ? rows * zeroRow : rows * blocks)))
    throw new FormatError(
      `tensor ${quote(packed.name)} has not the size of [${rows}, ${columns}] in blocks of ${block}`,
    );
  const mask = 2 ** bits - 1;
  const codeAt = (bytes: ArrayLike<number>, start: number, i: number) =>
    ((bytes[start + ((i * bits) >> 3)] as number) >> ((i * bits) & 7)) & mask;
  const load = async () => {
    const bytes = await read.bytes(packed);
    const factors = await read.elements(scales);
    const zeroPoints = zeros && (await read.elements(zeros));
    const groupIndices = order && (await read.elements(order));
    return {
      groupOf: groupIndices && ((input: number) => groupIndices[input] as number),
      code: (row: number, input: number) => codeAt(bytes, row * rowBytes, input),
      scale: (row: number, group: number) => factors[row * blocks + group] as number,
      zero: (row: number, group: number) => {
        if (zeroPoints === undefined) return 2 ** (bits - 1);
        return isPackedZero ? codeAt(zeroPoints, row * zeroRow, group) : (zeroPoints[row * blocks + group] as number);
      },
    };
  };
  return groupedWeight({
    name: packed.name,
    shape: [rows, columns],
    bits,
    groupSize: block,
    load,
    zeros: zeros === undefined ? 'middle' : isPackedZero ? 'codes' : 'any',
    isHalf: scales.dtype === 'F16',
    isOrdered: order !== undefined,
  });
}
