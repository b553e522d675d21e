// Matrices of MatMulBnb4: 4-bit codes of the tables of bitsandbytes, which the file does not contain.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import type { OnnxNode, OnnxTensor } from '../../io/onnx.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { LinearWeight } from '../computed-weight.js';
import { fromFourBits } from '../quantized/bitsandbytes.js';
import { sizeOf } from './values.js';

/** The values of FP4 without a sign. Codes from 8 on are negative. */
const FP4 = [0, 5.208333333e-3, 2 / 3, 1, 1 / 3, 0.5, 1 / 6, 0.25];
const NF4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
/** Tables by `quant_type`. */
const TABLES = [[...FP4, ...FP4.map((value) => -value)], NF4].map((table) => Float32Array.from(table));

/** Returns the weight [N, K] of a node. `read` returns the elements of a tensor. Throws FormatError for wrong sizes. */
export function bnb4Weight(
  { name, attributes }: OnnxNode,
  packed: OnnxTensor,
  scales: OnnxTensor,
  read: (tensor: OnnxTensor) => Promise<ArrayLike<number>>,
): WeightEntry {
  const [rows = 0, columns = 0] = [attributes.get('N'), attributes.get('K')];
  const [block = 0, table] = [attributes.get('block_size'), TABLES[attributes.get('quant_type') ?? 1]];
  const size = rows * columns;
  const isSized = packed.byteLength === Math.ceil(size / 2) && sizeOf(scales) === Math.ceil(size / block);
  if (!(size > 0) || !(block > 0) || !isSized || table === undefined)
    throw new FormatError(
      `node ${quote(name)} is MatMulBnb4 of [${rows}, ${columns}] in blocks of ${block}, which its inputs do not fit`,
    );
  const values = async () =>
    fromFourBits(Uint8Array.from(await read(packed)), table, await read(scales), { size, block });
  return new LinearWeight([rows, columns], values);
}
