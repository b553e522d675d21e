// Packed weights in a safetensors file, as packed-state.ts writes them. Files are untrusted input: each entry is
// checked against the model's shape before memory is taken for it.

import type { Device, Format } from '../core/device.js';
import { FormatError } from '../core/errors.js';
import type { Shape } from '../core/tensor.js';
import { quote } from '../io/dtypes.js';
import type { SafetensorsDType, SafetensorsEntry } from '../io/safetensors.js';
import type { Module } from '../nn/module.js';
import { type StatePiece, shapeOf } from '../nn/state-names.js';
import { transpose } from '../nn/stored-layout.js';
import { blockRowBytes, floatsOfBlocks } from '../ops/packed.js';
import { packables } from './quantize.js';
import type { StoredBlocks, WeightEntry } from './weight-entry.js';

/** An entry of a file whose name is a weight's name with a format as its suffix. */
interface Stored {
  readonly name: string;
  readonly format: Format;
  readonly values: SafetensorsEntry;
  /** Only for int8; otherwise null. */
  readonly scales: SafetensorsEntry | null;
}

/**
 * The tensors of a file by the model's names, where packed weights lose their suffix. `namesOf` returns the possible
 * names of a piece in the file. Throws FormatError for a packed weight that is unknown to the model, duplicated, or of
 * another size.
 */
export function withPacked(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  model: Module,
  namesOf: (name: string) => readonly string[] = (name) => [name],
): Map<string, WeightEntry> {
  const pieces = model.statePieces();
  const { found, stored } = separated(tensors, pieces[0]?.tensor.device);
  const shared = model.pieceNames();
  const asLinear = new Map(packables(model).map(({ weight, transposed }) => [weight, transposed]));
  for (const piece of pieces) {
    const isLinear = asLinear.get(piece.tensor);
    for (const name of (shared.get(piece.name) ?? [piece.name]).flatMap(namesOf)) {
      const entry = stored.get(name);
      if (entry === undefined) continue;
      if (isLinear === undefined) throw new FormatError(`${quote(name)} is packed, which no such parameter can be`);
      stored.delete(name);
      found.set(name, new PackedEntry(entry, piece, isLinear && !piece.transposed));
    }
  }
  const [other] = stored.keys();
  if (other === undefined) return found;
  throw new FormatError(`${quote(other)} is packed, but the model has no such weight`);
}

/** Separates the packed weights of a file, by their names without suffix, from its other tensors. */
function separated(tensors: ReadonlyMap<string, SafetensorsEntry>, device: Device | undefined) {
  const found = new Map<string, WeightEntry>(tensors);
  const stored = new Map<string, Stored>();
  for (const [key, values] of tensors) {
    const end = key.lastIndexOf('.');
    const format = device?.formats.get(key.slice(end + 1));
    if (format?.scales === undefined) continue; // halves are stored under the plain name
    const name = key.slice(0, end);
    const scales = format.rowHead > 0 ? (tensors.get(`${name}.scale`) ?? null) : null;
    if (tensors.has(name) || stored.has(name))
      throw new FormatError(`${quote(name)} is there twice, one as ${format.name}`);
    stored.set(name, { name, format, values, scales });
    found.delete(key);
    if (scales !== null) found.delete(`${name}.scale`);
  }
  return { found, stored };
}

/**
 * A packed weight of a file, for a piece of the model. Formats with row heads, such as int8, are stored as two arrays.
 */
class PackedEntry implements WeightEntry {
  readonly dtype = 'F32';
  readonly shape: Shape;
  readonly size: number;
  readonly #blocks: StoredBlocks;
  readonly #stored: Stored;
  readonly #inOut: boolean;
  /** Number of matrices, each stored as [in, out]. */
  readonly #stacked: number;
  readonly #rowBytes: number;

  constructor(stored: Stored, piece: StatePiece, inOut: boolean) {
    const { name, format, values, scales } = stored;
    this.shape = shapeOf(piece);
    this.size = this.shape.reduce((product, n) => product * n, 1);
    this.#stacked = inOut ? (piece.stacked ?? 1) : 1;
    const first = (this.shape.at(-2) as number) / (piece.flat ? this.#stacked : 1);
    const cols = inOut ? first : (this.shape.at(-1) as number);
    const rows = this.size / cols;
    const isSplit = format.rowHead > 0;
    this.#rowBytes = blockRowBytes(format, cols, true);
    expect(name, values, isSplit ? 'I8' : 'U8', [rows, isSplit ? cols : this.#rowBytes]);
    if (isSplit && scales === null)
      throw new FormatError(`${quote(name)} is packed as ${format.name}, and ${name}.scale is missing`);
    if (scales !== null) expect(name, scales, 'F32', [rows]);
    this.#stored = stored;
    this.#inOut = inOut;
    this.#blocks = {
      format: format.name,
      shape: [rows, cols],
      unit: 1,
      padded: true,
      read: (buffer, offset) => this.#read(buffer, offset / this.#rowBytes),
    };
  }

  blocks(): StoredBlocks {
    return this.#blocks;
  }

  data(): never {
    throw new FormatError(`${quote(this.#stored.name)} is packed: it cannot be read synchronously`);
  }

  async *stream(_buffer: Uint8Array, multiple: number, device: Device): AsyncGenerator<Float32Array> {
    const [rows, cols] = this.#blocks.shape;
    const unit = multiple % cols === 0 ? multiple / cols : multiple; // number of rows
    const step = this.#inOut ? rows / this.#stacked : Math.max(unit, unit * Math.floor(AT_ONCE / (unit * cols)));
    for (let row = 0; row < rows; row += step) yield this.#floats(device, row, Math.min(step, rows - row));
  }

  /** Fills `buffer` with whole rows of blocks. */
  async #read(buffer: Uint8Array, first: number): Promise<void> {
    const { values, scales, format } = this.#stored;
    const [, cols] = this.#blocks.shape;
    const rowBytes = this.#rowBytes;
    if (scales === null) return values.readAsync(buffer, first * rowBytes);
    const rows = buffer.byteLength / rowBytes;
    const { rowHead } = format;
    const [ints, rowScales] = [new Uint8Array(rows * cols), new Uint8Array(rowHead * rows)];
    await values.readAsync(ints, first * cols);
    await scales.readAsync(rowScales, rowHead * first);
    buffer.fill(0);
    for (let row = 0; row < rows; row++) {
      buffer.set(rowScales.subarray(rowHead * row, rowHead * (row + 1)), row * rowBytes);
      buffer.set(ints.subarray(row * cols, (row + 1) * cols), row * rowBytes + rowHead);
    }
  }

  /** Rows as floats, in the checkpoint's layout. */
  async #floats(device: Device, first: number, count: number): Promise<Float32Array> {
    const [, cols] = this.#blocks.shape;
    const bytes = new Uint8Array(count * this.#rowBytes);
    await this.#read(bytes, first);
    const values = await floatsOfBlocks(device, this.#stored.format.name, [count, cols], bytes);
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
