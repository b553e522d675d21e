// The weights of Linear and Embedding: tensors, or packed into fewer bits.

import { checkOneOf, describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { type Device, type Shape, Tensor } from '../core/tensor.js';
import type { EmbeddingOptions } from '../ops/embedding.js';
import type { LinearOptions } from '../ops/linear.js';
import { concat } from '../ops/move.js';
import {
  blockRowBytes,
  emptyPacked,
  formatOf,
  type PackedFormat,
  type PackedMatrix,
  packBlocks,
  packFloats,
  tileOf,
  tileWords,
  unpacked,
  wordsOf,
} from '../ops/packed.js';
import { quantizedEmbedding } from '../ops/quantized-embedding.js';
import { type ActivationFormat, quantizedLinear } from '../ops/quantized-linear.js';

export type { ActivationFormat };

/** Bytes of a file's blocks that are in the heap at a time. */
export const STAGE = 1 << 20;

/**
 * A matrix [out, in] (of an embedding [rows, features]) whose elements take fewer than 32 bits: as a state dict has it,
 * whatever it is the weight of. Arithmetic types stay float32 and int32: a packed weight is an operand of the two products
 * below alone, and has no gradient itself.
 *
 * ```ts
 * const weight = PackedWeight.fromBlocks(device, 'q4_0', [out, in], bytes); // as GGUF has them
 * const y = weight.linear(x, bias);                                          // x [..., in], y [..., out]
 * ```
 */
export class PackedWeight {
  readonly shape: Shape;
  readonly device: Device;
  /**
   * What inputs become where they meet integers, as all formats but float16 and bfloat16 have them: 'int8' rounds them, so
   * that integers are multiplied; 'float32' takes the unpacked weights.
   */
  activations: ActivationFormat = 'int8';

  private constructor(
    /** @internal Features that follow one another. */
    readonly parts: readonly PackedMatrix[],
  ) {
    const [first] = parts as [PackedMatrix];
    this.device = first.words.device;
    this.shape = [parts.reduce((sum, { rows }) => sum + rows, 0), first.cols];
  }

  /**
   * The weight [rows = out, cols = in] whose blocks `bytes` has in the order of a GGUF file; values stay as they are to
   * the bit. What the heap holds besides the result is a few megabytes at a time. Throws ArgumentError for a format that
   * does not exist, ShapeError if blocks do not fill the rows or `bytes` has another length, OutOfMemoryError.
   */
  static fromBlocks(device: Device, format: PackedFormat, shape: Shape, bytes: Uint8Array): PackedWeight {
    const { weight, rowBytes, step } = begin(device, format, shape);
    const { rows } = weight;
    try {
      if (bytes.length !== rows * rowBytes) {
        throw new ShapeError(
          `packed weights: ${bytes.length} bytes, expected ${rows * rowBytes} of ${format} ${describeShape(shape)}`,
        );
      }
      device.unscoped(() => {
        const stage = device.empty([Math.ceil((Math.min(rows, step) * rowBytes) / 4)], 'int32');
        try {
          for (let row = 0; row < rows; row += step) {
            const count = Math.min(step, rows - row);
            device.upload(
              stage.storage,
              stage.offset,
              wordsOf(bytes.subarray(row * rowBytes, (row + count) * rowBytes)),
              true,
            );
            packBlocks(stage, weight, row, count);
            if (device.queue.isFree) device.queue.runSync(); // so that the next bytes go straight into the heap
          }
        } finally {
          stage.dispose();
        }
      });
      return new PackedWeight([weight]);
    } catch (error) {
      weight.words.dispose();
      throw error;
    }
  }

  /**
   * As `fromBlocks`, of blocks that `read(buffer, from)` brings, filling `buffer` from byte `from` of them on; it is asked
   * for the next ones while those before are packed. Rejects as that throws, with what `read` does, or the reason of `signal`.
   */
  static async readBlocks(
    device: Device,
    format: PackedFormat,
    shape: Shape,
    read: (buffer: Uint8Array, from: number) => Promise<void> | void,
    { signal, unit = 1, padded = false, buffer: given }: ReadBlocksOptions = {},
  ): Promise<PackedWeight> {
    const { weight, rowBytes, step } = begin(device, format, shape, unit, padded);
    const { rows } = weight;
    const stageBytes = Math.ceil((Math.min(rows, step) * rowBytes) / 4) * 4;
    let stage: Tensor | null = null;
    let packing: Promise<void> = Promise.resolve();
    try {
      stage = device.unscoped(() => device.empty([stageBytes / 4], 'int32'));
      const buffer = given && !padded && given.length >= stageBytes ? given : new Uint8Array(stageBytes);
      for (let row = 0; row < rows; row += step) {
        const count = Math.min(step, rows - row);
        const bytes = buffer.subarray(0, count * rowBytes);
        await read(bytes, row * rowBytes);
        await packing;
        signal?.throwIfAborted();
        device.upload(stage.storage, stage.offset, wordsOf(bytes), true);
        packBlocks(stage, weight, row, count);
        packing = device.flush();
      }
      await packing;
      return new PackedWeight([weight]);
    } catch (error) {
      await packing.catch(() => {}); // of the two errors the first one counts
      weight.words.dispose();
      throw error;
    } finally {
      stage?.dispose();
    }
  }

  /**
   * Packs x, float32 [out, in], or [in, out] if `transposed`, as one of the formats that `device.formats` says can be made.
   * Throws ArgumentError for another format, ShapeError, DTypeError, OutOfMemoryError.
   */
  static fromTensor(x: Tensor, format: PackedFormat, transposed = false): PackedWeight {
    const made = [...x.device.formats.values()].filter((each) => each.made);
    checkOneOf(
      'packed weights',
      'format',
      format,
      made.map(({ name }) => name),
    );
    if (x.shape.length !== 2)
      throw new ShapeError(`packed weights: x is ${describeShape(x.shape)}, expected [out, in]`);
    const [rows, cols] = (transposed ? [...x.shape].reverse() : x.shape) as [number, number];
    const weight = emptyPacked(x.device, format, rows, cols);
    packFloats(x, weight, transposed, true);
    return new PackedWeight([weight]);
  }

  /** One weight of the features of all, which must have the same inputs; their memory becomes its own. Throws ShapeError. */
  static join(weights: readonly [PackedWeight, ...PackedWeight[]]): PackedWeight {
    const other = weights.find(({ shape }) => shape[1] !== weights[0].shape[1]);
    if (other !== undefined) {
      throw new ShapeError(
        `packed weights: ${describeShape(weights[0].shape)} and ${describeShape(other.shape)} have not the same inputs`,
      );
    }
    const joined = new PackedWeight(merged(weights.flatMap(({ parts }) => parts)));
    joined.activations = weights[0].activations;
    return joined;
  }

  /** How its elements are packed; of a joined weight the formats of its parts. */
  get format(): string {
    return [...new Set(this.parts.map(({ format }) => format.name))].join('+');
  }

  /** Bytes in the heap. */
  get bytes(): number {
    return this.parts.reduce((sum, { words }) => sum + 4 * words.size, 0);
  }

  /** As the op `linear` with the transpose of this matrix. */
  linear(x: Tensor, bias: Tensor | null, options?: LinearOptions): Tensor {
    return quantizedLinear(x, this.parts, bias, { ...options, activations: this.activations });
  }

  /** As the op `embedding` with this table. */
  embedding(ids: Tensor, options?: EmbeddingOptions): Tensor {
    const [table, ...others] = this.parts;
    if (table === undefined || others.length > 0)
      throw new ArgumentError('embedding: the packed table is made of several parts, expected one');
    return quantizedEmbedding(table, ids, options);
  }

  /** x · wᵀ, for an output projection that is an embedding. */
  linearTransposed(x: Tensor): Tensor {
    return this.linear(x, null);
  }

  /** As `linear` with the features `start` to below `end` alone. */
  linearPart(x: Tensor, start: number, end: number, bias: Tensor | null, options?: LinearOptions): Tensor {
    return this.device.scope(() => {
      const { parts, before } = slice(this.parts, start, end);
      const all = bias && before > 0 ? concat([this.device.zeros([before]), bias]) : bias;
      const y = quantizedLinear(x, parts, all, { ...options, activations: this.activations });
      return before === 0 ? y : y.columns(before, before + end - start);
    });
  }

  /** All of it as floats, float32 [out, in]. Belongs to the scope it is called in. Throws OutOfMemoryError. */
  unpack(): Tensor {
    return this.device.scope(() => {
      const all = this.parts.map((part) => unpacked(part));
      return all.length === 1 ? (all[0] as Tensor) : concat(all, 0);
    });
  }

  dispose(): void {
    for (const { words } of this.parts) words.dispose();
  }
}

export type Weight = Tensor | PackedWeight;

/** How `PackedWeight.readBlocks` reads. */
export interface ReadBlocksOptions {
  readonly signal?: AbortSignal | undefined;
  /** Rows come in multiples of so many, but for the last ones. Default: 1. */
  readonly unit?: number | undefined;
  /** The last block of a row may have more inputs than the row. Default: false. */
  readonly padded?: boolean | undefined;
  /** What `read` fills, if it is long enough, as STAGE bytes mostly are, and rows are not `padded`. Default: one of its own. */
  readonly buffer?: Uint8Array | undefined;
}

/** Memory for a weight, bytes of a feature's blocks, and how many features are packed at a time. */
function begin(device: Device, format: PackedFormat, shape: Shape, unit = 1, padded = false) {
  if (shape.length !== 2)
    throw new ShapeError(`packed weights: the shape is ${describeShape(shape)}, expected [out, in]`);
  const [rows, cols] = shape as [number, number];
  const rowBytes = blockRowBytes(formatOf(device, format), cols, padded);
  const tile = tileOf(device);
  let least = tile;
  while (least % unit !== 0) least += tile;
  const step = Math.max(least, Math.floor(STAGE / rowBytes / least) * least);
  return { weight: emptyPacked(device, format, rows, cols), rowBytes, step };
}

/** Neighbours of one format become one part, so that a product reads them as one: their words follow one another. */
function merged(parts: readonly PackedMatrix[]): PackedMatrix[] {
  const runs: [PackedMatrix, ...PackedMatrix[]][] = [];
  for (const part of parts) {
    const run = runs.at(-1);
    const fits = run?.[0].format === part.format && run.every(({ rows, words }) => rows % tileOf(words.device) === 0);
    if (run && fits) run.push(part);
    else runs.push([part]);
  }
  return runs.map((run) => {
    const [first, ...others] = run;
    if (others.length === 0) return first;
    const words = first.words.device.unscoped(() => concat(run.map((part) => part.words)));
    for (const part of run) part.words.dispose();
    return { ...first, rows: run.reduce((sum, { rows }) => sum + rows, 0), words };
  });
}

/**
 * Features `start` to below `end`, as views, and the number of features `before` them: products begin at a tile, as there alone
 * they have the bits that these features have wherever they are kept.
 */
function slice(parts: readonly PackedMatrix[], start: number, end: number) {
  const found: PackedMatrix[] = [];
  let first = 0;
  let before = 0;
  for (const { format, rows, cols, words } of parts) {
    const [from, to] = [Math.max(0, start - first), Math.min(rows, end - first)];
    first += rows;
    if (from >= to) continue;
    const { device } = words;
    const tile = from - (from % tileOf(device));
    before += from - tile;
    const view = words.columns(tileWords(device, format, tile, cols), tileWords(device, format, to, cols));
    found.push({ format, rows: to - tile, cols, words: view });
  }
  return { parts: found, before };
}

/** The weight as a tensor, for what reads or writes single numbers of it. Throws ArgumentError if it is packed. */
export function tensorOf(op: string, weight: Weight): Tensor {
  if (weight instanceof Tensor) return weight;
  throw new ArgumentError(`${op}: the weight is packed as ${weight.format}, expected float32; load it unpacked`);
}
