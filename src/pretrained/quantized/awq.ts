import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { Json } from '../../models/model-config.js';
import { LinearWeight } from '../computed-weight.js';
import { groupedWeight } from './grouped.js';
import { Codes, checkWords, groupSizeOf, matrixOf, notRead, type QuantizedTensors, valuesOf } from './tensors.js';

/** Positions of eight outputs in a 32-bit word. */
const ORDER = [0, 4, 1, 5, 2, 6, 3, 7];
const BITS = 4;
const PER_WORD = 32 / BITS;
/** Rows of the layout `gemv_fast` that lie beside one another, and the inputs of a row that lie together. */
const [ROWS, STRIDE] = [4, 64];

type Reader = (tensors: QuantizedTensors, stem: string, packed: SafetensorsEntry, groupSize: unknown) => void;

/** Readers by the name of the layout. */
const READERS: ReadonlyMap<string, Reader> = new Map([
  ['gemm', readGemm],
  ['gemv', readGemv],
  ['gemv_fast', readFast],
  ['llm-awq', readFast],
]);

/** AWQ (Lin et al. 2023, arXiv 2306.00978): `w = (q − z) · s`, in layouts that suit different kernels of GPUs. */
export async function readAwq(tensors: QuantizedTensors, config: Json): Promise<void> {
  const { bits = config.w_bit ?? BITS, group_size: groupSize = config.q_group_size } = config;
  const version = config.version ?? config.format ?? (config.backend === 'llm-awq' ? config.backend : 'gemm');
  const read = READERS.get(`${version}`.toLowerCase());
  if (bits !== BITS || read === undefined)
    throw notRead(`AWQ with ${bits} bits in version ${version}`, [
      `4 bits in version ${[...READERS.keys()].join(' or ')}`,
    ]);
  for (const stem of tensors.stems('.qweight')) {
    const packed = tensors.take(`${stem}.qweight`);
    await tensors.noteBias(`${stem}.bias`);
    // The layout of llm-awq has words of 16 bits. Its files may say that they are `gemm`.
    (packed.dtype === 'I16' ? readFast : read)(tensors, stem, packed, groupSize);
  }
}

/**
 * The layout `gemm`: `qweight` is [in, out / 8]. A word has the codes of eight adjacent outputs, in their own order.
 */
