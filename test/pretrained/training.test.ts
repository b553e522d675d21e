// Dropouts in training mode, for each family and setting. Mean and deviation of the loss over many seeds equal those of
// transformers (make_training.py). In evaluation mode, dropouts do nothing.
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';

import { deviceFor, isas } from '../describe-op.js';
import { type TestData, testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';
import training from './training.json' with { type: 'json' };

const { p, draws, cases } = training;
/** Ours: half of theirs are enough to tell. */
const OWN = 200;
type Drawn = { readonly plain: number; readonly mean: number; readonly deviation: number };
type Json = Record<string, unknown>;

/** All settings of dropouts, without the parts of CLIP that they are in. */
const settings = [
  ...new Set(
    Object.values(cases).flatMap((found) => Object.keys(found).map((name) => name.split('.').at(-1) as string)),
  ),
];

/** A config in which nothing is dropped but by one setting. */
function droppingBy(config: Json, setting: string): Json {
  const parts = ['text_config', 'vision_config'].filter((name) => name in config);
  const all: Json = { ...config, ...Object.fromEntries(settings.map((name) => [name, 0])) };
  for (const part of parts)
    all[part] = { ...(config[part] as Json), ...Object.fromEntries(settings.map((name) => [name, 0])) };
  const [last, ...before] = setting.split('.').reverse() as [string, ...string[]];
  const [part] = before;
  if (part === undefined) all[last] = p;
  else (all[part] as Json)[last] = p;
  return all;
}

async function load(data: TestData, name: string, setting: string) {
  const files = await filesOf(data, name);
  const config = droppingBy(await data.json<Json>(`${name}/config.json`), setting);
  files['config.json'] = new TextEncoder().encode(JSON.stringify(config));
  const model = await loadModel(await deviceFor(isas[0] as string, 2), files);
  const inputs = inputsOf(model.device, await referenceOf(data, name));
  const value = () =>
    model.device.noGrad(() =>
      model.device.scope(() => {
        const { loss, lastHiddenState } = model.forward(inputs);
        const values = (loss ?? lastHiddenState)?.dataSync() as Float32Array;
        return values.reduce((sum, x) => sum + (loss ? x : x * x), 0) / values.length;
      }),
    );
  return { model, value };
}

describe('dropout in training', () => {
  const data = testData('families');
  const all = Object.entries(cases as Record<string, Record<string, Drawn>>);
  it.each(all.flatMap(([name, found]) => Object.keys(found).map((setting) => [name, setting] as const)))(
    '%s: %s',
    async (name, setting) => {
      const drawn = cases[name as keyof typeof cases] as Record<string, Drawn>;
      const { plain, mean, deviation } = drawn[setting] as Drawn;
      const { model, value } = await load(data, name, setting);
      expect(Math.abs(value() - plain)).toBeLessThan(1e-3 * Math.abs(plain));
      model.train();
      model.seedDropout(1);
      const values = Array.from({ length: OWN }, value);
      model.seedDropout(1);
      expect([value(), value()]).toEqual(values.slice(0, 2));
      const ours = values.reduce((sum, x) => sum + x, 0) / OWN;
      const variance = values.reduce((sum, x) => sum + (x - ours) ** 2, 0) / (OWN - 1);
      // Within five deviations of a difference of two such means; deviations are alike within two fifths.
      expect(Math.abs(ours - mean)).toBeLessThan(5 * deviation * Math.sqrt(1 / draws + 1 / OWN));
      expect(Math.abs(Math.log(Math.sqrt(variance) / deviation))).toBeLessThan(0.35);
      model.dispose();
    },
  );
});
