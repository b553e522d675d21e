// Whisper writes from features what transformers does: greedily, for a small random checkpoint of test/data/reference.
import { afterAll, describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { Whisper } from '../../src/models/families/whisper.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

describe('Whisper', async () => {
  const data = testData('families/whisper');
  const names = ['config.json', 'generation_config.json', 'model.safetensors'];
  const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await data.bytes(name)])));
  const device = await deviceFor(isas[0] as string, 2);
  const model = await loadModel(device, files);
  afterAll(() => model.dispose());
  const { tensors } = parseSafetensors(await data.bytes('reference.safetensors'));
  const { shape } = tensors.get('input_features')!;
  const values = tensors.get('input_features')!.data() as Float32Array;
  const { greedy } = await data.json<{ greedy: number[][] }>('reference.json');
  const options = { maxNewTokens: 16, stopTokens: [] };
  const expected = greedy.map((ids) => ids.slice(1)); // the start is not part of what is written

  it('generates the tokens from features', async () => {
    const features = device.tensor(values, shape);
    const { sequences } = await model.generate(features, options);
    expect(sequences).toEqual(expected);
    // The session of before, in other batches, and by steps.
    expect((await model.generate(features, options)).sequences).toEqual(expected);
    expect((await model.generate(features, { ...options, batchSize: 1 })).sequences).toEqual(expected);
    const streamed: number[][] = [[], []];
    for await (const { sequence, token } of model.stream(features, options)) streamed[sequence]!.push(token);
    expect(streamed).toEqual(expected);
    // Uses the features as they were at the start.
    for (const batchSize of [2, 1]) {
      const given = device.tensor(values, shape);
      const writing = model.generate(given, { ...options, batchSize });
      await new Promise((begun) => setTimeout(begun));
      given.write(new Float32Array(values.length));
      given.dispose();
      expect((await writing).sequences, `batches of ${batchSize}`).toEqual(expected);
    }
    const beams = await model.generate(features, { ...options, numBeams: 3, numReturnSequences: 2 });
    expect(beams.inputs).toEqual([0, 0, 1, 1]);
  });

  it('ignores a forced first token when the first tokens are suppressed, as transformers does', async () => {
    const first = device.tensor(values.subarray(0, values.length / 2), [1, ...shape.slice(1)]);
    const forced = { ...options, maxNewTokens: 6, forcedBosTokenId: 27 };
    const { sequences } = await model.generate(first, { ...forced, beginSuppressTokens: [71] });
    expect(sequences).toEqual([[27, 71, 71, 82, 71, 82]]);
  });

  it('generates the same from an earlier encoding, and returns attention maps', async () => {
    const features = device.tensor(values, shape);
    const { hidden } = model.encode(features);
    const encoded = hidden.reshape(shape[0]!, 30, 32);
    expect((await model.generate(encoded, options)).sequences).toEqual(expected);
    expect((await model.generate(features, options)).sequences).toEqual(expected);
    const whisper = model as unknown as Whisper;
    const rows = [
      [3, 7, 9, 11],
      [3, 5, 8],
    ];
    const heads = [
      [1, 0],
      [0, 2],
      [1, 3],
    ] as const;
    const seen = whisper.crossAttention(encoded, rows, heads);
    expect(seen.shape).toEqual([2, 3, 4, 30]);
    const { crossAttentions } = model.forward(
      {
        inputFeatures: features,
        decoderInputIds: [
          [3, 7, 9, 11],
          [3, 5, 8, 0],
        ],
        decoderAttentionMask: [
          [1, 1, 1, 1],
          [1, 1, 1, 0],
        ],
      },
      { attentions: true },
    );
    const got = (await seen.data()) as Float32Array;
    for (const [i, [layer, head]] of heads.entries()) {
      const all = (await crossAttentions![layer]!.data()) as Float32Array;
      for (const row of [0, 1]) {
        const size = (4 - row) * 30;
        const at = (row * 3 + i) * 120;
        const from = (row * 4 + head) * 120;
        expect(got.slice(at, at + size)).toEqual(all.slice(from, from + size));
      }
    }
    expect(() => whisper.crossAttention(encoded, rows, [[2, 0]])).toThrow(/no head 0 in layer 2/);
  });

  it('begins with the forced tokens of generation_config.json, and never chooses suppressed ones', async () => {
    const [first, second] = [expected[0]![0]!, expected[0]![1]!];
    const given = {
      decoder_start_token_id: 3,
      forced_decoder_ids: [
        [1, 7],
        [2, 9],
        [4, 11],
      ],
      suppress_tokens: [first, second],
    };
    const forced = await loadModel(device, {
      ...files,
      'generation_config.json': new TextEncoder().encode(JSON.stringify(given)),
    });
    const { sequences } = await forced.generate(device.tensor(values, shape), options);
    forced.dispose();
    for (const sequence of sequences) {
      expect(sequence.slice(0, 2)).toEqual([7, 9]);
      expect(sequence).not.toContain(first);
      expect(sequence).not.toContain(second);
    }
  });

  it('refuses features of other sizes', async () => {
    const [batch, bins, frames] = shape as [number, number, number];
    await expect(model.generate([[1, 2]], options)).rejects.toThrow(
      /the sources are .*expected float32 features \[sources, 16, 60\]/,
    );
    await expect(model.generate(device.zeros([batch, bins, frames - 1]), options)).rejects.toThrow(/\[2, 16, 59\]/);
    expect(() => model.forward({ inputFeatures: device.zeros([batch, bins, 2]) })).toThrow(
      /inputFeatures is \[2, 16, 2\]/,
    );
    expect(() => model.forward({ labels: [[1]] })).toThrow(/inputFeatures is undefined/);
    expect(() => model.forward({ inputIds: [[1]] })).toThrow(/inputIds/);
  });
});
