// This process as a rank of an MPI job.

import { createRequire } from 'node:module';
import { checkKnown, checkNumber } from '../core/check.js';
import { DeviceError, WorldError } from '../core/errors.js';
import { type GradientSumOptions, WIRE_FORMATS, type World } from '../train/world.js';
import { addonPath, builtMpis, type MpiName } from './build.js';

export interface MpiOptions {
  /** Maximum seconds that a rank may be silent or its event loop blocked. The job then ends. Default: 20. */
  timeout?: number | undefined;
}

/** A `World` whose ranks are the processes of an MPI job. */
export interface Mpi extends World {
  /** Number of ranks on this machine, including this one. */
  readonly localSize: number;
  /**
   * Waits for all ranks and leaves the job. Without this call, the end of the process does so. If a rank has failed,
   * the whole job ends.
   */
  close(): void;
}

/** The exports of native/mpi/addon.cc. */
interface Addon {
  open(seconds: number): { rank: number; size: number };
  exchange(bytes: Uint8Array): Promise<ArrayBuffer[]>;
  reduce(values: Float32Array, sum: Float32Array, isFirst: boolean, isLast: boolean, wire: number): Promise<void>;
  broadcast(values: Float32Array, root: number): Promise<void>;
  allGather(values: Float32Array, lengths: Int32Array): Promise<void>;
  fail(reason: string): void;
  tick(): void;
  close(): void;
}

let opened: Mpi | undefined;

/**
 * Joins the job in which `mpirun`, Slurm's `srun` or another launcher of MPI started this process. Without a launcher,
 * it returns a world of this process alone and loads nothing. MPI is initialized once per process, and every call
 * returns the same world.
 *
 *     const model = new Transformer(device, options);
 *     await fit(model, examples, { world: await mpi() });       // mpirun -n 4 node train.js
 *
 * Throws DeviceError if the addon is not built (`npx simdformer mpi build`) or MPI does not start, and ArgumentError
 * for invalid options.
 */
export async function mpi(options: MpiOptions = {}): Promise<Mpi> {
  const { timeout = 20 } = checkKnown('mpi', options, ['timeout']);
  checkNumber('mpi', 'timeout', timeout, (value) => value >= 1, 'seconds, 1 or more');
  opened ??= launched() ? open(timeout) : new Alone();
  return opened;
}

/** True if a launcher started this process as one of several. */
function launched(): boolean {
  return sizeGiven() > 1;
}

function sizeGiven(): number {
  const { OMPI_COMM_WORLD_SIZE, PMI_SIZE, PMIX_RANK, SLURM_NTASKS, SLURM_PROCID, PMI_RANK } = process.env;
  const isSlurms = SLURM_PROCID !== undefined && (PMIX_RANK ?? PMI_RANK) !== undefined;
  return Number(OMPI_COMM_WORLD_SIZE ?? PMI_SIZE ?? (isSlurms ? SLURM_NTASKS : undefined) ?? 1);
}

/** Returns the MPI to which the launcher belongs; undefined if it is unknown. */
function launcher(): MpiName | undefined {
  const { OMPI_COMM_WORLD_SIZE, PMI_RANK, SLURM_PROCID } = process.env;
  if (OMPI_COMM_WORLD_SIZE !== undefined) return 'openmpi';
  return PMI_RANK !== undefined && SLURM_PROCID === undefined ? 'mpich' : undefined;
}

