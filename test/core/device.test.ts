import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { INSTRUCTION_SETS, type InstructionSet } from '../../src/backend/backend.js';
import { type Addon, createNativeBackend } from '../../src/backend/native.js';
import {
  ArgumentError,
  createDevice,
  DeviceError,
  type DeviceOptions,
  DisposedError,
  DTypeError,
  OutOfMemoryError,
  ShapeError,
  SimdformerError,
} from '../../src/index.js';
import { contiguous } from '../../src/ops/index.js';
import { isas } from '../describe-op.js';

describe('createDevice', () => {
  it('describes the device', async () => {
    const isa = isas.at(-1) as InstructionSet;
    const device = await createDevice({ backend: 'native', threads: 3, isa });
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(device.info).toMatchObject({ backend: 'native', threads: 3, isa, version });
    device.dispose();
  });

  it('uses the best instruction set by default', async () => {
    const device = await createDevice();
    expect(device.info.isa).toBe(process.env.SIMDFORMER_ISA || device.info.isas[0]);
    for (const isa of device.info.isas) expect(INSTRUCTION_SETS).toContain(isa);
    expect(device.info.threads).toBeGreaterThanOrEqual(1);
  });

  it('has as many threads as requested', async () => {
    using device = await createDevice({ threads: 64 });
    expect(device.info.threads).toBe(64);
    expect(await device.full([1 << 20], 2).data()).toEqual(new Float32Array(1 << 20).fill(2));
  });

  it.runIf(process.platform === 'linux')('offers every instruction set that the processor has', () => {
    const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '));
    const has = (...names: string[]) => names.every((name) => flags.has(name));
    const expected: string[] = [];
    if (process.arch === 'arm64') expected.unshift('neon');
    if (process.arch === 'x64') expected.unshift('sse2');
    if (has('avx2', 'fma', 'bmi1', 'bmi2')) expected.unshift('avx2');
    if (has('avx512f', 'avx512bw', 'avx512dq', 'avx512vl', 'avx512cd')) expected.unshift('avx512');
    expect(isas).toEqual(expected);
  });

  const bad: [options: unknown, error: new (...args: never[]) => Error, message: RegExp][] = [
    [{ isa: 'avx1024' }, ArgumentError, /isa is "avx1024".*scalar/],
    [{ isa: '' }, ArgumentError, /isa is ""/],
    [{ isa: 42 }, ArgumentError, /isa is 42/],
    [{ threads: 0 }, ArgumentError, /threads is 0/],
    [{ threads: -1 }, ArgumentError, /threads is -1/],
    [{ threads: 1.5 }, ArgumentError, /threads is 1.5/],
    [{ threads: Number.NaN }, ArgumentError, /threads is NaN/],
    [{ threads: 65 }, ArgumentError, /threads is 65, expected an integer from 1 to 64/],
    [{ threads: 1e9 }, ArgumentError, /threads is 1000000000/],
    [{ threads: '2' }, ArgumentError, /threads/],
    [{ backend: 'gpu' }, ArgumentError, /backend is "gpu"/],
    [{ thread: 2 }, ArgumentError, /no option thread, only .*threads/],
  ];
  it.each(bad)('refuses %j', async (options, error, message) => {
    const made = createDevice(options as DeviceOptions);
    await expect(made).rejects.toThrow(error);
    await expect(made).rejects.toThrow(message);
  });
});

