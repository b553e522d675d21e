import { describe, expect, it, vi } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { type Device, EngineDevice } from '../../src/core/device.js';
import { Queue } from '../../src/core/queue.js';
import { VERSION } from '../../src/core/version.js';
import { createDevice, type Tensor } from '../../src/index.js';
import { add, embedding, linear, matmul, mul, softmax, sum } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';

/** A tensor whose value takes a while to compute. */
function slow(device: Device): Tensor {
  const n = 512;
  const start = device.tensor(new Random('slow').normal([n, n], 1 / Math.sqrt(n)).data, [n, n]);
  return device.scope(() => {
    let x = start;
    for (let i = 0; i < 150; i++) x = matmul(x, start);
    return x;
  });
}

/** Tells if a promise has been fulfilled so far. */
function watched(promise: Promise<unknown>): { isDone: boolean; end: Promise<unknown> } {
  const state = { isDone: false, end: promise };
  state.end = promise.then(() => {
    state.isDone = true;
  });
  return state;
}

/** Once Node's event loop has heard of all that has ended. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

const { backend } = (await deviceFor(isas[0]!, 1)).info;

describe('asynchronous runs', () => {
  // WebAssembly computes on the caller's thread unless it is given a worker.
  if (backend === 'native') {
    it('copy large results in slices, and the rest before later commands change them', async () => {
      const device = await createDevice({ threads: 1 });
      const x = device.tensor(new Random('large').normal([3_000_000]).data);
      const expected = x.dataSync();
      let now = performance.now();
      const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
        now += 10;
        return now;
      });
      try {
        const read = watched(x.data());
        let turns = 0;
        for (; !read.isDone; turns++) await nextTurn();
        expect(turns).toBeGreaterThan(10); // 12 MB are 12 slices
        const copied = x.data();
        for (let i = 0; i < 4; i++) await nextTurn();
        x.write(new Float32Array(3_000_000).fill(7));
        expect(x.dataSync()[2_999_999]).toBe(7);
        expect(await copied).toEqual(expected);
      } finally {
        clock.mockRestore();
        device.dispose();
      }
    });

    it('do not block the event loop', async () => {
      const device = await createDevice({ threads: 1 });
      const read = watched(slow(device).data());
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      expect(read.isDone).toBe(false);
      await read.end;
      device.dispose();
    });

    it('do not delay a caller that needs more memory', async () => {
      const device = await createDevice({ threads: 1 });
      const read = watched(slow(device).data());
      const { capacity, used } = device.memory();
      device.empty([(capacity - used) / 4 + 1000]);
      // Had it waited for the run, the read would be done by now, or when the event loop next hears of it.
      for (let turn = 0; turn < 3; turn++) await nextTurn();
      expect(read.isDone).toBe(false);
      await read.end;
      device.dispose();
    });
  }

  it('are not delayed by a large tensor, whose values are queued', async () => {
    const device = await createDevice({ threads: 1 });
    const ids = device.scope(() => add(device.tensor(Int32Array.of(4)), device.tensor(Int32Array.of(5))));
    embedding(device.zeros([3, 2]), ids); // fails where it runs, which is not here
    const values = new Random('large').normal([70_000]).data;
    const large = device.tensor(values, [70_000]);
    await expect(device.flush()).rejects.toThrow('embedding');
    large.write(values);
    expect(await large.data()).toEqual(values);
    device.dispose();
  });

  it('give every reader the values at its position in the queue', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.tensor([1]);
    const busy = slow(device);
    const reads = [busy.data()];
    for (let i = 2; i < 50; i++) {
      reads.push(x.data());
      x.write([i]);
    }
    expect(x.dataSync()).toEqual(Float32Array.of(49)); // waits for those before it
    const [, ...values] = await Promise.all(reads);
    expect(values.map(([value]) => value)).toEqual(Array.from({ length: 48 }, (_, i) => i + 1));
  });

  it('reject only their own reader', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.tensor([1, 2]);
    const bad = device.tensor(Int32Array.of(7), [1]);
    const first = x.data();
    device.emit('gather', {
      x: x.reshape(2, 1),
      rows: bad,
      y: device.empty([1, 1]),
      count: 1,
      cols: 1,
      xRows: 2,
      xStride: 1,
    });
    const second = x.data();
    const third = add(x, 1).data();
    expect((await Promise.allSettled([first, second, third])).map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
  });

  it('start without being asked when the queue is full', async () => {
    const device = await createDevice({ threads: 1 });
    const x = device.tensor([0]);
    for (let i = 0; i < 150_000; i++)
      device.emit('affine', { x, y: x, rows: 1, cols: 1, xStride: 1, yStride: 1, scale: 1, shift: 1, accumulate: 0 });
    expect(x.dataSync()).toEqual(Float32Array.of(150_000));
    device.dispose();
  });
});

describe('a training step', () => {
  /** Loss and gradients of two layers, as bits. */
  async function step(device: Device): Promise<Int32Array[]> {
    const random = new Random('step');
    const tensors = [random.normal([37, 65]), random.normal([65, 130]), random.normal([130]), random.normal([130, 9])];
    const [x, w1, b1, w2] = tensors.map(({ data, shape }) => device.tensor(data, shape, { requiresGrad: true }));
    const loss = device.scope(() => {
      const p = softmax(linear(linear(x!, w1!, b1!, { activation: 'gelu' }), w2!));
      const total = sum(mul(p, p));
      total.backward();
      return total;
    });
    const results = [loss, ...[x, w1, b1, w2].map((leaf) => leaf!.grad!)];
    const values = await Promise.all(results.map((result) => result.data()));
    return values.map(({ buffer }) => new Int32Array(buffer));
  }

  it.each(isas)('has the same bits with 1, 2, 3 and 8 threads on %s', async (isa) => {
    const expected = await step(await deviceFor(isa, 1));
    for (const threads of [2, 3, 8]) expect(await step(await deviceFor(isa, threads))).toEqual(expected);
  });
});

