// Optimizers, compared with torch, with transformers' Adafactor and with the formula of Lion's paper (make_optimizers.py),
// and which parameters learn.
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Tensor, Transformer } from '../../src/index.js';
import { mul, sum } from '../../src/ops/index.js';
import {
  Adafactor,
  AdamW,
  freeze,
  Lion,
  layerwiseGroups,
  parameterGroups,
  SGD,
  unfreeze,
} from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';
import cases from './optimizers.json' with { type: 'json' };

const device = await deviceFor(isas[0]!, 2);

const optimizers = { Adafactor, AdamW, Lion, SGD };

describe('optimizers', () => {
  it.each(cases.map((_, i) => i))(
    'give the parameters of the reference, and continue from their state: %i',
    async (i) => {
      const { name, options, shapes, before, gradients, after } = cases[i]!;
      const begin = () => {
        const params = before.map((values, n) => {
          const param = device.tensor(Float32Array.from(values), shapes[n]!);
          param.requiresGrad = true;
          return param;
        });
        return { params, optimizer: new optimizers[name as keyof typeof optimizers](params, options) };
      };
      let { params, optimizer } = begin();
      for (const [step, all] of gradients.entries()) {
        if (step === 2) {
          // Same as in a resumed run: other objects with equal values.
          const { tensors, numbers } = optimizer.state();
          const saved = new Map<string, Float32Array>();
          for (const [key, tensor] of tensors) saved.set(key, (await tensor.data()) as Float32Array);
          const values = await Promise.all(params.map((param) => param.data()));
          ({ params, optimizer } = begin());
          params.forEach((param, n) => {
            param.write(values[n] as Float32Array);
          });
          optimizer.loadState({ tensors: saved, numbers });
        }
        device.scope(() => {
          for (const [n, values] of all.entries()) {
            const upstream = Float32Array.from(values);
            params[n]!.reshape(...shapes[n]!).backward(upstream);
          }
          optimizer.step();
          optimizer.zeroGrad();
        });
      }
      for (const [n, values] of after.entries()) {
        const given = await params[n]!.data();
        for (const [k, value] of values.entries()) expect(Math.abs(given[k]! - value)).toBeLessThanOrEqual(2e-6);
      }
    },
  );

  it.each(Object.entries(optimizers))('%s skips a step whose gradients are not finite', async (_, Optimizer) => {
    const params = [
      device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true }),
      device.tensor([5, 6], [2], { requiresGrad: true }),
    ];
    const optimizer = new Optimizer(params, { lr: 0.1, weightDecay: 0.1 });
    const step = (factors: readonly number[]) => {
      device.scope(() => {
        factors.forEach((factor, i) => void sum(mul(params[i] as Tensor, device.tensor([factor, 1]))).backward());
        optimizer.step({ maxNorm: 1 });
        optimizer.zeroGrad();
      });
    };
    const values = async () => {
      const all = [...params, ...optimizer.state().tensors.values()];
      return Promise.all(all.map(async (tensor) => [...((await tensor.data()) as Float32Array)]));
    };
    step([1, 2]);
    const before = await values();
    for (const bad of [Number.NaN, Infinity, -Infinity]) step([bad, 1]);
    expect(await values()).toEqual(before);
    step([2, 1]);
    const after = await values();
    expect(after).not.toEqual(before);
    expect(after.flat().every(Number.isFinite)).toBe(true);
    optimizer.dispose();
  });

  it.each(Object.entries(optimizers))(
    '%s tells its name to other ranks also if a bundler renames the class',
    (name, Optimizer) => {
      const { settings } = new (class t extends (Optimizer as typeof AdamW) {})([device.tensor([1, 2])]);
      expect(settings).toMatchObject({ name });
    },
  );

  it('refuse contradicting options', () => {
    const params = [device.tensor([1, 2])];
    expect(() => new Adafactor(params, { lr: 1, relativeStep: true })).toThrow(ArgumentError);
    expect(() => new Lion(params, { beta1: 1 })).toThrow(ArgumentError);
    expect(() => new SGD(params, { nesterov: true })).toThrow('nesterov needs a momentum above 0');
    expect(() => new SGD(params, { nesterov: true, momentum: 0.9, dampening: 0.1 })).toThrow(ArgumentError);
    expect(() => new SGD(params, { dampening: Number.NaN })).toThrow(ArgumentError);
    expect(() => new AdamW(params, { amsgrad: 1 as never })).toThrow(ArgumentError);
  });
});

describe('groups of parameters', () => {
  const sizes = { dModel: 8, heads: 2, encoderLayers: 0, decoderLayers: 3, targetVocab: 9, maxLength: 8 };

  it('are assigned by the first matching pattern', () => {
    using model = new Transformer(device, sizes);
    const rules = [
      { pattern: /bias$|norm/, weightDecay: 0 },
      { pattern: 'transformer.decoder', lr: 1e-4 },
    ];
    const groups = parameterGroups(model, rules);
    expect(groups.map(({ lr, weightDecay }) => [lr, weightDecay])).toEqual([
      [undefined, 0],
      [1e-4, undefined],
      [undefined, undefined],
    ]);
    expect(groups.flatMap(({ params }) => params).length).toBe(model.parameters().length);
    expect(() => parameterGroups(model, [{ pattern: 'classifier', lr: 1 }])).toThrow(/classifier/);
  });

  it('have rates that decrease from the last layer to the embeddings', () => {
    using model = new Transformer(device, sizes);
    const rates = layerwiseGroups(model, { lr: 1, decay: 0.5 });
    const rateOf = (wanted: string) => {
      const tensor = model.namedTensors().find(([name]) => name.includes(wanted))![1];
      return rates.find(({ params }) => params.includes(tensor))!.lr;
    };
    expect(['layers.2.', 'layers.1.', 'layers.0.'].map(rateOf)).toEqual([0.5, 0.25, 0.125]);
    expect(rateOf('tgt_embed')).toBe(0.0625);
  });

  it('are frozen and unfrozen by name', () => {
    using model = new Transformer(device, sizes);
    const all = model.parameters().length;
    const count = freeze(model, ['transformer.decoder.layers.0', /embed/]);
    expect(model.parameters().filter(({ requiresGrad }) => requiresGrad).length).toBe(all - count);
    expect(unfreeze(model, /./)).toBe(all);
    expect(() => freeze(model, 'encoder')).toThrow(ArgumentError);
  });
});
