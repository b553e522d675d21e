import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { StoredBlocks } from '../../models/weight-entry.js';
import { type QuantizedTensors, valuesOf } from './tensors.js';

/** The values of 4-bit codes: one bit of sign, two of exponent, one of mantissa. */
const VALUES = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
/** Number of values that share an exponent. A byte has two, the low half first. */
const BLOCK = 32;

/**
 * MXFP4 (OCP Microscaling Formats 1.0) in gpt-oss's layout: `_blocks` [experts, out, in / 32, 16], and exponents
 * `_scales` [experts, out, in / 32]. The model's parameter is the transpose, [experts, in, out].
 */
export function readMxfp4(tensors: QuantizedTensors): void {
  for (const name of tensors.stems('_blocks')) {
    const blocks = tensors.take(`${name}_blocks`);
    const [experts = 0, outputs = 0, count = 0, bytes, ...others] = blocks.shape;
    if (bytes !== BLOCK / 2 || others.length > 0)
      throw new FormatError(
        `tensor ${name}_blocks is [${blocks.shape.join(', ')}], expected [experts, out, blocks, 16]`,
      );
    const scales = tensors.take(`${name}_scales`, [experts, outputs, count]);
    const inputs = count * BLOCK;
    const values = async () => {
      const [codes, exponents] = [await valuesOf(blocks), await valuesOf(scales)];
      const floats = new Float32Array(experts * inputs * outputs);
      for (let row = 0; row < experts * outputs; row++) {
        const [expert, output] = [Math.floor(row / outputs), row % outputs];
        for (let input = 0; input < inputs; input++) {
          const block = row * count + Math.floor(input / BLOCK);
          const place = input % BLOCK;
          const code = ((codes[block * (BLOCK / 2) + (place >> 1)] as number) >> (4 * (place & 1))) & 15;
          floats[(expert * inputs + input) * outputs + output] =
            (VALUES[code] as number) * 2 ** ((exponents[block] as number) - 127);
        }
      }
      return floats;
    };
    tensors.put(name, [experts, inputs, outputs], values, ggmlBlocks(blocks, scales, [experts * outputs, inputs]));
  }
}

/** The weights as ggml's blocks: an exponent, then 16 bytes whose low halves are the first 16 values. */
function ggmlBlocks(
  blocks: SafetensorsEntry,
  scales: SafetensorsEntry,
  shape: readonly [rows: number, inputs: number],
): StoredBlocks {
  const half = BLOCK / 2;
  const width = 1 + half;
  const read = async (buffer: Uint8Array, from: number) => {
    const [first, count] = [from / width, buffer.length / width];
    const [codes, exponents] = [new Uint8Array(count * half), new Uint8Array(count)];
    await blocks.readAsync(codes, first * half);
    await scales.readAsync(exponents, first);
    const code = (block: number, value: number) =>
      ((codes[block * half + (value >> 1)] as number) >> (4 * (value & 1))) & 15;
    for (let block = 0; block < count; block++) {
      buffer[block * width] = exponents[block] as number;
      for (let i = 0; i < half; i++) buffer[block * width + 1 + i] = code(block, i) | (code(block, half + i) << 4);
    }
  };
  return { format: 'mxfp4', shape, unit: 1, read };
}
