import type { Backend } from '../backend/backend.js';
import { Keeping } from './autograd.js';
import {
  checkDType,
  checkFunction,
  checkNumber,
  checkOptions,
  checkSynchronous,
  describeShape,
  describeValue,
  isCount,
  isInt32,
  isNotNaN,
} from './check.js';
import { DeviceError, DTypeError, ShapeError, SimdformerError } from './errors.js';
import type { GradientSlot } from './gradient-slot.js';
import { Arena, Heap, type Pool } from './heap.js';
import { isTyped } from './kinds.js';
import { describeCommand, Program } from './program.js';
import { CommandList, type Operand, Queue, Scalar } from './queue.js';
import { hold, letGo, type Recording } from './recording.js';
import {
  type DType,
  flatten,
  lastOf,
  type Shape,
  Storage,
  sameShape,
  sizeOf,
  Tensor,
  type TensorData,
} from './tensor.js';
import { tensorsIn } from './tensors-in.js';

/** What a device turned out to be. */
export interface DeviceInfo {
  readonly backend: 'native' | 'wasm';
  /** The instruction set in use. */
  readonly isa: string;
  /** Threads a run may use, the calling one included. */
  readonly threads: number;
  /** Every instruction set that this machine and build have, best first. */
  readonly isas: readonly string[];
  /** Of the engine. */
  readonly version: string;
  /** Why it is not the native addon, where the backend was left to choose. */
  readonly reason?: string;
}

/** Where tensors live and ops run: one heap, one instruction set, a number of threads. Made by `createDevice`. */
export class Device {
  readonly info: DeviceInfo;
  /** @internal */
  readonly queue: Queue;
  readonly #heap: Heap;
  readonly #constants: ReadonlyMap<string, number>;
  /** Tensors of each open scope, the innermost last. */
  readonly #scopes: Tensor[][] = [];
  #recording: Recording | null = null;
  #gradients = true;
  #untracked = false;
  #sequence = 0;
  #open = true;

  /** @internal */
  constructor(
    private readonly backend: Backend,
    reason?: string,
  ) {
    const { isa, isas, threads, version } = backend.manifest;
    this.info = { backend: backend.kind, isa, threads, isas, version, ...(reason === undefined ? {} : { reason }) };
    this.queue = new Queue(backend);
    this.#heap = new Heap((words) => backend.grow(words * 4));
    this.#constants = new Map(Object.entries(backend.manifest.constants ?? {})); // none of an engine that is older
  }

  /**
   * A tensor with the given values: a typed array (its type decides the dtype) or nested numbers (float32 by default).
   * `shape` is by default theirs, [length] of a typed array. Throws ShapeError if the values do not fill the shape,
   * DTypeError if they are of another type than asked for, ArgumentError for other options.
   */
  tensor(
    data: TensorData,
    shape?: Shape,
    options: { dtype?: DType | undefined; requiresGrad?: boolean | undefined } = {},
  ): Tensor {
    checkOptions('tensor', options, { dtype: 'any', requiresGrad: 'boolean' });
    const { dtype = isTyped(data, 'Int32Array') ? 'int32' : 'float32' } = options;
    checkForm('tensor', shape ?? [], dtype);
    const { values, shape: found } = flatten('tensor', data, dtype);
    const wanted = shape ?? found;
    const fits = values.length === sizeOf(wanted) && (found.length <= 1 || sameShape(found, wanted));
    if (!fits) throw new ShapeError(`tensor: the data is [${found.join(', ')}], expected [${wanted.join(', ')}]`);
    if (options.requiresGrad) checkDType('tensor', 'what requires a gradient', { dtype }, 'float32');
    const tensor = this.#allocate('tensor', wanted, dtype);
    try {
      this.upload(tensor.storage, tensor.offset, values);
    } catch (error) {
      tensor.dispose();
      throw error;
    }
    if (options.requiresGrad) tensor.requiresGrad = true;
    return tensor;
  }

