import { describe, expect, it } from 'vitest';
import type { GenerateOptions, TokenEvent } from '../../src/index.js';
import type { Positions } from '../../src/nn/index.js';
import { CLOSE, expectClose, inputs, kinds, makeModel, targetsOf } from './small-model.js';

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  const positions: Positions['kind'][] = ['sinusoidal', 'learned', 'relativeBias', 'shaw', 'rotary'];
  const searches: Record<string, GenerateOptions> = {
    greedy: {},
    beams: { numBeams: 5, numReturnSequences: 5 },
    samples: { doSample: true, numReturnSequences: 3 },
  };

  it.each(positions.flatMap((p) => Object.entries(searches).map(([name, options]) => ({ p, name, options }))))(
    'cached steps give what one full pass gives: $p, $name',
    async ({ p, options }) => {
      const model = makeModel({ ...kind, positions: p });
      const result = await model.generate(inputs, { maxNewTokens: 12, ...options });
      const source = model.config.encoderLayers > 0 ? result.inputs.map((i) => inputs[i]!) : null;
      const targets = targetsOf(model, inputs, result);
      const scored = await model.score(source, targets);
      result.logProbabilities.forEach((values, i) => {
        const full = scored.logProbabilities[i]!.slice(-values.length);
        expectClose(values, full);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        expect(result.scores[i]).toBeCloseTo(mean, 6);
      });
      model.dispose();
    },
  );

  it('greedy search takes the most probable token of a full pass', async () => {
    const model = makeModel(kind);
    const { sequences } = await model.generate(inputs, { maxNewTokens: 8, stopTokens: [] });
    for (const [i, input] of inputs.entries()) {
      const read = model.config.encoderLayers > 0 ? [1] : [...input];
      for (let t = 0; t < 8; t++) {
        const logits = model.config.encoderLayers > 0 ? model.forward([input], [read]) : model.forward([read]);
        const last = (await logits.data()).slice(-model.config.targetVocab);
        read.push(last.indexOf(Math.max(...last)));
      }
      expect(sequences[i]).toEqual(read.slice(-8));
    }
    model.dispose();
  });

  it('a batch gives the results of its items alone', async () => {
    const model = makeModel(kind);
    for (const options of [{}, { numBeams: 3 }, { numBeams: 3, repetitionPenalty: 1.3, noRepeatNgramSize: 2 }]) {
      const together = await model.generate(inputs, { maxNewTokens: 10, ...options });
      for (const [i, input] of inputs.entries()) {
        const alone = await model.generate([input], { maxNewTokens: 10, ...options });
        expect(alone.sequences[0]).toEqual(together.sequences[i]);
        expectClose(alone.logProbabilities[0]!, together.logProbabilities[i]!);
      }
    }
    model.dispose();
  });

  it('returns more inputs than a batch holds in their order', async () => {
    const model = makeModel(kind);
    const many = Array.from({ length: 11 }, (_, i) =>
      Array.from({ length: 1 + ((i * 5) % 7) }, (_, j) => 3 + ((i + j) % 8)),
    );
    for (const options of [{}, { numBeams: 2, numReturnSequences: 2 }, { doSample: true, numReturnSequences: 2 }]) {
      const together = await model.generate(many, { maxNewTokens: 8, ...options });
      const events: TokenEvent[] = [];
      const onToken = options.numBeams ? {} : { onToken: (event: TokenEvent) => events.push(event) };
      const taken = await model.generate(many, { maxNewTokens: 8, batchSize: 3, ...options, ...onToken });
      expect(taken.sequences).toEqual(together.sequences);
      expect(taken.inputs).toEqual(together.inputs);
      for (const [i, values] of taken.logProbabilities.entries()) expectClose(values, together.logProbabilities[i]!);
      for (const [i, tokens] of options.numBeams ? [] : taken.sequences.entries()) {
        expect(events.filter(({ sequence }) => sequence === i).map(({ token }) => token)).toEqual(tokens);
      }
    }
    model.dispose();
  });

  it('a forced prefix begins the output and counts in the score', async () => {
    const model = makeModel(kind);
    for (const options of [{}, { numBeams: 3 }]) {
      const free = await model.generate(inputs, { maxNewTokens: 9, ...options });
      const own = await model.generate(inputs, {
        maxNewTokens: 9,
        ...options,
        prefix: free.sequences.map((tokens) => tokens.slice(0, 2)),
      });
      if (!options.numBeams) expect(own).toEqual(free);
      const prefix = [7, 2, 9]; // the end in it ends nothing
      const forced = await model.generate(inputs, { maxNewTokens: 9, prefix, ...options });
      for (const tokens of forced.sequences) expect(tokens.slice(0, 3)).toEqual(prefix);
      const source = model.config.encoderLayers > 0 ? inputs : null;
      const { logProbabilities } = await model.score(source, targetsOf(model, inputs, forced));
      forced.logProbabilities.forEach((values, i) => {
        const sum = (list: number[]) => list.reduce((total, value) => total + value, 0);
        expect(Math.abs(sum(values) - sum(logProbabilities[i]!.slice(-values.length)))).toBeLessThan(CLOSE);
      });
    }
    model.dispose();
  });

  it('outputAttentions gives a row for every choice', async () => {
    const model = makeModel(kind);
    const { attentions, logProbabilities } = await model.generate(inputs, { maxNewTokens: 6, outputAttentions: true });
    expect(attentions?.decoder.length).toBe(2);
    const [batch, heads, rows] = attentions!.decoder[0]!.shape;
    const prompt = model.config.encoderLayers > 0 ? 1 : 7;
    expect([batch, heads]).toEqual([3, 2]);
    expect(rows).toBe(prompt - 1 + Math.max(...logProbabilities.map((row) => row.length)));
    expect(attentions?.cross.length).toBe(model.config.encoderLayers);
    expect((await model.generate(inputs, { maxNewTokens: 6 })).attentions).toBeUndefined();
    model.dispose();
  });
});
