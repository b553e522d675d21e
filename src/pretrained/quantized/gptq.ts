import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { bitsOfHalves, checkMiddle, symmetricBlocks } from './kept-blocks.js';
import { Codes, matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/**
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323), as AutoGPTQ and GPTQModel write it: `w = (q − z) · s`. Codes fill
 * 32-bit words along the inputs, zero points along the outputs. `g_idx` has the group of each input.
 */
export async function readGptq(tensors: QuantizedTensors, config: Json): Promise<void> {
  const bits = Number(config.bits);
  if (![2, 4, 8].includes(bits)) throw new FormatError(`GPTQ with ${config.bits} bits is not read, expected 2, 4 or 8`);
  // Version 1 of the format stores each zero point less one.
  const offset = config.checkpoint_format === 'gptq_v2' ? 0 : 1;
  for (const stem of tensors.stems('.qweight')) {
    const packed = tensors.take(`${stem}.qweight`);
    await tensors.noteBias(`${stem}.bias`);
    const perWord = 32 / bits;
    const [words, outputs] = matrixOf(`${stem}.qweight`, packed);
    const inputs = words * perWord;
    const scales = tensors.take(`${stem}.scales`);
    const [groups] = matrixOf(`${stem}.scales`, scales);
    const zeros = tensors.take(`${stem}.qzeros`, [groups, Math.ceil(outputs / perWord)]);
    const order = tensors.takeOptional(`${stem}.g_idx`);
    const isSized = scales.size === groups * outputs && (order === null || order.size === inputs);
    if (!isSized) throw new FormatError(`the scales or g_idx of ${stem} do not fit [${outputs}, ${inputs}]`);
    const blocks = async () => {
      const codes = new Codes(bits, await valuesOf(packed));
      const zeroCodes = new Codes(bits, await valuesOf(zeros));
      const halves = await bitsOfHalves(scales);
      const groupOf = order && (await valuesOf(order));
      if (groupOf?.some((group, input) => group !== Math.floor((input * groups) / inputs)))
        throw new FormatError(
          `g_idx of ${stem} orders inputs, in a file without desc_act: load it with weights: 'float32'`,
        );
      const width = Math.ceil(outputs / perWord);
      return {
        code: (row: number, input: number) => codes.at(Math.floor(input / perWord) * outputs + row, input % perWord),
        scale: (row: number, group: number) => {
          const zero = zeroCodes.at(group * width + Math.floor(row / perWord), row % perWord) + offset;
          checkMiddle(`${stem}.qzeros`, zero, bits);
          return halves[group * outputs + row] as number;
        },
      };
    };
    const isKept = config.sym === true && config.desc_act !== true && scales.dtype === 'F16';
    const kept = isKept ? symmetricBlocks([outputs, inputs], bits, groups, blocks) : undefined;
    const values = async () => {
      const codes = new Codes(bits, await valuesOf(packed));
      const zeroCodes = new Codes(bits, await valuesOf(zeros));
      const scaleValues = await valuesOf(scales);
      const groupOf = order && (await valuesOf(order));
      const floats = new Float32Array(outputs * inputs);
      for (let input = 0; input < inputs; input++) {
        const group = groupOf ? (groupOf[input] as number) : Math.floor((input * groups) / inputs);
        if (!(group >= 0 && group < groups)) throw new FormatError(`g_idx of ${stem} has group ${group}, of ${groups}`);
        const row = Math.floor(input / perWord) * outputs;
        for (let output = 0; output < outputs; output++) {
          const zeroWord = group * Math.ceil(outputs / perWord) + Math.floor(output / perWord);
          const zero = zeroCodes.at(zeroWord, output % perWord) + offset;
          const scale = scaleValues[group * outputs + output] as number;
          floats[output * inputs + input] = (codes.at(row + output, input % perWord) - zero) * scale;
        }
      }
      return floats;
    };
    tensors.put(`${stem}.weight`, [outputs, inputs], values, kept);
  }
}
