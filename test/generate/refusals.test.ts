import { describe, expect, it } from 'vitest';
import { ArgumentError, type GenerateOptions, OutOfMemoryError, ShapeError, SimdformerError } from '../../src/index.js';
import { decoderOnly, device, inputs, makeModel } from './small-model.js';

describe('bad input', () => {
  const wrong: [string, GenerateOptions][] = [
    ['maxNewTokens', { maxNewTokens: 0 }],
    ["model's maxLength", { maxNewTokens: 25 }],
    ['minNewTokens', { minNewTokens: 30 }],
    ['numBeams', { numBeams: 1.5 }],
    ['numReturnSequences', { numReturnSequences: 0 }],
    ['batchSize', { batchSize: 0 }],
    ['only 2 beams', { numBeams: 2, numReturnSequences: 3 }],
    ['needs beams or doSample', { numReturnSequences: 2 }],
    ['an integer from 1 to 4096', { numBeams: 5000 }],
    ['needs a decoder-only model', { cropContext: true }],
    ['doSample', { topK: 3 }],
    ['doSample: false chooses the most probable tokens', { doSample: true, temperature: 0 }],
    ['temperature', { doSample: true, temperature: Number.NaN }],
    ['topK', { doSample: true, topK: -1 }],
    ['topP', { doSample: true, topP: 0 }],
    ['minP', { doSample: true, minP: 2 }],
    ['seed', { doSample: true, seed: -1 }],
    ['lengthPenalty', { numBeams: 2, lengthPenalty: Number.POSITIVE_INFINITY }],
    ['earlyStopping', { numBeams: 2, earlyStopping: 'always' as never }],
    ['repetitionPenalty', { repetitionPenalty: 0 }],
    ['noRepeatNgramSize', { noRepeatNgramSize: 1.5 }],
    ['a token of stopTokens', { stopTokens: [11] }],
    ['prefix', { prefix: [99] }],
    ['prefix has 2 rows', { prefix: [[3], [4]] }],
    ['prefix has 4 tokens', { prefix: [3, 3, 3, 3], maxNewTokens: 3 }],
    ['there is no option beams, only', { beams: 4 } as never],
    ['maxLength, ', { maxNewToken: 3 } as never],
    ['responseFormat, ', { maxNewToken: 3 } as never],
    ['there is no option beams, only', { beams: 4, maxNewTokens: 30 } as never],
    ['onToken', { numBeams: 2, onToken: () => {} }],
    ['doSample is "false", expected one of true, false', { doSample: 'false' as never }],
    ['cropContext is 1, expected one of', { cropContext: 1 as never }],
    ['outputAttentions is "no", expected one of', { outputAttentions: 'no' as never }],
  ];

  it.each(wrong)('%s: %o', async (message, options) => {
    const model = makeModel();
    const failure = expect(model.generate(inputs, options)).rejects;
    await failure.toThrow(ArgumentError);
    await failure.toThrow(message);
    model.dispose();
  });

  it.each([1, 2])('asynchronous hooks, with %d beams', async (numBeams) => {
    const model = makeModel();
    for (const hook of [{ stop: async () => false }, { logitsProcessors: [async () => {}] }]) {
      const failure = expect(model.generate(inputs, { numBeams, ...hook } as never)).rejects;
      await failure.toThrow(ArgumentError);
      await failure.toThrow(/generate: .* is asynchronous/);
    }
    model.dispose();
  });

  it('refuses inputs that form no batch', async () => {
    const model = makeModel();
    await expect(model.generate([])).rejects.toThrow(ArgumentError);
    await expect(model.generate([[]])).rejects.toThrow(ShapeError);
    await expect(model.generate([[1.5]])).rejects.toThrow(ArgumentError);
    const flat = model.generate([5, 6] as never);
    await expect(flat).rejects.toThrow(
      'generate: sequence 0 is 5, expected an array of token ids; for one sequence write',
    );
    await expect(flat).rejects.toThrow(ShapeError);
    await expect(model.generate([Array(25).fill(3)])).rejects.toThrow(ShapeError);
    await expect(model.generate([[12]])).rejects.toThrow('embedding: row 0 of ids is 12, expected 0 to 11');
    await expect(model.generate([[12]])).rejects.toThrow(ArgumentError);
    await expect(model.stream([[3]], { numBeams: 2 }).next()).rejects.toThrow(ArgumentError);
    const { sequences } = await model.generate(inputs);
    expect(sequences.length).toBe(3);
    const decoder = makeModel(decoderOnly);
    await expect(decoder.generate([Array(25).fill(3)])).rejects.toThrow('a prompt has 25 tokens, more than the model');
    const encoder = makeModel({ decoderLayers: 0 });
    await expect(encoder.generate(inputs)).rejects.toThrow('no decoder');
    await expect(encoder.score(inputs, inputs)).rejects.toThrow('no decoder');
    await expect(model.score(inputs, [[1], [1], [1]])).rejects.toThrow(ShapeError);
    await expect(
      model.score(inputs, [
        [1, 11],
        [1, 2],
        [1, 2],
      ]),
    ).rejects.toThrow(ArgumentError);
    await expect(model.score(inputs, [[1, 2]])).rejects.toThrow(ShapeError);
    for (const each of [model, decoder, encoder]) each.dispose();
  });

  it('refuses invalid ids, even if they look like padding that the model lacks', async () => {
    const model = makeModel(decoderOnly);
    for (const id of [null, 5n, '5', -1]) {
      const rows = [[3], [5, id as never]];
      await expect(model.generate(rows)).rejects.toThrow(/^generate: sequence 1, position 1: .* is not a token id/);
      expect(() => model.forward(rows)).toThrow(ArgumentError);
    }
    model.dispose();
  });

  it('refuses options that are nested too deep, before they exceed the stack', async () => {
    let schema: object = { type: 'string' };
    for (let i = 0; i < 5000; i++) schema = { type: 'array', items: schema };
    await expect(makeModel().generate([[1]], { responseFormat: { type: 'json_schema', schema } })).rejects.toThrow(
      new ArgumentError('an argument is nested more than 500 levels deep, expected fewer'),
    );
  });

  it('refuses more sequences than fit into memory', async () => {
    const model = makeModel();
    await model.generate(inputs);
    const { used } = device.memory();
    const failure = expect(model.generate(inputs, { doSample: true, numReturnSequences: 2 ** 31 })).rejects;
    await failure.toThrow(OutOfMemoryError);
    expect(device.memory().used).toBe(used);
    model.dispose();
  });

  it('reports scores that allow no choice', async () => {
    const model = makeModel();
    for (const options of [{}, { numBeams: 2 }, { doSample: true }]) {
      const forbid = (scores: Float32Array) => scores.fill(Number.NEGATIVE_INFINITY);
      const failure = expect(model.generate(inputs, { ...options, logitsProcessors: [forbid] })).rejects;
      await failure.toThrow('every token is forbidden');
      const one = (scores: Float32Array, tokens: readonly number[]) => {
        // Forbids all tokens of every beam, once there are several.
        if (tokens.length > 1) scores.fill(Number.NEGATIVE_INFINITY);
      };
      await expect(model.generate(inputs, { ...options, stopTokens: [], logitsProcessors: [one] })).rejects.toThrow(
        'every token is forbidden',
      );
      const spoil = (scores: Float32Array) => scores.fill(Number.NaN, 3, 4);
      await expect(model.generate(inputs, { ...options, logitsProcessors: [spoil] })).rejects.toThrow(SimdformerError);
    }
    model.dispose();
  });
});
