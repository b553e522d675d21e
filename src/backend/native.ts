import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ArgumentError, DeviceError } from '../core/errors.js';
import type { Backend, BackendOptions, CommandFailure, Manifest } from './backend.js';

interface NativeEngine {
  manifest(): string;
  run(words: Uint32Array, count: number): CommandFailure | null;
  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null>;
  grow(bytes: number): boolean;
  read(byteOffset: number, target: ArrayBufferView): void;
  write(byteOffset: number, source: ArrayBufferView): void;
  close(): void;
}

interface Addon {
  Engine: new (isa: string | undefined, threads: number) => NativeEngine;
}

let addon: Addon | undefined;

function loadAddon(): Addon {
  if (addon !== undefined) return addon;
  // src/backend/ and dist/backend/ are equally deep.
  const path = fileURLToPath(new URL('../../build/Release/simdformer.node', import.meta.url));
  try {
    addon = createRequire(import.meta.url)(path) as Addon;
    return addon;
  } catch (error) {
    throw new DeviceError(
      `the native addon for ${process.platform}-${process.arch} did not load from ${path}: ${(error as Error).message}. ` +
        'Build it with `npm run build:native` (needs a C++20 compiler and Python 3).',
      { cause: error },
    );
  }
}

/** An engine of the N-API addon. Throws DeviceError if the addon does not load or lacks the instruction set. */
export function createNativeBackend(options: BackendOptions): Backend {
  const { Engine } = loadAddon();
  const threads = options.threads ?? Math.min(availableParallelism(), 64);
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    throw new ArgumentError(`createDevice: threads is ${threads}, expected an integer from 1 to 64`);
  }
  const isa = options.isa ?? (process.env.SIMDFORMER_ISA || undefined);
  let engine: NativeEngine;
  try {
    engine = new Engine(isa, threads);
  } catch (error) {
    const asked = options.isa !== undefined ? 'isa' : 'SIMDFORMER_ISA';
    throw new DeviceError(`createDevice: ${asked} is '${isa}', but ${(error as Error).message}`, { cause: error });
  }
  return {
    kind: 'native',
    manifest: JSON.parse(engine.manifest()) as Manifest,
    run: (words, count) => engine.run(words, count),
    runAsync: (words, count) => engine.runAsync(words, count),
    grow: (bytes) => engine.grow(bytes),
    read: (byteOffset, target) => engine.read(byteOffset, target),
    write: (byteOffset, source) => engine.write(byteOffset, source),
    close: () => engine.close(),
  };
}
