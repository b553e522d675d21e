// Messages between a device and the worker that computes for it. The worker handles them in order.
import type { CommandFailure, Manifest } from './backend.js';
import type { ErrorData } from './error-data.js';
import type { WasmEngine } from './wasm-engine.js';

export type Request =
  | { do: 'open'; engine: WasmEngine; threads: readonly MessagePort[] }
  | { do: 'run'; words: Uint32Array }
  | { do: 'read'; byteOffset: number; length: number }
  | { do: 'write'; byteOffset: number; bytes: Uint8Array }
  | { do: 'grow'; bytes: number };

/** Answers to requests. `write` and `grow` have none. */
export interface Answers {
  open: Manifest;
  run: CommandFailure | null;
  read: Uint8Array;
}

/** An error ends the request that it met. */
export type Answer = { result: Answers[keyof Answers] } | { error: ErrorData };
