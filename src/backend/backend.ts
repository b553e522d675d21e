/**
 * Kinds of operands. A command encodes a tensor as offset and length, a scalar as one word, and `tail` as all remaining
 * words. A kind with `?` may be omitted.
 */
export type OperandKind = 'in' | 'in?' | 'out' | 'out?' | 'inout' | 'inout?' | 'i32' | 'u32' | 'f32' | 'tail';

/** A format of packed weights, as its header in native/formats defines it. Sizes are bytes. */
export interface FormatInfo {
  readonly name: string;
  /** Name and number of the type in GGUF files; undefined if GGUF has no such type. */
  readonly ggufName?: string;
  readonly ggufType?: number;
  /** Number of inputs and bytes of a block of one output feature, in the layout of files. */
  readonly inputs: number;
  readonly blockBytes: number;
  /** Bytes before the blocks of a feature. */
  readonly rowHead: number;
  /** In the layout of the heap: bytes of one block of all features of a tile, and bytes before the blocks of a tile. */
  readonly recordBytes: number;
  readonly tileHead: number;
  /** Bits of a stored weight. */
  readonly bits: number;
  /** A weight is (integer - offset) · scale. Undefined for floats. */
  readonly offset?: number;
  /** Number of scales for each 32 inputs; 0 if all inputs of a feature share one scale. Undefined for floats. */
  readonly scales?: number;
  /**
   * Groups of 32 inputs whose scales are one float times integers; 0 if each scale is a float. Undefined for floats.
   */
  readonly factorGroups?: number;
  /** True if the engine can quantize floats to this format. */
  readonly made: boolean;
}

/** The abilities of a loaded engine. An opcode is an index in `ops`, and a format's code is an index in `formats`. */
export interface Manifest {
  readonly version: string;
  readonly isa: InstructionSet;
  /** The instruction sets of this build that this machine supports, best first. */
  readonly isas: readonly InstructionSet[];
  readonly threads: number;
  /** Maximum size of the heap in bytes; only in WebAssembly. */
  readonly maxBytes?: number;
  readonly ops: readonly {
    readonly name: string;
    /** Name of the group of kernels that contains the op. A WebAssembly module has one group, the addon has all. */
    readonly part: string;
    /** `fields` are the names of the numbers of a grouped operand, each of this kind. */
    readonly operands: readonly {
      readonly name: string;
      readonly kind: OperandKind;
      readonly fields?: readonly string[];
    }[];
  }[];
  /** Constants that kernels and ops share, by name. See `Device.constant`. */
  readonly constants: Readonly<Record<string, number>>;
  readonly formats: readonly FormatInfo[];
}

/**
 * The first failure of a run. A malformed command prevents the run. If a command finds invalid data in the heap, later
 * commands may still run.
 */
export interface CommandFailure {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
}

/**
 * The border between TypeScript and the engine: command lists over one heap. A new op does not change this interface.
 */
export interface Backend {
  readonly kind: 'native' | 'wasm';
  readonly manifest: Manifest;
  /** Waits for runs in progress, then runs the commands in the first `count` words. Returns null if all succeeded. */
  run(words: Uint32Array, count: number): CommandFailure | null;
  /** Like `run`, on another thread. The words are copied before it returns. */
  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null>;
  /** Makes at least `bytes` bytes of the heap usable. Returns false if the system does not have that much memory. */
  grow(bytes: number): boolean;
  /**
   * Returns the memory pages of an unused range to the system. The range stays usable. WebAssembly lacks this method,
   * because its memory never shrinks.
   */
  discard?(byteOffset: number, bytes: number): void;
  /** Copies from the heap into `target`. */
  read(byteOffset: number, target: ArrayBufferView): void;
  /**
   * Like `read`, after the runs that were requested before. Only engines in a worker have it; their `run` and `read`
   * throw.
   */
  readAsync?(byteOffset: number, target: ArrayBufferView): Promise<void>;
  /** Copies `source` into the heap. */
  write(byteOffset: number, source: ArrayBufferView): void;
  /** Frees the heap. */
  close(): void;
}

/**
 * The instruction sets of all backends: those of the addon, then those of WebAssembly, each best first.
 * `device.info.isas` lists those of this machine.
 */
export const INSTRUCTION_SETS = ['avx512', 'avx2', 'neon', 'sse2', 'scalar', 'relaxed', 'simd128'] as const;

export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

/**
 * The engine's constant `engine.maxThreads`. It is repeated here, because options are checked before an engine is
 * loaded.
 */
export const MAX_THREADS = 64;

/** Priorities of a device's threads. */
export const PRIORITIES = ['normal', 'background'] as const;

export interface BackendOptions {
  /**
   * Threads that a run may use, including the calling one: at most 64. 'auto' leaves out cores that other programs keep
   * busy. It reads the machine's load before a run, at most once a second. WebAssembly cannot read it: 'auto' is the
   * default there. Results have the same bits for any number. Default: all cores of the machine.
   */
  threads?: number | 'auto' | undefined;
  /**
   * 'background' lowers the priority of the addon's threads, so that other programs and devices go first. On
   * Linux, it raises the nice value by 10. On macOS, it is the quality of service "utility", on Windows the lowest
   * priority. Synchronous methods also compute on the calling thread, which keeps its priority. WebAssembly ignores
   * this option. Default: 'normal'.
   */
  priority?: (typeof PRIORITIES)[number] | undefined;
  /**
   * Instruction set, one of `device.info.isas`. Default: the best of this machine, or for the addon `SIMDFORMER_ISA` if
   * set.
   */
  isa?: InstructionSet | undefined;
}

export interface WasmOptions extends BackendOptions {
  /**
   * URL of the folder with the files of `simdformer/wasm/`, for bundlers that do not copy them. It is absolute, or
   * relative to the page (in Node, to the working directory). Default: the location in the package or bundle.
   */
  wasmUrl?: string | URL | undefined;
}

/** Options of an engine of WebAssembly. It can neither read the machine's load nor set priorities. */
export interface WasmEngineOptions extends Omit<WasmOptions, 'threads' | 'priority'> {
  threads?: number | undefined;
}
