import { describe, expect, it } from 'vitest';
import { differentiable, passGrad } from '../../src/core/autograd.js';
import {
  ArgumentError,
  AutogradError,
  createDevice,
  DisposedError,
  DTypeError,
  ShapeError,
  type Tensor,
} from '../../src/index.js';
import {
  add,
  attention,
  attentionWeights,
  contiguous,
  crossEntropy,
  embedding,
  gather,
  layerNorm,
  linear,
  matmul,
  mul,
  pack,
  relu,
  rotary,
  scale,
  softmax,
  sum,
  unpack,
} from '../../src/ops/index.js';
import { SGD } from '../../src/train/index.js';

const device = await createDevice({ threads: 2 });
const leaf = (...values: number[]) => device.tensor(values, [values.length], { requiresGrad: true });
const gradient = (x: Tensor) => [...x.grad!.dataSync()];

describe('backward', () => {
  it('adds the gradients that reach a tensor by several paths', () => {
    const x = leaf(1, 2, 3);
    const y = mul(x, x);
    sum(add(add(y, x), y)).backward(); // 2x² + x
    expect(gradient(x)).toEqual([5, 9, 13]);
  });

  it('accumulates over calls until zeroGrad', () => {
    const x = leaf(1, 2);
    sum(mul(x, 3)).backward();
    sum(mul(x, 4)).backward();
    expect(gradient(x)).toEqual([7, 7]);
    x.zeroGrad();
    expect(x.grad).toBeNull();
    sum(mul(x, 5)).backward();
    expect(gradient(x)).toEqual([5, 5]);
  });

  it('gives views their part of the gradient, and zeros to unused parts', () => {
    const x = device.tensor(new Float32Array(12).fill(1), [3, 4], { requiresGrad: true });
    sum(mul(x.columns(1, 3), 2)).backward();
    expect(gradient(x)).toEqual([0, 2, 2, 0, 0, 2, 2, 0, 0, 2, 2, 0]);
    expect(gradient(x.columns(2, 4))).toEqual([2, 0, 2, 0, 2, 0]);
    x.zeroGrad();
    sum(add(sum(mul(x.rows(1, 2), 3)), sum(mul(x.columns(0, 2), 5)))).backward();
    expect(gradient(x)).toEqual([5, 5, 0, 0, 8, 8, 3, 3, 5, 5, 0, 0]);
    x.zeroGrad();
    add(sum(x.reshape(6, 2).columns(1, 2)), sum(mul(x.columns(1, 2), 3))).backward();
    expect(gradient(x)).toEqual([0, 4, 0, 1, 0, 4, 0, 1, 0, 4, 0, 1]);
  });

  it('gives overlapping views of a result their gradients', () => {
    const x = leaf(1, 2, 3, 4);
    const y = mul(x, 10).reshape(2, 2);
    const z = add(sum(mul(y.columns(0, 1), 2)), sum(mul(y, 3)));
    add(z, sum(y.rows(0, 1))).backward();
    expect(gradient(x)).toEqual([60, 40, 50, 30]);
  });

  it('accepts an upstream gradient of the tensor’s shape', () => {
    const x = leaf(1, 2);
    mul(x, x).backward([10, 100]);
    expect(gradient(x)).toEqual([20, 400]);
    const y = mul(x, x);
    expect(() => y.backward()).toThrow(AutogradError);
    expect(() => y.backward([1, 2, 3])).toThrow(ShapeError);
    expect(() => y.backward(device.tensor(Int32Array.of(1, 1)))).toThrow(DTypeError);
    x.zeroGrad();
    y.backward(device.tensor([1, 1]));
    expect(gradient(x)).toEqual([2, 4]);
  });

  it('uses a graph only once', () => {
    const x = leaf(1);
    const y = mul(x, x);
    y.backward();
    expect(() => y.backward()).toThrow(/used before/);
  });

  it('refuses a graph with a part that was used before', () => {
    const x = leaf(1);
    const shared = mul(x, x);
    const [a, b] = [mul(shared, 2), add(mul(shared, 3), x)];
    a.backward();
    expect(() => b.backward()).toThrow(/used by an earlier backward/);
    expect(gradient(x)).toEqual([4]);
  });

  it('refuses to pass through a result whose graph was used before; a detached result is a constant', () => {
    const [w, u] = [leaf(2), leaf(3)];
    const h = mul(w, w);
    h.backward();
    expect(() => mul(h, u).backward()).toThrow(AutogradError);
    mul(h.detach(), u).backward();
    expect(gradient(u)).toEqual([4]);
    expect(gradient(w)).toEqual([4]); // only h contributes
  });

  it('refuses tensors that were written to after their use', () => {
    const x = leaf(1, 2);
    const loss = sum(mul(x, x));
    x.write([10, 10]);
    expect(() => loss.backward()).toThrow(/written to since/);
    expect(x.grad).toBeNull();

    const sgd = new SGD([x], { lr: 0.1 });
    const late = sum(mul(x, x));
    sum(x).backward();
    sgd.step();
    expect(() => late.backward()).toThrow(AutogradError);
    sgd.zeroGrad();
    sum(mul(x, 2)).backward();
    expect(gradient(x)).toEqual([2, 2]);
  });

  describe('refuses what was written to since, though it needs no gradient:', () => {
    const ids = () => device.tensor(Int32Array.of(0, 1));
    const two = () => device.tensor(Int32Array.of(2));
    it.each<[string, () => Tensor, (w: Tensor, x: Tensor) => Tensor]>([
      ['a factor', () => device.tensor([[1, 2]]), (w, x) => matmul(x, w)],
      ['targets', ids, (w, x) => crossEntropy(w, x)],
      ['ids', ids, (w, x) => embedding(w, x)],
      ['numbers of rows', ids, (w, x) => gather(w, x)],
      ['positions', ids, (w, x) => rotary(w, x, device.zeros([4, 4]))],
      ['lengths to pack', two, (w, x) => pack(w.reshape(1, 2, 2), x, 2)],
      ['lengths to unpack', two, (w, x) => unpack(w, x, 3)],
      ['lengths of attention', two, (w, x) => attention(w, w, w, { lengthsQ: x })],
    ])('%s', (_, make, op) => {
      const w = device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true });
      const x = make();
      const y = sum(op(w, x));
      x.write(x.dataSync());
      expect(() => y.backward()).toThrow(/written to since/);
    });

    it('a result that its op reads again', () => {
      const y = softmax(leaf(1, 2, 3));
      const loss = sum(mul(y, 2));
      y.write([1, 0, 0]);
      expect(() => loss.backward()).toThrow(/written to since/);
    });
  });

  it('detaches as a view of the same memory, without a graph', () => {
    const x = leaf(1, 2, 3, 4);
    const y = mul(x, 2);
    const d = y.detach();
    expect(d.requiresGrad).toBe(false);
    y.dispose();
    expect([...d.dataSync()]).toEqual([2, 4, 6, 8]);
    d.requiresGrad = true; // a leaf of its own
    sum(mul(d, d)).backward();
    expect(gradient(d)).toEqual([4, 8, 12, 16]);
    expect(x.grad).toBeNull();
    const gaps = device.tensor([1, 2, 3, 4], [2, 2]).columns(0, 1).detach();
    expect(() => {
      gaps.requiresGrad = true;
    }).toThrow(AutogradError);
  });

  it('makes a new gradient after the earlier one was disposed of', () => {
    const x = leaf(1, 2);
    sum(mul(x, 3)).backward();
    x.grad!.dispose();
    expect(x.grad).toBeNull();
    sum(mul(x, 4)).backward();
    expect(gradient(x)).toEqual([4, 4]);
  });

  it('can start at a leaf', () => {
    const x = leaf(1, 2);
    x.backward([3, 4]);
    x.backward([1, 1]);
    expect(gradient(x)).toEqual([4, 5]);
  });

  it('leaves nothing behind when an op in it fails', () => {
    const x = leaf(2, 3);
    const shared = mul(x, x);
    const failing = differentiable(device.zeros([2]), [shared], (dy) => {
      passGrad(shared, dy);
      throw new Error('inside');
    });
    const before = device.memory().used;
    expect(() => failing.backward([1, 1])).toThrow('inside');
    expect(device.memory().used).toBeLessThanOrEqual(before);
    x.zeroGrad();
    sum(mul(x, x)).backward();
    expect(gradient(x)).toEqual([4, 6]);
  });

  it('leaves zeros if it fails before it reaches a gradient', async () => {
    for (const junk of Array.from({ length: 20 }, () => device.full([2, 3], 777))) junk.dispose();
    const x = device.tensor([1, 2, 3, 4, 5, 6], [2, 3], { requiresGrad: true });
    const w = device.tensor([1, 1], [2, 1], { requiresGrad: true });
    const y = add(mul(w, scale(w, 1)), x.columns(0, 1));
    w.write([3, 3]);
    expect(() => sum(y).backward()).toThrow(AutogradError);
    expect(await x.grad?.data()).toEqual(Float32Array.of(1, 0, 0, 1, 0, 0));
  });

  it('computes no gradient that is not required', () => {
    const [x, w] = [leaf(1, 2), device.tensor([3, 4])];
    sum(mul(x, w)).backward();
    expect(w.grad).toBeNull();
    const y = device.noGrad(() => mul(x, x));
    expect(y.requiresGrad).toBe(false);
    expect(() => sum(y).backward()).toThrow(AutogradError);
  });

  it('refuses a graph whose inputs were disposed of', () => {
    const x = leaf(1, 2);
    const w = device.tensor([3, 4]);
    const y = sum(mul(x, w));
    w.dispose();
    expect(() => y.backward()).toThrow(DisposedError);
    expect(device.tensor([1]).dataSync()).toEqual(Float32Array.of(1));
  });

  it('refuses a view of a disposed leaf, whose gradient could not be freed', () => {
    const before = device.memory().used;
    const x = device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true });
    const view = x.columns(0, 1);
    x.dispose();
    const y = mul(view, 2);
    expect(() => y.backward([[1], [1]])).toThrow(DisposedError);
    for (const tensor of [view, y]) tensor.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('gives an op its dy contiguous and in the shape of its output', () => {
    const outputs = [(y: Tensor) => y, (y: Tensor) => y.reshape(2, 6), (y: Tensor) => y.columns(1, 3)];
    const users: ((y: Tensor) => Tensor)[] = [
      (y) => y,
      (y) => add(y, y),
      (y) => add(y, device.zeros(y.shape)), // `add` passes its own dy on
      (y) => add(y.columns(0, 1), contiguous(y)),
      (y) => y.rows(1, 2),
    ];
    for (const output of outputs) {
      for (const use of users) {
        const y = output(device.zeros([3, 4]));
        let values: unknown;
        differentiable(y, [leaf(1)], (dy) => {
          expect(dy).toMatchObject({ shape: y.shape, isContiguous: true });
          values = dy.dataSync();
        });
        sum(use(y)).backward();
        const same = device.zeros(y.shape);
        same.requiresGrad = true;
        sum(use(same)).backward();
        expect(values).toEqual(same.grad!.dataSync());
      }
    }
  });
});

