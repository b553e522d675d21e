// Outputs longer than the model can read at once.

import { expect, it } from 'vitest';
import type { GenerateOptions, Transformer } from '../../src/index.js';
import { decoderOnly, expectClose, inputs, makeModel } from './small-model.js';

const maxLength = 8;
const options = { cropContext: true, maxNewTokens: 20, stopTokens: [] };
const prompts = [...inputs, Array.from({ length: 15 }, (_, i) => 3 + (i % 7))];

/**
 * Log-probabilities of the tokens after `prompt`. Each is given only as many preceding tokens as the model can read.
 */
async function scoresOf(model: Transformer, prompt: number[], tokens: number[]): Promise<number[]> {
  const scores: number[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const read = [...prompt, ...tokens.slice(0, at)].slice(-maxLength);
    const logits = ((await model.forward([read]).data()) as Float32Array).slice(-model.config.targetVocab);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    scores.push(logits[tokens[at]!]! - total);
  }
  return scores;
}

it.each<GenerateOptions>([
  {},
  { doSample: true, numReturnSequences: 2 },
  { numBeams: 3 },
  { numBeams: 2, doSample: true },
])('continues with the last tokens that the model can read: %o', async (search) => {
  const model = makeModel({ ...decoderOnly, maxLength }).eval();
  const result = await model.generate(prompts, { ...options, ...search });
  for (const [i, tokens] of result.sequences.entries()) {
    expect(tokens.length).toBe(20);
    expectClose(result.logProbabilities[i]!, await scoresOf(model, prompts[result.inputs[i]!]!, tokens));
  }
  model.dispose();
});

it('equals a shorter output at first, and greedy search chooses the most probable token', async () => {
  const model = makeModel({ ...decoderOnly, maxLength, positions: 'learned' }).eval();
  const short = await model.generate([[3]], { maxNewTokens: 8, stopTokens: [] });
  const long = await model.generate([[3]], options);
  expect(long.sequences[0]!.slice(0, 8)).toEqual(short.sequences[0]);
  const tokens = [3, ...long.sequences[0]!];
  for (let at = 1; at < tokens.length; at++) {
    const logits = (await model.forward([tokens.slice(Math.max(0, at - maxLength), at)]).data()).slice(-11);
    expect(tokens[at]).toBe(logits.indexOf(Math.max(...logits)));
  }
  model.dispose();
});

it('streams, stops and leaves the batch as usual', async () => {
  const model = makeModel({ ...decoderOnly, maxLength });
  const whole = await model.generate(prompts, options);
  const stop = (tokens: readonly number[]) => tokens.length > tokens[0]!;
  const left = await model.generate(prompts, { ...options, stop });
  left.sequences.forEach((tokens, i) => {
    expect(tokens).toEqual(whole.sequences[i]!.slice(0, tokens.length));
  });
  const streamed: number[] = [];
  for await (const { token } of model.stream([prompts[3]!], options)) streamed.push(token);
  expect(streamed).toEqual(whole.sequences[3]);
  model.dispose();
});

it("is off by default, and has no attention maps beyond the model's length", async () => {
  const model = makeModel({ ...decoderOnly, maxLength });
  await expect(model.generate([prompts[3]!])).rejects.toThrow("more than the model's maxLength");
  await expect(model.generate([[3]], { ...options, outputAttentions: true })).rejects.toThrow('outputAttentions');
  const { attentions } = await model.generate([[3]], { ...options, maxNewTokens: 8, outputAttentions: true });
  expect(attentions?.decoder[0]?.shape.at(-1)).toBe(8);
  model.dispose();
});

it('is recommended by the error for too many tokens, if it can help', async () => {
  for (const [kind, ends] of [
    [decoderOnly, 'maxLength is 8; cropContext: true goes on beyond it'],
    [{}, 'maxLength is 8'],
  ] as const) {
    const model = makeModel({ ...kind, maxLength });
    await expect(model.generate([[3]], { maxNewTokens: 9 })).rejects.toThrow(new RegExp(`${ends}$`));
    model.dispose();
  }
});
