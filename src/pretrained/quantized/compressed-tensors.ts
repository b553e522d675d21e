import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { Json } from '../../models/model-config.js';
import { groupedWeight } from './grouped.js';
import { putScaled } from './scaled.js';
import { readSmallFloats } from './small-floats.js';
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

const PACKED = 'pack-quantized';
/** Formats of weights as floats of 4 or 6 bits. */
const SMALL_FLOATS = ['nvfp4-pack-quantized', 'mxfp4-pack-quantized', 'mxfp6-pack-quantized'];
/** Formats that store a plain number per weight, and scales. */
const PLAIN = ['int-quantized', 'float-quantized', 'naive-quantized', 'mxfp8-quantized'];
const FORMATS = [PACKED, ...PLAIN, ...SMALL_FLOATS];

/**
 * The formats of vLLM's compressed-tensors (https://github.com/vllm-project/compressed-tensors), without sparse ones.
 */
export async function readCompressedTensors(tensors: QuantizedTensors, config: Json): Promise<void> {
  checkPlain(config);
  const groups = Object.values(isObject(config.config_groups) ? config.config_groups : {}).filter(isObject);
  for (const group of groups) {
    const format = group.format ?? config.format;
    if (!FORMATS.includes(format as string))
      throw notRead(`compressed-tensors in format ${describeValue(format)}`, FORMATS);
  }
  const schemes = groups.map(({ weights }) => (isObject(weights) ? weights : {}));
  for (const stem of tensors.stems('.weight_packed')) {
    const packed = tensors.take(`${stem}.weight_packed`);
    if (packed.dtype === 'U8') readSmallFloats(tensors, `${stem}.weight`, packed);
    else await readPacked(tensors, `${stem}.weight`, packed, schemes);
  }
  const blocks = schemes.map((scheme) => scheme.block_structure).filter(isBlock);
  for (const stem of tensors.stems('.weight_scale')) {
    const name = `${stem}.weight`;
    const [weight, scale] = [tensors.take(name), tensors.take(`${name}_scale`)];
    const zero = tensors.takeOptional(`${name}_zero_point`);
    const order = tensors.takeOptional(`${name}_g_idx`);
    putScaled(tensors, name, weight, scale, { zero, order, blocks });
  }
  tensors.dropActivations();
}

const isBlock = (value: unknown): value is [number, number] =>
  Array.isArray(value) && value.length === 2 && value.every((n) => Number.isInteger(n) && n > 0);

/** Throws FormatError for sparse weights, and for transforms (rotations) of activations. */
function checkPlain({ sparsity_config: sparsity, transform_config: transform }: Json): void {
  const { format = 'dense' } = isObject(sparsity) ? sparsity : {};
  if (format !== 'dense') throw notRead(`compressed-tensors in the sparse format ${describeValue(format)}`, ['dense']);
  const { config_groups: rotations = {} } = isObject(transform) ? transform : {};
  if (Object.keys(isObject(rotations) ? rotations : {}).length > 0)
    throw notRead('compressed-tensors with a transform_config', ['weights without transforms']);
}

interface Layout {
  readonly scheme: Json;
  readonly bits: number;
  /** Number of codes in a word; null if a code may cross the border of two words. */
  readonly perWord: number | null;
}

/** Returns the layouts in which the codes of a row, of the scheme's bits, fill `words` words. */
function layoutsOf(scheme: Json, inputs: number, words: number): Layout[] {
  const bits = Number(scheme.num_bits);
  if (!(Number.isInteger(bits) && bits >= 1 && bits <= 8)) return [];
  const dense = { scheme, bits, perWord: null };
  const perWord = Math.floor(32 / bits);
  if (wordsFor(inputs, bits) === words) return [dense];
  return Math.ceil(inputs / perWord) === words ? [{ ...dense, perWord }] : [];
}

/**
 * Integers of 1 to 8 bits in words of 32 bits: codes follow one another along the inputs, zero points along the
 * outputs. Half of the range is zero. Codes fill words without gaps. Older versions begin each word with a code.
 */
async function readPacked(
  tensors: QuantizedTensors,
  name: string,
  packed: SafetensorsEntry,
  schemes: readonly Json[],
): Promise<void> {
  checkWords(`${name}_packed`, packed);
  const [rows, words] = matrixOf(`${name}_packed`, packed);
  const [outputs, inputs] = await valuesOf(tensors.take(`${name}_shape`, [2]));
  const scale = tensors.take(`${name}_scale`);
  const zero = tensors.takeOptional(`${name}_zero_point`);
  const order = tensors.takeOptional(`${name}_g_idx`);
  const layouts = schemes.flatMap((scheme) => layoutsOf(scheme, inputs ?? 0, words));
  const [layout] = layouts;
  if (outputs !== rows || inputs === undefined || layout === undefined) {
    const bits = schemes.map((known) => known.num_bits).join(' or ');
    throw new FormatError(
      `${name}_shape is [${outputs}, ${inputs}], which [${rows}, ${words}] words do not hold with ${bits} bits`,
    );
  }
  const { bits, perWord, scheme } = layout;
  if (layouts.some((candidate) => candidate.bits !== bits))
    throw new FormatError(
      `${name} may have ${layouts.map((candidate) => candidate.bits).join(' or ')} bits, which its shape does not tell`,
    );
  const groups = scale.size === 1 ? 1 : matrixOf(`${name}_scale`, scale)[1];
  const zeroWords = perWord === null ? wordsFor(rows, bits) : Math.ceil(rows / perWord);
  const isPackedZero = zero?.dtype === 'I32';
  const isSized = (scale.size === 1 || scale.size === rows * groups) && (order === null || order.size === inputs);
  if (!isSized || (zero !== null && zero.size !== (isPackedZero ? zeroWords * groups : scale.size)))
    throw new FormatError(`the scales of ${name} do not fit [${rows}, ${inputs}]`);
  const middle = 2 ** (bits - 1);
  const perRow = scale.size === 1 ? 0 : groups;
  const load = async () => {
    const codes = new Codes(bits, await valuesOf(packed), perWord);
    const [factors, groupOf] = [await valuesOf(scale), order && (await valuesOf(order))];
    const zeros = zero && (await valuesOf(zero));
    const zeroCodes = zeros && isPackedZero ? new Codes(bits, zeros, perWord) : null;
    return {
      code: (row: number, input: number) => codes.at(input, row * words),
      scale: (row: number, group: number) => factors[row * perRow + group] as number,
      zero: (row: number, group: number) =>
        zeroCodes?.at(row, group, groups) ?? middle + (zeros?.[row * perRow + group] ?? 0),
      groupOf: groupOf ? (input: number) => groupOf[input] as number : undefined,
    };
  };
  const matrix = { name, shape: [rows, inputs] as const, bits, isOrdered: order !== null, load };
  const groupSize = groupSizeOf(name, inputs, groups, scheme.group_size);
  tensors.put(
    name,
    groupedWeight({ ...matrix, groupSize, zeros: zero === null ? 'middle' : 'codes', isHalf: scale.dtype === 'F16' }),
  );
}
