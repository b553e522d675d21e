// The weights of every attention of a pass, read from its commands.
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Tensor } from '../../src/index.js';
import { computedAttention } from '../../src/inspect/index.js';
import type { Sam } from '../../src/models/families/sam.js';
import type { Vits } from '../../src/models/families/vits.js';
import { attention, attentionWeights } from '../../src/ops/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';

const device = await deviceFor(isas[0] as string, 1);
const random = new Random('computed attention');
const tensor = (...shape: number[]) => device.tensor(random.normal(shape).data, shape);

describe('computedAttention', () => {
  it('gives the weights of SAM, within windows and among all patches, as transformers does', async () => {
    const sam = (await loadModel(device, testData('families/sam').path)) as unknown as Sam;
    const pixels = device.tensor(
      Float32Array.from({ length: 3 * 48 * 48 }, (_, i) => Math.sin(i * 0.37)),
      [1, 3, 48, 48],
    );
    const maps = await computedAttention(device, () => sam.imageEmbeddings(pixels));
    // transformers 5.24, eager attention in float64: shapes, the first weights, and Σ wᵢ·cos(i).
    const expected = [
      [[4, 4, 16, 16], [0.073951758, 0.000139157, 0.795898795], -3.80060393524641],
      [[1, 4, 36, 36], [0.001861761, 0.001274912, 0.000106204], -2.9241429491517685],
    ] as const;
    expect(maps).toHaveLength(2);
    for (const [i, [shape, first, sum]] of expected.entries()) {
      const map = maps[i] as Tensor;
      expect(map.shape).toEqual(shape);
      const values = Float64Array.from((await map.data()) as Float32Array);
      for (const [j, weight] of first.entries()) expect(values[j]).toBeCloseTo(weight, 6);
      expect(values.reduce((total, weight, j) => total + weight * Math.cos(j), 0)).toBeCloseTo(sum, 4);
    }
    const chosen = await computedAttention(
      device,
      () => sam.imageEmbeddings(pixels),
      (index) => index === 1,
    );
    expect(await chosen[0]?.data()).toEqual(await maps[1]?.data());
    for (const map of [...maps, ...chosen]) map.dispose();
    sam.dispose();
  });

  it('gives the weights of a pass that computes in slices, with relative vectors', async () => {
    const vits = (await loadModel(device, testData('families/vits').path)) as unknown as Vits;
    const ids = [[3, 1, 4, 1, 5]];
    const maps = await computedAttention(device, () => vits.speak(ids));
    const { encoder } = vits.attentionMaps(ids);
    expect(maps).toHaveLength(encoder.length);
    for (const [i, map] of maps.entries()) expect(await map.data()).toEqual(await encoder[i]?.data());
    for (const map of maps) map.dispose();
    vits.dispose();
  });

  it('gives the weights of biased, masked and packed attention', async () => {
    const [q, k, v] = [tensor(2, 5, 12), tensor(2, 6, 6), tensor(2, 6, 6)];
    const options = { heads: 4, kvHeads: 2, bias: tensor(2, 4, 5, 6), softcap: 3, window: [2, 1] as [number, number] };
    const packed = { heads: 2, lengthsQ: [3, 3], causal: true };
    const x = tensor(6, 8);
    const maps = await computedAttention(device, () => {
      attention(q, k, v, options);
      attention(x, x, x, packed);
    });
    expect(await maps[0]?.data()).toEqual(await attentionWeights(q, k, options).data());
    expect(await maps[1]?.data()).toEqual(await attentionWeights(x, x, packed).data());
    for (const map of maps) map.dispose();
  });

  it('refuses what it cannot give, and observes nothing afterwards', async () => {
    const x = tensor(4, 8);
    const sinks = tensor(2);
    const refused = (pass: () => unknown) => expect(computedAttention(device, pass)).rejects.toThrow(ArgumentError);
    await refused(() => attention(x, x, x, { heads: 2, sinks }));
    await refused(() => device.record(() => attention(x, x, x)));
    await refused(3 as never);
    const memory = device.memory().used;
    attention(x, x, x).dispose();
    expect(device.memory().used).toBe(memory);
  });
});
