// Values that callers without types may give.

import { expect, it } from 'vitest';
import { ArgumentError, type GenerateOptions } from '../../src/index.js';
import { inputs, makeModel } from './small-model.js';

const wrong: Record<string, unknown> = {
  'the options are null': null,
  'signal is an object, expected an AbortSignal': { signal: {} },
  'onToken is 3, expected a function': { onToken: 3 },
  'onDraft is 3, expected a function': { onDraft: 3 },
  'stop is "end", expected a function': { stop: 'end' },
  'logitsProcessors is null, expected an array of functions': { logitsProcessors: null },
  'logitsProcessors[1] is "topK", expected a function': { logitsProcessors: [() => {}, 'topK'] },
  'logitsProcessors[0] is undefined': { logitsProcessors: [undefined] },

  'stopTokens is null, expected an array': { stopTokens: null },
  'prefix is an array, expected tokens, or a row of tokens for each input': { prefix: [[3], 4, 5] },
};

it.each(Object.entries(wrong))('%s', async (message, options) => {
  const model = makeModel();
  const failure = expect(model.generate(inputs, options as GenerateOptions)).rejects;
  await failure.toThrow(ArgumentError);
  await failure.toThrow(message);
  model.dispose();
});
