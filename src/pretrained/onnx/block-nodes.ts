// Weights of nodes that read codes of a few bits in blocks: MatMulNBits, MatMulBnb4 and GatherBlockQuantized.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import type { OnnxNode, OnnxTensor } from '../../io/onnx.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { bnb4Weight } from './bnb4.js';
import { nBitsWeight } from './nbits.js';
import { type Numbers, type ScaleGranularity, sizeOf } from './values.js';

/** The operator that reads rows of a table in blocks. */
export const BLOCK_TABLE = 'GatherBlockQuantized';

/** A matrix [out, in], with the name of its codes in the file. */
export interface BlockWeight {
  readonly name: string;
  readonly weight: WeightEntry;
}

/** Access to the tensors of a graph. */
export interface BlockTensors {
  /** Returns the tensor of a name. */
  tensor(name: string): OnnxTensor | undefined;
  /** Returns the tensor that a node reshapes to the value of a name. */
  reshaped(name: string): OnnxTensor | undefined;
  bytes(tensor: OnnxTensor): Promise<Uint8Array>;
  elements(tensor: OnnxTensor): Promise<Numbers>;
  /** Returns the weight of integers with their scales and zero points. */
  dequantized(
    q: OnnxTensor,
    scale: OnnxTensor,
    zero: OnnxTensor | undefined,
    granularity: ScaleGranularity,
  ): WeightEntry;
}

/** Returns the matrix of a product; null for other nodes, and for codes or scales that the graph computes. */
export function blockMatrix(node: OnnxNode, tensors: BlockTensors): BlockWeight | null {
  if (node.op === 'MatMulNBits') return nBitsMatrix(node, tensors);
  if (node.op !== 'MatMulBnb4') return null;
  const [packed, scales] = [1, 2].map((input) => tensors.tensor(node.inputs[input] ?? ''));
  if (packed === undefined || scales === undefined) return null;
  const weight = bnb4Weight(node, packed, scales, (tensor) => tensors.elements(tensor));
  return { name: packed.name, weight };
}

function nBitsMatrix({ name, inputs, attributes }: OnnxNode, tensors: BlockTensors): BlockWeight | null {
  const [, b = '', scale = '', zero = '', groupIndices = ''] = inputs;
  const [packed, scales] = [tensors.tensor(b), tensors.tensor(scale)];
  const [zeros, order] = [tensors.tensor(zero), tensors.tensor(groupIndices)];
  if (packed === undefined || scales === undefined) return null;
  const sizes = {
    rows: attributes.get('N') ?? 0,
    columns: attributes.get('K') ?? 0,
    block: attributes.get('block_size') ?? 0,
    bits: attributes.get('bits') ?? 4,
  };
  const isRight = sizes.rows > 0 && sizes.columns > 0 && sizes.block >= 8 && [2, 4, 8].includes(sizes.bits);
  const isOrdered = order === undefined ? !groupIndices : order.dtype === 'I32' && sizeOf(order) >= sizes.columns;
  if (!isRight || !isOrdered)
    throw new FormatError(
      `node ${quote(name)} is MatMulNBits of ${JSON.stringify(sizes)}${groupIndices ? ' with g_idx' : ''}, which is not read`,
    );
  return { name: packed.name, weight: nBitsWeight(sizes, { packed, scales, zeros, order }, tensors) };
}

/**
 * Returns a token table whose rows are quantized in blocks; null if the graph computes its codes or scales. The codes
 * may be the reshaped codes of a product.
 */
export function blockTable({ name, inputs, attributes }: OnnxNode, tensors: BlockTensors): BlockWeight | null {
  const [table = '', , scale = '', zero = ''] = inputs;
  const [packed, scales] = [tensors.reshaped(table) ?? tensors.tensor(table), tensors.tensor(scale)];
  if (packed === undefined || scales === undefined) return null;
  const [bits, block] = [attributes.get('bits') ?? 4, attributes.get('block_size') ?? 128];
  const isBytes = packed.dtype === 'U8';
  const rows = packed.shape[0] ?? 0;
  const columns = (sizeOf(packed) / Math.max(1, rows)) * (isBytes ? 8 / bits : 1);
  const isRight = (attributes.get('gather_axis') ?? 0) === 0 && [4, 8].includes(bits) && block >= 16 && rows > 0;
  if (!isRight || !Number.isSafeInteger(columns) || columns === 0)
    throw new FormatError(
      `node ${quote(name)} is GatherBlockQuantized of ${bits} bits in blocks of ${block}, which is not read`,
    );
  const zeros = tensors.tensor(zero);
  const weight = isBytes
    ? nBitsWeight({ rows, columns, block, bits }, { packed, scales, zeros, order: undefined }, tensors)
    : tensors.dequantized(packed, scales, zeros, { axis: 1, block });
  return { name: packed.name, weight };
}
