import {
  type BackendOptions,
  INSTRUCTION_SETS,
  MAX_THREADS,
  PRIORITIES,
  type WasmOptions,
} from '../backend/backend.js';
import { environment, isNode } from '../backend/node.js';
import { createWasmBackend } from '../backend/wasm.js';
import { hasWorkers } from '../backend/workers.js';
import { anyOf, checkOptions } from './check-options.js';
import { describeValue, isCount } from './check-values.js';
import { type Device, EngineDevice } from './device.js';
import { ArgumentError, DeviceError } from './errors.js';
import { isUrl } from './kinds.js';
import { MATMUL_ARITHMETICS, type MatmulArithmetic } from './runtime.js';

export interface DeviceOptions extends WasmOptions {
  /**
   * `native`: the C++ addon, in Node. `wasm`: the same kernels in WebAssembly. `auto`: the addon if it loads, else
   * WebAssembly; `device.info.reason` then gives the reason. Default: `SIMDFORMER_BACKEND` if set, else `auto`.
   */
  backend?: 'auto' | 'native' | 'wasm' | undefined;
  /**
   * True makes WebAssembly compute in a worker, so that a page never blocks. `dataSync()` and other blocking methods
   * then throw. In pages, the default of `threads` is then one less than the number of cores, so that the page can
   * draw. The addon ignores this option, because it always computes on threads of its own. Default: false.
   */
  worker?: boolean | undefined;
  /**
   * True to write nothing to stderr if the addon does not load and WebAssembly replaces it. Default: false, or true if
   * `SIMDFORMER_QUIET` is 1.
   */
  quiet?: boolean | undefined;
  /**
   * The arithmetic of matrix products, attention and their gradients. 'bfloat16' rounds the factors of each product to
   * bfloat16, and adds in float32. It is fast on processors with AMX or AVX512-BF16. Other processors give the same
   * bits, but are slower than with float32. `device.withMatmul` changes it for some calls. Default: 'float32'.
   */
  matmul?: MatmulArithmetic | undefined;
}

/**
 * Opens a device. Any number can be open at once; each has its own heap.
 *
 * Throws DeviceError if the backend does not load or lacks the requested instruction set, ArgumentError for an invalid
 * option.
 */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  const {
    backend = environment('SIMDFORMER_BACKEND') ?? 'auto',
    worker = false,
    quiet = environment('SIMDFORMER_QUIET') === '1',
    matmul,
    ...rest
  } = checkOptions('createDevice', options, {
    backend: 'any',
    worker: 'boolean',
    quiet: 'boolean',
    matmul: MATMUL_ARITHMETICS,
    threads: THREADS,
    priority: PRIORITIES,
    isa: INSTRUCTION_SETS,
    wasmUrl: anyOf('string', { accepts: isUrl, expected: 'a URL' }),
  });
  switch (backend) {
    case 'native':
      return openNative(rest, matmul);
    case 'wasm':
      return openWasm(rest, worker, matmul);
    case 'auto':
      return openBest(rest, worker, quiet, matmul);
    default:
      throw new ArgumentError(
        `createDevice: backend is ${describeValue(backend)}, expected 'auto', 'native' or 'wasm'`,
      );
  }
}

const THREADS = {
  accepts: (count: unknown) => count === 'auto' || (isCount(count as number) && (count as number) <= MAX_THREADS),
  expected: `an integer from 1 to ${MAX_THREADS}, or 'auto'`,
};

const NO_ADDON = 'the native addon is for Node, Bun and Deno';
const nativeModule = () => import('../backend/native.js');

async function openNative(options: BackendOptions, matmul?: MatmulArithmetic): Promise<Device> {
  if (!isNode) throw new DeviceError(NO_ADDON);
  const { createNativeBackend, loadAddon } = await nativeModule();
  return new EngineDevice(createNativeBackend(await loadAddon(), options), undefined, matmul);
}

async function openWasm(
  { threads, priority: _, ...options }: WasmOptions,
  worker: boolean,
  matmul?: MatmulArithmetic,
  reason?: string,
): Promise<Device> {
  // This check comes early: service workers have no workers, and no import() to load the backend with.
  if (worker && !hasWorkers) throw new DeviceError('createDevice: worker is true, but this runtime has no workers');
  const create = worker ? (await import('../backend/wasm-worker.js')).createWorkerBackend : createWasmBackend;
  const engine = await create({ ...options, threads: threads === 'auto' ? undefined : threads });
  return new EngineDevice(engine, reason, matmul);
}

async function openBest(
  options: WasmOptions,
  worker: boolean,
  quiet: boolean,
  matmul?: MatmulArithmetic,
): Promise<Device> {
  if (!isNode) return openWasm(options, worker, matmul, NO_ADDON); // load nothing that cannot be used
  const { createNativeBackend, loadAddon, warnOfWasmFallback } = await nativeModule();
  let addon: Awaited<ReturnType<typeof loadAddon>>;
  try {
    addon = await loadAddon();
  } catch (error) {
    const device = await openWasm(options, worker, matmul, (error as Error).message);
    if (!quiet) warnOfWasmFallback();
    return device;
  }
  return new EngineDevice(createNativeBackend(addon, options), undefined, matmul);
}
