import { describe, expect, it } from 'vitest';
import { ArgumentError, ShapeError, type Tensor } from '../../src/index.js';
import {
  AdditiveAttention,
  Dropout,
  Embedding,
  FeedForward,
  Initializer,
  LayerNorm,
  type LayerParts,
  Linear,
  Module,
  MultiHeadAttention,
  type Projection,
  RMSNorm,
  RotaryEmbedding,
  Stack,
  TiedLinear,
  TokenBatch,
  TransformerLayer,
} from '../../src/nn/index.js';
import { layerNorm, mul, rmsNorm, sum } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 2);

describe('Module', () => {
  class Part extends Module {
    readonly firstLinear = new Linear(new Initializer(device, 1), 2, 3);
    readonly layers: readonly Module[];
    readonly absent = null;
    readonly sharedWeight: TiedLinear;

    constructor(dropout: Dropout) {
      super();
      const init = new Initializer(device, 2);
      const embedding = new Embedding(init, 5, 3);
      this.layers = [embedding, new LayerNorm(init, 3, 1e-5), dropout];
      this.sharedWeight = new TiedLinear(init, embedding.weight);
    }
  }
  const dropout = new Dropout(0.5, { seed: 1, streams: 0 });
  const module = new Part(dropout);

  it('counts as written to after loading weights, so earlier results cannot be differentiated', () => {
    const linear = new Linear(new Initializer(device, 1), 2, 2);
    const loss = sum(linear.forward(device.tensor([[1, 2]])));
    linear.loadStateDict(linear.stateDict());
    expect(() => loss.backward()).toThrow(/written to since/);
  });

  it("names its parameters as PyTorch does, each once, in PyTorch's layouts", () => {
    const own = ['first_linear.weight', 'first_linear.bias', 'layers.0.weight', 'layers.1.weight', 'layers.1.bias'];
    expect(module.namedParameters().map(([name]) => name)).toEqual([...own, 'shared_weight.bias']);
    const state = module.stateDict();
    expect(Object.keys(state)).toEqual([...own, 'shared_weight.weight', 'shared_weight.bias']);
    expect(state['first_linear.weight']!.shape).toEqual([3, 2]);
    const [weight, loaded] = [module.firstLinear.weight.dataSync(), state['first_linear.weight']!.dataSync()];
    for (const i of [0, 1]) for (const o of [0, 1, 2]) expect(loaded[o * 2 + i]).toBe(weight[i * 3 + o]);
    expect(state['shared_weight.weight']!.dataSync()).toEqual(state['layers.0.weight']!.dataSync());
  });

  it('finds parameters in arrays; int32 tensors are constants and not in the state dict', () => {
    class Mix extends Module {
      readonly weights = [device.tensor([1, 2]), device.tensor([3])];
      readonly ids = device.tensor(Int32Array.of(1, 2, 3));
    }
    const mix = new Mix();
    const state = mix.stateDict();
    expect(Object.keys(state)).toEqual(['weights.0', 'weights.1']);
    expect(mix.parameters()).toEqual(mix.weights);
    mix.loadStateDict({ 'weights.0': device.tensor([5, 6]), 'weights.1': device.tensor([7]) });
    expect(mix.weights.map((weight) => [...weight.dataSync()])).toEqual([[5, 6], [7]]);
    const ids = { shape: [3], data: new Float32Array(3) };
    expect(() => mix.loadStateDict({ ...state, ids })).toThrow(/unexpected: ids/);
  });

  it('passes its mode to its parts', () => {
    const parts = [module, module.firstLinear, ...module.layers, module.sharedWeight];
    expect(new Set(module.modules())).toEqual(new Set(parts));
    module.eval();
    expect([module.training, dropout.training]).toEqual([false, false]);
    const x = device.full([4, 4], 1);
    expect(dropout.forward(x)).toBe(x);
    module.train();
    expect(dropout.training).toBe(true);
    expect(new Set(dropout.forward(x).dataSync())).toEqual(new Set([0, 2]));
  });
});

it('Dropout refuses values that are not probabilities at construction', () => {
  for (const p of [1.5, -0.1, Number.NaN, '0.5' as never]) {
    expect(() => new Dropout(p, { seed: 0, streams: 0 })).toThrow(ArgumentError);
    expect(() => new Dropout(p, { seed: 0, streams: 0 })).toThrow(/^Dropout: p is .*, expected a number from 0 to 1$/);
  }
});

