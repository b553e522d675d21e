import type { Device } from '../core/device.js';
import type { StoredTensor } from '../nn/read-pieces.js';
import type { PackedFormat } from '../ops/packed.js';

/** A tensor of a file of any format. */
export interface WeightEntry extends StoredTensor {
  readonly size: number;
  /** The type and the bytes of the tensor in the file, if it is not stored as `dtype`. */
  readonly file?: { readonly type: string; readonly byteLength: number } | undefined;
  /** All values at once. Throws FormatError for blocks, which only `stream` unpacks. */
  data(): Float32Array | Int32Array | Promise<Float32Array>;
  /** The values as blocks, if the file has blocks that can stay packed in memory. */
  blocks?(device: Device): StoredBlocks | undefined;
  /** The weight of a linear layer that checkpoints store as [in, out]. Undefined if it is this one. */
  inOut?(): WeightEntry;
}

/** A packed matrix of a file. */
export interface StoredBlocks {
  readonly format: PackedFormat;
  /** [out, in], also if state dicts have the transposed matrix. */
  readonly shape: readonly [number, number];
  /** Rows are read in multiples of this number. */
  readonly unit: number;
  /** True if the last block of a row may have more inputs than the row. */
  readonly padded?: boolean | undefined;
  /** Fills `buffer` from byte `from` of the blocks on. Both are whole units of rows. */
  read(buffer: Uint8Array, from: number): Promise<void>;
}

/** The role of a projection in an attention. */
export type ProjectionRole = 'query' | 'key' | 'value';

/** A tensor whose name an exporter has dropped. */
export interface UnnamedWeight {
  readonly entry: WeightEntry;
  /** The generated name. Exporters of torch count constants in the order in which the model uses them. */
  readonly name: string;
  /** Index of the file: an encoder's precedes a decoder's. */
  readonly file: number;
  /** Roles of this matrix, as its product is used. Empty: the graph does not tell. */
  readonly roles: ReadonlySet<ProjectionRole>;
}

/** Open files. Their entries can be read until they are closed. */
export interface Weights {
  readonly tensors: ReadonlyMap<string, WeightEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Maps the wanted names to tensors, if the file uses another prefix. */
  readonly named?: ((wanted: ReadonlySet<string>) => ReadonlyMap<string, WeightEntry>) | undefined;
  /** Names of tensors that an exporter has computed from others, of which it has dropped some. */
  readonly foldedNames?: readonly string[] | undefined;
  /** Names of tensors that may be missing in the model without an effect. */
  readonly unneeded?: ReadonlySet<string> | undefined;
  /** Tensors whose names the file has lost. */
  readonly unnamed?: readonly UnnamedWeight[] | undefined;
  /** A warning text: the types that the engine does not compute with, and their format in memory. */
  readonly converted?: string | undefined;
  /** Texts of warnings about values of the file in whose place the model has others. */
  readonly notes?: readonly string[] | undefined;
  /** Throws FormatError, naming the tensor, if the engine of `device` does not read its type. */
  check?(device: Device): void;
  close(): void;
}
