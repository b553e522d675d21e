/**
 * How an operand of a command is encoded: a tensor as offset and length, a scalar as one word, `tail` as what is left.
 */
export type OperandKind = 'in' | 'in?' | 'out' | 'out?' | 'inout' | 'inout?' | 'i32' | 'u32' | 'f32' | 'tail';

/** A format of packed weights, as its header in native/formats defines it. Sizes are bytes. */
export interface FormatInfo {
  readonly name: string;
  /** GGUF's name and number of the type; undefined if no GGUF file has it. */
  readonly ggufName?: string;
  readonly ggufType?: number;
  /** Inputs and bytes of a block of one output feature, as files have it. */
  readonly inputs: number;
  readonly blockBytes: number;
  /** Precedes the blocks of a feature. */
  readonly rowHead: number;
  /** In the heap: a block of all features of a tile, and the head that precedes the blocks of a tile. */
  readonly recordBytes: number;
  readonly tileHead: number;
  /** Bits of a stored weight. */
  readonly bits: number;
  /** A weight is (integer - offset) · scale. Undefined for floats. */
  readonly offset?: number;
  /** Scales of 32 inputs; 0 if all inputs of a feature share one. Undefined for floats. */
  readonly scales?: number;
  /** True if the engine can make it from floats. */
  readonly made: boolean;
}

/** The abilities of a loaded engine. Opcodes are positions in `ops`, numbers of formats positions in `formats`. */
export interface Manifest {
  readonly version: string;
  readonly isa: InstructionSet;
  /** Every instruction set of this build that this machine has, best first. */
  readonly isas: readonly InstructionSet[];
  readonly threads: number;
  /** Maximum size of its heap, in WebAssembly. */
  readonly mostBytes?: number;
  readonly ops: readonly {
    readonly name: string;
    /** The part of the kernels that has it. A module of WebAssembly has one part, the addon all. */
    readonly part: string;
    /** `fields`: the names of numbers that are one operand together, each of this kind. */
    readonly operands: readonly {
      readonly name: string;
      readonly kind: OperandKind;
      readonly fields?: readonly string[];
    }[];
  }[];
  /** Numbers that kernels and ops have to agree on, by name: see `Device.constant`. */
  readonly constants: Readonly<Record<string, number>>;
  readonly formats: readonly FormatInfo[];
}

/** Why a command list did not run to its end. */
export interface CommandFailure {
  readonly index: number;
  readonly name: string;
  readonly reason: string;
}

/** The border between TypeScript and the engine: command lists over one heap. It never grows when an op is added. */
export interface Backend {
  readonly kind: 'native' | 'wasm';
  readonly manifest: Manifest;
  /** Runs the first `count` words; null when all went well. Waits for runs in progress. */
  run(words: Uint32Array, count: number): CommandFailure | null;
  /** Like `run`, off this thread. The words are copied before it returns. */
  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null>;
  /** Makes at least `bytes` of the heap usable; false if the system has not that much. */
  grow(bytes: number): boolean;
  /**
   * Gives the pages of a range that nobody uses back to the system; the range stays usable. Only of engines that can: the
   * memory of WebAssembly never shrinks.
   */
  discard?(byteOffset: number, bytes: number): void;
  /** Copies from the heap into `target`. */
  read(byteOffset: number, target: ArrayBufferView): void;
  /**
   * Like `read`, in order with the requested runs. Only for engines in a worker, whose `run` and `read` throw.
   */
  readAsync?(byteOffset: number, target: ArrayBufferView): Promise<void>;
  /** Copies `source` into the heap. */
  write(byteOffset: number, source: ArrayBufferView): void;
  /** Gives the heap back. */
  close(): void;
}

/** The sets of all backends, the addon's first, best first. `device.info.isas` lists those of this machine. */
export const INSTRUCTION_SETS = ['avx512', 'avx2', 'neon', 'sse2', 'scalar', 'relaxed', 'simd128'] as const;

export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

/** The engine's constant `engine.maxThreads`, written down because options are checked before there is an engine. */
export const MAX_THREADS = 64;

export interface BackendOptions {
  /** Threads a run may use, the calling one included, 64 at most. Default: what the machine offers. */
  threads?: number | undefined;
  /**
   * Instruction set, one of `device.info.isas`. Default: the best the machine has; of the addon, `SIMDFORMER_ISA` if set.
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
