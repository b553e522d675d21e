import { describe, expect, it } from 'vitest';
import { ArgumentError, createDevice, DisposedError, SimdformerError, type Tensor } from '../../src/index.js';
import { add, dropout, linear, matmul, mul, scale, slice, sum } from '../../src/ops/index.js';
import { SGD } from '../../src/train/index.js';
import { Random } from '../random.js';

const device = await createDevice({ threads: 2 });
const random = new Random('program');
const tensorOf = (...shape: number[]) => device.tensor(random.normal(shape).data, shape);

describe('device.record', () => {
  it('computes nothing until run', async () => {
    const count = device.zeros([1]);
    const operands = {
      x: count,
      y: count,
      rows: 1,
      cols: 1,
      xStride: 1,
      yStride: 1,
      scale: 1,
      shift: 1,
      accumulate: 0,
    };
    const program = device.record(() => device.emit('affine', operands));
    expect(await count.data()).toEqual(Float32Array.of(0));
    program.run();
    program.run();
    expect(await count.data()).toEqual(Float32Array.of(2));
  });

  it('gives the results of eager ops, bit for bit, in every run', async () => {
    const [x, w, b] = [tensorOf(9, 17), tensorOf(17, 33), tensorOf(33)];
    for (const leaf of [w, b]) leaf.requiresGrad = true;
    const step = () => {
      const loss = sum(linear(x, w, b, { activation: 'silu' }));
      loss.backward();
      return loss;
    };
    const results = (loss: Tensor) => Promise.all([loss, w.grad!, b.grad!].map((tensor) => tensor.data()));
    const program = device.record(step);
    for (let round = 0; round < 3; round++) {
      x.write(random.normal(x.shape).data);
      const recorded = await results(program.run());
      w.zeroGrad();
      b.zeroGrad();
      expect(await results(device.scope(step))).toEqual(recorded);
    }
    program.dispose();
  });

  it('uses new values of named scalars in each run, and keeps the others', async () => {
    const x = device.tensor([1, 2]);
    const program = device.record(() => scale(scale(x, device.scalar('a', 3)), device.scalar('b', 5)));
    expect(program.scalars).toEqual(['a', 'b']);
    expect(await program.run().data()).toEqual(Float32Array.of(15, 30));
    expect(await program.run({ a: 2 }).data()).toEqual(Float32Array.of(10, 20));
    expect(await program.run({ b: 1 }).data()).toEqual(Float32Array.of(2, 4));
    expect(() => program.run({ c: 1 })).toThrow(ArgumentError);
    expect(() => program.run({ c: 1 })).toThrow(/'c'.*a, b/);
    const odd = device.record(() => scale(x, device.scalar('constructor', 3)));
    expect(await odd.run().data()).toEqual(Float32Array.of(3, 6));
  });

  it('sets all scalars or none, and refuses numbers that are not integers for integer operands', async () => {
    const x = device.full([64], 1);
    const scalars = { factor: device.scalar('factor', 2), seed: device.scalar('seed', 7) };
    const program = device.record(() => dropout(scale(x, scalars.factor), { p: 0.5, seed: scalars.seed }));
    const expected = await program.run().data();
    for (const seed of [1.5, -1, 2 ** 32, Number.NaN]) {
      const refused = `program.run: seed is ${seed}, expected an integer from 0 to 2³² − 1`;
      expect(() => program.run({ factor: 3, seed })).toThrow(refused);
    }
    expect(() => program.run({ factor: 3, sed: 1 })).toThrow(ArgumentError);
    expect(await program.run().data()).toEqual(expected);
    const wrong = device.scalar('seed', 1.5);
    expect(() => dropout(x, { p: 0.5, seed: wrong })).toThrow('dropout: seed is 1.5, expected an integer');
  });

  it('leaves no trace of a refused command', async () => {
    const x = device.tensor([1, 2, 3, 4]);
    const y = device.zeros([4]);
    const operands = { x, y, rows: 1, cols: 4, xStride: 4, yStride: 4, shift: 0 };
    const program = device.record(() => {
      const refused = { ...operands, scale: device.scalar('a', 5) };
      expect(() => device.emit('affine', refused)).toThrow("operand 'accumulate' is missing");
      device.emit('affine', { ...operands, scale: 2, accumulate: 0 });
      return y;
    });
    expect(program.scalars).toEqual([]);
    expect(await program.run().data()).toEqual(Float32Array.of(2, 4, 6, 8));
  });

  it('adds to gradients that were dropped meanwhile, and leaves no memory behind', async () => {
    const before = device.memory().used;
    const x = device.tensor([1, 2], undefined, { requiresGrad: true });
    const backward = () => device.scope(() => sum(mul(x, x)).backward());
    backward();
    const program = device.record(backward);
    for (let i = 0; i < 3; i++) {
      x.zeroGrad();
      program.run();
      program.run();
      expect([...(await x.grad!.data())]).toEqual([4, 8]);
    }
    program.dispose();
    x.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('does not share its memory between runs, and frees it at the end', async () => {
    const x = tensorOf(8, 8);
    const before = device.memory().used;
    const program = device.record(() => matmul(matmul(x, x), x));
    const expected = await program.run().data();
    const others = [tensorOf(8, 8), tensorOf(16, 16), add(x, 1)];
    expect(await program.result.data()).toEqual(expected);
    expect(await program.run().data()).toEqual(expected);
    for (const tensor of others) tensor.dispose();
    expect(device.memory().used).toBe(before + program.bytes);
    program.dispose();
    program.dispose();
    expect(device.memory().used).toBe(before);
    expect(() => program.run()).toThrow(DisposedError);
    expect(() => program.result.dataSync()).toThrow(DisposedError);
  });

  it('owns tensors made in unscoped(), and leaves that state unchanged', () => {
    const x = tensorOf(8, 8);
    const before = device.memory().used;
    const others: Tensor[] = [];
    const record = () => {
      const program = device.record(() => matmul(x, x));
      others.push(add(x, 1));
      return program;
    };
    const program = device.scope(() => device.unscoped(record));
    expect(program.bytes).toBe(4 * x.size);
    program.dispose();
    for (const other of others) {
      expect(other.disposed).toBe(false);
      other.dispose();
    }
    expect(device.memory().used).toBe(before);
  });

  it('does not change longer-lived tensors made in it when it runs', async () => {
    const state: Tensor[] = [];
    const program = device.record(() => {
      const make = () => [device.tensor([1, 2]), device.zeros([2]), device.full([2], 3, 'int32')];
      state.push(...device.unscoped(make));
    });
    const values = () => Promise.all(state.map(async (tensor) => [...(await tensor.data())]));
    expect(await values()).toEqual([
      [1, 2],
      [0, 0],
      [3, 3],
    ]);
    for (const tensor of state) tensor.write([7, 8]);
    program.run();
    expect(await values()).toEqual([
      [7, 8],
      [7, 8],
      [7, 8],
    ]);
  });

  it("releases the tensors of its scopes' graphs, used or not", () => {
    const before = device.memory().used;
    const x = device.tensor([1, 2], undefined, { requiresGrad: true });
    const part = () => device.scope(() => mul(x.columns(0, 1), 2));
    device.record(part).dispose();
    const failing = () => {
      part();
      throw new Error('later');
    };
    expect(() => device.record(failing)).toThrow('later');
    x.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('retains the tensors that it reads', async () => {
    const before = device.memory().used;
    const x = device.tensor([1, 2]);
    const program = device.record(() => mul(x, 2));
    x.dispose();
    const other = device.tensor([7, 7]);
    expect(await program.run().data()).toEqual(Float32Array.of(2, 4));
    program.dispose();
    other.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('retains the tensors of which it reads a part', async () => {
    const before = device.memory().used;
    const x = tensorOf(2, 3, 4);
    const program = device.record(() => slice(x, 1, 1, 2));
    const expected = await program.run().data();
    x.dispose();
    const other = device.full([24], 99);
    expect(await program.run().data()).toEqual(expected);
    program.dispose();
    other.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('retains the tensors that it writes to; its runs count as writes', async () => {
    const x = device.tensor([1, 2], [2], { requiresGrad: true });
    const loss = sum(mul(x, x));
    const program = device.record(() => x.write([7, 8]));
    loss.backward();
    expect([...(await x.grad!.data())]).toEqual([2, 4]);
    const late = sum(mul(x, x));
    program.run();
    expect(() => late.backward()).toThrow(/written to since/);
    x.dispose();
    loss.dispose();
    late.dispose();
    const other = device.tensor([5, 5]);
    program.run();
    expect([...(await other.data())]).toEqual([5, 5]);
    program.dispose();
    other.dispose();
  });

  it('frees the gradients of leaves that were made in it', () => {
    const before = device.memory().used;
    const program = device.record(() => {
      const w = device.tensor([1, 2], [2], { requiresGrad: true });
      sum(mul(w, w)).backward();
      return w.grad;
    });
    expect([...program.run()!.dataSync()]).toEqual([2, 4]);
    program.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('leaves gradients after every run, for optimizers outside of it', async () => {
    const trained = async (steps: (w: Tensor, step: () => void) => void) => {
      const w = device.tensor([1, 2, 3], [3], { requiresGrad: true });
      const sgd = new SGD([w], { lr: 0.1 });
      steps(w, () => {
        sgd.step();
        sgd.zeroGrad();
      });
      return w.data();
    };
    const loss = (w: Tensor) => sum(mul(w, w));
    const recorded = await trained((w, step) => {
      const program = device.record(() => loss(w).backward());
      expect(w.grad).toBeNull(); // nothing has run
      for (let i = 0; i < 5; i++) {
        program.run();
        step();
      }
    });
    const eager = await trained((w, step) => {
      for (let i = 0; i < 5; i++) {
        loss(w).backward();
        step();
      }
    });
    expect(recorded).toEqual(eager);
  });

  it('clears gradients in every run, even if there was none at recording', async () => {
    const w = device.tensor([1, 2], [2], { requiresGrad: true });
    const program = device.record(() => w.zeroGrad());
    for (let i = 0; i < 2; i++) {
      sum(mul(w, w)).backward();
      expect([...(await w.grad!.data())]).toEqual([2, 4]);
      program.run();
      expect(w.grad).toBeNull();
    }
  });

  it('counts as a write when it runs, not when it is recorded', async () => {
    const w = device.tensor([1, 2], [2], { requiresGrad: true });
    const sgd = new SGD([w], { lr: 0.1 });
    const before = sum(mul(w, w));
    const program = device.record((): void => {
      sum(w).backward();
      sgd.step();
      sgd.zeroGrad();
    });
    before.backward();
    expect([...(await w.grad!.data())]).toEqual([2, 4]);
    w.zeroGrad();
    const late = sum(mul(w, w));
    program.run({ lr: 0.5 });
    expect(() => late.backward()).toThrow(/written to since/);
    expect([...(await w.data())]).toEqual([0.5, 1.5]);
  });

  it('adds to gradients as when it was recorded, and leaves none behind if recording fails', async () => {
    const w = device.tensor([1, 2, 3], [3], { requiresGrad: true });
    expect(() =>
      device.record(() => {
        sum(w).backward();
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(w.grad).toBeNull();

    sum(w).backward();
    const program = device.record(() => sum(mul(w, w)).backward());
    program.run();
    expect([...(await w.grad!.data())]).toEqual([3, 5, 7]);
    w.zeroGrad();
    program.run(); // to zeros
    sum(w).backward();
    expect([...(await w.grad!.data())]).toEqual([3, 5, 7]);
  });

  it('refuses asynchronous functions', () => {
    expect(() => device.record(async () => 1)).toThrow(ArgumentError);
  });

  it('prints every command with names, shapes and FLOPs', () => {
    const [x, w] = [tensorOf(4, 6), tensorOf(6, 10)];
    const program = device.record(() => mul(matmul(x, w), 2));
    const lines = program.toString().split('\n');
    expect(lines).toHaveLength(program.commands.length + 1);
    expect(lines[0]).toMatch(/^ +0 .*4×6.*6×10.* 480 FLOP$/);
    expect(lines.at(-1)).toMatch(new RegExp(`^${program.commands.length} commands, .*FLOP, .* MiB$`));
    expect(program.flops).toBeGreaterThanOrEqual(480);
  });

  it('refuses reads, does not nest, and survives an error inside', async () => {
    const x = tensorOf(2, 2);
    const before = device.memory().used;
    expect(() => device.record(() => add(x, 1).dataSync())).toThrow(SimdformerError);
    expect(() => device.record(() => device.record(() => x))).toThrow(SimdformerError);
    expect(() => device.record(() => matmul(add(x, 1), tensorOf(3, 3)))).toThrow(/matmul/);
    expect(device.memory().used).toBe(before);
    expect(await device.tensor([3]).data()).toEqual(Float32Array.of(3));
  });
});
