import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { Json } from '../../models/model-config.js';
import { groupedWeight } from './grouped.js';
import {
  Codes,
  checkWords,
  groupSizeOf,
  matrixOf,
  notRead,
  type QuantizedTensors,
  valuesOf,
  wordsFor,
} from './tensors.js';

/** Numbers of bits. GPTQModel packs others in a layout of its own, AutoRound packs them like these. */
const BITS = [2, 3, 4, 8];
const AUTO_ROUND_BITS = [2, 3, 4, 5, 6, 7, 8];
/** Settings that give modules other bits, groups or symmetry than the others: of GPTQModel, and of AutoRound. */
const OVERRIDES = ['dynamic', 'extra_config', 'layer_config', 'regex_config'];
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
  if (offset === undefined) throw notRead(`GPTQ in format ${describeValue(layout)}`, [...OFFSETS.keys()]);
  const configuredBits = Number(config.bits);
  const known = config.quant_method === 'auto-round' ? AUTO_ROUND_BITS : BITS;
  if (!known.includes(configuredBits)) throw notRead(`GPTQ with ${config.bits} bits`, known);
  const mayDiffer = OVERRIDES.some((name) => isObject(config[name]));
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
    const bits = bitsOf(stem, [configuredBits, ...known], { outputs, width, words, inputs: order?.size });
    const inputs = Math.floor((words * 32) / bits);
    const isSized = scales.size === groups * outputs && zeroRows === groups && wordsFor(inputs, bits) === words;
    if (!isSized || (order !== null && order.size !== inputs))
      throw new FormatError(`the scales, qzeros or g_idx of ${stem} do not fit [${outputs}, ${inputs}]`);
    const groupSize = groupSizeOf(stem, inputs, groups, config.group_size);
    const mayBeOrdered = order !== null && (config.desc_act === true || mayDiffer);
    const isOrdered = mayBeOrdered && !(await isInOrder(order, groupSize));
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
    const isSymmetric = config.sym === true && (!mayDiffer || (await hasMiddles(zeros, outputs, bits, offset)));
    const zeroKind = isSymmetric ? 'middle' : 'codes';
    const matrix = { name: stem, shape: [outputs, inputs] as const, bits, groupSize, isOrdered, load };
    tensors.put(`${stem}.weight`, groupedWeight({ ...matrix, zeros: zeroKind, isHalf: scales.dtype === 'F16' }));
  }
}

/** Returns true if inputs are in the order of their groups, as static groups have them. */
async function isInOrder(order: SafetensorsEntry, groupSize: number): Promise<boolean> {
  return (await valuesOf(order)).every((group, input) => group === Math.floor(input / groupSize));
}

/** Returns true if all zero points are the middle of the codes. */
async function hasMiddles(zeros: SafetensorsEntry, outputs: number, bits: number, offset: number): Promise<boolean> {
  const [codes, [groups, width]] = [new Codes(bits, await valuesOf(zeros)), matrixOf('qzeros', zeros)];
  for (let group = 0; group < groups; group++)
    for (let row = 0; row < outputs; row++) if (codes.at(row, group * width) + offset !== 2 ** (bits - 1)) return false;
  return true;
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