  /**
   * A tensor whose values are undefined until something writes them. Throws ShapeError for dimensions that are not
   * positive integers, DTypeError for another dtype, OutOfMemoryError if the device cannot grow so far.
   */
  empty(shape: Shape, dtype: DType = 'float32'): Tensor {
    return this.#allocate('empty', shape, dtype);
  }

  #allocate(op: string, shape: Shape, dtype: DType): Tensor {
    this.assertOpen(op);
    checkForm(op, shape, dtype);
    const pool: Pool = this.#recording !== null && !this.#untracked ? this.#recording.arena : this.#heap;
    const storage = new Storage(pool.take(sizeOf(shape)), pool);
    return new Tensor(this, [...shape], dtype, storage, storage.block.offset, lastOf(shape));
  }

  /**
   * A tensor whose elements all equal `value`. Throws as `empty`, and ArgumentError if `value` is no number or, for
   * int32, no 32-bit integer.
   */
  full(shape: Shape, value: number, dtype: DType = 'float32'): Tensor {
    if (dtype === 'int32') checkNumber('full', 'value', value, isInt32, 'a 32-bit integer');
    else checkNumber('full', 'value', value, () => true, 'a number');
    return this.#filled('full', shape, value, dtype);
  }

  #filled(op: string, shape: Shape, value: number, dtype: DType): Tensor {
    const y = this.#allocate(op, shape, dtype);
    const bits = dtype === 'int32' ? value : (new Int32Array(Float32Array.of(value).buffer)[0] as number);
    // As with tensor(): what outlives a recording is filled once, not by its runs.
    const [cols, queue] = [lastOf(shape), this.#untracked ? this.queue : this];
    queue.emit('fill', { y, rows: y.size / cols, cols, stride: cols, value: bits });
    return y;
  }

  /** A tensor whose elements are all 0. Throws as `empty`. */
  zeros(shape: Shape, dtype: DType = 'float32'): Tensor {
    return this.#filled('zeros', shape, 0, dtype);
  }

  /**
   * A named number that ops take as an operand and `program.run({ name: value })` can change. Throws ArgumentError if
   * `value` is NaN or no number.
   */
  scalar(name: string, value: number): Scalar {
    return new Scalar(name, checkNumber('scalar', 'value', value, isNotNaN, 'a number'));
  }

  /**
   * Runs `fn` and disposes of the tensors made in it, except those in what it returns (a tensor, a TokenBatch or another
   * object that lists its `tensors`, or arrays and plain objects of these) and, if those can still be differentiated, the
   * ones that backward needs. Scopes nest. Throws ArgumentError if `fn` is no function or asynchronous.
   */
  scope<T>(fn: () => T): T {
    checkFunction('scope', fn);
    const tracked: Tensor[] = [];
    const before = this.#sequence;
    this.#scopes.push(tracked);
    let result: T | undefined;
    try {
      result = checkSynchronous('scope', fn());
      return result;
    } finally {
      this.#scopes.splice(this.#scopes.indexOf(tracked), 1);
      this.#endScope(tracked, result, before);
    }
  }

  #endScope(tracked: Tensor[], result: unknown, before: number): void {
    const results = new Set(result instanceof Tensor ? [result] : tensorsIn(result));
    const differentiable = [...results].filter(({ root }) => (root.node?.sequence ?? -1) >= before);
    const others = tracked.filter((tensor) => !results.has(tensor));
    if (differentiable.length > 0) {
      const keeping = new Keeping(others, differentiable.length);
      for (const tensor of differentiable) tensor.hold(keeping);
    } else for (const tensor of others) tensor.dispose();
    for (const tensor of tracked) if (results.has(tensor)) this.#scopes.at(-1)?.push(tensor);
  }

  /**
   * Runs `fn` with tensors belonging to no scope or recording: for state that outlives them. Throws ArgumentError if `fn`
   * is no function or asynchronous.
   */
  unscoped<T>(fn: () => T): T {
    checkFunction('unscoped', fn);
    const before = this.#untracked;
    this.#untracked = true;
    try {
      return checkSynchronous('unscoped', fn());
    } finally {
      this.#untracked = before;
    }
  }

  /** Takes a tensor out of the scopes it belongs to: it lives until it is disposed of. Returns it. */
  keep(tensor: Tensor): Tensor {
    for (const scope of this.#scopes) {
      const at = scope.lastIndexOf(tensor);
      if (at >= 0) scope.splice(at, 1);
    }
    return tensor;
  }

  /** Runs `fn` without preparing for backward. Throws ArgumentError if `fn` is no function or asynchronous. */
  noGrad<T>(fn: () => T): T {
    checkFunction('noGrad', fn);
    return this.#withGradients(false, () => checkSynchronous('noGrad', fn()));
  }

  /** Runs `fn` as outside any `noGrad`. Throws as `noGrad`. */
  withGrad<T>(fn: () => T): T {
    checkFunction('withGrad', fn);
    return this.#withGradients(true, () => checkSynchronous('withGrad', fn()));
  }

  #withGradients<T>(on: boolean, fn: () => T): T {
    const before = this.#gradients;
    this.#gradients = on;
    try {
      return fn();
    } finally {
      this.#gradients = before;
    }
  }

  /**
   * Runs `fn`, which computes nothing yet: its ops are kept as a program, to be run any number of times. Tensors made
   * outside serve as inputs: write to them between runs, which give those made in it their values anew. A `backward()` in
   * it gives every run the same gradients: one that was assigned when recorded is assigned anew, one that was added to
   * what was there is added again. Throws ArgumentError if `fn` is no function or asynchronous, SimdformerError if it
   * reads values or a program is being recorded already.
   */
  record<T>(fn: () => T): Program<T> {
    checkFunction('record', fn);
    this.assertOpen('record');
    this.assertNotRecording('record');
    const recording = {
      list: new CommandList(),
      commands: [],
      arena: new Arena(this.#heap),
      inputs: new Map<Storage, number>(),
      gradients: new Map<GradientSlot, GradientSlot['state']>(),
    };
    const [outer, untracked] = [this.#scopes.splice(0), this.#untracked]; // its tensors are its own, wherever it is recorded
    [this.#recording, this.#untracked] = [recording, false];
    const made: Tensor[] = [];
    this.#scopes.push(made);
    const release = () => {
      recording.arena.release();
      for (const tensor of made) tensor.dispose(); // with their gradients, and the views of what is outside that graphs hold
      for (const storage of recording.inputs.keys()) letGo(storage);
    };
    try {
      const result = checkSynchronous('record', fn());
      const gradients = [...recording.gradients].map(([slot, before]) => ({ slot, before, after: slot.state }));
      const written = [...recording.inputs].filter(([{ version }, before]) => version !== before);
      const effects = { gradients, written: written.map(([storage]) => storage) };
      const { commands, list, arena } = recording;
      return new Program(this, result, commands, list, arena, effects, release);
    } catch (error) {
      release();
      throw error;
    } finally {
      [this.#recording, this.#untracked] = [null, untracked];
      for (const [slot, before] of recording.gradients) slot.restore(before); // nothing has run
      for (const [storage, version] of recording.inputs) storage.version = version;
      this.#scopes.splice(0, Infinity, ...outer);
    }
  }

  /** Runs what is queued, off this thread. Rejects as `Tensor.data`. */
  flush(): Promise<void> {
    this.assertOpen('flush');
    this.assertNotRecording('flush');
    return this.queue.run();
  }

  /** Runs what is queued, on this thread. Throws as `Tensor.dataSync`. */
  flushSync(): void {
    this.assertOpen('flushSync');
    this.assertNotRecording('flushSync');
    this.queue.runSync();
  }

  /** Bytes: in use by tensors, the most since `resetPeak`, and taken from the system. */
  memory(): { used: number; peak: number; capacity: number } {
    return this.#heap.usage;
  }

  /** Lets `memory().peak` start again from what is in use now. */
  resetPeak(): void {
    this.#heap.resetPeak();
  }

  /** Gives all memory back; the device and its tensors cannot be used afterwards. */
  dispose(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.queue.close();
    } finally {
      this.backend.close();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * For authors of ops: queues one command. Operands are named as in the kernel's signature; `flops` counts its
   * floating-point operations.
   */
  emit(op: string, operands: Readonly<Record<string, Operand>>, flops = 0): void {
    const recording = this.#recording;
    if (recording === null) {
      this.queue.emit(op, operands);
    } else {
      for (const operand of Object.values(operands)) {
        if (typeof operand === 'object' && operand !== null && 'storage' in operand) hold(recording, operand.storage);
      }
      this.queue.emit(op, operands, recording.list);
      recording.commands.push(describeCommand(op, operands, flops));
    }
  }

  /**
   * For authors of ops: a number that the engine's kernels were compiled with, such as `broadcast.rank`; CONSTANT lists it
   * beside them. Throws DeviceError if the engine has none of that name.
   */
  constant(name: string): number {
    const value = this.#constants.get(name);
    if (value !== undefined) return value;
    throw new DeviceError(`the loaded engine has no constant '${name}': it is older than this package, rebuild it`);
  }

  /** @internal */
  upload(storage: Storage, offset: number, values: Float32Array | Int32Array): void {
    const recording = this.#recording;
    if (recording === null || this.#untracked) this.queue.upload(offset, values);
    else {
      hold(recording, storage);
      for (const length of this.queue.upload(offset, values, recording.list)) {
        recording.commands.push({ op: 'upload', operands: [['y', [length]]], flops: 0 });
      }
    }
    storage.version++;
  }

  /** @internal */
  track(tensor: Tensor): void {
    if (!this.#untracked) this.#scopes.at(-1)?.push(tensor);
  }

  /** @internal Called before the gradient of a leaf changes, so that a recording can put it back. */
  noteGradient(slot: GradientSlot): void {
    const gradients = this.#recording?.gradients;
    if (gradients !== undefined && !gradients.has(slot)) gradients.set(slot, slot.state);
  }

  /** @internal Where the tensors of the program lie that is being recorded. */
  get arena(): Pool | undefined {
    return this.#recording?.arena;
  }

  /** @internal */
  get gradientsOn(): boolean {
    return this.#gradients;
  }

  /** @internal */
  nextSequence(): number {
    return this.#sequence++;
  }

  /** @internal */
  assertOpen(op: string): void {
    if (!this.#open) throw new DeviceError(`${op}: the device has already been disposed`);
  }

  /** @internal Whether ops are being recorded as a program, and compute nothing yet. */
  get recording(): boolean {
    return this.#recording !== null;
  }

  /** @internal */
  assertNotRecording(op: string): void {
    if (this.#recording !== null)
      throw new SimdformerError(
        `${op}: a program is being recorded, in which nothing runs or has a value; call it before or after`,
      );
  }
}

/** For callers without types. */
function checkForm(op: string, shape: Shape, dtype: DType): void {
  if (!Array.isArray(shape))
    throw new ShapeError(`${op}: ${describeValue(shape)} is not a valid shape: expected an array of dimensions`);
  for (const dimension of shape) {
    if (!isCount(dimension)) {
      const expected = 'every dimension must be a positive integer';
      throw new ShapeError(`${op}: ${describeShape(shape)} is not a valid shape: ${expected}`);
    }
  }
  if (dtype !== 'float32' && dtype !== 'int32')
    throw new DTypeError(`${op}: dtype is ${describeValue(dtype)}, expected 'float32' or 'int32'`);
}
