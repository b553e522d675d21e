import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError } from '../../src/core/errors.js';
import type { Transformer } from '../../src/models/families/transformer.js';
import { AdamW } from '../../src/train/adamw.js';
import { type FitOptions, fit, type Validation } from '../../src/train/fit.js';
import { SGD } from '../../src/train/sgd.js';
import { common, reversals, smallModel, weights } from './task.js';

let device: Device;
const examples = reversals(400);

beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});

afterAll(() => device.dispose());

describe('fit', () => {
  it('learns to reverse sequences', async () => {
    const model = smallModel(device);
    const { losses, reason, step } = await fit(model, examples, { ...common, labelSmoothing: 0, epochs: 25 });
    expect(reason).toBe('done');
    expect(step).toBe(losses.length);
    const last = losses.slice(-10).reduce((a, b) => a + b) / 10;
    expect(last).toBeLessThan((losses[0] as number) / 4);
    const [{ source, target }] = examples as [{ source: number[]; target: number[] }];
    const { sequences } = await model.generate([source], { maxNewTokens: 10 });
    expect(sequences[0]).toEqual(target.slice(1, -1));
    model.dispose();
  });

  it('gives the same bits for the same seed, on any number of threads, and frees its memory', async () => {
    const runs = [];
    for (const threads of [1, 2, 3]) {
      const own = await createDevice({ threads });
      const model = smallModel(own, { dropout: 0.2 });
      const before = own.memory().used;
      const { losses } = await fit(model, examples, { ...common, steps: 6, gradientAccumulation: 2 });
      model.namedTensors().forEach(([, parameter]) => {
        parameter.gradient?.release();
        parameter.gradient = null;
      });
      expect(own.memory().used).toBe(before);
      runs.push({ losses, weights: await weights(model) });
      own.dispose();
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
    const model = smallModel(device, { dropout: 0.2 });
    const { losses } = await fit(model, examples, { ...common, steps: 6, gradientAccumulation: 2, seed: 6 });
    expect(losses).not.toEqual(runs[0]?.losses);
  });

  it('does not block the event loop between the batches of a step', async () => {
    const model = smallModel(device);
    let turns = 0;
    const seen: number[] = [];
    const loss = model.lossInParts.bind(model);
    model.lossInParts = (...args) => {
      seen.push(turns);
      return loss(...args);
    };
    const timer = setInterval(() => turns++, 0);
    await fit(model, examples, { ...common, steps: 1, gradientAccumulation: 40 });
    clearInterval(timer);
    expect(seen).toHaveLength(40);
    expect(seen.at(-1)).toBeGreaterThan(seen[0] as number);
  });

  it('accumulates the gradients of several batches like those of one large batch', async () => {
    const batches = { perEpoch: 4, batch: (n: number) => examples.slice((n % 4) * 7, (n % 4) * 7 + 3 + (n % 2) * 4) };
    const joined = { perEpoch: 1, batch: () => [0, 1, 2, 3].flatMap(batches.batch) };
    const one = smallModel(device);
    const four = smallModel(device);
    const a = await fit(one, joined, { ...common, steps: 2 });
    const b = await fit(four, batches, { ...common, steps: 2, gradientAccumulation: 4 });
    a.losses.forEach((loss, i) => {
      expect(Math.abs(loss - (b.losses[i] as number))).toBeLessThan(1e-5);
    });
  });

  it.each([
    ['an encoder', { decoderLayers: 0 }],
    ['padded targets', {}],
  ])('weights batches of %s by the labels of their losses', async (kind, layers) => {
    const padded = (ids: readonly number[], i: number) => [...ids, ...Array.from({ length: i % 4 }, () => 0)];
    const labelled = examples.slice(0, 14).map(({ source = [], target }, i) => {
      if (kind === 'an encoder')
        return { source, target: source.map((id, at) => (at > 0 && at % 2 === i % 2 ? 0 : id)) };
      return { source, target: padded(target, i) };
    });
    const parts = [labelled.slice(0, 2), labelled.slice(2, 14)];
    const batches = { perEpoch: 2, batch: (n: number) => parts[n % 2]! };
    const [one, two] = [smallModel(device, layers), smallModel(device, layers)];
    const options = { ...common, steps: 2, ignoreIndex: 0 };
    const a = await fit(one, { perEpoch: 1, batch: () => labelled }, options);
    const b = await fit(two, batches, { ...options, gradientAccumulation: 2 });
    a.losses.forEach((loss, i) => {
      expect(Math.abs(loss - b.losses[i]!)).toBeLessThan(1e-5);
    });
  });

  it('trains on single labels, and refuses a batch without labels', async () => {
    const model = smallModel(device, { decoderLayers: 0 });
    const { losses } = await fit(model, [{ source: [3], target: [4] }], { ...common, steps: 3 });
    expect(losses.every(Number.isFinite)).toBe(true);
    for (const [own, target] of [
      [model, -100],
      [smallModel(device), 1],
    ] as const) {
      const none = fit(own, [{ source: [3], target: [target] }], common);
      await expect(none).rejects.toThrow(/fit: there is no label to learn in batch 0/);
    }
  });

  it('trains an encoder on all its classes, including 0', async () => {
    const model = smallModel(device, { decoderLayers: 0, targetVocab: 2 });
    const labelled = examples.map(({ source = [] }) => ({ source, target: source.map((id) => id % 2) }));
    const { losses } = await fit(model, labelled, { ...common, labelSmoothing: 0, epochs: 4 });
    // If 0 is not learned, all outputs are 1, which costs at least ln 2 for each 0.
    expect(losses.at(-1)).toBeLessThan(0.1);
    const logits = await model.forward([[3, 4, 5, 6, 7, 8]]).data();
    const classes = Array.from({ length: 6 }, (_, i) => +(logits[2 * i + 1]! > logits[2 * i]!));
    expect(classes).toEqual([1, 0, 1, 0, 1, 0]);
    const surplus = fit(model, [{ source: [3], target: [0, 1] }], common);
    await expect(surplus).rejects.toThrow('loss: row 0 of target has 2 labels, but that of source 1 tokens');
  });

  it('stops early with the best weights, and averages', async () => {
    const model = smallModel(device);
    const scores = [3, 2, 4, 5, 1];
    const seen: Float32Array[][] = [];
    const { reason, step } = await fit(model, examples, {
      ...common,
      steps: 10,
      validateEvery: 1,
      validate: async (step) => {
        seen.push(await weights(model));
        return { wer: scores[step - 1] as number };
      },
      earlyStopping: { metric: 'wer', patience: 2 },
    });
    expect([reason, step]).toEqual(['early', 4]);
    expect(await weights(model)).toEqual(seen[1]);

    seen.length = 0;
    await fit(model, examples, {
      ...common,
      steps: 5,
      validateEvery: 1,
      validate: async () => {
        seen.push(await weights(model));
        return {};
      },
      averageLast: 3,
    });
    const averaged = await weights(model);
    expect(averaged).toEqual(seen.pop()); // the average is measured, too
    averaged.forEach((parameter, p) => {
      parameter.forEach((value, i) => {
        const mean = seen.slice(-3).reduce((sum, all) => sum + (all[p]?.[i] as number), 0) / 3;
        expect(Math.abs(value - mean)).toBeLessThan(1e-6);
      });
    });
  });

  it.each([
    ['averageLast', { averageLast: 3 }],
    ['emaDecay', { emaDecay: 0.9 }],
  ] as const)('%s ends with the average only if it is measured to be better', async (_, average) => {
    for (const [lossOfAverage, isKept] of [
      [0.4, true],
      [0.5, false],
      [0.6, false],
      [Number.NaN, false],
    ] as const) {
      const model = smallModel(device);
      const seen: number[][][] = [];
      const validations: Validation[] = [];
      const result = await fit(model, examples, {
        ...common,
        ...average,
        steps: 4,
        validateEvery: 1,
        async validate() {
          seen.push((await weights(model)).map((values) => [...values]));
          return { bleu: 1 / seen.length, loss: seen.length <= 4 ? 0.5 : lossOfAverage };
        },
        onValidation: (validation) => void validations.push(validation),
      });
      expect(seen.length).toBe(5);
      expect(seen[4]).not.toEqual(seen[3]);
      expect((await weights(model)).map((values) => [...values])).toEqual(seen[isKept ? 4 : 3]);
      expect(result.weights).toBe(isKept ? 'average' : 'last');
      expect(result.metrics).toEqual(isKept ? { bleu: 1 / 5, loss: 0.4 } : { bleu: 1 / 4, loss: 0.5 });
      expect(result.validations.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
      expect(validations.at(-1)).toEqual({
        step: 4,
        metrics: { bleu: 1 / 5, loss: lossOfAverage },
        averageIsKept: isKept,
      });
    }
  });

  it('treats NaN as worse than any number, and does not resume after early stopping', async () => {
    const model = smallModel(device);
    const scores = [Number.NaN, 4, Number.NaN, Number.NaN];
    const options: FitOptions = {
      ...common,
      steps: 10,
      validateEvery: 1,
      validate: (step) => ({ wer: scores[step - 1]! }),
      earlyStopping: { metric: 'wer', patience: 2 },
    };
    const { reason, step, validations } = await fit(model, examples, options);
    expect([reason, step]).toEqual(['early', 4]);
    expect(validations.map(({ metrics }) => metrics.wer)).toEqual(scores);
  });

  it('does not change frozen parameters and those that the optimizer does not own', async () => {
    const model = smallModel(device);
    const [frozen, foreign, ...own] = model.parameters();
    frozen!.requiresGrad = false;
    const before = await weights(model);
    await fit(model, examples, { ...common, steps: 3, emaDecay: 0.5 });
    expect(frozen!.requiresGrad).toBe(false);
    const between = await weights(model);
    expect(between[0]).toEqual(before[0]);
    expect(between[1]).not.toEqual(before[1]);
    await fit(model, examples, { ...common, steps: 3, optimizer: new SGD(own) });
    const after = await weights(model);
    expect(after.slice(0, 2)).toEqual(between.slice(0, 2));
    expect(after[2]).not.toEqual(between[2]);
    expect(model.parameters().filter(({ grad }) => grad !== null)).toEqual([]);
    foreign!.requiresGrad = false;
    const optimizer = new AdamW([frozen!, foreign!]);
    await expect(fit(model, examples, { ...common, optimizer })).rejects.toThrow(/has none of the parameters/);
  });

  it('clears earlier gradients', async () => {
    const [clean, other] = [smallModel(device), smallModel(device)];
    const { source, target } = examples[0]!;
    device.scope(() => other.loss([source!], [target]).backward());
    for (const model of [clean, other]) {
      await fit(model, examples, { ...common, steps: 1, optimizer: new SGD(model.parameters()), clipNorm: null });
    }
    expect(await weights(other)).toEqual(await weights(clean));
  });

  it('ends with the error of a callback, and the device stays usable', async () => {
    const model = smallModel(device);
    const onStep = () => {
      throw new Error('enough');
    };
    await expect(fit(model, examples, { ...common, steps: 5, onStep })).rejects.toThrow('enough');
    expect((await fit(model, examples, { ...common, steps: 2 })).reason).toBe('done');
  });

  it('awaits callbacks, and ends with their rejections', async () => {
    const model = smallModel(device);
    const late = async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      throw new Error('disk full');
    };
    await expect(fit(model, examples, { ...common, steps: 5, onStep: late })).rejects.toThrow('disk full');
    const validated = { ...common, steps: 2, validateEvery: 1, validate: () => ({ wer: 1 }) };
    await expect(fit(model, examples, { ...validated, onValidation: late })).rejects.toThrow('disk full');
  });

  it('ignores gradients and modes that callbacks leave behind', async () => {
    const trainedWith = async (name: 'validate' | 'onValidation' | 'onStep', leave: (model: Transformer) => void) => {
      const model = smallModel(device, { dropout: 0.2 });
      const call = () => {
        leave(model);
        return { wer: 1 };
      };
      const options = { ...common, steps: 3, gradientAccumulation: 2, validateEvery: 1, validate: () => ({ wer: 1 }) };
      await fit(model, examples, { ...options, [name]: call });
      return weights(model);
    };
    const leaveGradients = (model: Transformer) => device.scope(() => model.loss([[3]], [[1, 3]]).backward());
    const expected = await trainedWith('validate', () => {});
    expect(await trainedWith('validate', leaveGradients)).toEqual(expected);
    expect(await trainedWith('onValidation', leaveGradients)).toEqual(expected);
    expect(await trainedWith('onStep', leaveGradients)).toEqual(expected);
    expect(await trainedWith('onValidation', (model) => model.eval())).toEqual(expected);
  });

  it('refuses an invalid rate', async () => {
    const schedule = (() => undefined) as unknown as () => number;
    await expect(fit(smallModel(device), examples, { ...common, steps: 1, schedule })).rejects.toThrow(
      /schedule returned for step 1 is undefined/,
    );
  });

  it('refuses a model that another call trains, until that has ended', async () => {
    const model = smallModel(device);
    const first = fit(model, examples, { ...common, steps: 2 });
    await expect(fit(model, examples, { ...common, steps: 2 })).rejects.toThrow(/another call trains this model/);
    expect((await first).step).toBe(2);
    expect((await fit(model, examples, { ...common, steps: 1 })).step).toBe(1);
  });

  it('frees all memory if the batches throw at once', async () => {
    const model = smallModel(device);
    const { used } = device.memory();
    const fail = () => {
      throw new Error('no data');
    };
    const none = { perEpoch: 1, batch: fail };
    const unread = {
      ...none,
      batch: () => examples.slice(0, 2),
      get fingerprint() {
        return fail();
      },
    };
    await expect(fit(model, none, { ...common, emaDecay: 0.5 })).rejects.toThrow('no data');
    await expect(fit(model, unread, { ...common, emaDecay: 0.5, checkpoint: 'none' })).rejects.toThrow('no data');
    expect(device.memory().used).toBe(used);
  });

  it('restores gradient checkpointing, and leaves the model in evaluation mode', async () => {
    const model = smallModel(device);
    const during: boolean[] = [];
    const note = () => void during.push(model.gradientCheckpointing);
    const fail = () => {
      note();
      throw new Error('enough');
    };
    for (const own of [true, false]) {
      for (const gradientCheckpointing of [undefined, !own]) {
        const options: FitOptions = { ...common, steps: 1, gradientCheckpointing };
        model.gradientCheckpointing = own;
        await fit(model, examples, { ...options, onStep: note });
        expect([model.gradientCheckpointing, model.training]).toEqual([own, false]);
        model.train();
        await expect(fit(model, examples, { ...options, onStep: fail })).rejects.toThrow('enough');
        expect([model.gradientCheckpointing, model.training]).toEqual([own, false]);
      }
    }
    expect(during).toEqual([true, true, false, false, false, false, true, true]);
    model.train();
    await expect(fit(model, examples, { ...common, steps: 0 })).rejects.toThrow(ArgumentError);
    expect(model.training).toBe(true);
  });

  it('refuses invalid options', async () => {
    const model = smallModel(device);
    await expect(fit(model, [], common)).rejects.toThrow(ArgumentError);
    const mixed = [{ source: [3], target: [1, 3] }, { target: [1, 3] }];
    await expect(fit(model, mixed, common)).rejects.toThrow(/batch 0 has examples with a source and without one/);
    await expect(fit(model, examples, { ...common, steps: 0 })).rejects.toThrow(/steps/);
    await expect(fit(model, examples, { ...common, steps: 1, epochs: 1 })).rejects.toThrow(/not both/);
    await expect(fit(model, examples, { ...common, gradientAccumulation: 0 })).rejects.toThrow(/gradientAccumulation/);
    await expect(fit(model, examples, { ...common, emaDecay: 1 })).rejects.toThrow(/emaDecay/);
    const missing = { ...common, steps: 1, validate: () => ({}), earlyStopping: { metric: 'wer', patience: 1 } };
    await expect(fit(model, examples, missing)).rejects.toThrow(/watches 'wer', but validate measured nothing/);
  });
});
