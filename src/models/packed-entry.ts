// Packed weights in a safetensors file, as packed-state.ts writes them. A file is input from a stranger: what an entry claims is held
// against the shape that the model needs before memory is taken for it.

import { FormatError } from '../core/errors.js';
import type { Shape } from '../core/tensor.js';
import { quote } from '../io/dtypes.js';
import type { ggmlLayouts } from '../io/ggml-types.js';
import { unpackBlocks } from '../io/ggml-unpack.js';
import type { SafetensorsDType, SafetensorsEntry } from '../io/safetensors.js';
import type { Module } from '../nn/module.js';
import type { StatePiece } from '../nn/state-names.js';
import { shapeOf } from '../nn/state-names.js';
import { transpose } from '../nn/stored-layout.js';
import { blockRowBytes, type PackedFormat } from '../ops/packed.js';
import { packables } from './quantize.js';
import type { StoredBlocks, WeightEntry } from './weight-entry.js';

const SUFFIX = /\.(int8|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k|q5_k|q6_k)$/;

/** What a file has under the name of a weight with the name of a format behind it. */
interface Stored {
  readonly name: string;
  readonly format: PackedFormat;
  readonly values: SafetensorsEntry;
  /** Of int8. */
  readonly scales: SafetensorsEntry | null;
}

/**
 * The tensors of a file by the names that the model has for them: of packed weights without the suffix. `namesOf` gives what a piece
 * may be called in the file. Throws FormatError for a packed weight that is none of the model's, or of another size, and where one is
 * there twice.
 */
export function withPacked(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  model: Module,
  namesOf: (name: string) => readonly string[] = (name) => [name],
): Map<string, WeightEntry> {
  const found = new Map<string, WeightEntry>(tensors);
  const stored = new Map<string, Stored>();
  for (const [key, values] of tensors) {
    const format = SUFFIX.exec(key)?.[1] as PackedFormat | undefined;
    if (format === undefined) continue;
    const name = key.slice(0, -1 - format.length);
    const scales = format === 'int8' ? (tensors.get(`${name}.scale`) ?? null) : null;
    if (tensors.has(name) || stored.has(name)) throw new FormatError(`${quote(name)} is there twice, one as ${format}`);
    stored.set(name, { name, format, values, scales });
    found.delete(key);
    if (scales !== null) found.delete(`${name}.scale`);
  }
  const shared = model.pieceNames();
  const asLinear = new Map(packables(model).map(({ weight, transposed }) => [weight, transposed]));
  for (const piece of model.statePieces()) {
    const isLinear = asLinear.get(piece.tensor);
    for (const name of (shared.get(piece.name) ?? [piece.name]).flatMap(namesOf)) {
      const one = stored.get(name);
      if (one === undefined) continue;
      if (isLinear === undefined) throw new FormatError(`${quote(name)} is packed, which no such parameter can be`);
      stored.delete(name);
      found.set(name, new PackedEntry(one, piece, isLinear && !piece.transposed));
    }
  }
  const [other] = stored.keys();
  if (other === undefined) return found;
  throw new FormatError(`${quote(other)} is packed, but the model has no such weight`);
}

/** A packed weight of a file, for a piece of the model. */
class PackedEntry implements WeightEntry {
  readonly dtype = 'F32';
  readonly shape: Shape;
  readonly size: number;
  readonly blocks: StoredBlocks;
  readonly #stored: Stored;
  readonly #inOut: boolean;

  constructor(stored: Stored, piece: StatePiece, inOut: boolean) {
    const { name, format, values, scales } = stored;
    this.shape = shapeOf(piece);
    this.size = this.shape.reduce((product, n) => product * n, 1);
    const [rows, cols] = (inOut ? [...this.shape].reverse() : this.shape) as [number, number];
    const isInts = format === 'int8';
    const rowBytes = blockRowBytes(format, cols, true);
    expect(name, values, isInts ? 'I8' : 'U8', [rows, isInts ? cols : rowBytes]);
    if (isInts && scales === null)
      throw new FormatError(`${quote(name)} is packed as int8, and ${name}.scale is missing`);
    if (scales !== null) expect(name, scales, 'F32', [rows]);
    this.#stored = stored;
    this.#inOut = inOut;
    const { order } = piece;
    const from = order === null ? null : inverse(order);
    this.blocks = {
      ...{ format, shape: [rows, cols], unit: 1, padded: true },
      read: async (buffer, at) => {
        const first = at / rowBytes;
        if (from === null) await this.#read(buffer, first);
        else
          for (let row = 0; row * rowBytes < buffer.byteLength; row++)
            await this.#read(buffer.subarray(row * rowBytes, (row + 1) * rowBytes), from[first + row] as number);
      },
    };
  }

