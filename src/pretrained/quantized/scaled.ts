// Weights that are stored as int8 or float8 with scales: one for the matrix, one per output, or one per block.

import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import { LinearWeight } from '../computed-weight.js';
import { scaleOfExponent } from './fp4.js';
import { groupedWeight } from './grouped.js';
import { matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/** [rows, columns] of a block that has a scale. */
type Block = readonly [height: number, width: number];

interface ScaleOptions {
  readonly zero?: SafetensorsEntry | null;
  /** The group of each column. Default: groups of adjacent columns. */
  readonly order?: SafetensorsEntry | null;
  /** Candidate sizes of blocks. Default: as many equal blocks as there are scales. */
  readonly blocks?: readonly Block[];
}

const STORED = ['I8', 'U8', 'F8_E4M3', 'F8_E5M2'];

/** Replaces `stem.weight` by `(q − zero point) · scale`. */
export function putScaled(
  tensors: QuantizedTensors,
  name: string,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  { zero = null, order = null, blocks = [] }: ScaleOptions = {},
): void {
  if (!STORED.includes(weight.dtype))
    throw new FormatError(`tensor ${name} is ${weight.dtype} beside a scale, expected ${STORED.join(', ')}`);
  const [rows, columns] = matrixOf(name, weight);
  const [down, across] = scale.shape.length === 2 ? matrixOf(`${name}_scale`, scale) : [scale.size, 1];
  const equal: Block = [rows / down, columns / across];
  const fits = ([height, width]: Block) =>
    Number.isInteger(height) &&
    Number.isInteger(width) &&
    Math.ceil(rows / height) === down &&
    Math.ceil(columns / width) === across;
  const isSingle = scale.size === 1;
  const block = (isSingle ? [equal] : [...blocks, equal]).find(fits);
  if (block === undefined || (zero !== null && zero.size !== scale.size) || (order !== null && order.size !== columns))
    throw new FormatError(
      `the scales of ${name} are [${scale.shape.join(', ')}], which does not fit [${rows}, ${columns}]`,
    );
  const [height, width] = block;
  if (weight.dtype === 'I8') {
    const load = async () => {
      const [q, scales, zeros] = [await valuesOf(weight), await valuesOf(scale), zero && (await valuesOf(zero))];
      const groupOf = order && (await valuesOf(order));
      const at = (row: number, group: number) => Math.floor(row / height) * across + group;
      return {
        code: (row: number, column: number) => 128 + (q[row * columns + column] as number),
        scale: (row: number, group: number) => scales[at(row, group)] as number,
        zero: (row: number, group: number) => 128 + (zeros?.[at(row, group)] ?? 0),
        groupOf: groupOf ? (column: number) => groupOf[column] as number : undefined,
      };
    };
    const matrix = { name, shape: [rows, columns] as const, bits: 8, groupSize: width, load };
    const isHalf = scale.dtype === 'F16';
    tensors.put(
      name,
      groupedWeight({ ...matrix, zeros: zero === null ? 'middle' : 'any', isHalf, isOrdered: order !== null }),
    );
    return;
  }
  const values = async () => {
    const [q, zeros] = [await valuesOf(weight), zero && (await valuesOf(zero))];
    const given = await valuesOf(scale);
    // Scales of microscaling formats are exponents.
    const scales = scale.dtype === 'U8' ? Float32Array.from(given, scaleOfExponent) : given;
    const floats = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = Math.floor(row / height) * across + Math.floor(column / width);
        const i = row * columns + column;
        floats[i] = ((q[i] as number) - (zeros?.[at] ?? 0)) * (scales[at] as number);
      }
    }
    return floats;
  };
  tensors.put(name, new LinearWeight([rows, columns], values));
}

/**
 * Reads float8 weights of DeepSeek-V3 and Qwen3, with a scale per block, and of FBGEMM, with a scale per output. Values
 * are multiplied by `weight_scale_inv`, in spite of its name.
 */
export function readFp8(
  tensors: QuantizedTensors,
  { weight_block_size: block }: Readonly<Record<string, unknown>>,
): void {
  const isBlock = Array.isArray(block) && block.length === 2 && block.every((n) => Number.isInteger(n) && n > 0);
  if (block != null && !isBlock)
    throw new FormatError(`weight_block_size is ${JSON.stringify(block)}, expected two sizes`);
  const blocks = isBlock ? [block as [number, number]] : [];
  for (const suffix of ['_scale_inv', '_scale'])
    for (const stem of tensors.stems(`.weight${suffix}`)) {
      const name = `${stem}.weight`;
      const [weight, scale] = [tensors.take(name), tensors.take(name + suffix)];
      putScaled(tensors, name, weight, scale, { blocks });
    }
  tensors.drop('.input_scale', '.input_scale_ub', '.activation_scale');
}
