// Weights that are stored as int8 or float8 with scales: one for the matrix, one per output, or one per block.

import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import { LinearWeight } from '../computed-weight.js';
import { groupedWeight } from './grouped.js';
import { scaleOfExponent } from './small-floats.js';
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

/** A stored matrix and its scales. */
interface ScaledMatrix {
  readonly name: string;
  readonly weight: SafetensorsEntry;
  readonly scale: SafetensorsEntry;
  readonly zero: SafetensorsEntry | null;
  readonly order: SafetensorsEntry | null;
  readonly rows: number;
  readonly columns: number;
  /** Sizes of a block, and the number of blocks beside one another. */
  readonly height: number;
  readonly width: number;
  readonly across: number;
}

/** Replaces `stem.weight` by `(q − zero point) · scale`. */
export function putScaled(
  tensors: QuantizedTensors,
  name: string,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  options: ScaleOptions = {},
): void {
  if (!STORED.includes(weight.dtype))
    throw new FormatError(`tensor ${name} is ${weight.dtype} beside a scale, expected ${STORED.join(', ')}`);
  const matrix = scaledMatrix(name, weight, scale, options);
  const floats = () => floatsOf(matrix);
  tensors.put(
    name,
    weight.dtype === 'I8' ? int8Weight(matrix) : new LinearWeight([matrix.rows, matrix.columns], floats),
  );
}

/** Finds the blocks of a matrix. Throws FormatError if its scales or zero points do not fit. */
function scaledMatrix(
  name: string,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  { zero = null, order = null, blocks = [] }: ScaleOptions,
): ScaledMatrix {
  const [rows, columns] = matrixOf(name, weight);
  const [down, across] = scale.shape.length === 2 ? matrixOf(`${name}_scale`, scale) : [scale.size, 1];
  const equal: Block = [rows / down, columns / across];
  const fits = ([height, width]: Block) =>
    Number.isInteger(height) &&
    Number.isInteger(width) &&
    Math.ceil(rows / height) === down &&
    Math.ceil(columns / width) === across;
  const block = (scale.size === 1 ? [equal] : [...blocks, equal]).find(fits);
  if (block === undefined || (zero !== null && zero.size !== scale.size) || (order !== null && order.size !== columns))
    throw new FormatError(
      `the scales of ${name} are [${scale.shape.join(', ')}], which does not fit [${rows}, ${columns}]`,
    );
  const [height, width] = block;
  return { name, weight, scale, zero, order, rows, columns, height, width, across };
}

function int8Weight(matrix: ScaledMatrix): LinearWeight {
  const { name, weight, scale, zero, order, rows, columns, height, width, across } = matrix;
  return groupedWeight({
    name,
    shape: [rows, columns],
    bits: 8,
    groupSize: width,
    zeros: zero === null ? 'middle' : 'any',
    isHalf: scale.dtype === 'F16',
    isOrdered: order !== null,
    async load() {
      const [q, scales, zeros] = [await valuesOf(weight), await valuesOf(scale), zero && (await valuesOf(zero))];
      const groupOf = order && (await valuesOf(order));
      const indexOf = (row: number, group: number) => Math.floor(row / height) * across + group;
      return {
        code: (row, column) => 128 + (q[row * columns + column] as number),
        scale: (row, group) => scales[indexOf(row, group)] as number,
        zero: (row, group) => 128 + (zeros?.[indexOf(row, group)] ?? 0),
        groupOf: groupOf ? (column) => groupOf[column] as number : undefined,
      };
    },
  });
}

async function floatsOf(matrix: ScaledMatrix): Promise<Float32Array> {
  const { weight, scale, zero, rows, columns, height, width, across } = matrix;
  const [q, zeros] = [await valuesOf(weight), zero && (await valuesOf(zero))];
  const stored = await valuesOf(scale);
  // Scales of microscaling formats are exponents.
  const scales = scale.dtype === 'U8' ? Float32Array.from(stored, scaleOfExponent) : stored;
  const floats = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const index = Math.floor(row / height) * across + Math.floor(column / width);
      const i = row * columns + column;
      floats[i] = ((q[i] as number) - (zeros?.[index] ?? 0)) * (scales[index] as number);
    }
  }
  return floats;
}

/** Names of the scale of a weight: of DeepSeek-V3, FBGEMM, DeepSeek-V4 and Mistral Large 4. */
const SCALES = ['.weight_scale_inv', '.weight_scale', '.scale', '.qscale_weight'];

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
  for (const suffix of SCALES)
    for (const stem of tensors.stems(suffix)) {
      const name = `${stem}.weight`;
      if (suffix === '.scale' && !tensors.dtypeOf(name)?.startsWith('F8_')) continue; // a norm may have such a name
      const [weight, scale] = [tensors.take(name), tensors.take(stem + suffix)];
      putScaled(tensors, name, weight, scale, { blocks });
    }
  tensors.dropActivations();
}
