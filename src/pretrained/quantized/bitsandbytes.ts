import { isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import { LinearWeight } from '../computed-weight.js';
import { groupedWeight } from './grouped.js';
import { matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

/** Maximum bytes of a quantization state, which is JSON of a few hundred bytes. */
const MAX_STATE = 1 << 16;

/** The formats of bitsandbytes (https://github.com/bitsandbytes-foundation/bitsandbytes): NF4, FP4 and int8. */
export async function readBitsAndBytes(tensors: QuantizedTensors): Promise<void> {
  for (const kind of ['nf4', 'fp4'])
    for (const name of tensors.stems(`.quant_state.bitsandbytes__${kind}`)) await readFourBits(tensors, name, kind);
  for (const stem of tensors.stems('.SCB')) readRows(tensors, stem);
}

/** Values of 4-bit codes from a table, times the largest magnitude of the block. */
async function readFourBits(tensors: QuantizedTensors, name: string, kind: string): Promise<void> {
  const state = await stateOf(name, tensors.take(`${name}.quant_state.bitsandbytes__${kind}`));
  const { shape, block } = state;
  const size = shape.reduce((product, n) => product * n, 1);
  const packed = tensors.take(name);
  const table = tensors.take(`${name}.quant_map`, [16]);
  const largest = tensors.take(`${name}.absmax`, [Math.ceil(size / block)]);
  const nested = tensors.takeOptional(`${name}.nested_absmax`);
  const nestedTable = nested && tensors.take(`${name}.nested_quant_map`, [256]);
  // Bytes may be stored as elements of a wider type, with `bnb_4bit_quant_storage`. The last element is filled up.
  const element = packed.byteLength / Math.max(1, packed.size);
  if (packed.byteLength !== Math.ceil(size / 2 / element) * element)
    throw new FormatError(`tensor ${name} has ${packed.byteLength} bytes, expected those of [${shape.join(', ')}]`);
  if (nested && nested.size !== Math.ceil(largest.size / state.nestedBlock))
    throw new FormatError(
      `tensor ${name}.nested_absmax has ${nested.size} scales of ${largest.size} in blocks of ${state.nestedBlock}`,
    );
  const floats = async () => {
    const [codes, values] = [new Uint8Array(packed.byteLength), await valuesOf(table)];
    await packed.readAsync(codes);
    const scales = Float32Array.from(await valuesOf(largest));
    if (nested !== null && nestedTable !== null) {
      const [outer, levels] = [await valuesOf(nested), await valuesOf(nestedTable)];
      for (const [i, code] of scales.entries()) {
        const scale = Math.fround((levels[code] as number) * (outer[Math.floor(i / state.nestedBlock)] as number));
        scales[i] = scale + state.offset;
      }
    }
    return fromFourBits(codes, values, scales, { size, block });
  };
  tensors.put(name, new LinearWeight(shape, floats));
}

/** Unpacks `size` 4-bit codes: table values times the scale of a block. The high half of a byte comes first. */
export function fromFourBits(
  codes: Uint8Array,
  table: ArrayLike<number>,
  scales: ArrayLike<number>,
  { size, block }: { readonly size: number; readonly block: number },
): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => {
    const code = ((codes[i >> 1] as number) >> (i % 2 === 0 ? 4 : 0)) & 15;
    return (table[code] as number) * (scales[Math.floor(i / block)] as number);
  });
}

interface FourBitState {
  readonly shape: readonly number[];
  readonly block: number;
  /** Block size of the quantized magnitudes, and the mean that was subtracted from them. */
  readonly nestedBlock: number;
  readonly offset: number;
}

async function stateOf(name: string, entry: SafetensorsEntry): Promise<FourBitState> {
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
  let state: unknown;
  try {
    const bytes = entry.size > MAX_STATE ? [] : await valuesOf(entry);
    state = JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes)));
  } catch (cause) {
    throw new FormatError(`the quant_state of ${name} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const {
    shape,
    blocksize,
    nested_blocksize: nestedBlock = 1,
    nested_offset: offset = 0,
  } = isObject(state) ? state : {};
  const isShape = Array.isArray(shape) && shape.length > 0 && shape.length < 8 && shape.every(isSize);
  const size = isShape ? shape.reduce((product: number, n: number) => product * n, 1) : 0;
  if (isShape && isSize(size) && isSize(blocksize) && isSize(nestedBlock) && typeof offset === 'number')
    return { shape, block: blocksize, nestedBlock, offset };
  throw new FormatError(`the quant_state of ${name} lacks a shape or a block size`);
}

/** Rows of int8. The largest magnitude of a row corresponds to 127. */
function readRows(tensors: QuantizedTensors, stem: string): void {
  const weight = tensors.take(`${stem}.weight`);
  const [rows, columns] = matrixOf(`${stem}.weight`, weight);
  const largest = tensors.take(`${stem}.SCB`, [rows]);
  const format = tensors.takeOptional(`${stem}.weight_format`);
  const load = async () => {
    const layout = format && (await valuesOf(format))[0];
    if (layout) throw new FormatError(`${stem}.weight_format is ${layout}, expected 0: rows`);
    const [q, scales] = [await valuesOf(weight), await valuesOf(largest)];
    const steps = Float32Array.from(scales, (scale) => scale / 127);
    return {
      code: (row: number, column: number) => 128 + (q[row * columns + column] as number),
      scale: (row: number) => steps[row] as number,
      zero: () => 128,
    };
  };
  const matrix = { name: `${stem}.weight`, shape: [rows, columns] as const, bits: 8, groupSize: columns, load };
  tensors.put(`${stem}.weight`, groupedWeight({ ...matrix, zeros: 'middle', isHalf: false, isOrdered: false }));
}
