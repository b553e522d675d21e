import { describe, expect, it } from 'vitest';
import { CommandError, type Tensor } from '../../src/index.js';
import { attention, attentionWeights, contiguous, scale, sum } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { Random, type Values } from '../random.js';
import { attention as reference, attentionWeights as weightsReference } from '../reference/attention.js';
import type { Reals } from '../reference/reals.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

interface Sizes {
  readonly B?: number;
  readonly Tq: number;
  readonly Tk: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly d: number;
  readonly dv?: number;
  readonly causal?: boolean | 'lower-right' | 'upper-left';
  readonly window?: readonly [number, number];
  readonly offset?: number;
  readonly softcap?: number;
  readonly lengthsQ?: readonly number[];
  readonly lengthsK?: readonly number[];
  readonly packed?: boolean;
  readonly bias?: readonly number[];
  readonly mask?: readonly number[];
  readonly distances?: number;
  readonly shaw?: { readonly keys?: number; readonly values?: number };
  readonly scale?: number;
  readonly dropout?: { readonly p: number; readonly seed: number; readonly stream: number };
}

const full = ({ B = 1, heads = 1, kvHeads = heads, ...sizes }: Sizes) => {
  return { ...sizes, B, heads, kvHeads, dv: sizes.dv ?? sizes.d };
};

const optionsOf = ({ heads, kvHeads, causal, window, offset, softcap, lengthsQ, lengthsK, ...rest }: Sizes) => {
  const { scale, dropout } = rest;
  const all = { heads, kvHeads, causal, window, offset, softcap, lengthsQ, lengthsK, scale };
  return dropout === undefined ? all : { ...all, dropout };
};

/** Packed rows [ΣT, cols] of a padded [B, T, cols], and back. */
const rowsOf = (lengths: readonly number[], T: number) =>
  lengths.flatMap((length, b) => Array.from({ length }, (_, t) => b * T + t));

function scatter(x: Reals, lengths: readonly number[], T: number): Reals {
  const cols = x.shape[1]!;
  const data = new Float64Array(lengths.length * T * cols);
  rowsOf(lengths, T).forEach((to, from) => {
    data.set(x.data.subarray(from * cols, (from + 1) * cols), to * cols);
  });
  return { shape: [lengths.length, T, cols], data };
}

function gather(x: Reals, lengths: readonly number[], T: number): Reals {
  const cols = x.shape[2]!;
  const rows = rowsOf(lengths, T);
  const data = new Float64Array(rows.length * cols);
  rows.forEach((from, to) => {
    data.set(x.data.subarray(from * cols, (from + 1) * cols), to * cols);
  });
  return { shape: [rows.length, cols], data };
}

const total = (lengths: readonly number[]) => lengths.reduce((a, b) => a + b, 0);

