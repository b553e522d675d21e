// The attention maps of detectors, compared with transformers: see make_detr_maps.py.
import { expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import type { AttentionMaps } from '../../src/inspect/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose } from '../tolerance.js';
import recorded from './detr-maps.json' with { type: 'json' };
import { filesOf, inputsOf, referenceOf } from './reference.js';

type Recorded = Record<string, { shape: number[]; data: number[] }[]>;

it.each([
  // The number of layers that attentionMaps shows. RF-DETR's backbone has four.
  ['detr', [1, 2, 2]],
  ['rt_detr', [1, 2, 0]],
  ['rf_detr', [4, 2, 0]],
] as const)('%s gives the attention of all layers', async (name, layers) => {
  const data = testData('families');
  const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(data, name), {});
  const { pixelValues, pixelMask } = inputsOf(model.device, await referenceOf(data, name));
  const inputs = pixelMask ? { pixelValues, pixelMask } : { pixelValues };
  const output = model.forward(inputs, { attentions: true }) as Record<string, Tensor[]>;
  for (const [key, expected] of Object.entries(recorded[name] as Recorded)) {
    const maps = output[key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())]!;
    expect(
      maps.map(({ shape }) => shape),
      key,
    ).toEqual(expected.map(({ shape }) => shape));
    for (const [i, map] of maps.entries())
      assertClose(`${key} ${i}`, (await map.data()) as Float32Array, expected[i]!.data, () => 1e-5);
  }
  const maps: AttentionMaps = model.attentionMaps(pixelValues!);
  expect([maps.encoder.length, maps.decoder.length, maps.cross.length]).toEqual(layers);
  model.dispose();
});
