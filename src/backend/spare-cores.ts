// Cores that other programs leave to this process.

/** Times of the machine and of this process, in milliseconds since any fixed moment. */
export interface CpuTimes {
  /** Sum over all cores: work and idle time. */
  readonly all: number;
  /** Sum over all cores: work, without that of programs that let others go first (nice). */
  readonly busy: number;
  /** Work of this process. */
  readonly thisProcess: number;
  readonly cores: number;
}

/** Milliseconds between two readings. Shorter ones are inexact, because systems count in steps of up to 16 ms. */
const INTERVAL = 1000;

/**
 * Estimates how many threads find a free core, from 1 to `max`, from the times of the last second or more. Before the
 * first second is over, the estimate is `max`.
 */
export class SpareCores {
  #last: CpuTimes;
  #read: number;
  #count: number;

  constructor(
    private readonly max: number,
    private readonly times: () => CpuTimes,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#count = max;
    this.#last = times();
    this.#read = now();
  }

  get count(): number {
    const time = this.now();
    if (time - this.#read < INTERVAL) return this.#count;
    const next = this.times();
    const { all, busy, thisProcess, cores } = next;
    const elapsed = all - this.#last.all;
    if (elapsed > 0) {
      const otherProcesses = (cores * (busy - this.#last.busy - (thisProcess - this.#last.thisProcess))) / elapsed;
      this.#count = Math.max(1, Math.min(this.max, cores - Math.round(Math.max(0, otherProcesses))));
    }
    [this.#last, this.#read] = [next, time];
    return this.#count;
  }
}

/** Reads the times from Node's module `os`. */
export function cpuTimes(os: Pick<typeof import('node:os'), 'cpus'>): CpuTimes {
  const cores = os.cpus();
  let [all, busy] = [0, 0];
  for (const { times } of cores) {
    const { user, nice, sys, idle, irq } = times;
    busy += user + sys + irq;
    all += user + sys + irq + nice + idle;
  }
  const { user, system } = process.cpuUsage();
  return { all, busy, thisProcess: (user + system) / 1e3, cores: cores.length };
}