const cases: Sizes[] = [
  { Tq: 1, Tk: 1, d: 1 },
  { B: 2, Tq: 7, Tk: 9, heads: 2, d: 5, dv: 3 },
  { B: 2, Tq: 17, Tk: 17, heads: 2, d: 16, causal: true },
  { B: 3, Tq: 4, Tk: 11, heads: 4, kvHeads: 2, d: 6, causal: true },
  { B: 2, Tq: 12, Tk: 5, heads: 2, kvHeads: 1, d: 3, dv: 17, causal: true },
  { Tq: 33, Tk: 97, d: 4, dv: 2 },
  { Tq: 131, Tk: 193, d: 2, causal: true },
  { B: 2, Tq: 1, Tk: 40, heads: 3, d: 9, causal: true, lengthsK: [40, 13] },
  { B: 5, Tq: 6, Tk: 8, heads: 2, d: 4, lengthsQ: [6, 0, 3, 1, 4], lengthsK: [8, 5, 0, 1, 7] },
  { B: 3, Tq: 9, Tk: 9, heads: 2, d: 4, causal: true, lengthsQ: [2, 9, 5], lengthsK: [3, 9, 1] },
  { B: 4, Tq: 20, Tk: 20, heads: 2, d: 8, packed: true, lengthsQ: [3, 20, 0, 11], lengthsK: [3, 20, 0, 11] },
  {
    B: 3,
    Tq: 40,
    Tk: 50,
    heads: 2,
    kvHeads: 1,
    d: 4,
    packed: true,
    lengthsQ: [40, 1, 7],
    lengthsK: [2, 50, 9],
    causal: true,
  },
  { B: 2, Tq: 10, Tk: 10, heads: 4, d: 8, bias: [4, 10, 10] },
  { B: 2, Tq: 5, Tk: 19, heads: 2, d: 3, bias: [5, 19], causal: true, lengthsQ: [5, 4], lengthsK: [19, 6] },
  { B: 2, Tq: 18, Tk: 6, heads: 2, d: 3, bias: [2, 1, 18, 6] },
  { B: 2, Tq: 5, Tk: 9, heads: 2, d: 3, bias: [5, 9], lengthsQ: [3, 4], lengthsK: [8, 2] },
  { B: 2, Tq: 1, Tk: 37, heads: 6, kvHeads: 2, d: 18, dv: 70, bias: [1, 6, 1, 37], distances: 5, lengthsK: [37, 18] },
  { B: 2, Tq: 18, Tk: 6, heads: 2, d: 3, bias: [2, 2, 18, 6], packed: true, lengthsQ: [18, 4], lengthsK: [5, 6] },
  { B: 2, Tq: 21, Tk: 21, heads: 2, d: 4, distances: 9 },
  { B: 2, Tq: 3, Tk: 30, heads: 2, d: 4, distances: 17, causal: true },
  {
    B: 3,
    Tq: 24,
    Tk: 24,
    heads: 2,
    d: 4,
    distances: 5,
    packed: true,
    lengthsQ: [24, 2, 9],
    lengthsK: [24, 2, 9],
    causal: true,
  },
  { B: 2, Tq: 21, Tk: 21, heads: 2, d: 4, dv: 3, shaw: { keys: 9, values: 9 } },
  { B: 2, Tq: 37, Tk: 70, heads: 2, kvHeads: 1, d: 4, shaw: { keys: 61, values: 61 }, causal: true },
  { B: 2, Tq: 1, Tk: 120, heads: 2, d: 4, shaw: { keys: 7 }, causal: true, lengthsK: [120, 5] },
  {
    B: 3,
    Tq: 24,
    Tk: 24,
    heads: 2,
    d: 4,
    shaw: { values: 5 },
    causal: true,
    packed: true,
    lengthsQ: [24, 2, 9],
    lengthsK: [24, 2, 9],
  },
  { B: 2, Tq: 5, Tk: 4, d: 4, shaw: { keys: 3, values: 3 }, lengthsQ: [3, 5], lengthsK: [4, 0] },
  { B: 1, Tq: 6, Tk: 6, d: 4, scale: -3, shaw: { keys: 5 } },
  { B: 2, Tq: 9, Tk: 14, heads: 2, d: 4, causal: 'upper-left' },
  { B: 2, Tq: 20, Tk: 6, heads: 2, d: 4, dv: 3, causal: 'lower-right', window: [2, -1] },
  { B: 2, Tq: 8, Tk: 8, heads: 2, d: 4, causal: true, offset: -3, distances: 5 },
  { Tq: 6, Tk: 40, heads: 2, d: 4, window: [3, 1], offset: 25, distances: 9, shaw: { keys: 5, values: 5 } },
  { B: 2, Tq: 37, Tk: 37, heads: 2, kvHeads: 1, d: 4, dv: 6, causal: true, window: [5, -1] },
  { Tq: 50, Tk: 290, d: 3, window: [20, 7], softcap: 1.5 },
  { B: 2, Tq: 11, Tk: 11, heads: 2, d: 4, window: [-1, 2], lengthsQ: [11, 6], lengthsK: [11, 9] },
  { B: 2, Tq: 12, Tk: 12, heads: 2, d: 5, softcap: 0.7, bias: [12, 12], distances: 5, shaw: { keys: 5, values: 5 } },
  {
    B: 3,
    Tq: 24,
    Tk: 24,
    heads: 2,
    d: 4,
    causal: true,
    window: [4, -1],
    softcap: 3,
    distances: 7,
    packed: true,
    lengthsQ: [24, 2, 9],
    lengthsK: [24, 2, 9],
    mask: [3, 1, 24, 24],
  },
  {
    B: 2,
    Tq: 1,
    Tk: 170,
    heads: 4,
    kvHeads: 2,
    d: 5,
    causal: true,
    window: [33, 0],
    softcap: 1.5,
    lengthsK: [170, 40],
    distances: 301,
  },
  { B: 2, Tq: 3, Tk: 90, heads: 2, d: 5, window: [70, 2], softcap: 2, mask: [2, 1, 3, 90], distances: 9 },
  { B: 2, Tq: 2, Tk: 40, heads: 2, d: 5, softcap: 2, mask: [40], bias: [2, 1, 1, 40], shaw: { keys: 7 } },
  { B: 2, Tq: 5, Tk: 19, heads: 2, d: 3, bias: [2, 1, 1, 19], mask: [1, 2, 5, 1] },
  { B: 2, Tq: 40, Tk: 40, heads: 2, d: 3, bias: [40], mask: [2, 1, 1, 40], causal: true, window: [9, -1] },
  { B: 2, Tq: 5, Tk: 19, heads: 2, d: 3, bias: [1, 2, 5, 1], mask: [2, 2, 5, 19] },
  { B: 2, Tq: 1, Tk: 19, heads: 2, d: 3, mask: [2, 1, 1, 1], lengthsK: [19, 7] },
  { B: 2, Tq: 21, Tk: 21, heads: 2, d: 4, dropout: { p: 0.3, seed: 7, stream: 3 } },
  { B: 2, Tq: 3, Tk: 9, heads: 2, d: 4, dropout: { p: 0.5, seed: 1, stream: 0 } },
  {
    Tq: 20,
    Tk: 150,
    heads: 2,
    kvHeads: 1,
    d: 3,
    causal: true,
    window: [140, 0],
    softcap: 2,
    dropout: { p: 0.1, seed: 0xffffffff, stream: 9 },
  },
  {
    B: 3,
    Tq: 24,
    Tk: 24,
    heads: 2,
    d: 4,
    causal: true,
    distances: 7,
    shaw: { keys: 5, values: 5 },
    packed: true,
    lengthsQ: [24, 2, 9],
    lengthsK: [24, 2, 9],
    dropout: { p: 0.4, seed: 3, stream: 2 },
  },
];

