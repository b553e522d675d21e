// The packed weights of a model, named as in state dicts and as in safetensors files: docs/packed-weights.md.

import { ArgumentError } from '../core/errors.js';
import type { Shape } from '../core/tensor.js';
import { toBfloat16, toHalf } from '../io/half.js';
import type { SafetensorsLater } from '../io/safetensors.js';
import type { Module, WeightNames } from '../nn/module.js';
import { PackedLinear } from '../nn/packed-modules.js';
import { formatOf, type PackedRows, readFloats, readRows, rowsIn } from '../nn/packed-rows.js';
import { perHeadOrder, stackedShape } from '../nn/state-names.js';
import { transposedEach } from '../nn/stored-layout.js';
import { PackedWeight } from '../nn/weight.js';
import { blockRowBytes, type PackedFormat } from '../ops/packed.js';

/** A packed matrix with a name in a checkpoint. */
export interface PackedPiece {
  readonly name: string;
  /** Shape in the checkpoint. */
  readonly shape: Shape;
  /** Output features and inputs. */
  readonly rows: number;
  readonly cols: number;
  /** True if the checkpoint stores it as [in, out]. */
  readonly inOut: boolean;
  readonly format: PackedFormat;
  /** Number of bytes of a row of blocks. */
  readonly rowBytes: number;
  /** Blocks as in a file, in the order of the checkpoint's output features. */
  blocks(): Promise<Uint8Array>;
  /** The values in the checkpoint's layout. */
  floats(): Promise<Float32Array>;
}

/**
 * All packed matrices of a model, each once, under its first name. Throws ArgumentError for a weight whose format
 * changes within one name of the checkpoint.
 */
export function packedPieces(model: Module): PackedPiece[] {
  const seen = new Set<PackedWeight>();
  return model.weightNames().flatMap(({ part, names, perHead, inOut, leading, stacked, flat }) => {
    const { weight } = part as Module & { weight?: unknown };
    if (!(weight instanceof PackedWeight) || seen.has(weight)) return [];
    seen.add(weight);
    const sections = names.length === 1 ? [weight.shape[0] as number] : (part.sections ?? []);
    const order = perHead !== null && part.sections !== null ? perHeadOrder(part.sections, perHead) : null;
    let end = 0;
    return sections.flatMap((width, i) => {
      const start = end;
      end += width;
      const name = names[i];
      const layout = { order, inOut: inOut && part instanceof PackedLinear, leading, stacked, flat };
      return name ? [pieceOf(name, rowsIn(weight, start, end), layout)] : [];
    });
  });
}

/** The layout of a matrix in a checkpoint; see `StoredAs`. */
interface Layout extends Pick<WeightNames, 'inOut' | 'leading' | 'stacked' | 'flat'> {
  readonly order: Int32Array | null;
}

function pieceOf(name: string, rows: readonly PackedRows[], layout: Layout): PackedPiece {
  const { order, inOut, stacked } = layout;
  const format = formatOf(rows);
  if (format === null) throw new ArgumentError(`save: ${name} is packed in several formats, expected one`);
  const count = rows.reduce((sum, row) => sum + row.count, 0);
  const { cols } = (rows[0] as PackedRows).part;
  const inOrder = <Values extends Uint8Array | Float32Array>(values: Values, width: number): Values => {
    if (order === null) return values;
    const moved = values.slice() as Values;
    for (const [to, from] of order.entries()) moved.set(values.subarray(from * width, (from + 1) * width), to * width);
    return moved;
  };
  return {
    name,
    format: format.name,
    cols,
    inOut,
    rows: count,
    shape: shapeOf(count, cols, layout),
    rowBytes: blockRowBytes(format, cols, true),
    blocks: async () => inOrder(await readRows(rows), blockRowBytes(format, cols, true)),
    floats: async () => {
      const values = inOrder(await readFloats(rows), cols);
      return inOut ? transposedEach(values, [count / stacked, cols]) : values;
    },
  };
}

function shapeOf(rows: number, cols: number, { inOut, leading, stacked, flat }: Layout): Shape {
  if (inOut) return stacked > 1 ? stackedShape(cols, rows, { stacked, flat }) : [cols, rows];
  return [...leading, rows / leading.reduce((product, size) => product * size, 1), cols];
}

/** The arrays of packed weights in a safetensors file, by name. They are read from the device when they are written. */
export function packedArrays(pieces: readonly PackedPiece[]): [name: string, array: SafetensorsLater][] {
  return pieces.flatMap((piece): [string, SafetensorsLater][] => {
    const { name, format, rows, cols, rowBytes, shape } = piece;
    if (format === 'float16') return [[name, lazily('F16', shape, async () => toHalf(await piece.floats()))]];
    if (format === 'bfloat16') return [[name, lazily('BF16', shape, async () => toBfloat16(await piece.floats()))]];
    if (format !== 'int8') return [[`${name}.${format}`, lazily('U8', [rows, rowBytes], () => piece.blocks())]];
    // A row consists of its scale and its values; trailing values may only fill a block.
    const part = async (from: number, length: number) => {
      const [blocks, bytes] = [await piece.blocks(), new Uint8Array(rows * length)];
      for (let row = 0; row < rows; row++)
        bytes.set(blocks.subarray(row * rowBytes + from, row * rowBytes + from + length), row * length);
      return bytes;
    };
    return [
      [`${name}.int8`, lazily('I8', [rows, cols], () => part(4, cols))],
      [`${name}.scale`, lazily('F32', [rows], () => part(0, 4))],
    ];
  });
}

function lazily(
  dtype: 'F16' | 'BF16' | 'U8' | 'I8' | 'F32',
  shape: Shape,
  data: () => Promise<Uint8Array | Uint16Array>,
): SafetensorsLater {
  return { dtype, shape, data };
}
