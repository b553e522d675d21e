import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { bitsOfHalves, symmetricBlocks } from './kept-blocks.js';
import { putScaled } from './scaled.js';
import { Codes, matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/** Formats that store one number per weight, beside scales. */
const PLAIN = ['int-quantized', 'float-quantized', 'naive-quantized'];
const PACKED = 'pack-quantized';

/**
 * The formats of vLLM's compressed-tensors (https://github.com/vllm-project/compressed-tensors), without sparse ones.
 */
export async function readCompressedTensors(tensors: QuantizedTensors, config: Json): Promise<void> {
  const groups = Object.values(isObject(config.config_groups) ? config.config_groups : {}).filter(isObject);
  const formats = new Set(groups.map(({ format }) => format ?? config.format));
  for (const format of formats)
    if (format !== PACKED && !PLAIN.includes(format as string))
      throw new FormatError(
        `compressed-tensors in format ${describeValue(format)} is not read, expected ${[PACKED, ...PLAIN].join(', ')}`,
      );
  const bits = [...new Set(groups.map(({ weights }) => (isObject(weights) ? weights.num_bits : undefined)))];
  await readPacked(tensors, bits);
  for (const stem of tensors.stems('.weight_scale')) {
    const name = `${stem}.weight`;
    const [weight, scale] = [tensors.take(name), tensors.take(`${name}_scale`)];
    putScaled(tensors, name, weight, scale, tensors.takeOptional(`${name}_zero_point`));
  }
  tensors.drop('.input_scale', '.input_zero_point', '.output_scale', '.k_scale', '.v_scale', '.weight_g_idx');
}

/** Codes fill 32-bit words along the inputs, zero points along the outputs. The middle of the range is zero. */
async function readPacked(tensors: QuantizedTensors, allBits: readonly unknown[]): Promise<void> {
  for (const stem of tensors.stems('.weight_packed')) {
    const name = `${stem}.weight`;
    const [bits] = allBits;
    if (allBits.length !== 1 || !(bits === 4 || bits === 8))
      throw new FormatError(`${name} is packed with ${allBits.join(' or ')} bits, which is not read, expected 4 or 8`);
    const perWord = 32 / bits;
    const packed = tensors.take(`${name}_packed`);
    const [rows, words] = matrixOf(`${name}_packed`, packed);
    // The last word of a row may be padded.
    const [outputs, inputs] = await valuesOf(tensors.take(`${name}_shape`, [2]));
    if (outputs !== rows || inputs === undefined || Math.ceil(inputs / perWord) !== words)
      throw new FormatError(`${name}_shape is [${outputs}, ${inputs}], which [${rows}, ${words}] words do not hold`);
    const scale = tensors.take(`${name}_scale`);
    const [, groups] = matrixOf(`${name}_scale`, scale);
    const zero = tensors.takeOptional(`${name}_zero_point`);
    const order = tensors.takeOptional(`${name}_g_idx`);
    const zeroWords = Math.ceil(rows / perWord);
    const isSized = scale.size === rows * groups && inputs % groups === 0 && (order === null || order.size === inputs);
    if (!isSized || (zero !== null && zero.size !== zeroWords * groups))
      throw new FormatError(`the scales of ${name} do not fit [${rows}, ${inputs}]`);
    const isKept = zero === null && order === null && scale.dtype === 'F16';
    const blocks = async () => {
      const [codes, halves] = [new Codes(bits, await valuesOf(packed)), await bitsOfHalves(scale)];
      return {
        code: (row: number, input: number) => codes.at(row * words + Math.floor(input / perWord), input % perWord),
        scale: (row: number, group: number) => halves[row * groups + group] as number,
      };
    };
    const kept = isKept ? symmetricBlocks([rows, inputs], bits, groups, blocks) : undefined;
    const values = async () => {
      const [codes, scales] = [new Codes(bits, await valuesOf(packed)), await valuesOf(scale)];
      const [zeros, groupOf] = [zero && new Codes(bits, await valuesOf(zero)), order && (await valuesOf(order))];
      const floats = new Float32Array(rows * inputs);
      for (let row = 0; row < rows; row++) {
        for (let input = 0; input < inputs; input++) {
          const group = groupOf ? (groupOf[input] as number) : Math.floor((input * groups) / inputs);
          if (!(group >= 0 && group < groups))
            throw new FormatError(`g_idx of ${name} has group ${group}, of ${groups}`);
          const word = Math.floor(row / perWord) * groups + group;
          const middle = zeros ? zeros.at(word, row % perWord) : 2 ** (bits - 1);
          const code = codes.at(row * words + Math.floor(input / perWord), input % perWord);
          floats[row * inputs + input] = (code - middle) * (scales[row * groups + group] as number);
        }
      }
      return floats;
    };
    tensors.put(name, [rows, inputs], values, kept);
  }
}
