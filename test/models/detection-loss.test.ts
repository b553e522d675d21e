// Losses of detectors beside those of transformers in float64, and matchings of scipy (make_detection_loss.py).
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import { assign } from '../../src/models/assignment.js';
import { noisyTargets } from '../../src/models/denoising.js';
import type { DetectionTarget } from '../../src/models/inputs.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { filesOf, referenceOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import reference from './detection-loss.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());
const data = testData('families');
const folderOf = (name: string) => (name === 'detr_panoptic' ? 'detr-panoptic' : name);

/** A checkpoint with other settings. Denoising queries get embeddings, which the files lack. */
async function load(name: string, changes: { readonly [name: string]: unknown }) {
  const files = await filesOf(data, folderOf(name));
  const config = { ...JSON.parse(new TextDecoder().decode(files['config.json'])), ...changes };
  const changed = { ...files, 'config.json': new TextEncoder().encode(JSON.stringify(config)) };
  if (!changes.num_denoising) return loadModel(device, changed);
  const [rows, columns] = [5, config.d_model as number];
  const value = (i: number) => Math.sin(0.7 * Math.floor(i / columns) + 1.3 * (i % columns) + 1);
  const embedding = Float32Array.from({ length: rows * columns }, (_, i) => value(i));
  const tensors = new Map<string, SafetensorsSource>([
    ['model.denoising_class_embed.weight', { dtype: 'F32', shape: [rows, columns], data: embedding }],
  ]);
  for (const [key, entry] of parseSafetensors(files['model.safetensors']!).tensors)
    if (entry.dtype === 'F32')
      tensors.set(key, { dtype: 'F32', shape: entry.shape, data: entry.data() as Float32Array });
  return loadModel(device, { ...changed, 'model.safetensors': serializeSafetensors(tensors) });
}

async function pixelsOf(name: string): Promise<Tensor> {
  const entry = (await referenceOf(data, folderOf(name))).get('pixel_values')!;
  return device.tensor(entry.data() as Float32Array, entry.shape);
}

/** The norm, and the product with cosines of the indices. */
function digestOf(values: Float32Array): [number, number] {
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  return [Math.sqrt(squares), values.reduce((sum, value, i) => sum + value * Math.cos(i), 0)];
}

