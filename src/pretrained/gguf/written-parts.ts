// The bytes of a GGUF file's tensors: values in the layout and the type of the file.

import type { Device } from '../../core/device.js';
import { type GgmlType, ggmlLayouts } from '../../io/ggml-types.js';
import { byteLengthOf } from '../../io/gguf.js';
import type { GgufPart } from '../../io/gguf-writer.js';
import { toHalf } from '../../io/half.js';
import type { GgufFamily } from '../../models/family.js';
import type { ModelConfig } from '../../models/model-config.js';
import { transpose } from '../../nn/stored-layout.js';
import { blocksOfFloats } from '../../ops/packed.js';
import type { GgufFileType } from './file-types.js';
import type { GgufMetadata } from './metadata.js';
import { type GgufStorage, patternOf, storageOf } from './weights.js';
import type { Written } from './written-tensors.js';

/** Settings of all tensors of a file. */
export interface WrittenFile {
  readonly device: Device;
  readonly layout: GgufFamily;
  readonly metadata: GgufMetadata;
  readonly config: ModelConfig;
  readonly type: GgufFileType;
}

/** How a tensor differs from the checkpoint's. */
interface Change extends GgufStorage {
  readonly shape: readonly number[];
  readonly factors: number | readonly number[];
}

/** A tensor as the file holds it. Blocks are copied if the file has them unchanged. */
export function writtenPart(tensor: Written, file: WrittenFile): GgufPart {
  const { name, packed } = tensor;
  const { device, type: wanted } = file;
  const change = changeOf(tensor, file);
  const { shape, headSize } = change;
  const packedType = packed && (device.formats.get(packed.format)?.ggufName as GgmlType | undefined);
  const isSame = packed !== undefined && packedType?.toLowerCase() === wanted && change.factors === 1;
  const type = isSame ? (packedType as GgmlType) : typeOf(name, shape, wanted);
  const columns = shape.length > 1 ? (shape.at(-1) as number) : 1;
  const bytes = async () => {
    if (isSame && shape[0] === tensor.shape[0] && packed.rowBytes === byteLengthOf(name, type, [packed.cols])) {
      const blocks = await packed.blocks(); // unchanged
      return headSize === null ? blocks : sideBySide(blocks, headSize, blocks.length / packed.rows);
    }
    return bytesOf(device, type, changed(await tensor.floats(), tensor.shape, change), columns);
  };
  return { name, type, shape, bytes };
}

const UNCHANGED: GgufStorage = { headSize: null, transposed: false, plus: 0, stored: null };

function changeOf(tensor: Written, { layout, metadata, config }: WrittenFile): Change {
  const pattern = patternOf(tensor.name);
  const factors = layout.factors?.(config)[pattern] ?? 1;
  if (tensor.isFinal) return { ...UNCHANGED, shape: tensor.shape, factors };
  const { name, shape } = tensor;
  const described = { name, shape, type: 'F32', byteLength: 0, position: 0 } as const;
  const storage = storageOf(described, tensor.pattern.split('.').at(-1) as string, layout, metadata);
  const ownShape = fileShape(shape, storage, layout.rows?.(config)[pattern]);
  const isExtended = layout.extended?.includes(name) ?? false;
  return { ...storage, factors, shape: isExtended ? [config.size('vocab_size'), ...ownShape.slice(1)] : ownShape };
}

/** The shape in the file. `rows`: the number of rows of a vector that the file stores as a table. */
function fileShape(
  shape: readonly number[],
  { transposed, stored }: GgufStorage,
  rows: number | undefined,
): readonly number[] {
  if (rows !== undefined) return [rows, shape.reduce((product, n) => product * n, 1) / rows];
  if (transposed) return [...shape].reverse();
  if (stored === 'taps') return [shape[0] as number, ...shape.slice(2)];
  if (stored === 'row') return shape.slice(1);
  return shape;
}

/** The values in the file's layout. */
function changed(values: Float32Array, shape: readonly number[], change: Change): Float32Array {
  const { headSize, plus, stored, transposed, factors } = change;
  const width = shape.length > 1 ? (shape.at(-1) as number) : 1;
  const count = change.shape.reduce((product, n) => product * n, 1);
  if (count > values.length) return extended(values, count, width);
  const isChanged = plus !== 0 || factors !== 1 || stored === 'logarithm';
  const own = isChanged ? values.slice() : values;
  if (stored === 'logarithm') for (let i = 0; i < own.length; i++) own[i] = -Math.exp(own[i] as number);
  if (plus !== 0) for (let i = 0; i < own.length; i++) own[i] = (own[i] as number) + plus;
  if (factors !== 1)
    for (let i = 0; i < own.length; i++) {
      const factor = typeof factors === 'number' ? factors : (factors[Math.floor(i / width)] as number);
      own[i] = (own[i] as number) * factor;
    }
  if (transposed) return transpose(own, shape);
  return headSize === null ? own : sideBySide(own, headSize, width);
}

/** The rows of a table, and copies of its first row after them. */
function extended(values: Float32Array, count: number, width: number): Float32Array {
  const all = new Float32Array(count);
  all.set(values.subarray(0, count));
  for (let start = values.length; start < count; start += width) all.set(values.subarray(0, width), start);
  return all;
}

/** Values that are packed at a time. */
const VALUES_PER_WRITE = 1 << 20;

/** Rows of `columns` values as in a file. The engine packs whole blocks. */
async function bytesOf(device: Device, type: GgmlType, values: Float32Array, columns: number): Promise<Uint8Array> {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === 'F16') return new Uint8Array(toHalf(values).buffer); // allows any number of columns
  const name = [...device.formats.values()].find(({ ggufName }) => ggufName === type)?.name as string;
  const all = new Uint8Array(byteLengthOf('the tensor', type, [values.length / columns, columns]));
  const step = columns * Math.max(1, Math.floor(VALUES_PER_WRITE / columns));
  let offset = 0;
  for (let start = 0; start < values.length; start += step) {
    const part = values.subarray(start, start + step);
    const blocks = await blocksOfFloats(device, name, [part.length / columns, columns], part);
    all.set(blocks, offset);
    offset += blocks.length;
  }
  return all;
}

/** Matrices that llama.cpp needs as float32: positions, routers, convolutions, norms of heads. */
const FLOATS =
  /^position_embd\.weight$|(_norm|\.ffn_gate_inp|\.ffn_gate_inp_shexp|\.ssm_conv1d|\.shortconv\.conv|\.altup_\w+_coef)\.weight$/;

/**
 * Returns the type of a tensor. Vectors, and tables other than weights, stay float32. Rows that are not whole blocks
 * become float16.
 */
function typeOf(name: string, shape: readonly number[], wanted: GgufFileType): GgmlType {
  if (shape.length < 2 || FLOATS.test(name) || !name.endsWith('.weight')) return 'F32';
  const isTable = /^(token_embd|per_layer_token_embd|output)\.weight$/.test(name);
  const type = (isTable && wanted !== 'f16' ? 'Q8_0' : wanted.toUpperCase()) as GgmlType;
  return (shape.at(-1) as number) % ggmlLayouts[type].elements === 0 ? type : 'F16';
}

/**
 * Reorders rows for llama.cpp's rotary layout: row j · headSize / 2 + i of each head becomes row 2i + j. Rows have
 * `columns` values or bytes.
 */
function sideBySide<Values extends Float32Array | Uint8Array>(
  values: Values,
  headSize: number,
  columns: number,
): Values {
  const result = values.slice() as Values;
  const half = headSize / 2;
  for (let row = 0; row < values.length / columns; row++) {
    const inHead = row % headSize;
    const to = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    result.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return result;
}
