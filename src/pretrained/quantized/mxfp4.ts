import { FormatError } from '../../core/errors.js';
import { ComputedWeight } from '../computed-weight.js';
import { FP4, MXFP4_BLOCK, mxfp4Blocks, scaleOfExponent } from './small-floats.js';
import { type QuantizedTensors, valuesOf } from './tensors.js';

/**
 * MXFP4 (OCP Microscaling Formats 1.0) as gpt-oss has it: `_blocks` [experts, out, in / 32, 16], the low half of a byte
 * first, and exponents `_scales` [experts, out, in / 32]. The parameter that they stand for is the transpose
 * [experts, in, out].
 */
export function readMxfp4(tensors: QuantizedTensors): void {
  for (const name of tensors.stems('_blocks')) {
    const blocks = tensors.take(`${name}_blocks`);
    const [experts = 0, outputs = 0, count = 0, bytes, ...otherSizes] = blocks.shape;
    if (bytes !== MXFP4_BLOCK / 2 || otherSizes.length > 0)
      throw new FormatError(
        `tensor ${name}_blocks is [${blocks.shape.join(', ')}], expected [experts, out, blocks, 16]`,
      );
    const scales = tensors.take(`${name}_scales`, [experts, outputs, count]);
    const inputs = count * MXFP4_BLOCK;
    const values = async () => {
      const [codes, exponents] = [await valuesOf(blocks), await valuesOf(scales)];
      const floats = new Float32Array(experts * inputs * outputs);
      for (let row = 0; row < experts * outputs; row++) {
        const [expert, output] = [Math.floor(row / outputs), row % outputs];
        for (let input = 0; input < inputs; input++) {
          const i = row * inputs + input;
          const code = ((codes[i >> 1] as number) >> (4 * (i & 1))) & 15;
          const scale = scaleOfExponent(exponents[Math.floor(i / MXFP4_BLOCK)] as number);
          floats[(expert * inputs + input) * outputs + output] = (FP4[code] as number) * scale;
        }
      }
      return floats;
    };
    const kept = () => mxfp4Blocks(blocks, scales, [experts * outputs, inputs]);
    tensors.put(name, new ComputedWeight([experts, inputs, outputs], values, kept));
  }
}
