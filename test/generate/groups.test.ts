// Diverse beam search, compared with transformers before version 5 (make_groups.py).
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type GenerateOptions } from '../../src/index.js';
import groups from './groups.json' with { type: 'json' };
import { optionsFor, referenceModels } from './reference-models.js';
import { inputs, makeModel } from './small-model.js';

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe('diverse beam search', async () => {
  const models = await referenceModels(device, ['gpt2', 't5']);

  it.each(groups)('$model, $settings after $prompt', async ({ model: name, settings, prompt, sequences, scores }) => {
    const options = optionsFor(settings);
    const numReturnSequences = settings.num_beams;
    const given = { ...options, maxNewTokens: 8, numReturnSequences, forcedEosTokenId: null };
    const result = await models.get(name)!.generate([prompt], given);
    expect(result.sequences).toEqual(sequences);
    for (const [i, score] of scores.entries()) expect(result.scores[i]).toBeCloseTo(score, 4);
  });

  it('equals beam search with one group, and gives an input the same result in a batch', async () => {
    using model = makeModel();
    const options = { numBeams: 4, numReturnSequences: 4, maxNewTokens: 10 };
    expect(await model.generate(inputs, { ...options, numBeamGroups: 1 })).toEqual(
      await model.generate(inputs, options),
    );
    const diverse = { ...options, numBeamGroups: 2, diversityPenalty: 0.8 };
    const together = await model.generate(inputs, diverse);
    for (const [i, input] of inputs.entries()) {
      const alone = await model.generate([input], diverse);
      expect(together.sequences.filter((_, s) => together.inputs[s] === i)).toEqual(alone.sequences);
    }
  });

  it('refuses invalid groups', async () => {
    using model = makeModel();
    const refused = (options: GenerateOptions, message: string) =>
      expect(model.generate(inputs, options)).rejects.toThrow(message);
    await refused({ numBeams: 4, numBeamGroups: 3 }, 'numBeamGroups is 3, expected a divisor of numBeams, 4');
    await refused({ numBeams: 4, numBeamGroups: 2, doSample: true }, 'numBeamGroups above 1 needs doSample: false');
    await refused({ numBeams: 4, diversityPenalty: 0.5 }, 'diversityPenalty needs numBeamGroups above 1');
  });
});
