import { describe, expect, it } from 'vitest';
import type { Complete } from '../../src/core/complete.js';
import {
  AdamW,
  ArgumentError,
  AutogradError,
  type Device,
  FormatError,
  SimdformerError,
  type Tensor,
} from '../../src/index.js';
import { add, argmax, embedding, mul, sum } from '../../src/ops/index.js';
import { type AdamWOptions, SGD } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { allowedError, assertClose, largest } from '../tolerance.js';
import { draw, normOf, setGradients } from './gradients.js';

/** PyTorch's AdamW in float64. */
function reference(
  params: Float32Array[],
  grads: Float32Array[][],
  options: Omit<Complete<AdamWOptions>, 'amsgrad'>,
  maxNorm = Infinity,
) {
  const { lr, beta1, beta2, eps, weightDecay } = options;
  const state = params.map((values) => {
    const p = Float64Array.from(values);
    return { p, m: p.map(() => 0), v: p.map(() => 0) };
  });
  grads.forEach((all, step) => {
    const factor = Math.min(1, maxNorm / (normOf(all) + 1e-6));
    const correction1 = 1 - beta1 ** (step + 1);
    const correction2 = 1 - beta2 ** (step + 1);
    state.forEach(({ p, m, v }, k) => {
      for (let i = 0; i < p.length; i++) {
        const g = factor * all[k]![i]!;
        m[i] = beta1 * m[i]! + (1 - beta1) * g;
        v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
        p[i] = p[i]! * (1 - lr * weightDecay) - (lr * (m[i]! / correction1)) / (Math.sqrt(v[i]! / correction2) + eps);
      }
    });
  });
  return state.map(({ p }) => p);
}

async function train(device: Device, steps: number, options: AdamWOptions, maxNorm?: number): Promise<Float32Array[]> {
  const { params, grads } = draw(steps);
  const tensors = params.map((values) => device.tensor(values, undefined, { requiresGrad: true }));
  const optimizer = new AdamW(tensors, options);
  for (const step of grads) {
    setGradients(tensors, step);
    optimizer.step({ maxNorm });
    optimizer.zeroGrad();
  }
  const results: Float32Array[] = [];
  for (const tensor of tensors) results.push((await tensor.data()) as Float32Array);
  optimizer.dispose();
  for (const tensor of tensors) tensor.dispose();
  return results;
}

