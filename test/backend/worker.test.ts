// The bundle for browsers runs in Node too, whose workers cannot load TypeScript.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { pagePackage } from '../build-once.js';
import { describeWith } from '../equipment.js';
import type * as Simdformer from '../simdformer.js';
import { parts } from '../simdformer.js';

describeWith(['WebAssembly'], 'a device in a worker', () => {
  let simdformer: typeof Simdformer;
  let device: Simdformer.Device;

  beforeAll(async () => {
    const folder = await pagePackage();
    const all = parts.map((part) => import(/* @vite-ignore */ pathToFileURL(`${folder}/${part}.js`).href));
    simdformer = Object.assign({}, ...(await Promise.all(all)));
    device = await simdformer.createDevice({ backend: 'wasm', worker: true, threads: 2 });
  });
  afterAll(() => device.dispose());

  it('computes without blocking the calling thread', async () => {
    expect(device.info).toMatchObject({ backend: 'wasm', threads: 2 });
    const n = 512;
    const start = device.full([n, n], 1 / n);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const y = device.scope(() => {
      let x = start;
      for (let i = 0; i < 50; i++) x = simdformer.matmul(x, start);
      return x;
    });
    expect((await y.data())[n]).toBeCloseTo(1 / n, 6);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(2); // a blocked thread has none; a busy machine has few
  });

  it('reads and writes in the order of the program', async () => {
    const x = device.tensor([1, 2]);
    const reads = [];
    for (let i = 0; i < 20; i++) {
      reads.push(simdformer.add(x, 1).data());
      x.write([i, i]);
    }
    const values = (await Promise.all(reads)).map(([first]) => first);
    expect(values).toEqual([2, ...Array.from({ length: 19 }, (_, i) => i + 1)]);
  });

  it('refuses blocking calls', () => {
    expect(() => device.tensor([1]).dataSync()).toThrow(/worker.*data\(\)/);
    expect(() => device.flushSync()).toThrow(simdformer.DeviceError);
  });

  it('runs a full queue without being asked, and reports failures', async () => {
    const x = device.tensor([0]);
    const affine = { rows: 1, cols: 1, xStride: 1, yStride: 1, scale: 1, shift: 1, accumulate: 0 };
    for (let i = 0; i < 150_000; i++) device.emit('affine', { x, y: x, ...affine });
    expect(await x.data()).toEqual(Float32Array.of(150_000));
    device.emit('affine', { x, y: x, ...affine, cols: 7 });
    await expect(x.data()).rejects.toThrow(simdformer.CommandError);
    expect(await x.data()).toEqual(Float32Array.of(150_000));
  });

  it('leaves parameters unchanged after a part of a full queue has failed', async () => {
    const p = device.tensor([1, 2], [2], { requiresGrad: true });
    const x = device.tensor([0]);
    const affine = { rows: 1, cols: 1, xStride: 1, yStride: 1, scale: 1, shift: 1, accumulate: 0 };
    device.emit('affine', { x, y: x, ...affine, cols: 7 });
    for (let i = 0; i < 150_000; i++) device.emit('affine', { x, y: x, ...affine });
    simdformer.sum(p).backward();
    new simdformer.SGD([p], { lr: 0.1 }).step();
    await expect(device.flush()).rejects.toThrow(simdformer.CommandError);
    expect(await p.data()).toEqual(Float32Array.of(1, 2));
  });

  it('refuses the same inputs as the engine', async () => {
    await expect(simdformer.createDevice({ backend: 'wasm', worker: true, isa: 'avx2' })).rejects.toThrow(
      /isa is 'avx2'/,
    );
    expect(() => device.empty([2 ** 15, 2 ** 15, 2])).toThrow(simdformer.OutOfMemoryError);
  });

  /** A device whose worker runs this first. */
  async function behind(script: string): Promise<Simdformer.Device> {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(folder, 'worker.js'), script + readFileSync('wasm/dist/worker.js'));
    for (const name of ['thread.js', 'simd128.wasm']) copyFileSync(`wasm/dist/${name}`, join(folder, name));
    return simdformer.createDevice({ backend: 'wasm', worker: true, threads: 2, isa: 'simd128', wasmUrl: folder });
  }

  /** Result of adding 1 to the last elements, which are 1 and 2. */
  async function addAtEnd(x: Simdformer.Tensor): Promise<number[]> {
    const end = x.rows(x.size - 2, x.size);
    end.write([1, 2]);
    return [...(await simdformer.add(end, 1).data())];
  }

  it('takes at most the available memory if addresses are scarce', async () => {
    const own = await behind(`const { Memory } = WebAssembly;
      WebAssembly.Memory = class extends Memory {
        constructor(descriptor) {
          if (descriptor.maximum > 8192) throw new RangeError('could not allocate memory'); // 512 MiB
          super(descriptor);
        }
      };`);
    expect(() => own.empty([1 << 27])).toThrow(simdformer.OutOfMemoryError);
    const half = own.empty([1 << 26]);
    expect(await addAtEnd(half)).toEqual([2, 3]);
    const max = own.empty([(50 << 20) >> 2, 4]);
    expect(() => own.empty([50 << 20])).toThrow(simdformer.OutOfMemoryError);
    expect(await addAtEnd(max.reshape(-1))).toEqual([2, 3]);
    own.dispose();
  });

  it('continues if the system gives less memory than assumed, until that memory is used', async () => {
    const own = await behind(`const { Memory } = WebAssembly;
      WebAssembly.Memory = class extends Memory {
        constructor(descriptor) {
          super({ ...descriptor, maximum: 8192 });
        }
      };`);
    const max = own.empty([420 << 18]);
    const more = own.empty([64 << 18]); // for which a quarter more is asked than there is
    expect(await addAtEnd(max)).toEqual([2, 3]);
    expect(await addAtEnd(more)).toEqual([2, 3]);
    const spare = own.empty([1024]);
    const missing = own.empty([128 << 18]);
    spare.dispose(); // makes room for sums
    expect(await addAtEnd(more)).toEqual([2, 3]);
    const { OutOfMemoryError } = simdformer;
    await expect(own.full([128 << 18], 1).data()).rejects.toThrow(OutOfMemoryError);
    await expect(addAtEnd(missing)).rejects.toThrow(/cannot grow to \d+ MiB: the system gives only \d+ MiB/);
    await expect(addAtEnd(more)).rejects.toThrow(OutOfMemoryError); // a command that it depends on may be missing
    own.dispose();
  });

  it('copies large tensors in pieces, because messages of 2 GiB are refused', async () => {
    const { postMessage } = Worker.prototype;
    const post = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (
      this: Worker,
      message,
      transfer,
    ) {
      const [buffer] = (transfer ?? []) as unknown as ArrayBuffer[];
      if (buffer && buffer.byteLength > 2 ** 28) throw new RangeError('Data cannot be cloned, out of memory');
      return postMessage.call(this, message, transfer);
    });
    onTestFinished(() => post.mockRestore());
    const values = new Float32Array(2 ** 26 + 3);
    for (const at of [0, 2 ** 26 - 1, 2 ** 26, 2 ** 26 + 2]) values[at] = at + 1;
    const x = device.tensor(values);
    const found = (await x.data()) as Float32Array;
    expect(found.length).toBe(values.length);
    expect(found.every((value, at) => value === values[at])).toBe(true);
    x.dispose();

    const before = device.memory().used;
    post.mockImplementationOnce(() => {
      throw new RangeError('Data cannot be cloned, out of memory');
    });
    expect(() => device.tensor(values.subarray(0, 100))).toThrow(RangeError);
    expect(device.memory().used).toBe(before);
    expect(await device.tensor([1, 2]).data()).toEqual(Float32Array.of(1, 2));
  });

  it('matches answers with its requests, even after failures', async () => {
    const worker = new Worker('./wasm/dist/worker.js');
    const answers: unknown[] = [];
    worker.on('message', (answer) => answers.push(answer));
    for (const request of [{ do: 'grow' }, { do: 'write' }, { do: 'run', words: new Uint32Array(0) }]) {
      worker.postMessage(request); // without an engine, which throws
    }
    worker.postMessage({ do: 'open', engine: {}, threads: [] });
    const error = (text: string) => ({ error: expect.objectContaining({ message: expect.stringContaining(text) }) });
    await expect.poll(() => answers).toContainEqual(error('WebAssembly.instantiate'));
    expect(answers).toEqual([error('undefined'), error('WebAssembly.instantiate')]);
    await worker.terminate();
  });

  it('ends running work when it is disposed of', async () => {
    const own = await simdformer.createDevice({ backend: 'wasm', worker: true, threads: 1 });
    const reads = [1, 2, 3].map((value) => own.full([3], value).data());
    own.dispose();
    for (const read of await Promise.allSettled(reads)) expect(read.status).toBe('rejected');
    expect(() => own.empty([1])).toThrow(simdformer.DeviceError);
  });
});