function open(timeout: number): Mpi {
  const wanted = launcher();
  const built = builtMpis();
  const name = wanted ?? built[0];
  if (name === undefined || !built.includes(name)) {
    const which = wanted === undefined ? '' : ` for ${wanted}`;
    const compiler = wanted === undefined ? '' : ` --compiler mpicxx.${wanted}`;
    throw new DeviceError(
      `mpi: this is one of ${sizeGiven()} processes of an MPI job, but the addon${which} is not built: run ` +
        `\`npx simdformer mpi build\` once on each machine${which && `, or \`npx simdformer mpi build${compiler}\``}`,
    );
  }
  // Open MPI and MPICH use UCX. It would patch munmap and madvise in memory while V8's threads use them, take over
  // signals, and print warnings among results. It reads its settings when the addon loads it, so C++ would set them too
  // late.
  process.env.UCX_MEM_EVENTS ??= 'no';
  process.env.UCX_HANDLE_ERRORS ??= 'none';
  process.env.UCX_LOG_FILE ??= 'stderr';
  let addon: Addon;
  try {
    addon = createRequire(import.meta.url)(addonPath(name)) as Addon;
  } catch (error) {
    throw new DeviceError(
      `mpi: the addon for ${name} does not load: ${(error as Error).message.split('\n')[0]}; build it again with ` +
        '`npx simdformer mpi build`',
      { cause: error },
    );
  }
  try {
    return new Ranks(addon, addon.open(timeout), timeout);
  } catch (error) {
    throw new DeviceError(`mpi: MPI does not start: ${(error as Error).message}`, { cause: error });
  }
}

class Ranks implements Mpi {
  readonly rank: number;
  readonly size: number;
  #closed = false;

  constructor(
    private readonly addon: Addon,
    { rank, size }: { rank: number; size: number },
    timeout: number,
  ) {
    this.rank = rank;
    this.size = size;
    setInterval(() => addon.tick(), (timeout / 10) * 1000).unref();
    let uncaught: unknown;
    process.on('uncaughtExceptionMonitor', (error) => {
      uncaught = error;
    });
    process.on('exit', (code) => {
      if (uncaught !== undefined) console.error(`rank ${rank}:`, uncaught); // Node says it later, when MPI has ended this process
      if (code !== 0) this.fail(uncaught instanceof Error ? uncaught.message : `it ended with exit code ${code}`);
      this.close();
    });
  }

  get localSize(): number {
    const { OMPI_COMM_WORLD_LOCAL_SIZE, MPI_LOCALNRANKS, SLURM_NTASKS_PER_NODE } = process.env;
    return Number(OMPI_COMM_WORLD_LOCAL_SIZE ?? MPI_LOCALNRANKS ?? SLURM_NTASKS_PER_NODE ?? 1) || 1;
  }

  async exchange(values: Float64Array): Promise<Float64Array[]> {
    return (await this.#withReason(this.addon.exchange(bytesOf(values)))).map((bytes) => new Float64Array(bytes));
  }

  async exchangeText(text: string): Promise<string[]> {
    const bytes = new TextEncoder().encode(text);
    return (await this.#withReason(this.addon.exchange(bytes))).map((buffer) => new TextDecoder().decode(buffer));
  }

  reduce(values: Float32Array, sum: Float32Array, { isFirst, isLast, wire }: GradientSumOptions): Promise<void> {
    return this.#withReason(this.addon.reduce(values, sum, isFirst, isLast, WIRE_FORMATS.indexOf(wire)));
  }

  broadcast(values: Float32Array, root: number): Promise<void> {
    return this.#withReason(this.addon.broadcast(values, root));
  }

  allGather(values: Float32Array, lengths: readonly number[]): Promise<void> {
    return this.#withReason(this.addon.allGather(values, Int32Array.from(lengths)));
  }

  fail(reason: string): void {
    if (!this.#closed) this.addon.fail(reason);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.addon.close();
  }

  async #withReason<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw new WorldError(`mpi: ${(error as Error).message}`, { cause: error });
    }
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The world of a process that was started without a launcher. */
class Alone implements Mpi {
  readonly rank = 0;
  readonly size = 1;
  readonly localSize = 1;

  async exchange(values: Float64Array): Promise<Float64Array[]> {
    return [Float64Array.from(values)];
  }

  async exchangeText(text: string): Promise<string[]> {
    return [text];
  }

  async reduce(values: Float32Array, sum: Float32Array, { isFirst, isLast }: GradientSumOptions): Promise<void> {
    for (const [i, value] of values.entries()) sum[i] = isFirst ? value : (sum[i] as number) + value;
    if (isLast) values.set(sum);
  }

  async broadcast(): Promise<void> {}

  async allGather(): Promise<void> {}

  fail(): void {}

  close(): void {}
}