describe('a command', () => {
  it('has exactly the operands that the engine knows', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const y = device.empty([2]);
    const fill = { y, rows: 1, cols: 2, stride: 2, value: 0 };
    device.emit('fill', { ...fill, newest: undefined });
    expect(() => device.emit('fill', { ...fill, newest: 1 })).toThrow(/'fill' has no operand 'newest'.* rebuild it/);
    expect(() => device.emit('fill', { ...fill, cols: undefined })).toThrow("operand 'cols' is missing");
    expect(() => device.emit('newest', {})).toThrow(/no op 'newest'.* rebuild it/);
    expect(y.dataSync()).toEqual(Float32Array.of(0, 0));
  });
});

describe('a queue whose engine fails or is busy', () => {
  const wait = new Promise<null>(() => {});
  const engine: Backend = {
    kind: 'native',
    manifest: {
      version: VERSION,
      isa: 'scalar',
      isas: [],
      threads: 1,
      constants: {},
      formats: [],
      ops: [{ part: 'core', name: 'upload', operands: [{ name: 'data', kind: 'tail' }] }],
    },
    run: () => null,
    runAsync: () => wait,
    grow: () => true,
    read: () => {},
    write: () => {},
    close: () => {},
  };
  const fail = (): never => {
    throw new Error('lost');
  };

  it('rejects all waiting callers', async () => {
    const queue = new Queue({ ...engine, run: (_, count) => (count > 0 ? fail() : null) });
    queue.run(); // is running for ever
    const jobs = [1, 2, 3].map((value) => {
      queue.upload(0, Int32Array.of(value));
      return queue.run();
    });
    queue.runSync();
    for (const job of jobs) await expect(job).rejects.toThrow('lost');
  });

  it('is refused if it is of another version', () => {
    let closed = false;
    const close = () => {
      closed = true;
    };
    const other = { ...engine, manifest: { ...engine.manifest, version: '0.0.1' }, close };
    expect(() => new EngineDevice(other)).toThrow(`the engine is of version 0.0.1, expected ${VERSION}`);
    expect(closed).toBe(true);
  });

  it('lets its device close, and leaves no caller waiting', async () => {
    let closed = false;
    const device = new EngineDevice({
      ...engine,
      run: fail,
      close: () => {
        closed = true;
      },
    });
    device.flush(); // is running for ever
    const waiting = device.flush();
    expect(() => device.dispose()).toThrow('lost');
    expect(closed).toBe(true);
    await expect(waiting).rejects.toThrow('the device has already been disposed');
  });

  it('runs when much was written while it was busy', () => {
    const counts: number[] = [];
    const run = (_: unknown, count: number) => {
      if (count > 0) counts.push(count);
      return null;
    };
    const queue = new Queue({ ...engine, run });
    queue.run(); // is running for ever
    for (let i = 0; i < 5; i++) queue.upload(0, new Int32Array(1 << 19));
    expect(counts).toHaveLength(2); // each when two parts made it full
  });
});
