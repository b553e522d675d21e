// Short versions of the trainings in examples/speech and examples/detection.
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import * as detection from '../../examples/detection/main.js';
import { drawing, KINDS, OTHER_KINDS } from '../../examples/detection/shapes.js';
import { spokenDigits } from '../../examples/speech/digits.js';
import * as speech from '../../examples/speech/main.js';
import { Random } from '../../src/core/random.js';
import { createDevice } from '../../src/index.js';

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('examples/detection', () => {
  it('draws shapes inside the image, alike for the same seed', () => {
    const [one, again] = [drawing(new Random(3)), drawing(new Random(3))];
    expect(again).toEqual(one);
    for (const { box } of one.shapes) {
      expect(box[0] - box[2] / 2).toBeGreaterThanOrEqual(0);
      expect(box[1] + box[3] / 2).toBeLessThanOrEqual(1);
    }
  });

  it('lowers the loss', async () => {
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const model = await detection.learn(device, KINDS, { steps: 24, batchSize: 4, onStep });
    expect(mean(losses.slice(-6))).toBeLessThan(0.9 * mean(losses.slice(0, 6)));
    const { map } = await detection.scoresOf(model, detection.testDrawings(2));
    expect(map).toBeGreaterThanOrEqual(0);
    model.dispose();
  });

  it('lowers the loss of an adapter, and leaves the model as it is', async () => {
    const model = await detection.learn(device, OTHER_KINDS, { steps: 8, batchSize: 4 });
    const before = await detection.find(model, detection.testDrawings(1));
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const adapter = await detection.adapt(model, KINDS, { steps: 24, batchSize: 4, onStep });
    expect(mean(losses.slice(-6))).toBeLessThan(0.95 * mean(losses.slice(0, 6)));
    expect(await detection.find(model, detection.testDrawings(1))).not.toEqual(before);
    adapter.dispose();
    expect(await detection.find(model, detection.testDrawings(1))).toEqual(before);
    model.dispose();
  });
});

const speaks = spawnSync('espeak-ng', ['--version']).status === 0;

describe.skipIf(!speaks)('examples/speech', () => {
  it('lowers the loss', async () => {
    const utterances = spokenDigits(12, 1);
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const model = await speech.learn(device, utterances, { steps: 20, batchSize: 4, onStep });
    expect(mean(losses.slice(-5))).toBeLessThan(0.9 * mean(losses.slice(0, 5)));
    expect(await speech.errorRate(model, utterances.slice(0, 2))).toBeGreaterThanOrEqual(0);
    model.dispose();
  });

  it('lowers the loss of an adapter, and leaves the model as it is', async () => {
    const [german, english] = [spokenDigits(8, 1, 'german'), spokenDigits(8, 2)];
    const model = await speech.learn(device, german, { steps: 12, batchSize: 4 });
    const before = await speech.read(model, english.slice(0, 2));
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const adapter = await speech.adapt(model, english, { steps: 20, batchSize: 4, onStep });
    expect(mean(losses.slice(-5))).toBeLessThan(0.95 * mean(losses.slice(0, 5)));
    adapter.dispose();
    expect(await speech.read(model, english.slice(0, 2))).toEqual(before);
    model.dispose();
  });
});
