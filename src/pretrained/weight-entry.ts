import type { StoredTensor } from '../nn/read-pieces.js';

/** A tensor of a file, whichever the format is. */
export interface WeightEntry extends StoredTensor {
  readonly size: number;
  /** All values at once. */
  data(): Float32Array | Int32Array | Promise<Float32Array>;
}

/** Open files; their entries can be read until they are closed. */
export interface Weights {
  readonly tensors: ReadonlyMap<string, WeightEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  close(): void;
}
