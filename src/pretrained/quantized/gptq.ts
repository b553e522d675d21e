import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { groupedWeight } from './grouped.js';
import { Codes, checkWords, groupSizeOf, matrixOf, type QuantizedTensors, valuesOf, wordsFor } from './tensors.js';

const BITS = [2, 3, 4, 8];
/** Amounts to add to stored zero points, by `checkpoint_format`. The first version stores zero points less one. */
const OFFSETS: ReadonlyMap<unknown, number> = new Map([
  ['gptq', 1],
  ['gptq_v2', 0],
]);

/**
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323), as AutoGPTQ and GPTQModel write it: `w = (q − z) · s`. Codes fill
 * 32-bit words along the inputs, zero points along the outputs. `g_idx` has the group of each input.
 */
export async function readGptq(tensors: QuantizedTensors, config: Json): Promise<void> {
  const { checkpoint_format: stored = config.format ?? 'gptq' } = config;
  const layout = config.is_marlin_format === true ? 'marlin' : `${stored}`.toLowerCase();
  const offset = OFFSETS.get(layout);
  if (offset === undefined)
    throw new FormatError(
      `GPTQ in format ${describeValue(layout)} is not read, expected ${[...OFFSETS.keys()].join(' or ')}`,
    );
  const given = Number(config.bits);
  if (!BITS.includes(given))
    throw new FormatError(`GPTQ with ${config.bits} bits is not read, expected one of ${BITS.join(', ')}`);
  for (const stem of tensors.stems('.qweight')) {
    const packed = tensors.take(`${stem}.qweight`);
    await tensors.noteBias(`${stem}.bias`);
    const [words, outputs] = matrixOf(`${stem}.qweight`, packed);
    const scales = tensors.take(`${stem}.scales`);
    const [groups] = matrixOf(`${stem}.scales`, scales);
    const zeros = tensors.take(`${stem}.qzeros`);
    const [zeroRows, width] = matrixOf(`${stem}.qzeros`, zeros);
    checkWords(`${stem}.qweight`, packed);
    checkWords(`${stem}.qzeros`, zeros);
    const order = tensors.takeOptional(`${stem}.g_idx`);
    const bits = bitsOf(stem, [given, ...BITS], { outputs, width, words, inputs: order?.size });
    const inputs = Math.floor((words * 32) / bits);
    const isSized = scales.size === groups * outputs && zeroRows === groups && wordsFor(inputs, bits) === words;
    if (!isSized || (order !== null && order.size !== inputs))
      throw new FormatError(`the scales, qzeros or g_idx of ${stem} do not fit [${outputs}, ${inputs}]`);
    const groupSize = groupSizeOf(stem, inputs, groups, config.group_size);
    const isOrdered = order !== null && config.desc_act === true;
    const load = async () => {
      const [codes, zeroCodes] = [new Codes(bits, await valuesOf(packed)), new Codes(bits, await valuesOf(zeros))];
      const [factors, groupOf] = [await valuesOf(scales), order && (await valuesOf(order))];
      // A file without desc_act has the groups of all inputs, too, in order.
      const isUnexpected = groupOf?.some((group, input) => group !== Math.floor(input / groupSize)) && !isOrdered;
      return {
        code: (row: number, input: number) => codes.at(input, row, outputs),
        scale: (row: number, group: number) => factors[group * outputs + row] as number,
        zero: (row: number, group: number) => (zeroCodes.at(row, group * width) + offset) & (2 ** bits - 1),
        groupOf: isOrdered || isUnexpected ? (input: number) => groupOf?.[input] as number : undefined,
      };
    };
    const zeroKind = config.sym === true ? 'middle' : 'codes';
    const matrix = { name: stem, shape: [outputs, inputs] as const, bits, groupSize, isOrdered, load };
    tensors.put(`${stem}.weight`, groupedWeight({ ...matrix, zeros: zeroKind, isHalf: scales.dtype === 'F16' }));
  }
}

/**
 * Sizes of a weight: words of a row of zero points, and of a column of codes. `inputs` is known if there is a g_idx.
 */
interface Sizes {
  readonly outputs: number;
  readonly width: number;
  readonly words: number;
  readonly inputs: number | undefined;
}

/** Returns the bits of a weight: the first candidate that fits its sizes. GPTQModel can choose the bits per module. */
function bitsOf(stem: string, candidates: readonly number[], { outputs, width, words, inputs }: Sizes): number {
  const fits = (bits: number) =>
    wordsFor(outputs, bits) === width && (inputs === undefined || wordsFor(inputs, bits) === words);
  const bits = candidates.find(fits);
  if (bits !== undefined) return bits;
  throw new FormatError(`the qweight, qzeros and g_idx of ${stem} do not have ${candidates[0]} bits for a code`);
}