function readGemm(tensors: QuantizedTensors, stem: string, packed: SafetensorsEntry, wanted: unknown): void {
  checkWords(`${stem}.qweight`, packed);
  const [inputs, words] = matrixOf(`${stem}.qweight`, packed);
  const outputs = words * PER_WORD;
  const scales = tensors.take(`${stem}.scales`);
  const [groups] = matrixOf(`${stem}.scales`, scales);
  const zeros = tensors.take(`${stem}.qzeros`, [groups, words]);
  checkWords(`${stem}.qzeros`, zeros);
  if (scales.size !== groups * outputs)
    throw new FormatError(`the scales of ${stem} do not fit [${outputs}, ${inputs}]`);
  const groupSize = groupSizeOf(stem, inputs, groups, wanted);
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

/** Returns the index of an output's code in a row of codes. */
const placeOf = (output: number) => output - (output % PER_WORD) + (ORDER[output % PER_WORD] as number);

/** The layout `gemv`: `qweight` is [out, in / 8]. Rows of scales and zero points are filled up. */
function readGemv(tensors: QuantizedTensors, stem: string, packed: SafetensorsEntry, wanted: unknown): void {
  checkWords(`${stem}.qweight`, packed);
  const [outputs, words] = matrixOf(`${stem}.qweight`, packed);
  const inputs = words * PER_WORD;
  const scales = tensors.take(`${stem}.scales`);
  const [rows, width] = matrixOf(`${stem}.scales`, scales);
  const zeros = tensors.take(`${stem}.qzeros`, [outputs, width / PER_WORD]);
  checkWords(`${stem}.qzeros`, zeros);
  const groupSize = paddedGroupSize(stem, inputs, width, wanted);
  if (rows !== outputs) throw new FormatError(`the scales of ${stem} do not fit [${outputs}, ${inputs}]`);
  const load = async () => {
    const [codes, zeroCodes] = [new Codes(BITS, await valuesOf(packed)), new Codes(BITS, await valuesOf(zeros))];
    const factors = await valuesOf(scales);
    return {
      code: (row: number, input: number) => codes.at(input, row * words),
      scale: (row: number, group: number) => factors[row * width + group] as number,
      zero: (row: number, group: number) => zeroCodes.at(group, row * (width / PER_WORD)),
    };
  };
  const matrix = { name: stem, shape: [outputs, inputs] as const, bits: BITS, groupSize, isOrdered: false, load };
  tensors.put(`${stem}.weight`, groupedWeight({ ...matrix, zeros: 'codes', isHalf: scales.dtype === 'F16' }));
}

/**
 * The layouts `gemv_fast` and `llm-awq`: `qweight` is [out / 4, in] in words of 16 bits. Zero points are floats, which
 * are added: `w = q · s + z`. Columns of scales are filled up.
 */
function readFast(tensors: QuantizedTensors, stem: string, packed: SafetensorsEntry, wanted: unknown): void {
  const [fours, inputs] = matrixOf(`${stem}.qweight`, packed);
  if (packed.dtype !== 'I16' || inputs % STRIDE !== 0)
    throw new FormatError(
      `${stem}.qweight is ${packed.dtype} [${fours}, ${inputs}], expected I16 and a multiple of ${STRIDE} columns`,
    );
  const outputs = fours * ROWS;
  const scales = tensors.take(`${stem}.scales`);
  const [height, columns] = matrixOf(`${stem}.scales`, scales);
  const zeros = tensors.takeOptional(`${stem}.scaled_zeros`) ?? tensors.take(`${stem}.qzeros`, [height, columns]);
  const groupSize = paddedGroupSize(stem, inputs, height, wanted);
  if (columns !== outputs || zeros.size !== scales.size)
    throw new FormatError(`the scales of ${stem} do not fit [${outputs}, ${inputs}]`);
  const floats = async () => {
    const [words, factors, offsets] = [await valuesOf(packed), await valuesOf(scales), await valuesOf(zeros)];
    return Float32Array.from({ length: outputs * inputs }, (_, i) => {
      const [row, input] = [Math.floor(i / inputs), i % inputs];
      const group = Math.floor(input / groupSize) * outputs + row;
      return fastCode(words, inputs, row, input) * (factors[group] as number) + (offsets[group] as number);
    });
  };
  tensors.put(`${stem}.weight`, new LinearWeight([outputs, inputs], floats));
}

/**
 * Returns a code of the layout `gemv_fast`. Codes of 32 inputs are permuted, then 64 of each of four rows are mixed.
 */
function fastCode(words: ArrayLike<number>, inputs: number, row: number, input: number): number {
  const [eight, pair, odd] = [(input >> 3) & 3, (input >> 1) & 3, input & 1];
  const nibble = (row % ROWS) * STRIDE + (input & 32) + pair * 8 + odd * 4 + eight;
  const first = Math.floor(row / ROWS) * inputs + input - (input % STRIDE);
  return ((words[first + (nibble >> 2)] as number) >> (4 * (nibble & 3))) & 15;
}

/** Returns the inputs of a group, where there is room for at least as many groups. */
function paddedGroupSize(stem: string, inputs: number, room: number, wanted: unknown): number {
  const size = wanted === -1 ? inputs : Number(wanted);
  if (Number.isInteger(size) && size > 0 && Math.ceil(inputs / size) <= room) return size;
  throw new FormatError(
    `${stem} has ${room} scales in a row, which do not fit ${inputs} inputs in groups of ${wanted}`,
  );
}
