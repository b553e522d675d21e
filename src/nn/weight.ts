// Weights of Linear and Embedding: tensors, or packed into fewer bits.

import { checkOneOf, checkOptions, describeShape } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { type Shape, Tensor } from '../core/tensor.js';
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
import { ACTIVATION_FORMATS, type ActivationFormat, quantizedLinear } from '../ops/quantized-linear.js';

export { ACTIVATION_FORMATS, type ActivationFormat };

/** Maximum bytes of a file's blocks in the heap at a time. */
export const STAGE = 1 << 20;

/**
 * A matrix [out, in] (for an embedding [rows, features]) whose elements take fewer than 32 bits. The orientation is
 * that of state dicts. Products compute in float32 and int32. The matrix itself has no gradient.
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
   * Type of the inputs in products. 'int8' rounds them and multiplies integers; 'float32' multiplies with the unpacked
   * weights. float16 and bfloat16 weights have no integer products.
   */
  activations: ActivationFormat = 'int8';

  private constructor(
    /** @internal Consecutive features. */
    readonly parts: readonly PackedMatrix[],
  ) {
    const [first] = parts as [PackedMatrix];
    this.device = first.words.device;
    this.shape = [parts.reduce((sum, { rows }) => sum + rows, 0), first.cols];
  }

  /**
   * Makes the weight, [out, in], from `bytes`: blocks in the order of a GGUF file. Values keep their bits. The heap
   * needs about a megabyte besides the result. Throws ArgumentError for an unknown format, ShapeError if blocks do not
   * fill the rows or `bytes` has another length, and OutOfMemoryError.
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
            if (device.queue.isFree) device.queue.runSync(); // the next bytes are then written directly into the heap
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
   * Same as `fromBlocks`, with blocks from `read(buffer, from)`, which fills `buffer` from byte `from` of the blocks
   * on. The next blocks are read while the previous ones are packed. Rejects with the errors of `fromBlocks` and
   * `read`, or with the reason of `signal`.
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
      await packing.catch(() => {}); // the first error counts
      weight.words.dispose();
      throw error;
    } finally {
      stage?.dispose();
    }
  }

  /**
   * Packs x, float32 [out, in], or [in, out] if `transposed`, in a format of `device.formats` that the engine can make.
   * Throws ArgumentError for another format, ShapeError, DTypeError, OutOfMemoryError.
   */
  static fromTensor(x: Tensor, format: PackedFormat, transposed = false): PackedWeight {
    const made = [...x.device.formats.values()].filter((candidate) => candidate.made);
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

  /**
   * Concatenates the output features of weights with the same number of inputs, and takes over their memory. Throws
   * ShapeError.
   */
  static join(weights: readonly [PackedWeight, ...PackedWeight[]]): PackedWeight {
    const other = weights.find(({ shape }) => shape[1] !== weights[0].shape[1]);
    if (other !== undefined) {
      throw new ShapeError(
        `packed weights: ${describeShape(weights[0].shape)} and ${describeShape(other.shape)} have different numbers of inputs`,
      );
    }
    const joined = new PackedWeight(merged(weights.flatMap(({ parts }) => parts)));
    joined.activations = weights[0].activations;
    return joined;
  }

  /** The format; for a joined weight, the formats of its parts. */
  get format(): string {
    return [...new Set(this.parts.map(({ format }) => format.name))].join('+');
  }

  /** Bytes in the heap. */
  get bytes(): number {
    return this.parts.reduce((sum, { words }) => sum + 4 * words.size, 0);
  }

  /** Same as the op `linear` with the transpose of this matrix. */
  linear(x: Tensor, bias: Tensor | null, options: LinearOptions = {}): Tensor {
    return quantizedLinear(x, this.parts, bias, { ...checkOptions('linear', options), activations: this.activations });
  }

  /** Same as the op `embedding` with this table. */
  embedding(ids: Tensor, options?: EmbeddingOptions): Tensor {
    const [table, ...others] = this.parts;
    if (table === undefined || others.length > 0)
      throw new ArgumentError('embedding: the packed table is made of several parts, expected one');
    return quantizedEmbedding(table, ids, options);
  }

  /** Returns x · wᵀ, for an output projection that is an embedding: float32 [..., in] → [..., out]. */
  linearTransposed(x: Tensor): Tensor {
    return this.linear(x, null);
  }

  /** Same as `linear`, but only for the output features start … end − 1. */
  linearPart(x: Tensor, start: number, end: number, bias: Tensor | null, options: LinearOptions = {}): Tensor {
    return this.device.scope(() => {
      const { parts, before } = slice(this.parts, start, end);
      const all = bias && before > 0 ? concat([this.device.zeros([before]), bias]) : bias;
      const y = quantizedLinear(x, parts, all, { ...checkOptions('linear', options), activations: this.activations });
      return before === 0 ? y : y.columns(before, before + end - start);
    });
  }

  /** The whole weight as float32 [out, in]. Belongs to the current scope. Throws OutOfMemoryError. */
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

/** Options of `PackedWeight.readBlocks`. */
export interface ReadBlocksOptions {
  readonly signal?: AbortSignal | undefined;
  /** Rows are read in multiples of this number, except for the last ones. Default: 1. */
  readonly unit?: number | undefined;
  /** True if the last block of a row may have more inputs than the row. Default: false. */
  readonly padded?: boolean | undefined;
  /**
   * Buffer for `read`, used if it is long enough (usually STAGE bytes) and rows are not `padded`. Default: a new one.
   */
  readonly buffer?: Uint8Array | undefined;
}

/**
 * Allocates memory for a weight. Also returns the bytes of a feature's blocks, and the number of features packed at a
 * time.
 */
function begin(device: Device, format: PackedFormat, shape: Shape, unit = 1, padded = false) {
  if (shape.length !== 2)
    throw new ShapeError(`packed weights: the shape is ${describeShape(shape)}, expected [out, in]`);
  const [rows, cols] = shape as [number, number];
  const rowBytes = blockRowBytes(formatOf(device, format), cols, padded);
  const tile = tileOf(device);
  let min = tile;
  while (min % unit !== 0) min += tile;
  const step = Math.max(min, Math.floor(STAGE / rowBytes / min) * min);
  return { weight: emptyPacked(device, format, rows, cols), rowBytes, step };
}

/**
 * Merges adjacent parts of the same format: their words are copied to consecutive memory, so that a product reads them
 * as one part.
 */
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
 * Returns views of the features start … end − 1, and the number of features `before` them. Views begin at the start of
 * a tile, so that the bits of a feature's results do not depend on the range.
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

/** Returns the weight as a tensor, for code that needs single numbers. Throws ArgumentError if it is packed. */
export function tensorOf(op: string, weight: Weight): Tensor {
  if (weight instanceof Tensor) return weight;
  throw new ArgumentError(`${op}: the weight is packed as ${weight.format}, expected float32; load it unpacked`);
}
