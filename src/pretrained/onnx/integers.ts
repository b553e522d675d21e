// Integer matrices of DequantizeLinear and MatMulInteger. The file may store them transposed.

import type { Device } from '../../core/device.js';
import type { OnnxTensor } from '../../io/onnx.js';
import type { StoredBlocks } from '../../models/weight-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { ComputedWeight } from '../computed-weight.js';
import { groupedBlocks } from '../quantized/grouped.js';
import type { elementsOf, ScaleGranularity } from './values.js';

type Packed = ((device: Device) => StoredBlocks) | undefined;
type Numbers = Awaited<ReturnType<typeof elementsOf>>;

/** A computed matrix whose transpose may be packed, too. */
export class TransposableWeight extends ComputedWeight {
  constructor(
    shape: readonly number[],
    values: () => Promise<Float32Array>,
    private readonly packedInts: Packed,
    private readonly packedTranspose: Packed,
  ) {
    super(shape, values, packedInts);
  }

  /** Returns a matrix with the same values that is stored as [in, out], with blocks along its columns. */
  inOut(): TransposableWeight {
    const { shape, data, packedInts, packedTranspose } = this;
    return new TransposableWeight(shape, data, packedTranspose, packedInts);
  }

  transposed(): TransposableWeight {
    const { shape, data, packedInts, packedTranspose } = this;
    const values = async () => transpose(await data(), shape);
    return new TransposableWeight([...shape].reverse(), values, packedTranspose, packedInts);
  }
}

/** Integers of a graph, with their scales and zero points. */
interface QuantizedTensor extends Pick<OnnxTensor, 'name' | 'dtype' | 'shape'> {
  readonly isHalf: boolean;
  /** True if all zero points are the middle of the integers. */
  readonly isMiddle: boolean;
  /** True if all integers share a scale. */
  readonly isSingle: boolean;
  readonly granularity: ScaleGranularity;
  load(): Promise<{ numbers: Numbers; scales: Numbers; zeros: Numbers | null }>;
}

/** Number of bits of each integer type, and the offset that is added to get an unsigned code. */
const CODES: Readonly<Record<string, readonly [bits: number, offset: number]>> = {
  I8: [8, 128],
  U8: [8, 0],
  I4: [4, 8],
  U4: [4, 0],
};

/**
 * Packs a matrix whose outputs are its rows (`output` 0) or columns (1). Undefined if no format has exactly its values.
 */
export function packedIntegers(quantized: QuantizedTensor, output: 0 | 1): Packed {
  const { name, dtype, shape, isHalf, isMiddle, isSingle, granularity, load } = quantized;
  const [rows, columns, ...others] = shape;
  const code = CODES[dtype];
  if (rows === undefined || columns === undefined || others.length > 0 || code === undefined) return undefined;
  const [bits, offset] = code;
  const [outputs, inputs] = output === 0 ? [rows, columns] : [columns, rows];
  const isShared = isSingle || (granularity.axis === output && granularity.block === 0);
  if (!isShared && (granularity.axis === output || granularity.block === 0)) return undefined; // a scale for each input
  const groupSize = isShared ? inputs : granularity.block;
  const groups = Math.ceil(inputs / groupSize);
  /** Returns the index of a scale. Blocks of the first axis are rows of scales, those of the last axis are columns. */
  const scaleAt = (row: number, group: number) => {
    if (isSingle) return 0;
    if (isShared) return row;
    return output === 0 ? row * groups + group : group * outputs + row;
  };
  const read = async () => {
    const { numbers, scales, zeros } = await load();
    return {
      code: (row: number, input: number) =>
        offset + (numbers[output === 0 ? row * columns + input : input * columns + row] as number),
      scale: (row: number, group: number) => scales[scaleAt(row, group)] as number,
      zero: (row: number, group: number) => offset + (zeros?.[scaleAt(row, group)] ?? 0),
    };
  };
  const zeros = isMiddle ? 'middle' : bits === 4 ? 'codes' : 'any';
  const matrix = { name, shape: [outputs, inputs] as const, bits, groupSize, zeros, isHalf, isOrdered: false } as const;
  return groupedBlocks({ ...matrix, load: read });
}
