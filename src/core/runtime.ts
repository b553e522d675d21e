import type { FormatInfo } from '../backend/backend.js';
import type { Pool } from './heap.js';
import type { Operand, Scalar } from './operand.js';
import type { Program, RecordedGradient } from './program.js';
import type { Queue } from './queue.js';
import type { Storage } from './storage.js';

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

/** A format of packed weights, with its number in commands. */
export interface Format extends FormatInfo {
  readonly code: number;
}

/** What a device does that is not about single tensors: scopes, gradients on and off, programs, runs, memory. */
export interface Runtime extends Disposable {
  readonly info: DeviceInfo;
  /** @internal */
  readonly queue: Queue;

  /**
   * A named number that ops take as an operand and `program.run({ name: value })` can change. Throws ArgumentError if
   * `value` is NaN or no number.
   */
  scalar(name: string, value: number): Scalar;

  /**
   * Runs `fn` and disposes of the tensors made in it, except those in what it returns (a tensor, a TokenBatch or another
   * object that lists its `tensors`, or arrays and plain objects of these) and, if those can still be differentiated, the
   * ones that backward needs. Scopes nest. Throws ArgumentError if `fn` is no function or asynchronous.
   */
  scope<T>(fn: () => T): T;

  /**
   * Runs `fn` with tensors belonging to no scope or recording: for state that outlives them. Throws ArgumentError if `fn`
   * is no function or asynchronous.
   */
  unscoped<T>(fn: () => T): T;

  /** Runs `fn` without preparing for backward. Throws ArgumentError if `fn` is no function or asynchronous. */
  noGrad<T>(fn: () => T): T;

  /** Runs `fn` as outside any `noGrad`. Throws as `noGrad`. */
  withGrad<T>(fn: () => T): T;

  /**
   * Runs `fn`, which computes nothing yet: its ops are kept as a program, to be run any number of times. Tensors made
   * outside serve as inputs: write to them between runs, which give those made in it their values anew. A `backward()` in
   * it gives every run the same gradients: one that was assigned when recorded is assigned anew, one that was added to
   * what was there is added again. Throws ArgumentError if `fn` is no function or asynchronous, SimdformerError if it
   * reads values or a program is being recorded already.
   */
  record<T>(fn: () => T): Program<T>;

  /** Runs what is queued, off this thread. Rejects as `Tensor.data`. */
  flush(): Promise<void>;

  /** Runs what is queued, on this thread. Throws as `Tensor.dataSync`. */
  flushSync(): void;

  /** Bytes: in use by tensors, the most since `resetPeak`, and taken from the system. */
  memory(): { used: number; peak: number; capacity: number };

  /** Lets `memory().peak` start again from what is in use now. */
  resetPeak(): void;

  /** Gives all memory back; the device and its tensors cannot be used afterwards. */
  dispose(): void;

  /**
   * For authors of ops: queues one command. Operands are named as in the kernel's signature; `flops` counts its
   * floating-point operations.
   */
  emit(op: string, operands: Readonly<Record<string, Operand>>, flops?: number): void;

  /**
   * For authors of ops: a number that the engine's kernels were compiled with, such as `broadcast.rank`; CONSTANT lists it
   * beside them. Throws DeviceError if the engine has none of that name.
   */
  constant(name: string): number;

  /** For authors of ops: the formats of packed weights by name, with their numbers in commands. */
  readonly formats: ReadonlyMap<string, Format>;

  /** @internal */
  upload(storage: Storage, offset: number, values: Float32Array | Int32Array, packed?: boolean): void;

  /** @internal Called before the gradient of a leaf changes, so that a recording can put it back. */
  noteGradient(slot: RecordedGradient): void;

  /** @internal Where the tensors of the program lie that is being recorded. */
  readonly arena: Pool | undefined;

  /** @internal */
  readonly gradientsOn: boolean;

  /** @internal */
  nextSequence(): number;

  /** @internal */
  assertOpen(op: string): void;

  /** @internal Whether ops are being recorded as a program, and compute nothing yet. */
  readonly recording: boolean;

  /** @internal */
  assertNotRecording(op: string): void;
}
