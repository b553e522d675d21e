// Weights that are packed while they are read, or stored packed. At most one of them exists as floats at a time.

import type { Device } from '../core/device.js';
import { freeBytes, passingBytes } from '../core/passing-bytes.js';
import type { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { Module } from '../nn/module.js';
import { type PieceSource, readPieces } from '../nn/read-pieces.js';
import type { StatePiece } from '../nn/state-names.js';
import { type ActivationFormat, PackedWeight, STAGE } from '../nn/weight.js';
import { blockRowBytes, formatOf, type PackedFormat, tileOf } from '../ops/packed.js';
import { type Packable, packables, type QuantizeOptions, replaceWeight } from './quantize.js';
import type { StoredBlocks, WeightEntry } from './weight-entry.js';

/** The treatment of weights while they are read. */
export interface Packing {
  /** Chooses a weight's format by its entries: 'blocks' keeps the file's blocks, null leaves it float32. */
  readonly choose: (entries: readonly WeightEntry[], device: Device) => PackedFormat | 'blocks' | null;
  /** The options of `quantize` for all weights; null if each weight keeps its stored format. */
  readonly options: QuantizeOptions | null;
  /** The type of activations in products with integers. */
  readonly activations: ActivationFormat;
}

/** Keeps the stored format of every weight. */
export function keepStoredFormats(activations: ActivationFormat = 'int8'): Packing {
  return { choose: asStored, options: null, activations };
}

/** The stored format: blocks stay blocks, halves stay halves. */
function asStored(entries: readonly WeightEntry[], device: Device): PackedFormat | 'blocks' | null {
  const formats = entries.map((entry) => (entry.blocks?.(device) === undefined ? halfOf(entry) : 'blocks'));
  const [format, ...otherFormats] = new Set(formats);
  if (format === undefined || formats.includes(null)) return null;
  return otherFormats.length === 0 ? format : 'blocks';
}

function halfOf({ dtype }: WeightEntry): 'float16' | 'bfloat16' | null {
  return dtype === 'F16' ? 'float16' : dtype === 'BF16' ? 'bfloat16' : null;
}

/**
 * Reads the entries `found` of a model, by the names of its pieces, in file order. Weights with a chosen format are
 * packed. A blank model has taken no memory for their floats. Rejects as `readPieces`, and with OutOfMemoryError.
 */
export async function readPacked(
  model: Module,
  found: ReadonlyMap<string, WeightEntry>,
  { choose, activations }: Packing,
  signal?: AbortSignal,
): Promise<void> {
  const byTensor = new Map<Tensor, PieceReading[]>();
  const pieces = model.statePieces();
  await yieldToEventLoop();
  for (const piece of pieces) {
    const entry = found.get(piece.name);
    const known = byTensor.get(piece.tensor) ?? [];
    if (entry !== undefined) byTensor.set(piece.tensor, [...known, { piece, entry }]);
  }
  const steps: Step[] = [];
  const unfinished = new Set<UnfinishedWeight>();
  const targets = packables(model);
  for (const target of targets) {
    await yieldToEventLoop();
    const tensor = target.weight as Tensor;
    const readings = byTensor.get(tensor) ?? [];
    const entries = readings.map(({ entry }) => entry);
    const format = choose(entries, tensor.device);
    if (readings.length === 0 || format === null) continue; // a head without readings is initialized
    byTensor.delete(tensor);
    tensor.dispose();
    const weight = new UnfinishedWeight(target, readings, format, activations);
    unfinished.add(weight);
    for (const [section, reading] of readings.entries()) steps.push({ ...reading, section, weight });
  }
  for (const readings of byTensor.values()) steps.push(...readings);
  steps.sort((a, b) => (a.entry.fileOffset ?? 0) - (b.entry.fileOffset ?? 0)); // streams are read from front to back
  // one buffer for all: hundreds of them would stay for long
  const buffer = passingBytes(unfinished.size > 0 ? STAGE : 0);
  try {
    let plain: PieceSource[] = [];
    for (const step of steps) {
      if (step.weight === undefined) {
        plain.push(step);
        continue;
      }
      await readPieces(plain, signal);
      plain = [];
      signal?.throwIfAborted();
      if (await step.weight.read(step.section, buffer, signal)) unfinished.delete(step.weight);
    }
    await readPieces(plain, signal);
  } finally {
    for (const weight of unfinished) weight.dispose();
    freeBytes(buffer);
  }
}

interface PieceReading extends PieceSource {
  readonly entry: WeightEntry;
}

/** A unit of reading: a section of a weight that becomes packed, or anything else. */
type Step = PieceReading & ({ weight?: undefined } | { readonly weight: UnfinishedWeight; readonly section: number });

/**
 * A weight whose sections are read in any order. They are packed one by one, or together from floats if they do not
 * fill tiles.
 */
class UnfinishedWeight {
  readonly #sections: (PackedWeight | undefined)[];
  /** True if sections are packed one by one, so that only the floats of one section are in memory. */
  readonly #isApart: boolean;
  #floats: Tensor | null = null;
  #left: number;

  constructor(
    readonly target: Packable,
    readonly readings: readonly PieceReading[],
    readonly format: PackedFormat | 'blocks',
    readonly activations: ActivationFormat,
  ) {
    this.#sections = readings.map(() => undefined);
    this.#left = readings.length;
    const tile = tileOf(target.weight.device);
    const widths = readings.map(({ piece: { start, end } }) => end - start);
    const isWhole = widths.reduce((sum, width) => sum + width, 0) === target.weight.shape[1];
    this.#isApart =
      target.transposed &&
      isWhole &&
      readings.every(({ piece }, i) => piece.order === null && (widths[i] as number) % tile === 0);
  }

  /**
   * Reads a section by way of `buffer`. With the last section the model receives the weight, and the result is true.
   */
  async read(section: number, buffer: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    const { target, format } = this;
    const { piece, entry } = this.readings[section] as PieceReading;
    const { device } = piece.tensor;
    const blocks = format === 'blocks' ? entry.blocks?.(device) : undefined;
    if (blocks !== undefined) {
      const {
        format: sourceFormat,
        shape,
        read,
        ...options
      } = piece.order === null ? blocks : sorted(blocks, piece.order, device);
      this.#sections[section] = await PackedWeight.readBlocks(device, sourceFormat, shape, read, {
        signal,
        buffer,
        ...options,
      });
    } else if (format === 'blocks') {
      this.#sections[section] = await this.#readFloats(piece, entry, halfOf(entry) as PackedFormat, signal);
    } else if (this.#isApart) {
      this.#sections[section] = await this.#readFloats(piece, entry, format, signal);
    } else {
      this.#floats ??= device.unscoped(() => device.empty(target.weight.shape));
      await readPieces([{ piece: { ...piece, tensor: this.#floats }, entry }], signal);
    }
    if (--this.#left > 0) return false;
    const weight = this.#packed(format);
    weight.activations = this.activations;
    replaceWeight(target.owners, weight);
    this.#floats?.dispose();
    await device.flush();
    return true;
  }

  /** Reads a section as floats and packs it. */
  async #readFloats(
    piece: StatePiece,
    entry: WeightEntry,
    format: PackedFormat,
    signal?: AbortSignal,
  ): Promise<PackedWeight> {
    const { transposed } = this.target;
    const { device, shape } = piece.tensor;
    const width = piece.end - piece.start;
    const floats = device.unscoped(() => device.empty([...shape.slice(0, -1), width]));
    try {
      await readPieces([{ piece: { ...piece, tensor: floats, start: 0, end: width }, entry }], signal);
      return PackedWeight.fromTensor(floats, format, transposed);
    } finally {
      floats.dispose();
    }
  }

  #packed(format: PackedFormat | 'blocks'): PackedWeight {
    return format === 'blocks' || this.#isApart
      ? PackedWeight.join(this.#sections as [PackedWeight, ...PackedWeight[]])
      : PackedWeight.fromTensor(this.#floats as Tensor, format, this.target.transposed);
  }

  /** Frees the sections that were read. */
  dispose(): void {
    for (const section of this.#sections) section?.dispose();
    this.#floats?.dispose();
  }
}

/** Rows in the order of memory. `order` has the column in memory of each row of the file; see `StatePiece`. */
function sorted({ read, ...blocks }: StoredBlocks, order: Int32Array, device: Device): StoredBlocks {
  const rowBytes = blockRowBytes(formatOf(device, blocks.format), blocks.shape[1], blocks.padded);
  const rowOf = new Int32Array(order.length);
  for (const [row, column] of order.entries()) rowOf[column] = row;
  return {
    ...blocks,
    read: async (buffer, offset) => {
      const rows = rowOf.subarray(offset / rowBytes, (offset + buffer.length) / rowBytes);
      let start = 0;
      for (let end = 1; end <= rows.length; end++) {
        if (rows[end] === (rows[end - 1] as number) + 1) continue;
        await read(buffer.subarray(start * rowBytes, end * rowBytes), (rows[start] as number) * rowBytes);
        start = end;
      }
    },
  };
}
