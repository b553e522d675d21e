import type { Backend } from '../backend/backend.js';
import { backward, RetainedTensors, slotOf } from './autograd.js';
import { checkDType } from './check.js';
import { checkOptions } from './check-options.js';
import {
  checkFunction,
  checkNumber,
  checkOneOf,
  checkSynchronous,
  describeShape,
  describeValue,
  isCount,
  isInt32,
  isNotNaN,
} from './check-values.js';
import { DeviceError, DTypeError, ShapeError, SimdformerError } from './errors.js';
import { Heap, type Pool } from './heap.js';
import { HeapTrimmer } from './heap-trimmer.js';
import { isPromise, isTyped } from './kinds.js';
import { isHeapValue, type Operand, Scalar } from './operand.js';
import { Program, type RecordedGradient, recordedCommand } from './program.js';
import { Queue } from './queue.js';
import { Recording } from './recording.js';
import { type DeviceInfo, type Format, MATMUL_ARITHMETICS, type MatmulArithmetic } from './runtime.js';
import { type DType, lastOf, type Shape, sameShape, sizeOf } from './shape.js';
import { Storage } from './storage.js';
import { type Device, Tensor } from './tensor.js';
import { flatten, type TensorData } from './tensor-data.js';
import { tensorsIn } from './tensors-in.js';
import { VERSION } from './version.js';

export type { DeviceInfo, Format, MatmulArithmetic } from './runtime.js';

/** Ending of the names of kernels that round to bfloat16; the rest is the name of the op in float32. */
const BFLOAT16 = 'Bfloat16';

export type { Device } from './tensor.js';

/** A device on an engine. The interface Device documents its methods. */
export class EngineDevice implements Device {
  readonly info: DeviceInfo;
  readonly queue: Queue;
  readonly autograd = { backward, slotOf };
  readonly #heap: Heap;
  readonly #trimmer: HeapTrimmer;
  readonly formats: ReadonlyMap<string, Format>;
  readonly #constants: ReadonlyMap<string, number>;
  /** Tensors of each open scope, the innermost last. */
  readonly #scopes: Tensor[][] = [];
  /** Arithmetics of open `withMatmul` calls, the innermost last, after that of the device. */
  readonly #matmuls: { readonly matmul: MatmulArithmetic }[];
  /** Kernels that round to bfloat16, by the names of their ops. */
  readonly #inBfloat16: ReadonlyMap<string, string>;
  #recording: Recording | null = null;
  #gradients = true;
  #untracked = false;
  #sequence = 0;
  #open = true;

