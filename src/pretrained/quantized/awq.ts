import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { Codes, matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/** Positions of eight outputs in a 32-bit word. */
const ORDER = [0, 4, 1, 5, 2, 6, 3, 7];
const BITS = 4;
const PER_WORD = 32 / BITS;

/**
 * AWQ (Lin et al. 2023, arXiv 2306.00978) in the `gemm` layout: `w = (q − z) · s`. A word has the codes of eight
 * adjacent outputs, in an order that suits a GPU.
 */
export async function readAwq(tensors: QuantizedTensors, config: Json): Promise<void> {
  const { bits = config.w_bit, version = 'gemm' } = config;
  if (bits !== BITS || String(version).toLowerCase() !== 'gemm')
    throw new FormatError(`AWQ with ${bits} bits in version ${version} is not read, expected 4 bits in version gemm`);
  for (const stem of tensors.stems('.qweight')) {
    const packed = tensors.take(`${stem}.qweight`);
    await tensors.noteBias(`${stem}.bias`);
    const [inputs, words] = matrixOf(`${stem}.qweight`, packed);
    const outputs = words * PER_WORD;
    const scales = tensors.take(`${stem}.scales`);
    const [groups] = matrixOf(`${stem}.scales`, scales);
    const zeros = tensors.take(`${stem}.qzeros`, [groups, words]);
    if (scales.size !== groups * outputs || inputs % groups !== 0)
      throw new FormatError(`the scales of ${stem} do not fit [${outputs}, ${inputs}]`);
    tensors.put(`${stem}.weight`, [outputs, inputs], async () => {
      const [codes, zeroCodes] = [new Codes(BITS, await valuesOf(packed)), new Codes(BITS, await valuesOf(zeros))];
      const scaleValues = await valuesOf(scales);
      const values = new Float32Array(outputs * inputs);
      for (let input = 0; input < inputs; input++) {
        const group = Math.floor((input * groups) / inputs);
        for (let output = 0; output < outputs; output++) {
          const word = Math.floor(output / PER_WORD);
          const place = ORDER[output % PER_WORD] as number;
          const q = codes.at(input * words + word, place) - zeroCodes.at(group * words + word, place);
          values[output * inputs + input] = q * (scaleValues[group * outputs + output] as number);
        }
      }
      return values;
    });
  }
}