describe('AdamW', () => {
  const options = { lr: 3e-3, beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0.05 };

  it.each(isas)('%s: equals PyTorch’s, with and without clipping, for any number of threads', async (isa) => {
    const { params, grads } = draw(5);
    for (const maxNorm of [undefined, 1.5]) {
      const expected = reference(params, grads, options, maxNorm);
      const first = await train(await deviceFor(isa, 1), 5, options, maxNorm);
      first.forEach((values, k) => {
        // Each of the five steps rounds the parameter, which is larger than the step.
        const scale = largest(expected[k]!);
        assertClose(`parameter ${k}`, values, expected[k]!, () => allowedError(5, scale));
      });
      for (const threads of [2, 3, 8])
        expect(await train(await deviceFor(isa, threads), 5, options, maxNorm)).toEqual(first);
    }
  });

  it('gives groups their own rate and decay', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const make = () => device.tensor([1], undefined, { requiresGrad: true });
    const [a, b, c] = [make(), make(), make()];
    const groups = [{ params: [a] }, { params: [b], weightDecay: 0 }, { params: [c], lr: 0.5, weightDecay: 0 }];
    const optimizer = new AdamW(groups, { weightDecay: 0.5, eps: 0 });
    setGradients([a, b, c], [Float32Array.of(1), Float32Array.of(2), Float32Array.of(-3)]);
    optimizer.step({ lr: 0.25 }); // the first step is lr · sign(g)
    expect([a, b, c].map((x) => x.dataSync()[0])).toEqual([1 - 0.125 - 0.25, 0.75, 1.5]);
  });

  it.each([
    [0.9, 0],
    [0, 0.98],
    [0, 0],
  ])('decays by β %d and %d, even after huge values', async (beta1, beta2) => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([0], undefined, { requiresGrad: true });
    const settings = { ...options, beta1, beta2, weightDecay: 0 };
    const optimizer = new AdamW([x], settings);
    const grads = [1e4, 1e-3, 1e-3, -2e-3].map((g) => [Float32Array.of(g)]);
    for (const step of grads) {
      setGradients([x], step);
      optimizer.step();
      optimizer.zeroGrad();
    }
    const [[expected]] = reference([Float32Array.of(0)], grads, settings) as [Float64Array];
    assertClose('the parameter', x.dataSync(), [expected!], () => allowedError(4, Math.abs(expected!)));
  });

  it('does not change parameters without a gradient', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([3], undefined, { requiresGrad: true });
    new AdamW([x]).step();
    expect(x.dataSync()[0]).toBe(3);
  });

  describe('counts for each parameter the steps in which it had a gradient', () => {
    const patterns = [() => true, (step: number) => step >= 10, (step: number) => step % 2 === 0];
    const steps = Array.from({ length: 20 }, (_, i) => i + 1);
    const gradient = (step: number, k: number) => Math.fround(Math.sin(3 * step + k)) || 1;
    const make = (device: Device) => patterns.map(() => device.tensor([0.5], undefined, { requiresGrad: true }));
    /** Each parameter alone, with its own steps. */
    const expected = patterns.map((has, k) => {
      const own = steps.filter(has).map((step) => [Float32Array.of(gradient(step, k))]);
      return reference([Float32Array.of(0.5)], own, options)[0]![0]!;
    });
    const step = (optimizer: AdamW, params: readonly Tensor[], n: number) => {
      params.forEach((param, k) => {
        if (patterns[k]!(n)) mul(param, 1).backward([gradient(n, k)]);
      });
      optimizer.step();
      optimizer.zeroGrad();
    };
    const compare = (params: readonly Tensor[]) =>
      params.forEach((param, k) => {
        assertClose(`parameter ${k}`, param.dataSync(), [expected[k]!], () => allowedError(20, 1));
      });

    it('step by step, and across a resumption', async () => {
      const device = await deviceFor(isas[0]!, 1);
      const params = make(device);
      const first = new AdamW(params, options);
      for (const n of steps.slice(0, 12)) step(first, params, n);
      const { tensors, numbers } = first.state();
      expect(numbers).toEqual({ step: 12, '1.step': 3, '2.step': 6 });
      const second = new AdamW(params, options);
      const saved = new Map([...tensors].map(([name, tensor]) => [name, tensor.dataSync() as Float32Array]));
      second.loadState({ tensors: saved, numbers });
      for (const n of steps.slice(12)) step(second, params, n);
      compare(params);
      const wrong = { step: 12, '1.step': 13 };
      expect(() => second.loadState({ tensors: saved, numbers: wrong })).toThrow(/lacks a valid number of steps/);
      const misnamed = new Map([...saved].map(([name, values]) => [name.replace('exp_avg', 'm'), values]));
      expect(() => second.loadState({ tensors: misnamed, numbers })).toThrow(/the state has no values for 0.exp_avg/);
    });

    it('in a program that is recorded when some have missed steps', async () => {
      const device = await deviceFor(isas[0]!, 1);
      const params = make(device);
      const optimizer = new AdamW(params, options);
      for (const n of steps.slice(0, 15)) step(optimizer, params, n);
      const upstream = params.map((_, k) => device.tensor([gradient(16, k)]));
      const program = device.record(() => {
        params.forEach((param, k) => void mul(param, upstream[k]!).backward([1]));
        optimizer.apply();
        optimizer.zeroGrad();
      });
      program.run(optimizer.advance());
      for (const n of steps.slice(16)) step(optimizer, params, n);
      program.dispose();
      compare(params);
      expect(optimizer.state().numbers).toEqual({ step: 20, '1.step': 11, '2.step': 10 });
    });
  });

  it('can run in programs for some of its parameters, also with their own rates', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [a, b] = [1, 1].map((value) => device.tensor([value], [1], { requiresGrad: true })) as [Tensor, Tensor];
    const adamw = new AdamW(
      [
        { params: [a], lr: 0.1 },
        { params: [b], lr: 0.1 },
      ],
      { weightDecay: 0 },
    );
    const programOf = (x: Tensor) =>
      device.record(() => {
        sum(x).backward();
        adamw.apply();
        adamw.zeroGrad();
      });
    programOf(a).run(adamw.advance());
    programOf(b).run(adamw.advance());
    for (const x of [a, b]) assertClose('a first step', await x.data(), [0.9], () => 1e-6);
  });

  it('counts the steps of a parameter only in programs that update it', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const make = () => [1, 1].map((value) => device.tensor([value], [1], { requiresGrad: true }));
    const [eager, replayed] = [make(), make()];
    const [one, other] = [new AdamW(eager, options), new AdamW(replayed, options)];
    const programs = replayed.map((x) =>
      device.record(() => {
        mul(x, x).backward([1]);
        other.apply();
        other.zeroGrad();
      }),
    );
    for (const i of [0, 0, 1, 0, 1, 1]) {
      mul(eager[i]!, eager[i]!).backward([1]);
      one.step();
      one.zeroGrad();
      programs[i]!.run(other.advance());
      for (const k of [0, 1]) expect(await replayed[k]!.data()).toEqual(await eager[k]!.data());
    }
    expect(other.state().numbers).toEqual({ step: 6, '0.step': 3, '1.step': 3 });
  });

  it.each(['AdamW', 'SGD'] as const)('%s is not recorded where nothing has a gradient to go on from', async (name) => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1], [1], { requiresGrad: true });
    const optimizer = new { AdamW, SGD }[name]([x]);
    const backward = device.record(() => void mul(x, x).backward([1]));
    const update = () =>
      device.record((): void => {
        if (optimizer instanceof AdamW) optimizer.apply();
        else optimizer.step();
      });
    expect(update).toThrow(ArgumentError);
    expect(update).toThrow(
      `${name}: no parameter has a gradient: call backward() before, or run a program that contains it`,
    );
    backward.run();
    expect(update().commands).toHaveLength(1);
  });

  it('shares no rate with another optimizer of a program', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [a, b] = [1, 1].map((value) => device.tensor([value], [1], { requiresGrad: true })) as [Tensor, Tensor];
    const [sgd, adamw] = [new SGD([a], { lr: 0.5 }), new AdamW([b], { lr: 0.1, weightDecay: 0 })];
    const program = device.record(() => {
      sum(add(a, b)).backward();
      sgd.step();
      adamw.apply();
    });
    program.run(adamw.advance());
    assertClose('SGD', await a.data(), [0.5], () => 1e-6);
    assertClose('AdamW', await b.data(), [0.9], () => 1e-6);
  });

  it.each(['AdamW', 'SGD'] as const)('%s changes nothing in a run that has failed', async (name) => {
    const device = await deviceFor(isas[0]!, 2);
    const table = device.tensor([[1], [2]], undefined, { requiresGrad: true });
    const optimizer = new { AdamW, SGD }[name]([table], { lr: 0.1 });
    const step = (id: number) => {
      device.scope(() => {
        const computed = argmax(device.tensor([[0, 1, 2].map((i) => Number(i === id))]), { axis: 1 }); // only the run knows it
        sum(embedding(table, computed)).backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
      return device.flush();
    };
    await expect(step(2)).rejects.toThrow(/of ids is -?\d+, expected 0 to/);
    expect([...(await table.data())]).toEqual([1, 2]);
    await step(1);
    expect(table.dataSync()[1]).toBeLessThan(2);
  });

  it('gives the same bits recorded and replayed as step by step', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const make = () => device.tensor([1, -2, 3], undefined, { requiresGrad: true });
    const [eager, replayed] = [make(), make()];
    const [one, other] = [new AdamW([eager], options), new AdamW([replayed], options)];
    const backward = (x: Tensor) => mul(mul(x, x), x).backward([1, 1, 1]);
    const program = device.record(() => {
      backward(replayed);
      other.apply({ maxNorm: 2 });
      other.zeroGrad();
    });
    expect(program.scalars).toEqual(['lr', 'correction1.0', 'correction2.0']);
    for (let step = 1; step <= 4; step++) {
      device.scope(() => backward(eager));
      one.step({ lr: step / 100, maxNorm: 2 });
      one.zeroGrad();
      program.run(other.advance({ lr: step / 100 }));
      expect(await replayed.data()).toEqual(await eager.data());
      expect(await other.gradNorm.data()).toEqual(await one.gradNorm.data());
    }
    program.dispose();
  });

  it('can be recorded only with apply: a step would count once for all runs', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1], undefined, { requiresGrad: true });
    const optimizer = new AdamW([x]);
    for (const act of [() => optimizer.step(), () => optimizer.advance()]) {
      const recording = () =>
        device.record(() => {
          sum(x).backward();
          act();
        });
      expect(recording).toThrow(SimdformerError);
      expect(recording).toThrow('AdamW: record apply(), and give each run of the program what advance() returns');
    }
    expect(optimizer.steps).toBe(0);
  });

  it('continues from its state with the same bits', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.tensor([1, 2], undefined, { requiresGrad: true });
    const first = new AdamW([x], options);
    const step = (optimizer: AdamW, y: Tensor) => {
      setGradients([y], [Float32Array.of(0.3, -2)]);
      optimizer.step();
      optimizer.zeroGrad();
    };
    step(first, x);
    const { tensors, numbers } = first.state();
    const saved = new Map([...tensors].map(([name, tensor]) => [name, tensor.dataSync() as Float32Array]));
    const y = device.tensor(x.dataSync(), undefined, { requiresGrad: true });
    const second = new AdamW([y], options);
    expect(() => second.loadState({ tensors: new Map(), numbers })).toThrow(FormatError);
    expect(() => second.loadState({ tensors: saved, numbers: {} })).toThrow(FormatError);
    second.loadState({ tensors: saved, numbers });
    step(first, x);
    step(second, y);
    expect(y.dataSync()).toEqual(x.dataSync());
    expect(second.steps).toBe(2);
  });

  it('skips a step whose gradients are not finite when it clips, and shows the norm', async () => {
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      for (const [bad, norm] of [
        [Number.NaN, Number.NaN],
        [Infinity, Infinity],
        [-Infinity, Infinity],
      ] as const) {
        const x = device.tensor([1, 2, 3], undefined, { requiresGrad: true });
        const optimizer = new AdamW([x]);
        setGradients([x], [Float32Array.of(0, bad, 1)]);
        optimizer.step({ maxNorm: 1 });
        expect(await optimizer.gradNorm.item()).toBe(norm);
        expect([...(await x.data())]).toEqual([1, 2, 3]);
        optimizer.step(); // without clipping they go through
        expect((await x.data())[1]).toBeNaN();
      }
    }
  });

  it('counts a step that it skipped in the bias correction', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1], undefined, { requiresGrad: true });
    const optimizer = new AdamW([x], { lr: 0.1, weightDecay: 0 });
    for (const g of [Number.NaN, 1]) {
      setGradients([x], [Float32Array.of(g)]);
      optimizer.step({ maxNorm: 1 });
      optimizer.zeroGrad();
    }
    const mean = 0.1 / (1 - 0.9 ** 2);
    const square = 0.001 / (1 - 0.999 ** 2);
    assertClose('the parameter', await x.data(), [1 - (0.1 * mean) / Math.sqrt(square)], () => 1e-6);
  });

  it('checks a step before it counts it, and all groups before it takes memory', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, y] = [1, 2].map((value) => device.tensor([value], [1], { requiresGrad: true })) as [Tensor, Tensor];
    const optimizer = new AdamW([x]);
    expect(() => optimizer.step({ maxNorm: 1 })).toThrow('AdamW: no parameter has a gradient');
    setGradients([x], [Float32Array.of(1)]);
    expect(() => optimizer.step({ maxNorm: -1 })).toThrow('AdamW: maxNorm is -1, expected a positive number');
    expect(() => optimizer.step({ lr: -1, maxNorm: 1 })).toThrow('AdamW: lr is -1');
    expect(optimizer.steps).toBe(0);
    const { used } = device.memory();
    for (const wrong of [{ lr: -1 }, { weightDecay: Number.NaN }, { decay: 1 }]) {
      expect(() => new AdamW([{ params: [x] }, { params: [y], ...wrong }])).toThrow(ArgumentError);
    }
    expect(device.memory().used).toBe(used);
  });

  it('refuses values that it cannot optimize', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1], undefined, { requiresGrad: true });
    expect(() => new AdamW([])).toThrow(ArgumentError);
    expect(() => new AdamW([x, x])).toThrow('a parameter is given twice');
    expect(() => new AdamW([mul(x, 2)])).toThrow(AutogradError);
    expect(() => new AdamW([x], { lr: -1 })).toThrow('AdamW: lr is -1, expected a number, 0 or more');
    expect(() => new AdamW([{ params: [x], weightDecay: Number.NaN }])).toThrow(ArgumentError);
    const misspelt = [{ params: [x], weight_decay: 0 }] as never;
    expect(() => new AdamW(misspelt)).toThrow('no option weight_decay: it is weightDecay here');
    expect(() => new AdamW([x], { beta2: 1 })).toThrow(ArgumentError);
    setGradients([x], [Float32Array.of(1)]);
    expect(() => new AdamW([x]).step({ maxNorm: 0 })).toThrow(ArgumentError);
  });
});
