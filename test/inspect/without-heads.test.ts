import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, CommandError, createDevice, type Device, type Transformer } from '../../src/index.js';
import { type AttentionTrace, type HeadId, trace, withoutHeads } from '../../src/inspect/index.js';
import { embedding } from '../../src/ops/index.js';
import { computedIds } from '../computed-ids.js';
import { allowedError, assertClose, largest } from '../tolerance.js';
import { build, inputsOf, models, source, target } from './models.js';

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

const all = (attention: HeadId['attention'], layer: number): HeadId[] =>
  [0, 1, 2, 3].map((head) => ({ attention, layer, head }));

async function logitsOf(model: Transformer) {
  const [from, to] = inputsOf(model);
  return model.forward(from && [from], to && [to]).data();
}

async function crossOf(model: Transformer): Promise<AttentionTrace> {
  return (await trace(model, source, target)).decoder?.layers[0]?.crossAttention?.inside as AttentionTrace;
}

function crossBias(model: Transformer) {
  return model.transformer.decoder!.layers[0]!.multiheadAttn!.outProj.bias!.data();
}

describe.each(Object.entries(models))('%s', (_, options) => {
  it('restores the model bit for bit', async () => {
    const model = build(device, options);
    const before = await logitsOf(model);
    const heads = all(model.transformer.encoder ? 'encoder' : 'decoder', 1).slice(1, 3);
    const without = await withoutHeads(model, heads, () => logitsOf(model));
    expect(without).not.toEqual(before);
    expect(await logitsOf(model)).toEqual(before);
  });
});

it('keeps the bias of the output projection if all heads are off', async () => {
  const model = build(device, {});
  const { output } = await withoutHeads(model, all('cross', 0), () => crossOf(model));
  const bias = await crossBias(model);
  expect(output.data).toEqual(Float32Array.from(target.flatMap(() => [...bias])));
});

it('removes only the contribution of the head', async () => {
  const model = build(device, { norm: 'pre' });
  const whole = await crossOf(model);
  const heads = all('cross', 0);
  let sum = whole.output.data.map(() => 0);
  for (const head of heads) {
    const others = heads.filter((other) => other !== head);
    const { output } = await withoutHeads(model, others, () => crossOf(model));
    sum = sum.map((x, i) => x + output.data[i]!);
  }
  const bias = await crossBias(model);
  const expected = whole.output.data.map((x, i) => x + 3 * bias[i % bias.length]!);
  assertClose('heads one by one', sum, expected, () => allowedError(200, 4 * largest(expected)));
});

it('changes the generated output', async () => {
  const model = build(device, { norm: 'pre' });
  const write = async () => (await model.generate([source], { maxNewTokens: 6 })).scores;
  const before = await write();
  expect(await withoutHeads(model, [...all('cross', 0), ...all('cross', 1)], write)).not.toEqual(before);
  expect(await write()).toEqual(before);
});

it('nests, overlaps and survives exceptions', async () => {
  const model = build(device, {});
  const before = await logitsOf(model);
  const heads = all('cross', 1);
  const expected = await withoutHeads(model, heads, () => logitsOf(model));
  const nested = await withoutHeads(model, heads.slice(0, 3), async () => {
    await withoutHeads(model, heads.slice(1), () => undefined);
    return withoutHeads(model, heads, () => logitsOf(model));
  });
  expect(nested).toEqual(expected);
  const overlapping = await Promise.all([1, 2, 3].map(() => withoutHeads(model, heads, () => logitsOf(model))));
  expect(overlapping).toEqual([expected, expected, expected]);
  const failing = withoutHeads(model, heads, () => {
    throw new RangeError('own');
  });
  await expect(failing).rejects.toThrow(RangeError);
  expect(await logitsOf(model)).toEqual(before);
});

it('works again after an earlier queued op has failed', async () => {
  const model = build(device, {});
  const before = await logitsOf(model);
  const heads = all('cross', 0);
  embedding(device.zeros([4, 2]), computedIds(device, 9)); // an id outside the table
  const failing = [1, 2].map(() => withoutHeads(model, heads, () => logitsOf(model)));
  await expect(failing[0]).rejects.toThrow(CommandError);
  await Promise.allSettled(failing);
  expect(await withoutHeads(model, heads, () => logitsOf(model))).not.toEqual(before);
  expect(await logitsOf(model)).toEqual(before);
});

it('refuses heads that do not exist, before any change', async () => {
  const model = build(device, {});
  const before = await logitsOf(model);
  const refuse = (head: HeadId) =>
    expect(withoutHeads(model, [...all('cross', 0), head], () => 1)).rejects.toThrow(ArgumentError);
  await refuse({ attention: 'cross', layer: 2, head: 0 });
  await refuse({ attention: 'encoder', layer: 0, head: 4 });
  await refuse({ attention: 'decoder', layer: 0, head: 0.5 });
  await refuse({ attention: 'other' as 'cross', layer: 0, head: 0 });
  expect(await logitsOf(model)).toEqual(before);
  const encoderOnly = build(device, { decoderLayers: 0, targetVocab: 11 });
  await expect(withoutHeads(encoderOnly, all('cross', 0), () => 1)).rejects.toThrow('it has 0 layers');
});