it('norms use the epsilon of their ops by default', () => {
  const init = new Initializer(device, 1);
  const x = device.tensor([[1e-3, 2e-3, -1e-3]]);
  expect(new LayerNorm(init, 3).forward(x).dataSync()).toEqual(layerNorm(x).dataSync());
  expect(new RMSNorm(init, 3).forward(x).dataSync()).toEqual(rmsNorm(x).dataSync());
});

/** One layer of width 8 and two heads. */
function layerOf(
  init: Initializer,
  more: Partial<LayerParts> & { dropout?: never; p?: number } = {},
): TransformerLayer {
  const { p = 0, ...parts } = more;
  const randomness = parts.randomness ?? { seed: 0, streams: 0 };
  const dropout = () => new Dropout(p, randomness);
  return new TransformerLayer({
    selfAttn: () => new MultiHeadAttention(init, { dModel: 8, heads: 2 }),
    feedForward: () => new FeedForward(init, { dModel: 8, dropout: dropout() }),
    norm: () => new LayerNorm(init, 8),
    randomness,
    ...parts,
    dropout,
  });
}

it('Embedding gives the rows of ids, scaled if asked', () => {
  const table = new Embedding(new Initializer(device, 1), 5, 3);
  const values = table.weight.dataSync();
  const ids = device.tensor([[4], [0]], undefined, { dtype: 'int32' });
  const rows = table.forward(ids, { scale: 2 });
  expect(rows.shape).toEqual([2, 1, 3]);
  expect(rows.dataSync()).toEqual(Float32Array.of(...values.slice(12), ...values.slice(0, 3)).map((x) => 2 * x));
});

it('MultiHeadAttention has equal numbers of key and query heads by default', () => {
  const [own, told] = [{}, { kvHeads: 2 }].map((more) => {
    const attention = new MultiHeadAttention(new Initializer(device, 1), {
      dModel: 8,
      heads: 2,
      causal: true,
      ...more,
    });
    const batch = TokenBatch.from(device, 'test', [[1, 2, 3]], null);
    const x = new Initializer(device, 2).normal([3, 8], 1);
    return attention.forward(x, batch).dataSync();
  });
  expect(own).toEqual(told);
});

