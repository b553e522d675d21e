// The attention maps of DETR, compared with transformers: see make_detr_maps.py.
import { expect, it } from 'vitest';
import type { AttentionMaps } from '../../src/inspect/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose } from '../tolerance.js';
import reference from './detr-maps.json' with { type: 'json' };
import { filesOf, inputsOf, referenceOf } from './reference.js';

it('gives the attention of patches, of queries, and of queries to patches', async () => {
  const data = testData('reference3');
  const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(data, 'detr'), {});
  const { pixelValues, pixelMask } = inputsOf(model.device, await referenceOf(data, 'detr'));
  const output = model.forward({ pixelValues, pixelMask }, { attentions: true });
  for (const [name, expected] of Object.entries(reference)) {
    const maps = output[name as keyof typeof reference]!;
    expect(maps.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
    for (const [i, map] of maps.entries())
      assertClose(`${name} ${i}`, (await map.data()) as Float32Array, expected[i]!.data, () => 1e-5);
  }
  const maps: AttentionMaps = model.attentionMaps(pixelValues!);
  expect([maps.encoder.length, maps.decoder.length, maps.cross.length]).toEqual([1, 2, 2]);
  model.dispose();
});
