import type { FormatInfo, InstructionSet } from '../backend/backend.js';
import type { Pool } from './heap.js';
import type { Operand, Scalar } from './operand.js';
import type { Program, RecordedGradient } from './program.js';
import type { Queue } from './queue.js';
import type { Storage } from './storage.js';

/**
 * Arithmetic of matrix products, attention and their gradients. 'bfloat16' rounds the factors of each product to
 * bfloat16 and adds in float32; results and everything else are float32.
 */
export type MatmulArithmetic = 'float32' | 'bfloat16';

/** @internal */
export const MATMUL_ARITHMETICS = ['float32', 'bfloat16'] as const satisfies readonly MatmulArithmetic[];

/** Properties of an open device. */
export interface DeviceInfo {
  readonly backend: 'native' | 'wasm';
  /** The instruction set in use. */
  readonly isa: InstructionSet;
  /** Threads that a run may use, including the calling one. */
  readonly threads: number;
  /** The instruction sets that this machine and this build support, best first. */
  readonly isas: readonly InstructionSet[];
  /** Version of the engine. */
  readonly version: string;
  /** If the backend was chosen automatically, the reason why it is not the native addon. */
  readonly reason?: string;
}

/** A format of packed weights, with the number that stands for it in commands. */
export interface Format extends FormatInfo {
  readonly code: number;
}

/** The methods of a device that do not create tensors: scopes, gradients on and off, programs, runs, memory. */
export interface Runtime extends Disposable {
  readonly info: DeviceInfo;
  /** @internal */
  readonly queue: Queue;

  /**
   * A named number that ops take as an operand and that `program.run({ name: value })` can change. Throws ArgumentError
   * if `value` is NaN or no number.
   */
  scalar(name: string, value: number): Scalar;

  /**
   * Runs `fn` and disposes of the tensors made in it, except those in its result. A result is a tensor, a TokenBatch or
   * another object that lists its `tensors`, or arrays and plain objects of these. If the result can be differentiated,
   * the tensors of its backward pass are kept, too. Scopes nest. Throws ArgumentError if `fn` is not a function, or is
   * asynchronous.
   */
  scope<T>(fn: () => T): T;

  /**
   * @internal Like `scope`, for work that pauses. Other work can run during a pause; its tensors are not in this scope.
   */
  scopeInParts<T>(work: Iterator<unknown, T>): Generator<undefined, T>;

  /**
   * Runs `fn` with tensors that belong to no scope or recording, for state that outlives them. Throws ArgumentError if
   * `fn` is not a function or is asynchronous.
   */
  unscoped<T>(fn: () => T): T;

  /**
   * Runs `fn` without preparing for a backward pass. Throws ArgumentError if `fn` is not a function or is asynchronous.
   */
  noGrad<T>(fn: () => T): T;

  /** Runs `fn` as if it were outside any `noGrad`. Throws like `noGrad`. */
  withGrad<T>(fn: () => T): T;

  /** The arithmetic that applies to ops called now. Default: 'float32'. */
  readonly matmul: MatmulArithmetic;

  /**
   * Runs `fn` with this arithmetic in matrix products and attention. It also applies to their gradients, even if these
   * are computed later, and to programs that `fn` records. If `fn` is asynchronous, the arithmetic lasts until its
   * promise settles, and applies to other ops that are called meanwhile. Calls nest. Throws ArgumentError for another
   * name, or if `fn` is not a function.
   */
  withMatmul<T>(matmul: MatmulArithmetic, fn: () => T): T;

  /**
   * Records `fn` as a program that can run any number of times; `fn` itself computes nothing. Tensors made outside are
   * inputs: write to them between runs. Each run gives new values to the tensors made inside. A `backward()` inside is
   * repeated in every run. A gradient that was assigned during recording is assigned again. A gradient that was added
   * to existing values is added again. Throws ArgumentError if `fn` is not a function, or is asynchronous. Throws
   * SimdformerError if it reads values, or if a program is being recorded already.
   */
  record<T>(fn: () => T): Program<T>;

  /** Runs the queue on another thread. Rejects like `Tensor.data`. */
  flush(): Promise<void>;

  /** Runs the queue on this thread. Throws like `Tensor.dataSync`. */
  flushSync(): void;

  /** Memory in bytes: in use by tensors, its maximum since `resetPeak`, and taken from the system. */
  memory(): { used: number; peak: number; capacity: number };

  /** Sets `memory().peak` to the memory in use now. */
  resetPeak(): void;

  /** Frees all memory. The device and its tensors cannot be used afterwards. */
  dispose(): void;

  /**
   * For authors of ops: queues one command. Operands are named as in the kernel's signature; `flops` counts its
   * floating-point operations.
   */
  emit(op: string, operands: Readonly<Record<string, Operand>>, flops?: number): void;

  /**
   * For authors of ops: a constant that the engine was compiled with, such as `broadcast.rank`. The C++ macro CONSTANT
   * defines it. Throws DeviceError if the engine has no constant of that name.
   */
  constant(name: string): number;

  /** For authors of ops: the formats of packed weights by name, with their numbers in commands. */
  readonly formats: ReadonlyMap<string, Format>;

  /** @internal */
  upload(storage: Storage, offset: number, values: Float32Array | Int32Array, packed?: boolean): void;

  /** @internal Called before the gradient of a leaf changes, so that a recording can restore it. */
  noteGradient(slot: RecordedGradient): void;

  /** @internal The memory of the program that is being recorded. */
  readonly arena: Pool | undefined;

  /** @internal */
  readonly gradientsOn: boolean;

  /** @internal */
  nextSequence(): number;

  /** @internal */
  assertOpen(op: string): void;

  /** @internal True while ops are recorded as a program and compute nothing yet. */
  readonly recording: boolean;

  /** @internal */
  assertNotRecording(op: string): void;
}