type Inputs = { q: Values; k: Values; v: Values; mask: Values<Int32Array> | null } & Record<Extra, Values | null>;
type Extra = 'bias' | 'relativeBias' | 'relativeKeys' | 'relativeValues';

describeOp<Sizes, Inputs>({
  name: 'attention',
  cases,
  inputs(sizes, random) {
    const {
      B,
      Tq,
      Tk,
      heads,
      kvHeads,
      d,
      dv,
      packed,
      lengthsQ = [],
      lengthsK = [],
      bias,
      mask,
      distances,
      shaw,
    } = full(sizes);
    const rows = (T: number, lengths: readonly number[]) => (packed ? [total(lengths)] : [B, T]);
    return {
      q: random.normal([...rows(Tq, lengthsQ), heads * d]),
      k: random.normal([...rows(Tk, lengthsK), kvHeads * d]),
      v: random.normal([...rows(Tk, lengthsK), kvHeads * dv]),
      bias: bias ? random.normal(bias) : null,
      mask: mask ? random.integers(mask, 3) : null,
      relativeBias: distances ? random.normal([heads, distances]) : null,
      relativeKeys: shaw?.keys ? random.normal([shaw.keys, d]) : null,
      relativeValues: shaw?.values ? random.normal([shaw.values, dv]) : null,
    };
  },
  forward({ q, k, v, ...extras }, sizes) {
    return attention(q, k, v, { ...optionsOf(full(sizes)), ...extras });
  },
  reference({ q, k, v, ...extras }, sizes) {
    const { Tq, Tk, packed, lengthsQ = [], lengthsK = [] } = sizes;
    const options = { ...full(sizes), ...extras };
    if (!packed) return reference(q, k, v, options);
    const padded = [scatter(q, lengthsQ, Tq), scatter(k, lengthsK, Tk), scatter(v, lengthsK, Tk)] as const;
    const firstRows = lengthsQ.map((_, b) => total(lengthsQ.slice(0, b)));
    return gather(reference(...padded, { ...options, firstRows }), lengthsQ, Tq);
  },
  gradients: ['q', 'k', 'v', 'bias', 'relativeBias', 'relativeKeys', 'relativeValues'],
  tolerance: ({ Tq, Tk, d }) => Math.max(Tq, Tk) + d,
  // A bias added to all scores of a query has no gradient: terms of about 1 cancel.
  cancelling: (_, { bias, Tk }) => (bias?.at(-1) === 1 && Tk > 1 ? 1 : 0),
});