  constructor(
    private readonly backend: Backend,
    reason?: string,
    matmul: MatmulArithmetic = 'float32',
  ) {
    const { isa, isas, threads, version, ops, constants, formats } = backend.manifest;
    if (version !== VERSION) {
      backend.close();
      throw new DeviceError(`createDevice: the engine is of version ${version}, expected ${VERSION}: install it again`);
    }
    const lower = ops.filter(({ name }) => name.endsWith(BFLOAT16));
    this.#inBfloat16 = new Map(lower.map(({ name }) => [name.slice(0, -BFLOAT16.length), name]));
    this.#matmuls = [{ matmul }];
    this.#checkMatmul('createDevice', matmul);
    this.info = { backend: backend.kind, isa, threads, isas, version, ...(reason === undefined ? {} : { reason }) };
    this.queue = new Queue(backend);
    this.#heap = new Heap(
      (words) => backend.grow(words * 4),
      () => this.#trimmer.schedule(),
    );
    this.#trimmer = new HeapTrimmer(this.#heap, this.queue, backend);
    this.#constants = new Map(Object.entries(constants));
    this.formats = new Map(formats.map((format, code) => [format.name, { ...format, code }]));
  }

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

  empty(shape: Shape, dtype: DType = 'float32'): Tensor {
    return this.#allocate('empty', shape, dtype);
  }

  reserve(shape: Shape): Tensor {
    return this.#allocate('empty', shape, 'float32', true);
  }

  #allocate(op: string, shape: Shape, dtype: DType, later = false): Tensor {
    this.assertOpen(op);
    checkForm(op, shape, dtype);
    const pool: Pool = this.#recording !== null && !this.#untracked ? this.#recording.arena : this.#heap;
    return new Tensor(this, [...shape], dtype, new Storage(sizeOf(shape), pool, later), 0, lastOf(shape));
  }

  full(shape: Shape, value: number, dtype: DType = 'float32'): Tensor {
    if (dtype === 'int32') checkNumber('full', 'value', value, isInt32, 'a 32-bit integer');
    else checkNumber('full', 'value', value, () => true, 'a number');
    return this.#filled('full', shape, value, dtype);
  }

  #filled(op: string, shape: Shape, value: number, dtype: DType): Tensor {
    const y = this.#allocate(op, shape, dtype);
    const bits = dtype === 'int32' ? value : (new Int32Array(Float32Array.of(value).buffer)[0] as number);
    // A tensor that outlives a recording is filled once, not by each run; device.tensor() does the same.
    const [cols, queue] = [lastOf(shape), this.#untracked ? this.queue : this];
    queue.emit('fill', { y, rows: y.size / cols, cols, stride: cols, value: bits });
    return y;
  }

  zeros(shape: Shape, dtype: DType = 'float32'): Tensor {
    return this.#filled('zeros', shape, 0, dtype);
  }

  scalar(name: string, value: number): Scalar {
    return new Scalar(name, checkNumber('scalar', 'value', value, isNotNaN, 'a number'));
  }

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
      if (this.#scopes.at(-1) === tracked) this.#scopes.pop();
      else this.#scopes.splice(this.#scopes.indexOf(tracked), 1);
      if (result instanceof Tensor && (result.root.node?.sequence ?? -1) < before) this.#endPlainScope(tracked, result);
      else this.#endScope(tracked, result, before);
    }
  }

  *scopeInParts<T>(work: Iterator<unknown, T>): Generator<undefined, T> {
    const tracked: Tensor[] = [];
    const before = this.#sequence;
    let result: T | undefined;
    try {
      for (;;) {
        this.#scopes.push(tracked);
        let step: IteratorResult<unknown, T>;
        try {
          step = work.next();
        } finally {
          this.#scopes.splice(this.#scopes.lastIndexOf(tracked), 1);
        }
        if (step.done) {
          result = step.value;
          return result;
        }
        yield;
      }
    } finally {
      work.return?.(undefined as T);
      this.#endScope(tracked, result, before);
    }
  }

  /** Ends a scope with one result and no graph, as most ops have. */
  #endPlainScope(tracked: readonly Tensor[], result: Tensor): void {
    for (const tensor of tracked) {
      if (tensor !== result) tensor.dispose();
      else this.#scopes.at(-1)?.push(tensor);
    }
  }

  #endScope(tracked: Tensor[], result: unknown, before: number): void {
    const results = new Set(result instanceof Tensor ? [result] : tensorsIn(result));
    const differentiable = [...results].filter(({ root }) => (root.node?.sequence ?? -1) >= before);
    const others = tracked.filter((tensor) => !results.has(tensor));
    if (differentiable.length > 0) {
      const retained = new RetainedTensors(others, differentiable.length);
      for (const tensor of differentiable) tensor.retain(retained);
    } else for (const tensor of others) tensor.dispose();
    for (const tensor of tracked) if (results.has(tensor)) this.#scopes.at(-1)?.push(tensor);
  }

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

  keep(tensor: Tensor): Tensor {
    for (const scope of this.#scopes) {
      const index = scope.lastIndexOf(tensor);
      if (index >= 0) scope.splice(index, 1);
    }
    return tensor;
  }

  noGrad<T>(fn: () => T): T {
    checkFunction('noGrad', fn);
    return this.#withGradients(false, () => checkSynchronous('noGrad', fn()));
  }

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

  get matmul(): MatmulArithmetic {
    return (this.#matmuls.at(-1) as { matmul: MatmulArithmetic }).matmul;
  }

  withMatmul<T>(matmul: MatmulArithmetic, fn: () => T): T {
    checkFunction('withMatmul', fn);
    if (matmul !== this.matmul) this.#checkMatmul('withMatmul', matmul);
    const call = { matmul };
    this.#matmuls.push(call);
    const end = () => this.#matmuls.splice(this.#matmuls.lastIndexOf(call), 1);
    let result: T | undefined;
    try {
      result = fn();
    } finally {
      if (!isPromise(result)) end();
    }
    return isPromise(result) ? (Promise.resolve(result).finally(end) as T) : result;
  }

  #checkMatmul(op: string, matmul: MatmulArithmetic): void {
    checkOneOf(op, 'matmul', matmul, MATMUL_ARITHMETICS);
  }

  record<T>(fn: () => T): Program<T> {
    checkFunction('record', fn);
    this.assertOpen('record');
    this.assertNotRecording('record');
    const recording = new Recording(this.#heap);
    // Tensors of a recording belong to the program, not to a scope around the recording.
    const [outer, untracked] = [this.#scopes.splice(0, Infinity, recording.made), this.#untracked];
    [this.#recording, this.#untracked] = [recording, false];
    try {
      const result = checkSynchronous('record', fn());
      return new Program(this, result, recording.recorded());
    } catch (error) {
      recording.release();
      throw error;
    } finally {
      [this.#recording, this.#untracked] = [null, untracked];
      recording.restore();
      this.#scopes.splice(0, Infinity, ...outer);
    }
  }

  flush(): Promise<void> {
    this.assertOpen('flush');
    this.assertNotRecording('flush');
    return this.queue.run();
  }

  flushSync(): void {
    this.assertOpen('flushSync');
    this.assertNotRecording('flushSync');
    this.queue.runSync();
  }

  memory(): { used: number; peak: number; capacity: number } {
    return this.#heap.usage;
  }

  resetPeak(): void {
    this.#heap.resetPeak();
  }

  dispose(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#trimmer.dispose();
    try {
      this.queue.close();
    } finally {
      this.backend.close();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  emit(name: string, operands: Readonly<Record<string, Operand>>, flops = 0): void {
    const op = this.matmul === 'bfloat16' ? (this.#inBfloat16.get(name) ?? name) : name;
    const recording = this.#recording;
    if (recording === null) {
      this.queue.emit(op, operands);
    } else {
      for (const operand of Object.values(operands)) {
        if (isHeapValue(operand)) recording.retain(operand.storage);
      }
      this.queue.emit(op, operands, recording.list);
      recording.commands.push(recordedCommand(op, operands, flops));
    }
  }

  constant(name: string): number {
    const value = this.#constants.get(name);
    if (value !== undefined) return value;
    throw new DeviceError(`the loaded engine has no constant '${name}': rebuild it`);
  }

  /** `packed` values are never ids, and are not kept on the host. */
  upload(storage: Storage, offset: number, values: Float32Array | Int32Array, packed = false): void {
    const recording = this.#recording;
    if (recording === null || this.#untracked) this.queue.upload(offset, values);
    else {
      recording.retain(storage);
      for (const length of this.queue.upload(offset, values, recording.list)) {
        recording.commands.push({ op: 'upload', operands: ['y', [length]], flops: 0 });
      }
    }
    storage.version++;
    // Ops check ids at the call if the host knows them. The copy protects against later changes of the caller's array.
    if (!packed && isTyped(values, 'Int32Array'))
      storage.fromHost = { values: values.slice(), offset, version: storage.version };
  }

  track(tensor: Tensor): void {
    if (!this.#untracked) this.#scopes.at(-1)?.push(tensor);
  }

  noteGradient(slot: RecordedGradient): void {
    this.#recording?.noteGradient(slot);
  }

  get arena(): Pool | undefined {
    return this.#recording?.arena;
  }

  get gradientsOn(): boolean {
    return this.#gradients;
  }

  nextSequence(): number {
    return this.#sequence++;
  }

  assertOpen(op: string): void {
    if (!this.#open) throw new DeviceError(`${op}: the device has already been disposed`);
  }

  get recording(): boolean {
    return this.#recording !== null;
  }

  assertNotRecording(op: string): void {
    if (this.#recording !== null)
      throw new SimdformerError(
        `${op}: a program is being recorded, and nothing has a value while recording; call it before or after`,
      );
  }
}

/** Checks shape and dtype for untyped callers. */
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
