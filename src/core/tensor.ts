// The package's types keep this reference, for projects whose `lib` setting lacks Symbol.dispose.
/// <reference lib="esnext.disposable" preserve="true" />

import { describeShape, describeValue } from './check-values.js';
import { ArgumentError, AutogradError, DisposedError, DTypeError, ShapeError } from './errors.js';
import type { Pool } from './heap.js';
import type { Region } from './operand.js';
import type { RecordedGradient } from './program.js';
import type { MatmulArithmetic, Runtime } from './runtime.js';
import { type DType, inferShape, isRange, lastOf, type Shape, sizeOf } from './shape.js';
import type { Storage } from './storage.js';
import { type TensorData, valuesFor } from './tensor-data.js';

export * from './shape.js';
export * from './storage.js';
export * from './tensor-data.js';

/**
 * An n-dimensional array in a device's heap: float32 or int32, row-major, the last dimension contiguous. A view
 * (`reshape`, `columns`, `rows`) shares the memory and gradient of its root; its rows may lie `rowStride` > last
 * dimension apart.
 *
 * `device.tensor()` and ops make tensors; the constructor is internal.
 */
export class Tensor {
  /** Number of elements. */
  readonly size: number;
  /** The tensor whose memory and gradient this one shares; the tensor itself if it is not a view. */
  readonly root: Tensor;
  /** @internal The op that made it, for the backward pass. Set on roots. */
  node: Node | null = null;
  /** @internal Set on roots. */
  gradient: Gradient | null = null;
  /** @internal True once backward() has used the graph that led here. Set on roots. */
  graphUsed = false;
  #requiresGrad = false;
  #disposed = false;
  /** Tensors of ended scopes that the backward pass of this result needs. */
  #retained: { release(): void }[] = [];

  /** Internal to the library. */
  constructor(
    readonly device: Device,
    readonly shape: Shape,
    readonly dtype: DType,
    /** The memory, which views share. */ readonly storage: Storage,
    /** @internal Position in `storage`, in words. */ readonly within: number,
    /** Words from one row (last dimension) to the next. */ readonly rowStride: number,
    root?: Tensor,
  ) {
    this.size = sizeOf(shape);
    this.root = root ?? this;
    storage.retain();
    device.track(this);
  }

  /** Position in the heap, in words. */
  get offset(): number {
    return this.storage.block.offset + this.within;
  }

  /**
   * True if `backward()` computes a gradient for this tensor. Set it on leaves; the result of an op requires a gradient
   * if an input does. Setting it throws DTypeError for int32, and AutogradError for views and for results of ops.
   */
  get requiresGrad(): boolean {
    return this.root.#requiresGrad || this.root.node !== null;
  }

  set requiresGrad(value: boolean) {
    if (this.root !== this) throw new AutogradError('requiresGrad: set it on the tensor itself, not on a view of it');
    if (this.node !== null)
      throw new AutogradError('requiresGrad: the result of an op gets it from its inputs, so set it on a leaf');
    if (value && this.dtype !== 'float32') throw new DTypeError('requiresGrad: only float32 tensors have gradients');
    if (value && !this.isContiguous) {
      throw new AutogradError('requiresGrad: rows of this detached view lie apart; set it on a copy, contiguous(x)');
    }
    this.#requiresGrad = value;
    this.graphUsed = false;
  }

  /** The gradient that `backward()` accumulated, or null. It has the tensor's shape. */
  get grad(): Tensor | null {
    const slot = this.root.gradient;
    if (slot === null || !slot.written || slot.tensor.disposed) return null;
    return slot.viewFor(this);
  }

  /** Clears the gradient. Its memory is kept for the next gradient. */
  zeroGrad(): void {
    const { device, root } = this;
    // A recorded program must also clear gradients that are created after the recording.
    const slot =
      device.recording && this.requiresGrad && root.node === null ? device.autograd.slotOf(root) : root.gradient;
    if (slot === null) return;
    device.noteGradient(slot);
    slot.clear();
  }

  /** Returns a view that is outside of the graph: no gradient passes through it. Throws DisposedError. */
  detach(): Tensor {
    this.assertUsable('detach');
    return new Tensor(this.device, this.shape, this.dtype, this.storage, this.within, this.rowStride);
  }