it('reports an unsupported instruction set only if it is the cause, in any realm', () => {
  const create = (error: string, isa?: InstructionSet) => {
    const Engine = class {
      constructor() {
        throw runInNewContext(error); // the addon does the same in Jest
      }
    };
    const addon = { Engine: Engine as unknown as Addon['Engine'], parallelism: 2, os };
    return () => createNativeBackend(addon, { isa });
  };
  const full = create('Error("out of memory for a device\'s scratch")');
  expect(full).toThrow(DeviceError);
  expect(full).toThrow(/^createDevice: out of memory for a device's scratch\. Use fewer threads, or .*ulimit/);
  const other = create('RangeError("these are here: sse2")', 'neon');
  expect(other).toThrow(/^createDevice: isa is 'neon', but these are here: sse2$/);
});

describe('SIMDFORMER_ISA', () => {
  /** Output of a fresh process about its default device. */
  function isaWith(value: string) {
    const script = `import('${new URL('../../src/index.ts', import.meta.url)}')
      .then(({ createDevice }) => createDevice())
      .then(({ info }) => console.log(info.isa), (error) => console.log(error.name, error.message));`;
    const env = { ...process.env, SIMDFORMER_ISA: value };
    return spawnSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8', env }).stdout.trim();
  }

  it.each(isas)('forces %s', (isa) => expect(isaWith(isa)).toBe(isa));
  it('refuses one that the machine lacks', () => {
    expect(isaWith('sve9')).toMatch(/^DeviceError .*SIMDFORMER_ISA is 'sve9'.*(sse2|neon)/);
  });
});

describe('devices', () => {
  it('coexist with different instruction sets', async () => {
    const [a, b] = await Promise.all([createDevice({ isa: isas[0] }), createDevice({ isa: isas.at(-1)!, threads: 1 })]);
    const x = a.tensor([1, 2, 3]);
    const y = b.tensor([4, 5, 6]);
    expect(await Promise.all([x.data(), y.data()])).toEqual([Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)]);
    a.dispose();
    expect(y.dataSync()).toEqual(Float32Array.of(4, 5, 6));
    expect(() => x.dataSync()).toThrow(DeviceError);
    expect(() => a.empty([1])).toThrow(DeviceError);
    a.dispose();
    b.dispose();
  });

  it('finish or refuse running work when they are disposed of', async () => {
    for (let round = 0; round < 20; round++) {
      const device = await createDevice({ threads: 2 });
      const wide = device.full([1 << 10, 1 << 10], 3);
      const reads = [1, 2, 3].map((from) => contiguous(wide.columns(from, 1000)).data());
      device.dispose();
      for (const read of await Promise.allSettled(reads)) {
        if (read.status === 'rejected') expect(read.reason).toBeInstanceOf(SimdformerError);
        else expect((read.value as Float32Array).every((value) => value === 3)).toBe(true);
      }
    }
  });

  it('work in eight worker threads at once', async () => {
    const run = (seed: number) =>
      new Promise<number>((resolve, reject) => {
        const workerData = { isa: isas[seed % isas.length], threads: 1 + (seed % 3), seed };
        const script = `import('tsx/esm/api').then(({ register }) => {
          register();
          return import('${new URL('./worker.ts', import.meta.url)}');
        });`;
        const worker = new Worker(script, { eval: true, workerData });
        worker.on('message', resolve).on('error', reject);
      });
    const expected = (seed: number) => {
      let sum = 0;
      for (let round = 0; round < 20; round++) {
        for (let i = 0; i < 6000; i++) {
          if (i % 60 >= round && i % 60 < round + 40) sum += Math.fround(Math.sin(seed + i));
        }
      }
      return sum;
    };
    const seeds = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(await Promise.all(seeds.map(run))).toEqual(seeds.map(expected));
  });

  it('do not disturb the process when a computing worker thread is terminated', async () => {
    const script = `import('tsx/esm/api').then(async ({ register }) => {
      register();
      const { createDevice } = await import('${new URL('../../src/index.ts', import.meta.url)}');
      const { matmul } = await import('${new URL('../../src/ops/index.ts', import.meta.url)}');
      const device = await createDevice({ backend: 'native', threads: 2 });
      const a = device.full([300, 300], 1);
      require('node:worker_threads').parentPort.postMessage('computes');
      for (;;) {
        matmul(a, a).data().catch(() => {});
        await matmul(a, a).data();
      }
    });`;
    const computing = Array.from({ length: 3 }, async (_, i) => {
      const worker = new Worker(script, { eval: true });
      await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
      await new Promise((resolve) => setTimeout(resolve, 3 * i));
      return worker.terminate();
    });
    expect(await Promise.all(computing)).toEqual(computing.map(() => 1));
  });

  it('do not disturb the end of the process, disposed of or not', () => {
    const script = `
      const { createDevice } = await import('${new URL('../../src/index.ts', import.meta.url)}');
      const devices = await Promise.all([1, 2, 3].map(() => createDevice({ backend: 'native', threads: 2 })));
      await Promise.all(devices.map((device) => device.full([9], 1).data()));
      devices[0].dispose();
      devices[1].full([9], 1).data();
      console.log('ended');`;
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', script],
      { encoding: 'utf8' },
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ended\n' });
  });

  // Limits of threads do not apply to root, so another user's are counted. The number of that user's other threads is
  // unknown.
  it.runIf(process.platform === 'linux' && process.getuid?.() === 0)('make do with the threads that there are', () => {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-'));
    const addon = join(folder, 'simdformer.node');
    try {
      chmodSync(folder, 0o755);
      copyFileSync('build/Release/simdformer.node', addon);
      const script = `const engine = new (require(${JSON.stringify(addon)}).Engine)(undefined, 64);
        const opcode = JSON.parse(engine.manifest()).ops.findIndex(({ name }) => name === 'fill');
        const fill = Uint32Array.of(opcode | (7 << 16), 0, 4, 1, 4, 4, 7);
        const [sync, async] = [new Int32Array(4), new Int32Array(4)];
        engine.grow(1 << 20);
        if (engine.run(fill, 7) === null) engine.read(0, sync);
        fill[6] = 8;
        engine.runAsync(fill, 7).then((failure) => {
          if (failure === null) engine.read(0, async);
          console.log(sync.join(' '), async.join(' '));
        });`;
      const limited = ['--norc', '-c', 'ulimit -u 12 && exec "$0" -e "$1"', process.execPath, script];
      const { stdout, stderr } = spawnSync('bash', limited, { uid: 54321, gid: 54321, encoding: 'utf8' });
      expect({ stdout, stderr }).toEqual({ stdout: '7 7 7 7 8 8 8 8\n', stderr: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('report a lack of memory, and continue', async () => {
    const device = await createDevice({ threads: 1 });
    expect(() => device.empty([2 ** 20, 2 ** 20])).toThrow(OutOfMemoryError);
    expect(() => device.empty([2 ** 30, 2 ** 30])).toThrow(SimdformerError);
    expect(device.tensor([1, 2]).dataSync()).toEqual(Float32Array.of(1, 2));
    expect(device.memory().used).toBeLessThan(2 ** 10);
    device.dispose();
  });

  it('refuse invalid shapes, dtypes and functions, and name the called function', async () => {
    const device = await createDevice({ threads: 1 });
    const before = device.memory().used;
    const shape = [2, 0];
    const makers: Record<string, (shape: never, dtype?: never) => unknown> = {
      empty: (shape, dtype) => device.empty(shape, dtype),
      full: (shape, dtype) => device.full(shape, 1, dtype),
      zeros: (shape, dtype) => device.zeros(shape, dtype),
      tensor: (shape, dtype) => device.tensor([], shape, { dtype }),
    };
    for (const [name, make] of Object.entries(makers)) {
      expect(() => make(shape as never)).toThrow(ShapeError);
      expect(() => make(shape as never)).toThrow(`${name}: [2, 0] is not a valid shape: every dimension must be`);
      expect(() => make([Symbol('x')] as never)).toThrow(`${name}: [Symbol(x)] is not a valid shape`);
      expect(() => make(3 as never)).toThrow(`${name}: 3 is not a valid shape: expected an array of dimensions`);
      expect(() => make([1] as never, 3n as never)).toThrow(DTypeError);
      expect(() => make([1] as never, 'float64' as never)).toThrow(`${name}: dtype is "float64", expected 'float32'`);
    }
    expect(device.memory().used).toBe(before);
    for (const fn of [undefined, null, 3, {}, Symbol('x'), device.zeros([1])]) {
      expect(() => device.scope(fn as never)).toThrow(ArgumentError);
      expect(() => device.scope(fn as never)).toThrow(/^scope: fn is .*, expected a function$/);
    }
    expect(device.full([2], Number.NaN).dataSync()).toEqual(Float32Array.of(Number.NaN, Number.NaN));
    expect(device.full([1], -(2 ** 31), 'int32').dataSync()).toEqual(Int32Array.of(-(2 ** 31)));
    device.dispose();
  });

  it('refuse use after dispose', async () => {
    const device = await createDevice({ threads: 1 });
    const x = device.tensor([[1, 2]]);
    const program = device.record(() => device.zeros([1]));
    device.dispose();
    expect(() => program.run()).toThrow(DeviceError);
    expect(() => device.record(() => 1)).toThrow(DeviceError);
    expect(() => contiguous(x)).toThrow(DeviceError);
    expect(() => x.write([[1, 2]])).toThrow(DeviceError);
    expect(() => device.flush()).toThrow(DeviceError);
    expect(() => device.record(() => device.zeros([1]))).toThrow(DeviceError);
    await expect(x.data()).rejects.toThrow(SimdformerError);
    x.dispose();
    expect(() => x.reshape(2)).toThrow(DisposedError);
  });
});