describe('the loss', () => {
  it.each(reference.cases)('of $name with $changes, training $training', async (wanted) => {
    const { name, changes, training, labels, loss, gradients, error } = wanted;
    const model = await load(name, changes);
    if (training) model.train();
    const output = model.forward({ pixelValues: await pixelsOf(name), labels });
    expect(Math.abs((output.loss!.dataSync()[0] as number) - loss)).toBeLessThan(1e-4 * Math.max(loss, 1e-3));
    output.loss!.backward();
    const own = model.gradientDict();
    const norms = Object.values(gradients as Record<string, number[]>).map(([norm]) => norm!);
    const max = Math.max(...norms, 1e-30);
    // The rounding error of a pass in float32 is that of transformers, times a constant.
    const limit = 1e-4 + 8 * error;
    for (const [key, digest] of Object.entries(gradients as Record<string, number[]>)) {
      const found = digestOf(own[key]!.dataSync() as Float32Array);
      const allowed = limit * Math.max(digest[0]!, 1e-3 * max);
      for (const i of [0, 1] as const) expect(Math.abs(found[i] - digest[i]!), `${key} ${i}`).toBeLessThan(allowed);
    }
    for (const [key, gradient] of Object.entries(own)) {
      if (!(key in gradients)) expect(digestOf(gradient.dataSync() as Float32Array)[0], key).toBeLessThan(1e-5 * max);
    }
    model.dispose();
  });

  it('of detr_panoptic takes masks as a tensor, and refuses other ones', async () => {
    const model = await load('detr_panoptic', {});
    const pixelValues = (await pixelsOf('detr_panoptic')).rows(0, 1);
    const target = { classLabels: [0], boxes: [[0.5, 0.5, 0.4, 0.4]] };
    const loss = (masks?: DetectionTarget['masks']) => {
      return model.forward({ pixelValues, labels: [{ ...target, masks }] }).loss!.dataSync()[0] as number;
    };
    const rows = [
      [0, 1, 1],
      [0, 1, 0],
    ];
    expect(loss(device.tensor(Float32Array.from(rows.flat()), [1, 2, 3]))).toBe(loss([rows]));
    expect(() => loss()).toThrow('labels[0] has no masks, expected one for each of its classes');
    expect(() => loss([])).toThrow('differ in size or are 0, expected [1, height, width]');
    expect(() => loss([[[0, 1], [0]]])).toThrow('masks of labels[0] differ in size');
    expect(() => loss(device.zeros([1, 2]))).toThrow('masks of labels[0] are [1, 2], expected [1, height, width]');
    model.dispose();
  });

  it.each(['detr', 'rt_detr', 'rf_detr'])('of %s refuses targets that do not fit', async (name) => {
    const model = await load(name, {});
    const pixelValues = (await pixelsOf(name)).rows(0, 1);
    const box = [0.5, 0.5, 0.1, 0.1];
    const loss = (labels: unknown) => () => model.forward({ pixelValues, labels: labels as never });
    expect(loss([{ classLabels: [0], boxes: [] }])).toThrow('labels[0] has no box of four numbers');
    expect(loss([{ classLabels: [0], boxes: [1] }])).toThrow('labels[0] has no box of four numbers');
    expect(loss([{ classLabels: [4], boxes: [box] }])).toThrow('integers from 0 to 3');
    expect(loss([{ classLabels: [0], boxes: [[0.5, 0.5, -0.1, 0.1]] }])).toThrow('a box of negative size');
    expect(loss([])).toThrow('one for each of 1 images');
    expect(loss([1])).toThrow('labels are not detection targets');
    model.dispose();
  });
});

it.each(reference.assignments)('assign gives the pairs of scipy: $rows x $columns, $costs', (each) => {
  expect(assign(Float64Array.from(each.costs), each.rows, each.columns)).toEqual(each.pairs);
});

it('assign returns nothing without rows or columns', () => {
  expect(assign(new Float64Array(0), 0, 3)).toEqual([]);
  expect(assign(new Float64Array(0), 3, 0)).toEqual([]);
});

describe('denoising queries', () => {
  it.each(reference.denoising)('are those of transformers for the same random numbers: $noise', (each) => {
    const draws = [...each.draws];
    const draw = () => draws.shift()!;
    const made = noisyTargets(each.labels, 4, each.noise, { uniform: draw, below: draw })!;
    expect(draws).toEqual([]);
    expect(made.groups).toBe(each.groups);
    expect([...made.labels]).toEqual(each.classes);
    // Edges are sums of shares below 1 in float32, and a logit's slope is at most 1e5.
    made.boxes.forEach((value, i) => {
      expect(Math.abs(value - each.boxes[i]!)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    });
    each.positives.forEach((queries, image) => {
      const own = made.matches.filter((pair) => pair.image === image);
      expect(own.map(({ query }) => query)).toEqual(queries);
    });
  });

  it('follow from the seed of dropout, and differ between passes', async () => {
    const model = await load('rt_detr', { num_denoising: 6, auxiliary_loss: true });
    model.train();
    const pixelValues = await pixelsOf('rt_detr');
    const { labels } = reference.cases[0]!;
    const lossOf = () => model.forward({ pixelValues, labels }).loss!.dataSync()[0];
    model.seedDropout(1);
    const [first, second] = [lossOf(), lossOf()];
    model.seedDropout(1);
    expect(lossOf()).toBe(first);
    expect(second).not.toBe(first);
    model.eval();
    expect(lossOf()).toBe(lossOf());
    model.dispose();
  });
});
