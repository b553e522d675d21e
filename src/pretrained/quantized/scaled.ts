// Weights that are stored as int8 or float8 with scales: one for the matrix, one per output, or one per block.

import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import { int8Rows } from './kept-blocks.js';
import { matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/**
 * Replaces `stem.weight` by `(q − zero point) · scale`. `block` has the rows and columns of a block that shares a
 * scale. Without it, the shape of the scales gives the number of blocks.
 */
export function putScaled(
  tensors: QuantizedTensors,
  name: string,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  zero: SafetensorsEntry | null = null,
  block?: readonly [number, number],
): void {
  const [rows, columns] = matrixOf(name, weight);
  const [down, across] = scale.shape.length === 2 ? matrixOf(`${name}_scale`, scale) : [scale.size, 1];
  const [height, width] = block ?? [rows / down, columns / across];
  const isWhole = Number.isInteger(height) && Number.isInteger(width);
  const isRight = isWhole && Math.ceil(rows / height) === down && Math.ceil(columns / width) === across;
  if (!isRight || (zero !== null && zero.size !== scale.size))
    throw new FormatError(
      `the scales of ${name} are [${scale.shape.join(', ')}], which does not fit [${rows}, ${columns}]`,
    );
  const kept = zero === null && height === 1 && across === 1 ? int8Rows([rows, columns], weight, scale) : undefined;
  const values = async () => {
    const [q, scales, zeros] = [await valuesOf(weight), await valuesOf(scale), zero && (await valuesOf(zero))];
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
  tensors.put(name, [rows, columns], values, kept);
}

/** The float8 weights of DeepSeek-V3 and Qwen3. `weight_scale_inv` is multiplied, although its name says inverse. */
export function readFp8(
  tensors: QuantizedTensors,
  { weight_block_size: block }: Readonly<Record<string, unknown>>,
): void {
  const isBlock = Array.isArray(block) && block.length === 2 && block.every((n) => Number.isInteger(n) && n > 0);
  if (block != null && !isBlock)
    throw new FormatError(`weight_block_size is ${JSON.stringify(block)}, expected two sizes`);
  for (const suffix of ['_scale_inv', '_scale'])
    for (const stem of tensors.stems(`.weight${suffix}`)) {
      const name = `${stem}.weight`;
      const [weight, scale] = [tensors.take(name), tensors.take(name + suffix)];
      putScaled(
        tensors,
        name,
        weight,
        scale,
        null,
        scale.size > 1 && isBlock ? (block as [number, number]) : undefined,
      );
    }
  tensors.drop('.input_scale', '.activation_scale');
}