describe('Initializer', () => {
  it('gives the same parameters for the same seed, others for another', () => {
    const draw = (seed: number) => new Initializer(device, seed).normal([50], 1).dataSync();
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  it('draws from the documented distributions', () => {
    const init = new Initializer(device, 7);
    const moments = (values: ArrayLike<number>) => {
      const all = Array.from(values);
      const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
      return {
        mean,
        variance: all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length,
        max: Math.max(...all.map(Math.abs)),
      };
    };
    const bound = Math.sqrt(6 / (100 + 200));
    const uniform = moments(init.xavierUniform(100, 200).dataSync());
    expect(uniform.max).toBeLessThanOrEqual(bound);
    // 20 000 draws: five standard deviations of the estimates.
    expect(Math.abs(uniform.mean)).toBeLessThan((5 * bound) / Math.sqrt(3 * 20000));
    expect(Math.abs(uniform.variance / (bound ** 2 / 3) - 1)).toBeLessThan(5 * Math.sqrt(0.8 / 20000));
    const normal = moments(init.normal([20000], 0.5).dataSync());
    expect(Math.abs(normal.mean)).toBeLessThan(2.5 / Math.sqrt(20000));
    expect(Math.abs(normal.variance / 0.25 - 1)).toBeLessThan(5 * Math.sqrt(2 / 20000));
  });
});

describe('TokenBatch', () => {
  const read = ({ ids, positions, lengths, counts, time }: TokenBatch) => ({
    ids: [...ids.dataSync()],
    positions: [...positions.dataSync()],
    lengths: [...lengths.dataSync()],
    counts,
    time,
  });
  const expected = { ids: [7, 8, 0, 9, 5], positions: [0, 1, 2, 3, 0], lengths: [4, 1], counts: [4, 1] };

  it('packs tokens in all accepted forms, and drops only padding at the end', () => {
    const rows = [
      [7, 8, 0, 9, 0, 0],
      [5, 0, 0, 0, 0, 0],
    ]; // prettier
    expect(read(TokenBatch.from(device, 'test', rows, 0))).toEqual({ ...expected, time: 6 });
    const tensor = device.tensor(Int32Array.from(rows.flat()), [2, 6]);
    expect(read(TokenBatch.from(device, 'test', tensor, 0))).toEqual({ ...expected, time: 6 });
    expect(read(TokenBatch.from(device, 'test', [[7, 8, 0, 9], [5]], 0))).toEqual({ ...expected, time: 4 });
    const typed = [Int32Array.of(7, 8, 0, 9), Int32Array.of(5, 0)];
    expect(read(TokenBatch.from(device, 'test', typed, 0))).toEqual({ ...expected, time: 4 });
    const packed = { ids: [7, 8, 0, 9, 5], lengths: [4, 1] };
    expect(read(TokenBatch.from(device, 'test', packed, 0))).toEqual({ ...expected, time: null });
    const tensors = { ids: device.tensor(Int32Array.from(packed.ids)), lengths: Int32Array.of(4, 1) };
    expect(read(TokenBatch.from(device, 'test', tensors, 0))).toEqual({ ...expected, time: null });
  });

  it('frees its memory', () => {
    const before = device.memory().used;
    const batch = TokenBatch.from(device, 'test', [[1, 2]], null);
    batch[Symbol.dispose]();
    expect(device.memory().used).toBe(before);
  });

  it('without a padding id, no token is padding', () => {
    const { counts, longest, total, size } = TokenBatch.from(
      device,
      'test',
      [
        [7, 0],
        [0, 0],
      ],
      null,
    );
    expect({ counts, longest, total, size }).toEqual({ counts: [2, 2], longest: 2, total: 4, size: 2 });
  });
});

it('FeedForward: a fused gate equals a separate one', async () => {
  const options = { dModel: 3, dFF: 2, gated: true, activation: 'silu' } as const;
  const fused = new FeedForward(new Initializer(device, 1), { ...options, fused: true });
  const apart = new FeedForward(new Initializer(device, 2), options);
  fused.linear1.bias?.write([0.1, 0.2, 0.3, 0.4]);
  const { bias } = fused.linear1;
  const weightOf = (linear: Projection | null) => linear!.weight as Tensor;
  const weight = weightOf(fused.linear1);
  const rows = await weight.data();
  weightOf(apart.linear1).write([0, 4, 8].flatMap((row) => [...rows.slice(row, row + 2)]));
  weightOf(apart.linear3).write([0, 4, 8].flatMap((row) => [...rows.slice(row + 2, row + 4)]));
  apart.linear1.bias?.write([0.1, 0.2]);
  apart.linear3?.bias?.write([0.3, 0.4]);
  weightOf(apart.linear2).write(await weightOf(fused.linear2).data());
  const x = device.tensor([
    [1, 2, 3],
    [-1, 0.5, 2],
  ]);
  const result = fused.forward(x);
  expect(await result.data()).toEqual(await apart.forward(x).data());
  result.backward(device.tensor(new Float32Array(6).fill(1), [2, 3]));
  apart.forward(x).backward(device.tensor(new Float32Array(6).fill(1), [2, 3]));
  const halves = [apart.linear1.bias, apart.linear3?.bias].map((half) => [...(half?.grad?.dataSync() ?? [])]);
  expect([...(bias?.grad?.dataSync() ?? [])]).toEqual(halves.flat());
});

describe('parts refuse, for callers without types, too,', () => {
  const init = new Initializer(device, 1);
  const sizes = { dModel: 8, heads: 2 };
  const attention = (options: object) => new MultiHeadAttention(init, { ...sizes, ...options });
  const network = (options: object) => new FeedForward(init, { dModel: 8, ...options });

  it.each([
    ['wiring', () => layerOf(init, { wiring: 'prenorm' as never }), 'wiring is "prenorm", expected one of pre, post'],
    ['activation', () => network({ activation: 'swish' }), 'activation is "swish", expected one of none, relu'],
    ['gated', () => network({ gated: 'no' }), 'gated is "no", expected one of true, false'],
    ['fused', () => network({ fused: true }), 'fused is true, which needs gated: true'],
    ['dFF', () => network({ dFF: 0 }), 'dFF is 0, expected an integer from 1 to 2³¹ − 1'],
    ['an unknown option', () => network({ hidden: 4 }), 'FeedForward: there is no option hidden'],
    ['bias', () => attention({ bias: null }), 'bias is null, expected true or false, or a list of three'],
    ['heads', () => attention({ heads: 3 }), 'dModel is 8, expected a multiple of heads, 3'],
    ['kvHeads', () => attention({ kvHeads: 1.5 }), 'kvHeads is 1.5, expected an integer from 1 to 2³¹ − 1'],
    ['another option', () => attention({ casual: true }), 'MultiHeadAttention: there is no option casual'],
    ['softcap', () => attention({ softcap: -1 }), 'softcap is -1, expected a positive number'],
    ['a norm, not what makes it', () => attention({ qNorm: {} }), 'qNorm is an object, expected a function, or null'],
    [
      'an option of a layer',
      () => layerOf(init, { preNorm: true } as never),
      'TransformerLayer: there is no option pre',
    ],
    [
      'a part of a layer',
      () => layerOf(init, { norm: 5 as never }),
      'TransformerLayer: norm is 5, expected a function',
    ],
    [
      'another name of an option',
      () => new RotaryEmbedding(init, { headSize: 4, max_length: 8 } as never),
      'RotaryEmbedding: there is no option max_length: it is maxLength here',
    ],
    ['no initializer', () => new Linear(2 as never, 3 as never, 1), 'Linear: init is 2, expected new Initializer('],
    ['a size alone', () => new LayerNorm(64 as never, 1), 'LayerNorm: init is 64, expected new Initializer('],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(ArgumentError);
    expect(make).toThrow(message);
  });

  it('a device that was not awaited', () => {
    const message = 'Initializer: device is a Promise, expected await createDevice()';
    expect(() => new Initializer(Promise.resolve(device) as never, 1)).toThrow(message);
  });

  it('parameters that do not fit, and the initializer frees those made before', () => {
    const { used } = device.memory();
    const init = new Initializer(device, 1);
    const makeLayer = (i: number) => (i === 0 ? layerOf(init) : (new LayerNorm(init, 4) as never));
    expect(() => new Stack(2, makeLayer, null)).toThrow(/layer\(1\) made a module, expected a TransformerLayer/);
    expect(() => new AdditiveAttention(init, 4, -1, 4)).toThrow(ArgumentError);
    expect(device.memory().used).toBeGreaterThan(used);
    init.dispose();
    expect(device.memory().used).toBe(used);
  });

  it('invalid numbers of layers, and heads that do not fit', () => {
    const stack = (layers: number) => new Stack(layers, () => layerOf(init), null);
    expect(() => stack(1.5)).toThrow('Stack: layers is 1.5, expected an integer from 0 to 2³¹ − 1');
    expect(() => stack(-1)).toThrow('Stack: layers is -1');
    expect(() => attention({ heads: 4, kvHeads: 3 })).toThrow(
      'MultiHeadAttention: heads is 4, expected a multiple of kvHeads, 3',
    );
  });

  it('lengths for a batch that would count as one sequence, and a missing memory', () => {
    const x = device.zeros([3, 8]);
    expect(() => layerOf(init).forward(x, [2, 1] as never)).toThrow(ArgumentError);
    expect(() => layerOf(init).forward(x, [2, 1] as never)).toThrow(/the batch is an array, expected a TokenBatch/);
    const batch = TokenBatch.from(device, 'x', [[1, 2], [3]], null);
    const layer = layerOf(init, { multiheadAttn: () => attention({}) });
    expect(() => layer.forward(x, batch)).toThrow(ArgumentError);
    expect(() => layer.forward(x, batch)).toThrow(/memory is null, expected the result of encode\(\)/);
  });

  it('a residual of another shape, which must not be broadcast', () => {
    for (const norm of [new RMSNorm(init, 4), new LayerNorm(init, 4)]) {
      const x = device.zeros([2, 4]);
      expect(() => norm.forward(x, device.zeros([1, 4]))).toThrow(ShapeError);
      expect(() => norm.add(x, device.zeros([1, 4]))).toThrow(ShapeError);
      expect(() => norm.forward(x, 3 as never)).toThrow(ArgumentError);
    }
  });
});

describe('a layer that recomputes', () => {
  it('the backward pass drops the same elements, even if its Scalar has changed', () => {
    const gradientAt = (recomputes: boolean) => {
      const seed = device.scalar('seed', 1);
      const layer = layerOf(new Initializer(device, 3), { randomness: { seed, streams: 0 }, p: 0.5 });
      layer.recomputes = recomputes;
      const batch = TokenBatch.from(device, 'batch', [[1, 2, 3]], null);
      const x = device.tensor(
        [
          [1, 2, 3, 4, 5, 6, 7, 8],
          [4, 3, 1, 2, 8, 7, 6, 5],
          [2, 4, 1, 3, 6, 8, 5, 7],
        ],
        [3, 8],
        { requiresGrad: true },
      );
      const y = layer.forward(x, batch);
      seed.value = 2;
      sum(mul(y, y)).backward();
      return x.grad!.dataSync();
    };
    expect(gradientAt(true)).toEqual(gradientAt(false));
  });
});
