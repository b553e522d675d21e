import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  createDevice,
  type Device,
  DeviceError,
  OutOfMemoryError,
  SimdformerError,
  type Tensor,
} from '../../src/index.js';
import { add, matmul } from '../../src/ops/index.js';
import { describeWith } from '../equipment.js';
import { Random } from '../random.js';

describeWith(['WebAssembly'], 'a device in WebAssembly', () => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice({ backend: 'wasm', threads: 1 });
  });
  afterAll(() => device.dispose());

  it('describes itself', () => {
    expect(device.info).toMatchObject({ backend: 'wasm', threads: 1, version: '0.1.0' });
    expect(device.info.isas).toContain('simd128');
    expect(device.info.isa).toBe(device.info.isas[0]);
    expect(device.info.reason).toBeUndefined();
  });

  it('accepts an instruction set that the runtime has, and refuses others', async () => {
    for (const isa of device.info.isas) {
      const forced = await createDevice({ backend: 'wasm', isa });
      expect(forced.info.isa).toBe(isa);
      forced.dispose();
    }
    await expect(createDevice({ backend: 'wasm', isa: 'avx2' })).rejects.toThrow(/isa is 'avx2'.*simd128/);
    await expect(createDevice({ backend: 'wasm', isa: 'avx2' })).rejects.toThrow(DeviceError);
  });

  it('grows while commands are queued, and keeps its contents', async () => {
    const own = await createDevice({ backend: 'wasm', threads: 1 });
    const small = own.tensor([1, 2, 3]);
    const sums = [];
    for (let i = 0; i < 8; i++) sums.push(add(own.full([1 << 20], i), own.full([1 << 20], 1)));
    expect(own.memory().capacity).toBeGreaterThan(8 * 2 ** 22);
    for (const [i, sum] of sums.entries()) expect((await sum.data())[12345]).toBe(i + 1);
    expect(small.dataSync()).toEqual(Float32Array.of(1, 2, 3));
    own.dispose();
  });

  it('reaches nearly 4 GiB, reports when memory runs out, and continues', async () => {
    const own = await createDevice({ backend: 'wasm', threads: 1 });
    const blocks: Tensor[] = [];
    const fill = () => {
      for (;;) blocks.push(own.empty([1 << 26])); // 256 MiB
    };
    expect(fill).toThrow(OutOfMemoryError);
    expect(blocks.length).toBe(15);
    const end = blocks[14]!.rows((1 << 26) - 2, 1 << 26); // beyond what a signed pointer reaches
    end.write(Float32Array.of(5, 6));
    const sum = add(end, 1);
    expect(sum.dataSync()).toEqual(Float32Array.of(6, 7));
    for (const tensor of [...blocks, end, sum]) tensor.dispose();
    expect(own.memory().used).toBeLessThan(2 ** 10);
    expect(own.tensor([1]).dataSync()).toEqual(Float32Array.of(1));
    own.dispose();
  });

  it('computes with full memory, for command lists of any length', async () => {
    const own = await createDevice({ backend: 'wasm', threads: 1 });
    const held: Tensor[] = [];
    for (let size = 1 << 26; size >= 16; size /= 2) {
      expect(() => {
        for (;;) held.push(own.empty([size]));
      }).toThrow(OutOfMemoryError);
    }
    for (const tensor of held.splice(0)) tensor.dispose();
    const zero = own.zeros([1]); // so that what follows waits in a list
    const values = Float32Array.from({ length: 5_000_000 }, (_, i) => i);
    const x = own.tensor(values);
    expect(add(x, 1).rows(4_000_000, 4_000_003).dataSync()).toEqual(Float32Array.of(4_000_001, 4_000_002, 4_000_003));
    const program = own.record(() => add(own.tensor(values), zero));
    program.run();
    expect((await program.result.data()).at(-1)).toBe(4_999_999);
    const affine = { rows: 1, cols: 7, xStride: 1, yStride: 1, scale: 1, shift: 1, accumulate: 0 };
    const refused = own.record(() => {
      own.tensor(values);
      own.emit('affine', { x: zero, y: zero, ...affine });
    });
    const index = Math.ceil(5_000_000 / 65_532); // behind the commands that write the values
    expect(() => refused.run()).toThrow(expect.objectContaining({ name: 'CommandError', op: 'affine', index }));
    expect(zero.dataSync()).toEqual(Float32Array.of(0));
    own.dispose();
  });

  it('asks for less shared memory if addresses are scarce, and reports if there are none', async () => {
    const { Memory } = WebAssembly;
    let max = 1 << 13; // pages of 64 KiB
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.maximum! > max) throw new RangeError('could not allocate memory');
        super(descriptor);
      }
    };
    try {
      const own = await createDevice({ backend: 'wasm', threads: 2 });
      expect(own.info.threads).toBe(2);
      expect(() => own.empty([1 << 27])).toThrow(OutOfMemoryError); // 512 MiB
      const half = own.empty([1 << 26]);
      const end = half.rows((1 << 26) - 2, 1 << 26);
      end.write([1, 2]);
      expect(add(end, 1).dataSync()).toEqual(Float32Array.of(2, 3));
      own.dispose();
      max = 0;
      const refused = createDevice({ backend: 'wasm', threads: 2 });
      await expect(refused).rejects.toThrow(DeviceError);
      await expect(refused).rejects.toThrow(/could not allocate memory.*dispose/);
    } finally {
      WebAssembly.Memory = Memory;
    }
  });

  it('computes without a thread that does not load, and warns once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-'));
    copyFileSync('wasm/dist/simd128.wasm', join(folder, 'simd128.wasm'));
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    try {
      const own = await createDevice({ backend: 'wasm', isa: 'simd128', threads: 3, wasmUrl: folder });
      await expect.poll(() => warn.mock.calls, { timeout: 10_000 }).toHaveLength(1);
      const sums = add(own.full([1000, 1000], 1), own.full([1000, 1000], 2));
      expect((await sums.data()).every((value) => value === 3)).toBe(true);
      own.dispose();
      expect(warn.mock.calls).toEqual([[expect.stringMatching(/fewer threads: the worker .*thread\.js does not run/)]]);
    } finally {
      warn.mockRestore();
      rmSync(folder, { recursive: true });
    }
  });

  it('ends running work when it is disposed of', async () => {
    const own = await createDevice({ backend: 'wasm', threads: 1 });
    const reads = [own.full([3], 1).data(), own.full([3], 2).data()];
    own.dispose();
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') expect(read.reason).toBeInstanceOf(SimdformerError);
    }
    expect(() => own.empty([1])).toThrow(DeviceError);
  });

  it('agrees with the addon', async () => {
    const native = await createDevice({ backend: 'native', threads: 1 });
    const random = new Random('backends');
    const [a, b] = [random.normal([33, 300]), random.normal([300, 65])];
    const [y, z] = [device, native].map((on) => matmul(on.tensor(a.data, a.shape), on.tensor(b.data, b.shape)));
    const expected = await z!.data();
    // Sums of 300 products of size 1, each rounded once or twice.
    for (const [i, value] of (await y!.data()).entries())
      expect(Math.abs(value - expected[i]!)).toBeLessThan(300 * 2 ** -22);
    native.dispose();
  });
});

describeWith(['WebAssembly'], 'WebAssembly', () => {
  it('replaces an addon that does not load, and gives the reason', () => {
    const script = `import('${new URL('../../src/index.ts', import.meta.url)}')
    .then(({ createDevice }) => createDevice())
    .then(({ info }) => console.log(info.backend, info.reason), (error) => console.log(error.name, error.message));`;
    const deny = `process.dlopen = () => { throw new Error('wrong architecture'); };`;
    const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', '-e', deny + script], { encoding: 'utf8' });
    expect(stdout).toMatch(/^wasm .*did not load from .*simdformer\.node: wrong architecture/);
  });
});
