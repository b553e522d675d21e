import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/backend/pick.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { openSafetensors } from '../../src/io/file.js';
import type { Transformer } from '../../src/models/transformer.js';
import { type FitOptions, fit } from '../../src/train/fit.js';
import { constant } from '../../src/train/schedule.js';
import { reversals, smallModel } from './task.js';

let device: Device;
let folder: string;
const examples = reversals(400);
const common: FitOptions = { batchTokens: 300, schedule: constant(3e-3), labelSmoothing: 0.1, seed: 5 };

beforeAll(async () => {
  device = await createDevice({ threads: 2 });
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
});

afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

async function weights(model: Transformer): Promise<Float32Array[]> {
  return Promise.all(model.parameters().map((parameter) => parameter.data() as Promise<Float32Array>));
}

describe('fit', () => {
  it('learns to reverse', async () => {
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

  it('has the same bits for the same seed, on any number of threads, and leaves no memory behind', async () => {
    const runs = [];
    for (const threads of [1, 2, 3]) {
      const own = await createDevice({ threads });
      const model = smallModel(own, { dropout: 0.2 });
      const before = own.memory().used;
      const { losses } = await fit(model, examples, { ...common, steps: 6, gradientAccumulation: 2 });
      model.namedParameters().forEach(([, parameter]) => {
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

  it('accumulates gradients of several batches as of one large batch', async () => {
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

  it('continues from a checkpoint with the same bits', async () => {
    for (const extra of [
      {},
      { emaDecay: 0.9 },
      { averageLast: 2 },
      { earlyStopping: { metric: 'loss', patience: 9 } },
    ]) {
      const path = join(folder, `resume-${Object.keys(extra)[0] ?? 'plain'}.safetensors`);
      const options: FitOptions = {
        ...common,
        ...extra,
        validateEvery: 3,
        validate: (step) => ({ loss: step }),
        checkpoint: path,
        checkpointEvery: 4,
      };
      const whole = smallModel(device, { dropout: 0.1 });
      const all = await fit(whole, examples, { ...options, steps: 12, checkpoint: undefined });
      const first = smallModel(device, { dropout: 0.1 });
      const aborter = new AbortController();
      const begun = await fit(first, examples, {
        ...options,
        steps: 12,
        signal: aborter.signal,
        onStep: ({ step }) => step === 5 && aborter.abort(),
      });
      expect(begun.reason).toBe('aborted');
      const second = smallModel(device, { dropout: 0.1 });
      const rest = await fit(second, examples, { ...options, steps: 12, resume: true });
      expect([...begun.losses, ...rest.losses]).toEqual(all.losses);
      expect(rest.validations).toEqual(all.validations);
      expect(await weights(second)).toEqual(await weights(whole));
      for (const model of [whole, first, second]) model.dispose();
    }
  });

  it('leaves a loadable checkpoint whenever it is killed', async () => {
    const path = join(await mkdtemp(join(folder, 'killed-')), 'checkpoint.safetensors');
    const script = fileURLToPath(new URL('./train-until-killed.ts', import.meta.url));
    const tsx = fileURLToPath(import.meta.resolve('tsx'));
    for (const delay of [0, 40, 90, 170]) {
      const child = spawn(process.execPath, ['--import', tsx, script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise((resolve) => child.stdout.once('data', resolve)); // checkpoints are there
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      expect(existsSync(path)).toBe(true);
      const model = smallModel(device);
      const file = await openSafetensors(path);
      const { state } = JSON.parse(file.metadata.get('simdformer.checkpoint') as string);
      file.close();
      const { step } = await fit(model, examples, { ...common, steps: state.step + 1, checkpoint: path, resume: true });
      expect(step).toBe(state.step + 1);
      model.dispose();
    }
  }, 60_000);

  it('refuses a checkpoint of something else, and changes nothing', async () => {
    const path = join(folder, 'other.safetensors');
    const small = smallModel(device);
    await fit(small, examples, { ...common, steps: 1, checkpoint: path });
    const wide = smallModel(device, { dFF: 40 });
    const before = await weights(wide);
    const resume = { ...common, steps: 2, checkpoint: path, resume: true };
    await expect(fit(wide, examples, resume)).rejects.toThrow(FormatError);
    expect(await weights(wide)).toEqual(before);
    await expect(fit(small, examples, { ...resume, seed: 6 })).rejects.toThrow(/seed 5/);
    await writeFile(path, (await readFile(path)).subarray(0, 1000));
    await expect(fit(small, examples, resume)).rejects.toThrow(FormatError);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
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
    averaged.forEach((parameter, p) => {
      parameter.forEach((value, i) => {
        const mean = seen.slice(-3).reduce((sum, all) => sum + (all[p]?.[i] as number), 0) / 3;
        expect(Math.abs(value - mean)).toBeLessThan(1e-6);
      });
    });
  });

  it('ends with what a callback throws, and the device stays usable', async () => {
    const model = smallModel(device);
    const onStep = () => {
      throw new Error('enough');
    };
    await expect(fit(model, examples, { ...common, steps: 5, onStep })).rejects.toThrow('enough');
    expect((await fit(model, examples, { ...common, steps: 2 })).reason).toBe('done');
  });

  it('refuses options that make no sense', async () => {
    const model = smallModel(device);
    await expect(fit(model, [], common)).rejects.toThrow(ArgumentError);
    await expect(fit(model, examples, { ...common, steps: 0 })).rejects.toThrow(/steps/);
    await expect(fit(model, examples, { ...common, steps: 1, epochs: 1 })).rejects.toThrow(/not both/);
    await expect(fit(model, examples, { ...common, gradientAccumulation: 0 })).rejects.toThrow(/gradientAccumulation/);
    await expect(fit(model, examples, { ...common, emaDecay: 1 })).rejects.toThrow(/emaDecay/);
    const missing = { ...common, steps: 1, validate: () => ({}), earlyStopping: { metric: 'wer', patience: 1 } };
    await expect(fit(model, examples, missing)).rejects.toThrow(/'wer'/);
  });
});