describe('device.scope', () => {
  it('frees what is not returned', () => {
    const x = leaf(1, 2, 3);
    const before = device.memory().used;
    const { y, list } = device.scope(() => {
      const z = add(mul(x, x), 1);
      return { y: add(z, 1), list: [mul(z, 2)] };
    });
    expect(y.dataSync()).toEqual(Float32Array.of(3, 6, 11));
    expect(list[0]!.dataSync()).toEqual(Float32Array.of(4, 10, 20));
    sum(y).backward();
    for (const tensor of [y, ...list]) tensor.dispose();
    expect(device.memory().used - before).toBeLessThanOrEqual(3 * 64); // the gradient, and the sum
  });

  it('keeps what backward needs until then, and no longer', () => {
    const x = device.tensor(new Float32Array(4096).fill(0.5), [64, 64], { requiresGrad: true });
    const kept = () => device.scope(() => sum(matmul(mul(x, x), x)));
    kept().backward();
    const settled = device.memory().used;
    for (let round = 0; round < 20; round++) {
      x.zeroGrad();
      const loss = kept();
      loss.backward();
      loss.dispose();
    }
    expect(device.memory().used).toBe(settled);
  });

  it('keeps what several results need until the last of them is used or disposed of', () => {
    const x = leaf(1, 2);
    const parts = () =>
      device.scope(() => [sum(mul(mul(x, x), x)), sum(mul(mul(x, 3), mul(x, x))).reshape(1)] as const);
    for (const order of [
      [0, 1],
      [1, 0],
    ] as const) {
      const results = parts();
      for (const i of order) results[i].backward();
      expect(gradient(x)).toEqual([3 + 9, 12 + 36]);
      x.zeroGrad();
      for (const result of results) result.dispose();
    }
    const before = device.memory().used;
    const [used, unused] = parts();
    used.backward();
    for (const result of [used, unused]) result.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('frees what ops took for themselves once their result is differentiated or disposed of', () => {
    const x = device.tensor(new Float32Array(24).fill(0.5), [2, 3, 4], { requiresGrad: true });
    const w = device.tensor(new Float32Array(16).fill(0.5), [4, 4], { requiresGrad: true });
    const ops = [
      () => attention(x, x, x, { heads: 2, lengthsK: [1, 2] }),
      () => attentionWeights(x, x, { lengthsK: [1, 2] }),
      () => linear(x, w, null, { activation: 'gelu' }),
      () => relu(x.columns(0, 2)),
      () => softmax(x.columns(0, 2)),
      () => layerNorm(x.columns(0, 2)),
    ];
    for (const op of ops) {
      const once = (differentiates: boolean) => {
        const y = op();
        if (differentiates && y.requiresGrad) device.scope(() => y.backward(device.full(y.shape, 1)));
        y.dispose();
      };
      once(true); // the gradients of x and w stay
      const before = device.memory().used;
      once(true);
      once(false);
      expect(device.memory().used).toBe(before);
    }
  });

  it('nests, and frees everything when the function throws', () => {
    const x = leaf(1);
    const before = device.memory().used;
    const fail = () =>
      device.scope(() => {
        device.scope(() => add(x, 1));
        throw new Error('inside');
      });
    expect(fail).toThrow('inside');
    expect(device.memory().used).toBe(before);
    const y = device.scope(() => device.scope(() => add(x, 1)));
    expect(y.dataSync()).toEqual(Float32Array.of(2));
  });

  it('frees gradients with their tensors', () => {
    const before = device.memory().used;
    const x = leaf(1, 2);
    device.scope(() => sum(mul(x, 2))).backward();
    x.dispose();
    expect(device.memory().used).toBeLessThanOrEqual(before + 64); // the sum
  });

  it('keeps what objects hold that hold each other', () => {
    const x = device.full([2], 3);
    const { y } = device.scope(() => {
      const result = { y: add(x, 1), self: null as unknown, list: [] as unknown[] };
      result.self = result;
      result.list.push(result.list, result);
      return result;
    });
    expect(y.dataSync()).toEqual(Float32Array.of(4, 4));
  });

  it('passes on as many results as there are', () => {
    const before = device.memory().used;
    const x = device.zeros([1]);
    const views = device.scope(() => device.scope(() => Array.from({ length: 150_000 }, () => x.detach())));
    for (const view of [x, ...views]) view.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('refuses asynchronous functions', () => {
    expect(() => device.noGrad(async () => 1)).toThrow(ArgumentError);
    expect(() => device.scope(async () => 1)).toThrow(ArgumentError);
  });
});
