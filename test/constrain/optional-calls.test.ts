// Calls that a model decides on. Its output is text until it begins as a call. From there on, it is a call of one of
// the tools, with arguments that fit its schema.

import { Ajv } from 'ajv';
import { expect, it } from 'vitest';
import { callSyntaxOf } from '../../src/constrain/call-syntax.js';
import { constrain } from '../../src/constrain/index.js';
import { Random } from '../../src/core/random.js';
import { parseToolCalls } from '../../src/tasks/chat/tool-calls.js';
import { byteTokenizer } from './byte-tokenizer.js';

const tokenizer = await byteTokenizer();
const weather = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 6 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const tools = [{ name: 'weather', parameters: weather }, { name: 'other' }];
const isWeather = new Ajv({ strict: false }).compile(weather);

/** Begins with `begin`, every token of which must be allowed, and goes on at random. */
async function write(template: string, begin: string, seed: number, parallel = true): Promise<string> {
  const format = { type: 'tool_calls', tools, syntax: callSyntaxOf(template), optional: true, parallel } as const;
  const { logitsProcessors, stop } = await constrain(tokenizer, format);
  const random = new Random(seed, 9);
  const given = tokenizer.encode(begin, { addSpecial: false });
  const max = given.length + 160;
  const tokens: number[] = [];
  while (tokens.length < max) {
    const next = given[tokens.length];
    const scores = Float32Array.from({ length: tokenizer.vocabSize }, (_, id) =>
      next === undefined ? random.below(1 << 20) : Number(id === next),
    );
    for (const processor of logitsProcessors) processor(scores, tokens, { begin: 0, maxLength: max });
    const best = scores.indexOf(Math.max(...scores));
    if (next !== undefined && best !== next) throw new Error(`${begin}: '${tokenizer.decode([next])}' is not allowed`);
    if (best === 0) break;
    tokens.push(best);
    if (stop(tokens)) break;
  }
  return tokenizer.decode(tokens);
}

const templates = {
  hermes: ['<tool_call>', 'Well <<tool <tool_call>'],
  mistral: ['[TOOL_CALLS]', 'Well [[TOOL [TOOL_CALLS]'],
  tekken: ['[TOOL_CALLS][ARGS]', '[TOOL_CALLS]'],
  llama: ['"parameters": <|python_tag|>', ' {'],
  bare: ['', '{'],
} as const;

it.each(Object.entries(templates))('%s: text that begins as a call becomes a call', async (_, [template, begin]) => {
  const named = new Set<string>();
  for (let seed = 0; seed < 12; seed++) {
    const answer = await write(template, begin, seed);
    const { calls } = parseToolCalls(answer, ['weather', 'other']);
    expect(calls.length, answer).toBeGreaterThan(0);
    for (const { name, arguments: given } of calls) {
      named.add(name);
      if (name === 'weather') expect(isWeather(given), answer).toBe(true);
    }
  }
  expect([...named].sort()).toEqual(['other', 'weather']);
});

it.each(Object.entries(templates))('%s: other text is unrestricted', async (_, [template]) => {
  for (const begin of ['Hello! <tool_cal [TOOL_CALL] é {', '<<b>1 < 2</b> [[1], 2]', 'x {"name": "weather"}'])
    expect(await write(template, begin, 3)).toContain(begin);
});

it('JSON at the beginning of an answer is a call if calls have no mark, and only one call is allowed unless more are requested', async () => {
  await expect(write('', '{"a', 1)).rejects.toThrow('is not allowed');
  for (let seed = 0; seed < 6; seed++)
    expect(parseToolCalls(await write('<tool_call>', '<tool_call>', seed, false), ['weather']).calls.length).toBe(1);
});
