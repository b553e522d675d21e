// Finished sequences leave the batch: the others get what they would have got, with less work.

import { expect, it } from 'vitest';
import { startBatch } from '../../src/generate/batch-decoder.js';
import { resolveOptions } from '../../src/generate/options.js';
import type { GenerateOptions, Transformer } from '../../src/index.js';
import { decoderOnly, device, expectClose, inputs, kinds, makeModel } from './small-model.js';

const many = Array.from({ length: 9 }, (_, i) => inputs[i % 3]!.map((token) => 3 + ((token + i) % 8)));

/** Ends every output at a length of its own, which its first tokens decide. */
const stop = (tokens: readonly number[]) => tokens.length > (tokens[0]! * 5 + (tokens[1] ?? 0) * 3) % 12;

const searches: [string, GenerateOptions][] = [
  ['greedy', {}],
  ['drawn', { doSample: true }],
  ['drawn several times', { doSample: true, numReturnSequences: 3 }],
];

for (const [kind, options] of Object.entries(kinds)) {
  it.each(searches)(`${kind}, %s: gives the results of a batch that nothing leaves`, async (_, search) => {
    const model = makeModel(options);
    const settings = { ...search, maxNewTokens: 14, stopTokens: [] };
    const whole = await model.generate(many, settings);
    const left = await model.generate(many, { ...settings, stop });
    const lengths = left.sequences.map((tokens) => tokens.length);
    expect(new Set(lengths).size).toBeGreaterThan(2);
    left.sequences.forEach((tokens, i) => {
      expect(tokens).toEqual(whole.sequences[i]!.slice(0, tokens.length));
      expectClose(left.logProbabilities[i]!, whole.logProbabilities[i]!.slice(0, tokens.length));
      expect(left.finishReasons[i]).toBe(stop(tokens) ? 'stop' : 'length');
    });
    model.dispose();
  });

  it.each<GenerateOptions>([{}, { doSample: true, seed: 3 }])(
    `${kind}, beams: gives the results of each input alone, %o`,
    async (search) => {
      const model = makeModel(options);
      const settings = { numBeams: 3, numReturnSequences: 3, earlyStopping: true, ...search };
      const together = await model.generate(many.slice(0, 1).concat(many.slice(3)), { ...settings, stop });
      const alone = await model.generate(many.slice(0, 1), { ...settings, stop });
      expect(together.sequences.slice(0, 3)).toEqual(alone.sequences);
      for (const [i, values] of alone.logProbabilities.entries()) expectClose(values, together.logProbabilities[i]!);
      model.dispose();
    },
  );
}

it('a decoder computes only the remaining sequences', async () => {
  const model = makeModel();
  const step = async (tokens: readonly number[], order: readonly number[] | null = null) => {
    const ahead = {
      steps: 1,
      logits: true,
      forbidsStops: false,
      finished: new Int32Array(tokens.length),
      contexts: () => [],
    };
    const [ranking] = await decoder.step(Int32Array.from(tokens), order && Int32Array.from(order), ahead);
    return ranking!.logits!.length / model.config.targetVocab;
  };
  const decoder = await startBatch(model, resolveOptions(model, many, {}));
  expect(await step(Array(9).fill(1))).toBe(9);
  expect([9, 8, 7, 5, 4].map((open) => decoder.canShrinkTo(open))).toEqual([false, true, true, true, true]);
  expect(await step([3, 4, 5], [8, 1, 4])).toBe(4);
  expect(decoder.canShrinkTo(3)).toBe(false);
  expect(await step([3])).toBe(1);
  decoder.restart(many);
  expect(await step(Array(9).fill(1))).toBe(9);
  decoder.dispose();
  model.dispose();
});

it('sequences of one prompt leave one by one, those of one source together', async () => {
  const lengths = async (model: Transformer) => {
    const plan = resolveOptions(model, many, { doSample: true, numReturnSequences: 4 });
    const decoder = await startBatch(model, plan);
    await device.flush();
    const { sources, beams } = decoder.state.sizes;
    decoder.dispose();
    model.dispose();
    return [sources, beams];
  };
  expect(await lengths(makeModel(decoderOnly))).toEqual([36, 1]);
  expect(await lengths(makeModel())).toEqual([9, 4]);
});

it('sequences keep their rows if there are more than can be reordered', async () => {
  const model = makeModel({ ...decoderOnly, dModel: 4, dFF: 4, decoderLayers: 1 });
  const options = { doSample: true, numReturnSequences: 4100, maxNewTokens: 4, stopTokens: [] };
  const whole = await model.generate([[3]], options);
  const left = await model.generate([[3]], { ...options, stop: (tokens) => tokens[0]! < 9 });
  left.sequences.forEach((tokens, i) => {
    expect(tokens).toEqual(whole.sequences[i]!.slice(0, whole.sequences[i]![0]! < 9 ? 1 : 4));
  });
  model.dispose();
});

it('beams of many inputs are processed in batches', async () => {
  const model = makeModel({ ...decoderOnly, dModel: 4, dFF: 4, decoderLayers: 1 });
  const options = { numBeams: 100, maxNewTokens: 2 };
  const { sequences } = await model.generate(Array(50).fill([3, 4]), options);
  const [alone] = (await model.generate([[3, 4]], options)).sequences;
  expect(sequences).toEqual(Array(50).fill(alone));
  model.dispose();
});
