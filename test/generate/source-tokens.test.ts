// Options about the tokens of the source, or of the prompt, compared with transformers (make_source_tokens.py).
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { optionsFor, referenceModels } from './reference-models.js';
import cases from './source-tokens.json' with { type: 'json' };

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe('encoderNoRepeatNgramSize and encoderRepetitionPenalty', async () => {
  const models = await referenceModels(device, ['gpt2', 't5']);

  it.each(cases)('$model, $settings after $prompt', async ({ model: name, settings, prompt, tokens }) => {
    const options = optionsFor(settings);
    const result = await models.get(name)!.generate([prompt], { ...options, maxNewTokens: 10, forcedEosTokenId: null });
    expect(result.sequences).toEqual([tokens]);
  });

  it('changes nothing with neutral values', async () => {
    const model = models.get('t5')!;
    const [prompt] = cases.map(({ prompt }) => prompt) as [number[]];
    const neutral = { encoderNoRepeatNgramSize: 0, encoderRepetitionPenalty: 1 };
    const [plain, same] = [await model.generate([prompt]), await model.generate([prompt], neutral)];
    expect(same).toEqual(plain);
  });
});
