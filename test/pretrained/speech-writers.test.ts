// Models of speech write what transformers does, greedily, from sounds of other lengths than those of the batch.
import { afterAll, describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('families');

describe.each(['moonshine', 'moonshine_streaming'])('%s', async (name) => {
  const device = await deviceFor(isas[0] as string, 2);
  const model = await loadModel(device, await filesOf(data, name));
  afterAll(() => model.dispose());
  const inputs = inputsOf(device, await referenceOf(data, name));
  const { greedy } = await data.json<{ greedy: number[][] }>(`${name}/reference.json`);
  const expected = greedy.map((ids) => ids.slice(1)); // the start is not part of what is written
  const options = { maxNewTokens: (expected[0] as number[]).length, stopTokens: [] };
  const masks = inputs.attentionMask as number[][];
  const counts = masks.map((mask) => mask.filter(Boolean).length);

  it('generates the tokens of each sound from its encoding', async () => {
    for (const [row, ids] of expected.entries()) {
      const encoded = encodedRow(model, row);
      const { sequences } = await model.generate(encoded, options);
      expect(sequences, `sound ${row}`).toEqual([ids]);
      expect((await model.generate(encoded, { ...options, numBeams: 2 })).sequences).toHaveLength(1);
    }
  });

  it('generates the tokens of a sound without padding, alone and in a batch, by steps and from a kept state', async () => {
    const longest = counts.indexOf(Math.max(...counts));
    expect(counts[longest]).toBe(masks[longest]?.length);
    const { data: values } = { data: (await (inputs.inputValues as Tensor).data()) as Float32Array };
    const width = masks[0]?.length as number;
    const own = values.slice(longest * width, (longest + 1) * width);
    const [one, two] = [device.tensor(own, [1, width]), device.tensor([...own, ...own], [2, width])];
    for (const times of [1, 2]) {
      expect((await model.generate(one, options)).sequences, `time ${times}`).toEqual([expected[longest]]);
      expect((await model.generate(two, options)).sequences).toEqual([expected[longest], expected[longest]]);
      expect((await model.generate(two, { ...options, batchSize: 1 })).sequences[1]).toEqual(expected[longest]);
    }
    const streamed: number[] = [];
    for await (const { token } of model.stream(one, options)) streamed.push(token);
    expect(streamed).toEqual(expected[longest]);
  });

  it('refuses sounds that are too short, and invalid masks', () => {
    const short = device.zeros([1, 3]);
    expect(() => model.forward({ inputValues: short, decoderInputIds: [[1]] })).toThrow(/enough samples for a frame/);
    const wrong = masks.map((mask) => mask.map((_, i) => (i === 0 ? 0 : 1)));
    expect(() => model.forward({ ...inputs, attentionMask: wrong })).toThrow(/is not ones with zeros after them/);
    expect(() => model.forward({ ...inputs, attentionMask: [[1]] })).toThrow(/attentionMask has 1 rows/);
  });

  /** The encoder's output for the frames of one sound that are not padding, [1, frames, d]. */
  function encodedRow(own: PretrainedModel, row: number): Tensor {
    const { encoderLastHiddenState: hidden, crossAttentions } = own.forward(inputs, { attentions: true });
    const [map] = crossAttentions as [Tensor];
    const frames = map.shape[3] as number;
    const weights = map.dataSync() as Float32Array;
    const size = weights.length / expected.length;
    const used = weights.subarray(row * size, row * size + frames).filter((weight) => weight !== 0).length;
    const [, longest, width] = (hidden as Tensor).shape as [number, number, number];
    const values = (hidden as Tensor).dataSync() as Float32Array;
    return device.tensor(values.slice(row * longest * width, (row * longest + used) * width), [1, used, width]);
  }
});
