import { type Backend, type BackendOptions, MAX_THREADS, type Manifest } from './backend.js';
import { DeviceError } from './errors.js';
import { environment, nodeModule, siblingUrl } from './node.js';
import { cpuTimes, SpareCores } from './spare-cores.js';

/** The class of native/addon.cc: a backend whose manifest is JSON. */
interface NativeEngine extends Omit<Required<Backend>, 'kind' | 'manifest' | 'readAsync'> {
  manifest(): string;
  /** Limits the threads of later runs. */
  limit(threads: number): void;
}

export interface Addon {
  Engine: new (isa: string | undefined, threads: number, isBackground: boolean) => NativeEngine;
  /** Number of processors of the machine. */
  parallelism: number;
  /** Node's module, for `threads: 'auto'`. */
  os: Pick<typeof import('node:os'), 'cpus'>;
}

/** Loads the addon. Throws DeviceError with the reason and a remedy if it does not load. */
export async function loadAddon(): Promise<Addon> {
  const { createRequire } = await nodeModule<typeof import('node:module')>('module');
  const os = await nodeModule<typeof import('node:os')>('os');
  const { fileURLToPath } = await nodeModule<typeof import('node:url')>('url');
  const { url } = import.meta;
  if (url === undefined) {
    throw new DeviceError(
      'the native addon cannot be found, because CommonJS code does not know its own URL: leave simdformer out of ' +
        'bundles (external)',
    );
  }
  const require = createRequire(url);
  // An addon that was built on this machine comes first: in a clone, or in an installation from git. The relative path
  // is right for src/backend/ and for dist/chunks/.
  const built = ['../../build/Release', '../addon'].map((path) =>
    fileURLToPath(siblingUrl(url, `${path}/simdformer.node`)),
  );
  const reasons: string[] = [];
  for (const path of [...built, ...prebuilt(), SOURCE]) {
    try {
      return { ...(require(path) as Pick<Addon, 'Engine'>), parallelism: os.availableParallelism(), os };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const [reason] = message.split('\n'); // without Node's list of requiring modules
      reasons.push(`${path}: ${code === 'MODULE_NOT_FOUND' ? 'it is not there' : reason}`);
    }
  }
  throw new DeviceError(
    `the native addon for ${process.platform}-${process.arch} did not load from ${reasons.join(', nor from ')}. ` +
      'Install the optional dependencies, one of which is the addon. Or build the addon: with `npm run setup` in a clone, ' +
      `with \`${COMPILE}\` elsewhere (needs a C++20 compiler, make and Python 3); and leave simdformer out ` +
      'of bundles (external).',
  );
}

/** The package with the C++ sources, whose program compiles the addon. */
const SOURCE = 'simdformer-source';
const COMPILE = `npm install ${SOURCE} && npx ${SOURCE}`;

/** The command that builds the addon, for a clone or for an installed package. */
const BUILD = /[\\/]node_modules[\\/]simdformer[\\/]/.test(import.meta.url ?? '') ? COMPILE : 'npm run setup';

let isTold = false;

/** Writes to stderr, once, that WebAssembly replaces the addon, and how to build the addon. */
export function warnOfWasmFallback(): void {
  if (isTold) return;
  isTold = true;
  console.warn(
    `simdformer: the native addon did not load, so WebAssembly stands in, which is slower. To build the addon: ${BUILD} ` +
      '(why: device.info.reason; silent with SIMDFORMER_QUIET=1 or createDevice({ quiet: true }))',
  );
}

/**
 * Returns the packages that may have an addon for this machine. On Linux there is one for each C library; only the
 * right one loads.
 */
function prebuilt(): string[] {
  const { platform, arch } = process;
  const libraries: Partial<Record<NodeJS.Platform, string[]>> = { linux: ['-gnu', '-musl'], win32: ['-msvc'] };
  return (libraries[platform] ?? ['']).map((library) => `simdformer-${platform}-${arch}${library}`);
}

/**
 * Makes an engine of the N-API addon. Throws DeviceError if the addon or the machine lacks the instruction set, or if
 * memory is short.
 */
export function createNativeBackend({ Engine, parallelism, os }: Addon, options: BackendOptions): Backend {
  const isa = options.isa ?? environment('SIMDFORMER_ISA');
  const isAuto = options.threads === 'auto';
  const max = Math.min(parallelism, MAX_THREADS);
  const threads = typeof options.threads === 'number' ? options.threads : max;
  let engine: NativeEngine;
  try {
    engine = new Engine(isa, threads, options.priority === 'background');
  } catch (error) {
    const { name, message } = error as Error; // `instanceof` fails in Jest, whose tests have their own realm
    const settingName = options.isa === undefined ? 'SIMDFORMER_ISA' : 'isa';
    const why =
      name === 'RangeError' && isa !== undefined
        ? `${settingName} is '${isa}', but ${message}`
        : `${message}. Use fewer threads, or raise the limit of address space (ulimit -v)`;
    throw new DeviceError(`createDevice: ${why}`, { cause: error });
  }
  const spare = isAuto ? new SpareCores(threads, () => cpuTimes(os)) : null;
  const leaveRoom = () => spare && engine.limit(spare.count);
  return {
    kind: 'native',
    manifest: JSON.parse(engine.manifest()) as Manifest,
    run: (words, count) => {
      leaveRoom();
      return engine.run(words, count);
    },
    runAsync: (words, count) => {
      leaveRoom();
      return engine.runAsync(words, count);
    },
    grow: (bytes) => engine.grow(bytes),
    discard: (byteOffset, bytes) => engine.discard(byteOffset, bytes),
    read: (byteOffset, target) => engine.read(byteOffset, target),
    write: (byteOffset, source) => engine.write(byteOffset, source),
    close: () => engine.close(),
  };
}
