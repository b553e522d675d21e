// Training that is interrupted and goes on.
import { spawn } from 'node:child_process';
import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { openSafetensors, saveSafetensors } from '../../src/io/file.js';
import { type FitOptions, fit, type Progress } from '../../src/train/fit.js';
import { Random } from '../random.js';
import { common, reversals, smallModel, weights } from './task.js';

let device: Device;
let folder: string;
const examples = reversals(400);

beforeAll(async () => {
  device = await createDevice({ threads: 2 });
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
});

afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

describe('a checkpoint', () => {
  it('is not replaced by a run whose options are refused', async () => {
    const path = join(folder, 'refused.safetensors');
    await writeFile(path, 'of another run');
    const refused: FitOptions[] = [
      { labelSmoothing: 2 },
      { clipNorm: -1 },
      { headDiversity: 1, gradientCheckpointing: true },
    ];
    for (const options of refused) {
      await expect(fit(smallModel(device), examples, { ...options, checkpoint: path })).rejects.toThrow(ArgumentError);
    }
    expect(await readFile(path, 'utf8')).toBe('of another run');
  });

  it('continues with the same bits', async () => {
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

  const kills = Number(process.env.SIMDFORMER_KILLS ?? 5);
  it(`is whole after ${kills} kills, and training has the losses of a run without them`, async () => {
    const path = join(await mkdtemp(join(folder, 'killed-')), 'checkpoint.safetensors');
    const script = fileURLToPath(new URL('../../build/tests/train-until-killed.js', import.meta.url));
    const random = new Random('kills');
    const losses = new Map<number, Set<number>>(); // keys are steps
    let written = 0; // steps in the checkpoint
    for (let i = 0; i < kills; i++) {
      const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      let lines = '';
      child.stdout.on('data', (bytes: Buffer) => {
        lines += bytes.toString();
        // Two steps after the first, a checkpoint has been written.
        if (lines.split('\n').length > 3) setTimeout(() => child.kill('SIGKILL'), 60 * random.next());
      });
      await new Promise((resolve) => child.once('close', resolve));
      const reported = lines
        .split('\n')
        .slice(0, -1)
        .map((line) => line.split(' ').map(Number) as [number, number]);
      expect(reported[0]?.[0]).toBe(written + 1); // nothing is lost or repeated
      for (const [step, loss] of reported) losses.set(step, (losses.get(step) ?? new Set()).add(loss));
      const file = await openSafetensors(path);
      written = JSON.parse(file.metadata.get('simdformer.checkpoint') as string).state.step;
      file.close();
      expect(written).toBeGreaterThan(0);
      expect(await readdir(dirname(path))).toContain('checkpoint.safetensors');
    }
    const model = smallModel(device);
    const whole = await fit(model, examples, { ...common, steps: Math.max(...losses.keys()) });
    model.dispose();
    expect([...losses].map(([step, values]) => [step, [...values]])).toEqual(
      [...losses.keys()].map((step) => [step, [whole.losses[step - 1]]]),
    );
  }, 3_600_000);

  it('of another run stays until the first new one is due', async () => {
    const path = join(folder, 'again.safetensors');
    await fit(smallModel(device), examples, { ...common, steps: 3, checkpoint: path });
    const before = await readFile(path);
    const fail = () => {
      throw new Error('enough');
    };
    const options = { ...common, steps: 6, checkpoint: path, checkpointEvery: 4 };
    await expect(fit(smallModel(device), examples, { ...options, onStep: fail })).rejects.toThrow('enough');
    expect(await readFile(path)).toEqual(before);
    await fit(smallModel(device), examples, { ...options, signal: AbortSignal.abort() });
    expect(await readFile(path)).toEqual(before);
    const failLater = ({ step }: Progress) => step === 5 && fail();
    await expect(fit(smallModel(device), examples, { ...options, onStep: failLater })).rejects.toThrow('enough');
    expect(await readFile(path)).not.toEqual(before);
    await expect(fit(smallModel(device), examples, { ...options, checkpoint: folder })).rejects.toThrow(/EISDIR/);
    const long = join(folder, 'x'.repeat(230)); // beside which no temporary file can have its name and a suffix
    await writeFile(long, 'x');
    const never = fit(smallModel(device), examples, { ...options, checkpoint: long, onStep: fail });
    await expect(never).rejects.toThrow(/ENAMETOOLONG/);
  });

  it('of another model is refused, without any change', async () => {
    const path = join(folder, 'other.safetensors');
    const small = smallModel(device);
    await fit(small, examples, { ...common, steps: 1, checkpoint: path });
    const wide = smallModel(device, { dFF: 40 });
    const before = await weights(wide);
    const resume = { ...common, steps: 2, checkpoint: path, resume: true };
    await expect(fit(wide, examples, resume)).rejects.toThrow(FormatError);
    expect(await weights(wide)).toEqual(before);
    await expect(fit(small, examples, { ...resume, seed: 6 })).rejects.toThrow(/seed 5/);
    await expect(fit(small, examples, { ...resume, gradientAccumulation: 2 })).rejects.toThrow(/Accumulation 1, this/);
    await expect(fit(small, examples, { ...resume, batchTokens: 200 })).rejects.toThrow(/made with other batches/);
    await expect(fit(small, examples.slice(1), resume)).rejects.toThrow(/made with other batches/);
    const last = examples.at(-1)!;
    const changed = [...examples.slice(0, -1), { ...last, target: [1, ...last.target.slice(1, -1).reverse(), 2] }];
    await expect(fit(small, changed, resume)).rejects.toThrow(/made with other batches/);
    await writeFile(path, (await readFile(path)).subarray(0, 1000));
    await expect(fit(small, examples, resume)).rejects.toThrow(/other\.safetensors cannot be used: the /);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.each<[string, unknown, RegExp]>([
    ['no state', null, /its state is damaged/],
    ['no optimizer', { state: { step: 1 } }, /its state is damaged/],
    ['a state that is null', { state: null, optimizer: {} }, /the state is null, expected an object/],
    ['half a step', { state: { step: 0.5 }, optimizer: {} }, /its step is 0\.5, expected an integer, 0 or more/],
    ['no validations', { state: { step: 1 }, optimizer: {} }, /it has no list of validations/],
    ['a validation of nothing', { state: { step: 1, validations: [3] }, optimizer: {} }, /a validation is 3, expected/],
    [
      'not tensors',
      { state: { step: 1, validations: [] }, optimizer: { steps: 1 } },
      /another model or other options: it has no model\./,
    ],
  ])('with %s is refused by name', async (_, saved, message) => {
    const path = join(folder, 'damaged.safetensors');
    await saveSafetensors(path, {}, { 'simdformer.checkpoint': JSON.stringify(saved) });
    const model = smallModel(device);
    const resumed = expect(fit(model, examples, { ...common, steps: 2, checkpoint: path, resume: true })).rejects;
    await resumed.toThrow(FormatError);
    await resumed.toThrow(message);
    await resumed.toThrow(`the checkpoint ${path} cannot be used: `);
  });

  it('keeps metrics that are not finite, and the state of early stopping', async () => {
    const path = join(folder, 'metrics.safetensors');
    const scores = [Infinity, 5, Number.NaN, 6, 7, 8];
    const options: FitOptions = {
      ...common,
      checkpoint: path,
      validateEvery: 1,
      validate: (step) => ({ wer: scores[step - 1]! }),
      earlyStopping: { metric: 'wer', patience: 2 },
    };
    const first = await fit(smallModel(device), examples, { ...options, steps: 3 });
    const model = smallModel(device);
    const rest = await fit(model, examples, { ...options, steps: 6, resume: true });
    expect(first.validations.map(({ metrics }) => metrics.wer)).toEqual([Infinity, 5, Number.NaN]);
    expect(rest).toEqual({
      step: 4,
      reason: 'early',
      losses: [expect.any(Number)],
      skipped: 0,
      validations: rest.validations,
      weights: 'best',
      metrics: { wer: 5 },
    });
    expect(rest.validations.map(({ metrics }) => metrics.wer)).toEqual(scores.slice(0, 4));
    const again = smallModel(device);
    const nothing = await fit(again, examples, { ...options, steps: 6, resume: true });
    expect(nothing).toMatchObject({ step: 4, reason: 'early', losses: [] });
    expect(await weights(again)).toEqual(await weights(model));
  });

  it('removes only the temporary files of killed writers', async () => {
    const own = await mkdtemp(join(folder, 'left-'));
    const path = join(own, 'checkpoint.safetensors');
    const id = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
    const others = [
      'checkpoint.safetensors.old',
      `other.safetensors.${id}.tmp`,
      'checkpoint.safetensors.mine.tmp',
      'checkpoint.safetensors.0f-9a.tmp',
      `checkpoint.safetensors.2.${id}.tmp`,
    ];
    for (const name of [`checkpoint.safetensors.${id}.tmp`, ...others]) await writeFile(join(own, name), 'x');
    await fit(smallModel(device), examples, { ...common, steps: 1, checkpoint: path });
    expect((await readdir(own)).toSorted()).toEqual(['checkpoint.safetensors', ...others].toSorted());
  });

  it.skipIf(process.platform === 'win32')('lies where a link leads, and is looked after there', async () => {
    const [own, disk] = [await mkdtemp(join(folder, 'own-')), await mkdtemp(join(folder, 'disk-'))];
    const path = join(own, 'checkpoint.safetensors');
    await symlink(join(disk, 'large'), path);
    const left = join(disk, 'large.0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0.tmp');
    for (const resume of [false, true]) {
      await writeFile(left, 'x');
      await fit(smallModel(device), examples, { ...common, steps: resume ? 2 : 1, checkpoint: path, resume });
      expect([await readdir(own), await readdir(disk)]).toEqual([['checkpoint.safetensors'], ['large']]);
      expect((await lstat(path)).isSymbolicLink()).toBe(true);
    }
  });
});