const widen = ({ shape, data }: Values): Reals => ({ shape, data: Float64Array.from(data) });

const random = new Random('attention');
const on = (isa: string) => deviceFor(isa, 2);

describe.each(isas)('attention on %s', (isa) => {
  it('attends to itself: q, k and v may be one tensor, or columns of one', async () => {
    const device = await on(isa);
    const values = random.normal([2, 9, 12]);
    const upstream = random.normal([2, 9, 12]).data;
    const gradients: Float32Array[] = [];
    for (const same of [true, false]) {
      const x = device.tensor(values.data, values.shape, { requiresGrad: true });
      const [q, k, v] = same ? [x, x, x] : [x, x, x].map((each) => scale(each, 1));
      attention(q!, k!, v!, { heads: 3, causal: true }).backward(device.tensor(upstream, values.shape));
      gradients.push((await x.grad!.data()) as Float32Array);
    }
    const [inPlace, apart] = gradients as [Float32Array, Float32Array];
    assertClose('gradient', inPlace, apart, () => allowedError(40, largest(apart)));

    const fused = device.tensor(random.normal([2, 5, 18]).data, [2, 5, 18], { requiresGrad: true });
    const parts = [0, 6, 12].map((start) => fused.columns(start, start + 6)) as [Tensor, Tensor, Tensor];
    const y = attention(...parts, { heads: 2 });
    const copies = attention(contiguous(parts[0]), contiguous(parts[1]), contiguous(parts[2]), { heads: 2 });
    expect(await y.data()).toEqual(await copies.data());
    y.backward(device.zeros([2, 5, 6]));
    expect(await fused.grad!.data()).toEqual(new Float32Array(180));
  });

  it('adds up the gradients of inputs that share memory', async () => {
    const device = await on(isa);
    const apart = (x: Tensor) => scale(x, 1); // equal numbers in other memory
    const rows = (p: Tensor) => p.reshape(4, 2).rows(2, 4); // whose places in a row are not those in the root
    const cases: [number[], (p: Tensor) => Tensor[]][] = [
      [[4, 4], (p) => [p, p, p, p]],
      [[8], (p) => [p.reshape(4, 2), rows(p), rows(p)]],
    ];
    for (const [shape, partsOf] of cases) {
      const values = random.normal(shape).data;
      const upstream = random.normal([4, shape.at(-1) === 4 ? 4 : 2]).data;
      const [shared, separate] = await Promise.all(
        [(x: Tensor) => x, apart].map((each) => {
          const p = device.tensor(values, shape, { requiresGrad: true });
          const [q, k, v, bias] = partsOf(p).map(each);
          attention(q!, k!, v!, { bias: bias ?? null }).backward(upstream);
          return p.grad!.data();
        }),
      );
      assertClose('gradient', shared!, separate!, () => allowedError(40, largest(separate!)));
    }
  });

  it('returns its weights', async () => {
    const device = await on(isa);
    for (const { bias, mask, distances, shaw, packed, dropout: _, ...sizes } of cases.map(full)) {
      if (packed || bias || mask || distances || shaw) continue;
      const q = random.normal([sizes.B, sizes.Tq, sizes.heads * sizes.d]);
      const k = random.normal([sizes.B, sizes.Tk, sizes.kvHeads * sizes.d]);
      const tensors = [device.tensor(q.data, q.shape), device.tensor(k.data, k.shape)] as const;
      const weights = attentionWeights(...tensors, optionsOf(sizes));
      const expected = weightsReference(widen(q), widen(k), sizes);
      expect(weights.shape).toEqual(expected.shape);
      assertClose('weights', await weights.data(), expected.data, (i) => allowedError(400, expected.data[i]!) + 1e-9);
    }
    const packed = device.tensor(random.normal([7, 4]).data, [7, 4]);
    const weights = attentionWeights(packed, packed, { lengthsQ: [2, 5], heads: 2 });
    expect(weights.shape).toEqual([2, 2, 5, 5]);
    const rows = (await sum(weights, { axis: -1 }).data()) as Float32Array;
    expect([...rows].map((x) => Math.round(x * 1e5) / 1e5)).toEqual([
      1,
      1,
      0,
      0,
      0,
      1,
      1,
      0,
      0,
      0,
      ...Array(10).fill(1),
    ]);
  });

  it('accepts huge scores, any finite scale and biases of -infinity', async () => {
    const device = await on(isa);
    const x = device.tensor(random.normal([1, 40, 8], 1e4).data, [1, 40, 8], { requiresGrad: true });
    for (const factor of [1, 1e30, -1e38, 0]) {
      const y = attention(x, x, x, { scale: factor });
      expect([...(await y.data())].every(Number.isFinite), `scale ${factor}`).toBe(true);
    }
    const bias = device.tensor(new Float32Array(40 * 40).fill(Number.NEGATIVE_INFINITY, 40), [40, 40]);
    const y = attention(x, x, x, { bias });
    y.backward(device.full([1, 40, 8], 1));
    const values = await y.data();
    expect([...values.subarray(0, 8)].every((value) => value !== 0)).toBe(true);
    expect([...values.subarray(8)].every((value) => value === 0)).toBe(true);
    expect([...(await x.grad!.data())].every(Number.isFinite)).toBe(true);
  });

  it('treats the lowest float as a finite bias, as in masks', async () => {
    const device = await on(isa);
    for (const queries of [1, 40]) {
      const q = device.tensor(random.normal([1, queries, 8]).data, [1, queries, 8]);
      const kv = device.tensor(random.normal([1, 40, 8]).data, [1, 40, 8]);
      const bias = device.full([queries, 40], -3.4028234663852886e38);
      const weights = await attentionWeights(q, kv, { bias }).data();
      assertClose('weights', weights as Float32Array, Array(queries * 40).fill(1 / 40), () => allowedError(40, 1 / 40));
      const y = (await attention(q, kv, kv, { bias }).data()) as Float32Array;
      const values = (await kv.data()) as Float32Array;
      const means = y.map((_, i) => values.filter((_, j) => j % 8 === i % 8).reduce((sum, x) => sum + x, 0) / 40);
      assertClose('y', y, means, () => allowedError(80, 1));
    }
  });

  it('reads lengths in tensors when a program runs, and refuses impossible ones', async () => {
    const device = await on(isa);
    const q = device.tensor(random.normal([2, 1, 8]).data, [2, 1, 8]);
    const kv = device.tensor(random.normal([2, 10, 16]).data, [2, 10, 16]);
    const [k, v] = [kv.columns(0, 8), kv.columns(8, 16)];
    const lengths = device.tensor(Int32Array.of(0, 0));
    const program = device.record(() => attention(q, k, v, { heads: 2, causal: true, lengthsK: lengths }));
    for (const now of [
      [3, 10],
      [4, 1],
      [0, 7],
    ]) {
      lengths.write(Int32Array.from(now));
      program.run();
      const fresh = attention(q, k, v, { heads: 2, causal: true, lengthsK: now });
      expect(await program.result.data()).toEqual(await fresh.data());
    }
    for (const wrong of [
      [-1, 2],
      [1, 11],
    ]) {
      lengths.write(Int32Array.from(wrong));
      program.run();
      await expect(program.result.data()).rejects.toThrow(CommandError);
    }
    const packed = device.tensor(random.normal([6, 8]).data, [6, 8]);
    const sums = device.tensor(Int32Array.of(2, 3));
    await expect(attention(packed, packed, packed, { lengthsQ: sums }).data()).rejects.toThrow('do not add up');
  });
});

describe('attention', () => {
  it('gives a key with a score of +∞ the weight 1', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const q = device.tensor(random.normal([2, 3, 8]).data, [2, 3, 8]);
    const bias = device.tensor([[0, Infinity, 0]].flatMap((row) => [row, row, row]));
    const [y, middle] = [attention(q, q, q, { bias }).dataSync(), q.dataSync()];
    y.forEach((value, i) => {
      expect(value).toBe(middle[Math.floor(i / 24) * 24 + 8 + (i % 8)]);
    });
  });

  it('needs memory for rows, not for scores', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const [q, k, v, dy] = Array.from({ length: 4 }, () => device.zeros([1, 16384, 64])) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    for (const x of [q, k, v]) x.requiresGrad = true;
    device.flushSync();
    device.resetPeak();
    const before = device.memory().used;
    attention(q, k, v, { causal: true }).backward(dy);
    await q.grad!.data();
    expect(device.memory().peak - before).toBeLessThan(200e6);
  });
});
