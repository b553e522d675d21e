// The loss of detectors beside that of transformers (make_detection_loss.py), and matching beside all permutations.
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { leastCost } from '../../src/models/detection-loss.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { Random } from '../random.js';
import cases from './detection-loss.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());
const folder = new URL('../data/reference3/detr/', import.meta.url);
const read = (file: string) => new Uint8Array(readFileSync(new URL(file, folder)));

describe('the loss of DETR', () => {
  it.each(cases)('equals that of transformers: auxiliary $auxiliary', async ({ auxiliary, labels, loss, norms }) => {
    const config = { ...JSON.parse(new TextDecoder().decode(read('config.json'))), auxiliary_loss: auxiliary };
    const files = {
      'config.json': new TextEncoder().encode(JSON.stringify(config)),
      'model.safetensors': read('model.safetensors'),
    };
    const model = await loadModel(device, files);
    const pixels = parseSafetensors(read('reference.safetensors')).tensors.get('pixel_values')!;
    const pixelValues = device.tensor(pixels.data() as Float32Array, pixels.shape);
    const output = model.forward({ pixelValues, labels });
    expect(Math.abs((output.loss!.dataSync()[0] as number) - loss)).toBeLessThan(1e-4 * loss);
    output.loss!.backward();
    const gradients = model.gradientDict();
    const most = Math.max(...Object.values(norms));
    for (const [name, norm] of Object.entries(norms)) {
      const values = gradients[name]!.dataSync();
      const own = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
      expect(Math.abs(own - norm!), name).toBeLessThan(1e-3 * norm! + 1e-6 * most);
    }
    model.dispose();
  });

  it('refuses targets that do not fit', async () => {
    const model = await loadModel(device, {
      'config.json': read('config.json'),
      'model.safetensors': read('model.safetensors'),
    });
    const pixelValues = device.zeros([1, 3, 64, 64]);
    const box = [0.5, 0.5, 0.1, 0.1];
    const loss = (labels: unknown) => () => model.forward({ pixelValues, labels: labels as never });
    expect(loss([{ classLabels: [0], boxes: [] }])).toThrow('labels[0] has no box of four numbers');
    expect(loss([{ classLabels: [4], boxes: [box] }])).toThrow('integers from 0 to 3');
    expect(loss([])).toThrow('one for each of 1 images');
    expect(loss([1])).toThrow('labels are no targets');
    expect(loss([{ classLabels: Array(7).fill(0), boxes: Array(7).fill(box) }])).toThrow(
      '7 objects, expected at most 6',
    );
    model.dispose();
  });
});

it('leastCost finds the matching with the lowest cost', () => {
  const random = new Random('leastCost');
  for (const [rows, columns] of [
    [1, 1],
    [2, 5],
    [3, 3],
    [4, 6],
    [5, 5],
  ] as const) {
    const costs = Float64Array.from(random.normal([rows * columns]).data);
    const total = (taken: readonly number[]) =>
      taken.reduce((sum, column, row) => sum + costs[row * columns + column]!, 0);
    let least = Number.POSITIVE_INFINITY;
    const visit = (taken: number[]) => {
      if (taken.length === rows) least = Math.min(least, total(taken));
      else for (let j = 0; j < columns; j++) if (!taken.includes(j)) visit([...taken, j]);
    };
    visit([]);
    const found = [...leastCost(costs, rows, columns)];
    expect(new Set(found).size).toBe(rows);
    expect(Math.abs(total(found) - least)).toBeLessThan(1e-9);
  }
});
