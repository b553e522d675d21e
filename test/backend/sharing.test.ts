// Devices that share the machine with other programs, and a process with each other.
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type CpuTimes, SpareCores } from '../../src/backend/spare-cores.js';
import { createDevice, type Device, type DeviceOptions } from '../../src/index.js';
import { matmul } from '../../src/ops/index.js';
import { describeWith } from '../equipment.js';

const opened = async (options: DeviceOptions): Promise<Device> => {
  const device = await createDevice(options);
  onTestFinished(() => device.dispose());
  return device;
};
const product = async (device: Device): Promise<number[]> => {
  const x = device.tensor(
    Float32Array.from({ length: 200 * 200 }, (_, i) => Math.sin(i)),
    [200, 200],
  );
  return [...(await matmul(x, x).data())];
};

describe('spare cores', () => {
  /** Four cores for a second, of which others keep `others` busy and this process `own`. */
  const second = (before: CpuTimes, others: number, own: number): CpuTimes => ({
    all: before.all + 4000,
    busy: before.busy + 1000 * (others + own),
    thisProcess: before.thisProcess + 1000 * own,
    cores: 4,
  });
  it.each([
    [0, 4],
    [0.4, 4],
    [0.6, 3],
    [3, 1],
    [4, 1],
  ])('with %s of 4 cores busy by other processes, finds %s, regardless of its own work', (others, count) => {
    for (const own of [0, 4 - others]) {
      let [times, now]: [CpuTimes, number] = [{ all: 9000, busy: 5000, thisProcess: 100, cores: 4 }, 0];
      const spare = new SpareCores(
        4,
        () => times,
        () => now,
      );
      expect(spare.count).toBe(4);
      times = second(times, others, own);
      now = 999;
      expect(spare.count).toBe(4);
      now = 1000;
      expect(spare.count).toBe(count);
      times = second(times, 0, own);
      now = 2000;
      expect(spare.count).toBe(4);
    }
  });

  it('finds at most the threads of the device, even if this process has used more time than was measured in total', () => {
    let [times, now]: [CpuTimes, number] = [{ all: 0, busy: 0, thisProcess: 0, cores: 4 }, 0];
    const spare = new SpareCores(
      2,
      () => times,
      () => now,
    );
    times = { all: 4000, busy: 100, thisProcess: 900, cores: 4 };
    now = 1500;
    expect(spare.count).toBe(2);
    now = 3000;
    expect(spare.count).toBe(2); // the clock of the machine stands still
  });
});

it("threads: 'auto' computes the same bits, on at most all cores", async () => {
  const auto = await opened({ threads: 'auto' });
  expect(auto.info.threads).toBe(Math.min(64, availableParallelism()));
  const expected = await product(await opened({ threads: 1 }));
  expect(await product(auto)).toEqual(expected);
  await setTimeout(1100); // now the load is read
  expect(await product(auto)).toEqual(expected);
});

describeWith(['WebAssembly'], 'devices in WebAssembly', () => {
  it("accept 'auto' and priorities, and ignore them", async () => {
    const device = await opened({ backend: 'wasm', threads: 'auto', priority: 'background' });
    expect(device.info.threads).toBe((await opened({ backend: 'wasm' })).info.threads);
    expect((await product(device)).length).toBe(40_000);
  });
});

describe.runIf(process.platform === 'linux')('threads of this process', () => {
  const threads = () => readdirSync('/proc/self/task');
  /**
   * Field 19 of a thread's stat: its nice value. Undefined for a thread that has ended: devices of other tests have
   * some.
   */
  const niceOf = (thread: string) => {
    try {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    } catch {
      return undefined;
    }
  };

  it("priority 'background' makes only the threads of that device nicer", async () => {
    const normal = await opened({ threads: 3 });
    await product(normal);
    const before = threads();
    const nice = niceOf(String(process.pid)) as number;
    expect(new Set(before.map(niceOf).filter((value) => value !== undefined))).toEqual(new Set([nice]));
    const background = await opened({ threads: 3, priority: 'background' });
    expect(await product(background)).toEqual(await product(normal));
    const lowered = threads().filter((thread) => niceOf(thread) === Math.min(19, nice + 10));
    expect(lowered).toHaveLength(3); // two of the pool, and the one that runs the device's commands
    expect(lowered.some((thread) => before.includes(thread))).toBe(false);
    expect(niceOf(String(process.pid))).toBe(nice);
  });

  it('several devices share one pool', async () => {
    const devices = await Promise.all([4, 4, 3, 2].map((count) => opened({ threads: count })));
    await product(devices[0] as Device);
    const before = new Set(threads());
    await Promise.all(devices.map(product));
    const further = threads().filter((thread) => !before.has(thread));
    expect(further).toHaveLength(devices.length - 1); // one for the commands of each further device
  });
});
