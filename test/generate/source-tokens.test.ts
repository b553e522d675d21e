// Options about the tokens of the source, or of the prompt, compared with transformers (make_source_tokens.py).
import { afterAll, describe, expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/index.js';
import { createDevice } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/load-later.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import cases from './source-tokens.json' with { type: 'json' };

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe('encoderNoRepeatNgramSize and encoderRepetitionPenalty', async () => {
  const models = new Map<string, LoadedModel>();
  for (const name of ['gpt2', 't5']) {
    const data = testData('reference');
    const files = ['config.json', 'model.safetensors'].map(async (file) => [file, await data.bytes(`${name}/${file}`)]);
    models.set(name, await loadModel<LoadedModel>(device, Object.fromEntries(await Promise.all(files))));
  }

  it.each(cases)('$model, $settings after $prompt', async ({ model: name, settings, prompt, tokens }) => {
    const options = Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [
        key.replace(/_(.)/g, (_, letter) => letter.toUpperCase()),
        value,
      ]),
    ) as GenerateOptions;
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
