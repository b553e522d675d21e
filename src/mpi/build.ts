// Compiles the MPI addon with the MPI of this machine. `npx simdformer mpi build` does this once.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DeviceError } from '../core/errors.js';

/** Implementations of MPI. Their addons are not interchangeable, because their ABIs differ. */
export type MpiName = 'openmpi' | 'mpich';

export interface MpiBuild {
  readonly name: MpiName;
  /** The path of the addon. */
  readonly path: string;
}

/** The package's folder: two levels up, from src/mpi/ and from dist/chunks/. */
const SOURCES = fileURLToPath(new URL('../../native/mpi/', import.meta.url));

/**
 * Returns the path of the addon for an MPI. The file's name has a hash of the sources. SIMDFORMER_MPI sets another
 * folder.
 */
export function addonPath(name: MpiName): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const hash = createHash('sha256');
  for (const file of readdirSync(SOURCES).sort()) hash.update(readFileSync(join(SOURCES, file)));
  const file = `mpi-${name}-${process.platform}-${process.arch}-${hash.digest('hex').slice(0, 12)}.node`;
  return join(process.env.SIMDFORMER_MPI || join(cache, 'simdformer'), file);
}

/** Returns the MPIs whose addon is built. */
export function builtMpis(): MpiName[] {
  return (['openmpi', 'mpich'] as const).filter((name) => existsSync(addonPath(name)));
}

const run = promisify(execFile);

/**
 * Compiles the addon with `compiler`, an MPI's compiler wrapper (default: `mpicxx`); needs the headers that come with
 * Node, or node-gyp's. Throws DeviceError with the compiler's output if that fails.
 */
export async function buildMpi(compiler = 'mpicxx'): Promise<MpiBuild> {
  const name = await nameOf(compiler);
  const path = addonPath(name);
  const temporary = `${path}.${process.pid}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  const flags = ['-std=c++20', '-O3', '-fPIC', '-shared', '-fno-rtti', `-I${headers()}`];
  if (process.platform === 'darwin') flags.push('-undefined', 'dynamic_lookup');
  try {
    await run(compiler, [...flags, join(SOURCES, 'addon.cc'), '-o', temporary]);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    const { stderr, message } = error as Error & { stderr?: string };
    throw new DeviceError(`mpi: ${compiler} cannot compile the addon: ${stderr || message}`, { cause: error });
  }
  return { name, path };
}

async function nameOf(compiler: string): Promise<MpiName> {
  try {
    const { stdout } = await run(compiler, ['-show']);
    return /mpich/i.test(stdout) ? 'mpich' : 'openmpi';
  } catch (error) {
    throw new DeviceError(
      `mpi: there is no working ${compiler}: install an MPI, on Debian \`apt-get install libopenmpi-dev openmpi-bin\` ` +
        `or \`apt-get install libmpich-dev mpich\`, or name its compiler by --compiler (${(error as Error).message.trim()})`,
      { cause: error },
    );
  }
}

function headers(): string {
  const beside = join(dirname(dirname(process.execPath)), 'include/node');
  const gyp = join(homedir(), '.cache/node-gyp', process.versions.node, 'include/node');
  const found = [beside, gyp, '/usr/include/node'].find((folder) => existsSync(join(folder, 'node_api.h')));
  if (found !== undefined) return found;
  throw new DeviceError('mpi: the headers of Node are missing: `npx --yes node-gyp install` brings them');
}