  /** @internal Retains the tensors that its graph needs, until the graph is used or this tensor is disposed of. */
  retain(retained: { release(): void }): void {
    this.#retained.push(retained);
    this.root.node?.holders.push(this);
  }

  /** @internal */
  release(): void {
    for (const retained of this.#retained.splice(0)) retained.release();
  }

  /** True after `dispose()`, and after the program that owns it was disposed of. */
  get disposed(): boolean {
    return this.#disposed || this.storage.pool.released;
  }

  /** True if its rows follow one another without gaps. */
  get isContiguous(): boolean {
    return this.rowStride === lastOf(this.shape) || this.size === lastOf(this.shape);
  }

  /**
   * Returns the range of words that the tensor may touch, for commands. `op` is for error messages. Throws
   * DisposedError, DeviceError.
   */
  region(op = 'tensor'): Region {
    this.assertUsable(op);
    const cols = lastOf(this.shape);
    return { offset: this.offset, length: (this.size / cols - 1) * this.rowStride + cols };
  }

  /**
   * @internal `name` is the op's name of the tensor. The message is built only on failure, because every op calls this.
   */
  assertUsable(op: string, name?: string): void {
    if (this.disposed) {
      const what = name === undefined ? op : `${op}: ${name}`;
      throw new DisposedError(`${what}: a tensor ${describeShape(this.shape)} has already been disposed`);
    }
    this.device.assertOpen(op);
  }

  /**
   * Runs the queue on another thread, and returns a copy of the values in row-major order: a Float32Array for float32,
   * an Int32Array for int32. Rejects with CommandError if a queued command fails (the first reader gets it). Rejects
   * with DisposedError after `dispose()`, DeviceError after the device's `dispose()`, and SimdformerError while a
   * program is recorded.
   */
  async data(): Promise<Float32Array | Int32Array> {
    const { region, target, pick } = this.#reading();
    await this.device.queue.run({ byteOffset: region.offset * 4, target });
    return pick(target);
  }

  /**
   * @internal Like `data()` of each tensor, in one round trip. All tensors must be on one device. Runs on this thread
   * if the queue is `brief` and nothing is running. `targets` has memory for the values of some tensors, by index.
   */
  static async dataOf(
    tensors: [Tensor, ...Tensor[]],
    brief = false,
    targets: readonly (Float32Array | undefined)[] = [],
  ): Promise<(Float32Array | Int32Array)[]> {
    const readings = tensors.map((tensor, i) => tensor.#reading(targets[i]));
    const reads = readings.map(({ region, target }) => ({ byteOffset: region.offset * 4, target }));
    const { queue } = tensors[0].device;
    if (brief && queue.isFree) queue.runSync(...reads);
    else await queue.run(...reads);
    return readings.map(({ target, pick }) => pick(target));
  }

  /**
   * @internal Copies the values of each tensor to the array in the same pair, which must have the same number of
   * elements. All tensors must be on one device.
   */
  static async readTo(pairs: readonly [tensor: Tensor, target: Float32Array][]): Promise<void> {
    const [first] = pairs;
    if (first === undefined) return;
    const readings = pairs.map(([tensor, target]) => ({ ...tensor.#reading(target), destination: target }));
    const reads = readings.map(({ region, target }) => ({ byteOffset: region.offset * 4, target }));
    await first[0].device.queue.run(...reads);
    for (const { destination, target, pick } of readings) if (target !== destination) destination.set(pick(target));
  }

  /**
   * Like `data()`, on this thread. Throws the errors that `data()` rejects with, and DeviceError if the device computes
   * in a worker.
   */
  dataSync(): Float32Array | Int32Array {
    const { region, target, pick } = this.#reading();
    this.device.queue.runSync({ byteOffset: region.offset * 4, target });
    return pick(target);
  }

  /**
   * Returns the value of a tensor with one element. Rejects like `data()`, and with ShapeError if there are more
   * elements.
   */
  async item(): Promise<number> {
    if (this.size !== 1) throw new ShapeError(`item: the tensor is ${describeShape(this.shape)}, expected one element`);
    return (await this.data())[0] as number;
  }

  /** Returns the source and target of a read. The target is `buffer`, unless there are gaps between the rows. */
  #reading(buffer?: Float32Array) {
    this.device.assertNotRecording('data');
    const region = this.region('data');
    const make = () => (this.dtype === 'float32' ? new Float32Array(region.length) : new Int32Array(region.length));
    const target = buffer !== undefined && this.isContiguous ? buffer : make();
    const pick = (all: typeof target) => {
      if (this.isContiguous) return all;
      const cols = lastOf(this.shape);
      const packed = this.dtype === 'float32' ? new Float32Array(this.size) : new Int32Array(this.size);
      for (let row = 0; row * cols < this.size; row++) {
        packed.set(all.subarray(row * this.rowStride, row * this.rowStride + cols), row * cols);
      }
      return packed;
    };
    return { region, target, pick };
  }

  /**
   * Replaces the values, in order with the ops around it. `data` has the tensor's shape, nested or flat, and numbers
   * that its dtype can hold. Throws ShapeError (also for columns of a tensor), DTypeError, ArgumentError,
   * DisposedError.
   */
  write(data: TensorData): void {
    this.assertUsable('write');
    if (!this.isContiguous)
      throw new ShapeError('write: the tensor is a view with gaps between its rows; write to its root');
    this.device.upload(this.storage, this.offset, valuesFor('write', data, this));
  }

  /**
   * Returns a view with another shape, which shares memory and gradient. One dimension may be -1. Throws ShapeError if
   * the number of elements differs, or if the last dimension of a `columns` view would change. Throws DisposedError.
   */
  reshape(...dimensions: number[] | [Shape]): Tensor {
    this.assertUsable('reshape');
    const shape = inferShape(Array.isArray(dimensions[0]) ? dimensions[0] : (dimensions as number[]), this.size);
    if (shape === null) {
      throw new ShapeError(`reshape: ${describeShape(this.shape)} does not fit ${describeShape(dimensions.flat())}`);
    }
    if (!this.isContiguous && lastOf(shape) !== lastOf(this.shape)) {
      throw new ShapeError('reshape: a view with gaps between its rows keeps its last dimension; copy it first');
    }
    const stride = this.isContiguous ? lastOf(shape) : this.rowStride;
    return new Tensor(this.device, shape, this.dtype, this.storage, this.within, stride, this.root);
  }

  /**
   * Returns a view of the columns `start` ≤ c < `end` of the last dimension, which shares memory and gradient. Throws
   * ArgumentError if they are out of range, DisposedError.
   */
  columns(start: number, end: number): Tensor {
    this.assertUsable('columns');
    const cols = lastOf(this.shape);
    checkRange('columns', start, end, cols);
    const shape = [...this.shape.slice(0, -1), end - start];
    const within = this.within + start;
    return new Tensor(this.device, shape, this.dtype, this.storage, within, this.rowStride, this.root);
  }

  /**
   * Returns a view of the entries `start` ≤ i < `end` of the first dimension, which shares memory and gradient. Throws
   * ArgumentError if they are out of range, DisposedError.
   */
  rows(start: number, end: number): Tensor {
    this.assertUsable('rows');
    if (this.shape.length < 2) return this.columns(start, end);
    const first = this.shape[0] as number;
    checkRange('rows', start, end, first);
    const rowsEach = this.size / first / lastOf(this.shape);
    const within = this.within + start * rowsEach * this.rowStride;
    const shape = [end - start, ...this.shape.slice(1)];
    return new Tensor(this.device, shape, this.dtype, this.storage, within, this.rowStride, this.root);
  }

  /**
   * Computes the gradients of all tensors that require them and led to this one (reverse-mode differentiation), and
   * adds them to `grad`. `upstream` is the gradient with respect to this tensor; default: 1, for a tensor with one
   * element.
   *
   * Throws AutogradError if there is nothing to differentiate, or if a part of the graph was used before. It also
   * throws if a tensor in the graph was written to since (by `write()` or an optimizer's step). Throws DTypeError,
   * ShapeError or DeviceError for an `upstream` that does not fit.
   */
  backward(upstream?: Tensor | TensorData): void {
    this.device.autograd.backward(this, upstream);
  }

  /**
   * Disposes of the tensor. Its memory is freed once all of its views are disposed of, too. Later use of the tensor
   * throws DisposedError.
   */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.storage.release();
    this.release();
    if (this.root === this) {
      this.gradient?.release();
      this.gradient = null;
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal Used by Node's `console.log`, which does not call `toString()`. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Describes dtype, shape and backend, as in `Tensor(float32 [2, 3] on native)`. */
  toString(): string {
    return `Tensor(${this.dtype} ${describeShape(this.shape)} on ${this.device.info.backend})`;
  }
}

/** The record that an op leaves for its differentiation. */
export interface Node {
  /** Number that increases with every node, so that inputs have lower numbers than outputs. */
  readonly sequence: number;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Tensors that its backward pass may read, including those that need no gradient. */
  readonly read: readonly Tensor[];
  /** Versions of these tensors' memory when the node was made. */
  readonly versions: readonly number[];
  /** Memory of the program that the node is recorded in; each run writes it anew. */
  readonly arena: Pool | undefined;
  /** The arithmetic of its op, which its gradients use as well. */
  readonly matmul: MatmulArithmetic;
  backward: ((gradients: (Tensor | null)[]) => void) | null;
  /** An input whose graph an earlier backward() used. Its gradient would silently be missing, so this is an error. */
  readonly usedInput: Tensor | undefined;
  /** Results of scopes that retain tensors for this node or an older one; see RetainedTensors. */
  readonly holders: Tensor[];
}

/**
 * The target of an op's backward command: the gradient goes into `tensor`, added to existing values if `accumulate`.
 */
export interface GradientTarget {
  readonly tensor: Tensor;
  readonly accumulate: 0 | 1;
}

/** The gradient of a root, and how much of it has been written. */
export interface Gradient extends RecordedGradient {
  readonly root: Tensor;
  readonly tensor: Tensor;
  /** The part of the gradient that belongs to `view`. */
  viewFor(view: Tensor): Tensor;
  /** Registers a writer of `view`'s part. */
  targetFor(view: Tensor): GradientTarget;
  clear(): void;
  release(): void;
}

/** The functions of autograd.ts that tensors call through their device, because that module imports this one. */
interface Autograd {
  backward(y: Tensor, upstream?: Tensor | TensorData): void;
  /** Returns the gradient of a root, created if needed. */
  slotOf(root: Tensor): Gradient;
}

/**
 * A device holds tensors and runs ops. It has one heap, one instruction set and a number of threads. `createDevice`
 * makes it.
 */
export interface Device extends Runtime {
  /** @internal */
  readonly autograd: Autograd;

  /**
   * Makes a tensor with the given values: a typed array, whose type sets the dtype, or nested numbers, float32 by
   * default. `shape` defaults to the shape of the values, [length] for a typed array. Throws ShapeError if the values
   * do not fill the shape, DTypeError if they have another type than requested, ArgumentError for other options.
   */
  tensor(
    data: TensorData,
    shape?: Shape,
    options?: { dtype?: DType | undefined; requiresGrad?: boolean | undefined },
  ): Tensor;

  /**
   * Makes a tensor whose values are undefined until something writes them. Throws ShapeError for dimensions that are
   * not positive integers, DTypeError for another dtype, OutOfMemoryError if the device cannot grow enough.
   */
  empty(shape: Shape, dtype?: DType): Tensor;

  /** @internal Like `empty`, but memory is taken when it is first needed. */
  reserve(shape: Shape): Tensor;

  /**
   * Makes a tensor whose elements all equal `value`. Throws like `empty`, and ArgumentError if `value` is not a number
   * or, for int32, not a 32-bit integer.
   */
  full(shape: Shape, value: number, dtype?: DType): Tensor;

  /** Makes a tensor whose elements are all 0. Throws like `empty`. */
  zeros(shape: Shape, dtype?: DType): Tensor;

  /** Removes a tensor from its scopes, so that it is valid until it is disposed of. Returns the tensor. */
  keep(tensor: Tensor): Tensor;

  /** @internal */
  track(tensor: Tensor): void;
}

function checkRange(op: string, start: number, end: number, limit: number): void {
  if (!isRange(start, end, limit)) {
    throw new ArgumentError(
      `${op}: ${describeValue(start)} to ${describeValue(end)} is out of range for 0 to ${limit}`,
    );
  }
}
