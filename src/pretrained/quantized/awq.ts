import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { groupedWeight } from './grouped.js';
import { Codes, checkWords, groupSizeOf, matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/** Positions of eight outputs in a 32-bit word. */
const ORDER = [0, 4, 1, 5, 2, 6, 3, 7];
const BITS = 4;
const PER_WORD = 32 / BITS;

/**
 * AWQ (Lin et al. 2023, arXiv 2306.00978) in the `gemm` layout: `w = (q − z) · s`. A word has the codes of eight
 * adjacent outputs, in an order that suits a GPU.
 */
export async function readAwq(tensors: QuantizedTensors, config: Json): Promise<void> {
  const layout = config.backend === 'llm-awq' ? config.backend : (config.format ?? 'gemm');
  const { bits = config.w_bit ?? BITS } = config;
  const version = config.version ?? layout;
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
    checkWords(`${stem}.qweight`, packed);
    checkWords(`${stem}.qzeros`, zeros);
    if (scales.size !== groups * outputs)
      throw new FormatError(`the scales of ${stem} do not fit [${outputs}, ${inputs}]`);
    const groupSize = groupSizeOf(stem, inputs, groups, config.group_size ?? config.q_group_size);
    const load = async () => {
      const [codes, zeroCodes] = [new Codes(BITS, await valuesOf(packed)), new Codes(BITS, await valuesOf(zeros))];
      const factors = await valuesOf(scales);
      return {
        code: (row: number, input: number) => codes.at(placeOf(row), input * words),
        scale: (row: number, group: number) => factors[group * outputs + row] as number,
        zero: (row: number, group: number) => zeroCodes.at(placeOf(row), group * words),
      };
    };
    const matrix = { name: stem, shape: [outputs, inputs] as const, bits: BITS, groupSize, isOrdered: false, load };
    tensors.put(`${stem}.weight`, groupedWeight({ ...matrix, zeros: 'codes', isHalf: scales.dtype === 'F16' }));
  }
}

/** Returns the index of an output's code in a row of codes. */
const placeOf = (output: number) => output - (output % PER_WORD) + (ORDER[output % PER_WORD] as number);