  data(): Promise<Float32Array> {
    return this.#floats(0, this.blocks.shape[0]);
  }

  async *stream(_buffer: Uint8Array, multiple: number): AsyncGenerator<Float32Array> {
    const [rows, cols] = this.blocks.shape;
    const unit = multiple % cols === 0 ? multiple / cols : multiple; // in rows
    const step = this.#inOut ? rows : Math.max(unit, unit * Math.floor(AT_ONCE / (unit * cols)));
    for (let row = 0; row < rows; row += step) yield this.#floats(row, Math.min(step, rows - row));
  }

  /** Fills `buffer` with whole rows, as blocks are read. */
  async #read(buffer: Uint8Array, first: number): Promise<void> {
    const { format, values, scales } = this.#stored;
    const [, cols] = this.blocks.shape;
    const rowBytes = blockRowBytes(format, cols, true);
    if (scales === null) return values.readAsync(buffer, first * rowBytes);
    const rows = buffer.byteLength / rowBytes;
    const [ints, own] = [new Uint8Array(rows * cols), new Uint8Array(4 * rows)];
    await values.readAsync(ints, first * cols);
    await scales.readAsync(own, 4 * first);
    buffer.fill(0);
    for (let row = 0; row < rows; row++) {
      buffer.set(own.subarray(4 * row, 4 * row + 4), row * rowBytes);
      buffer.set(ints.subarray(row * cols, (row + 1) * cols), row * rowBytes + 4);
    }
  }

  /** Rows as floats, in the checkpoint's layout. */
  async #floats(first: number, count: number): Promise<Float32Array> {
    const { format } = this.#stored;
    const [, cols] = this.blocks.shape;
    const rowBytes = blockRowBytes(format, cols, true);
    const bytes = new Uint8Array(count * rowBytes);
    await this.#read(bytes, first);
    const padded = format === 'int8' ? rowBytes - 4 : Math.ceil(cols / 32) * 32;
    const all = format === 'int8' ? unpackInts(bytes, rowBytes) : unpackGgml(format, bytes, count * padded);
    const values = padded === cols ? all : new Float32Array(count * cols);
    if (padded !== cols)
      for (let row = 0; row < count; row++) values.set(all.subarray(row * padded, row * padded + cols), row * cols);
    return this.#inOut ? transpose(values, [count, cols]) : values;
  }
}

/** Values that are unpacked at a time. */
const AT_ONCE = 1 << 20;

function expect(name: string, entry: SafetensorsEntry, dtype: SafetensorsDType, shape: readonly number[]): void {
  if (entry.dtype === dtype && `${entry.shape}` === `${shape}`) return;
  throw new FormatError(
    `${quote(entry.name)} is ${entry.dtype} [${entry.shape.join(', ')}], expected ${dtype} [${shape.join(', ')}] for ${name}`,
  );
}

/** Where each column comes from. */
function inverse(order: Int32Array): Int32Array {
  const from = new Int32Array(order.length);
  for (const [to, column] of order.entries()) from[column] = to;
  return from;
}

function unpackInts(bytes: Uint8Array, rowBytes: number): Float32Array {
  const cols = rowBytes - 4;
  const rows = bytes.byteLength / rowBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const values = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const scale = view.getFloat32(row * rowBytes, true);
    for (let i = 0; i < cols; i++) values[row * cols + i] = scale * view.getInt8(row * rowBytes + 4 + i);
  }
  return values;
}

function unpackGgml(format: PackedFormat, bytes: Uint8Array, size: number): Float32Array {
  const values = new Float32Array(size);
  unpackBlocks(format.toUpperCase() as keyof typeof ggmlLayouts, bytes, values);
  return values;
}
