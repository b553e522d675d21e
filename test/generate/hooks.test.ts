// What callers without types may give.

import { expect, it } from 'vitest';
import { ArgumentError, type GenerateOptions } from '../../src/index.js';
import { inputs, makeModel } from './small-model.js';

const wrong: Record<string, unknown> = {
  'the options are null': null,
  'signal is no AbortSignal': { signal: {} },
  'onToken is no function': { onToken: 3 },
  'stop is no function': { stop: 'end' },
  'logitsProcessors is no array of functions': { logitsProcessors: null },
  'stopTokens is no array': { stopTokens: null },
  'prefix is neither': { prefix: [[3], 4, 5] },
};

it.each(Object.entries(wrong))('%s', async (message, options) => {
  const model = makeModel();
  const failure = expect(model.generate(inputs, options as GenerateOptions)).rejects;
  await failure.toThrow(ArgumentError);
  await failure.toThrow(message);
  model.dispose();
});
