// Formats that are large, deep or hostile: they are compiled in slices, or refused soon, with a typed error.

import { describe, expect, it } from 'vitest';
import { constrain, type ResponseFormat, ResponseFormatError } from '../../src/constrain/index.js';
import { jsonSchemaGrammar } from '../../src/constrain/json-schema.js';
import { FormatError } from '../../src/core/errors.js';
import { byteTokenizer } from './byte-tokenizer.js';
import { write } from './write.js';

const tokenizer = await byteTokenizer();
const ofSchema = (schema: unknown): ResponseFormat => ({ type: 'json_schema', schema });
const nested = (depth: number, wrap: (inner: unknown) => unknown) => {
  let schema: unknown = { type: 'string' };
  for (let i = 0; i < depth; i++) schema = wrap(schema);
  return schema;
};
const words = (count: number) => Array.from({ length: count }, (_, i) => `w${i}x${i * 7919}`).join('|');
const repeated = (unit: string, count: number) => unit.repeat(count);

/** The most milliseconds of processor time between two turns of the event loop. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  let [longest, isRunning, last] = [0, true, process.cpuUsage()];
  const turn = () => {
    const { user, system } = process.cpuUsage(last);
    longest = Math.max(longest, (user + system) / 1000);
    last = process.cpuUsage();
    if (isRunning) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  isRunning = false;
  turn();
  return longest;
}

describe('a large format', () => {
  const accepted: Record<string, ResponseFormat> = {
    'a pattern of many words': ofSchema({ type: 'string', pattern: `^(${words(2300)})$` }),
    'a regular expression of many words': { regex: `(${words(2300)})` },
    'many empty groups': { regex: repeated('()', 16_000) },
    'many choices': { choices: words(10_000).split('|') },
    'many properties': ofSchema({
      properties: Object.fromEntries(
        words(500)
          .split('|')
          .map((name) => [name, { type: 'string' }]),
      ),
    }),
    'many values': ofSchema({ enum: words(19_000).split('|') }),
    'many definitions, each in the one before': ofSchema({
      $defs: Object.fromEntries(
        Array.from({ length: 2000 }, (_, i) => [
          i,
          { type: 'array', items: i < 1999 ? { $ref: `#/$defs/${i + 1}` } : { type: 'null' } },
        ]),
      ),
      $ref: '#/$defs/0',
    }),
    'a long string': ofSchema({ type: 'string', minLength: 5, maxLength: 6000 }),
    'a long grammar': { grammar: `root ::= ${Array.from({ length: 3000 }, (_, i) => `"w${i}"`).join(' | ')}` },
    'a pattern with a length': ofSchema({ type: 'string', pattern: '^[a-z]+( [a-z]+)*$', maxLength: 500 }),
  };
  it.each(Object.entries(accepted))('%s: does not block the event loop', async (_, format) => {
    // A slice takes 8 ms. Processor time includes that of the garbage collector and of the compiler, which work at any
    // time. So one of three compilations has to be smooth.
    const isSmooth = async () => (await longestPause(() => constrain(tokenizer, format))) < 250;
    expect((await isSmooth()) || (await isSmooth()) || (await isSmooth())).toBe(true);
  });

  it('with many values is read in many small steps', () => {
    const countSteps = (work: Iterator<void, unknown>) => {
      let steps = 1;
      while (!work.next().done) steps++;
      return steps;
    };
    const schema = { enum: words(19_000).split('|') };
    expect(countSteps(jsonSchemaGrammar(schema))).toBeGreaterThan(19_000 / 512);
  });

  it('gives correct masks', async () => {
    expect(words(2300).split('|')).toContain(
      await write(tokenizer, accepted['a regular expression of many words']!, 1),
    );
    expect(words(10_000).split('|')).toContain(await write(tokenizer, accepted['many choices']!, 1));
  });

  const refused: Record<string, readonly [format: ResponseFormat, message: RegExp]> = {
    'a pattern of 0.5 MB': [
      ofSchema({ type: 'string', pattern: `^(${words(30_000)})$` }),
      /a pattern has \d+ characters/,
    ],
    'nested repetitions': [{ regex: '((a{0,100}){0,100}){0,100}' }, /the format is too large/],
    'a minLength of 10⁹': [ofSchema({ type: 'string', minLength: 1e9 }), /the format is too large/],
    'a maxItems of 10⁹': [ofSchema({ items: { type: 'null' }, maxItems: 1e9 }), /the format is too large/],
    'anyOf in anyOf': [ofSchema(nested(16, (inner) => ({ anyOf: [inner, inner] }))), /more than 20000 values/],
    '100,000 values': [ofSchema({ enum: words(100_000).split('|') }), /more than 20000 values/],
    'a pattern whose length has too many cases': [
      ofSchema({ type: 'string', pattern: '(a|b)*a(a|b){20}$', maxLength: 10_000 }),
      /too many rules at once/,
    ],
  };
  it.each(Object.entries(refused))('%s: is refused', async (_, [format, message]) => {
    const error = await constrain(tokenizer, format).catch((error) => error);
    expect(error).toBeInstanceOf(ResponseFormatError);
    expect(error.message).toMatch(message);
  });
});

describe('a deep format', () => {
  const deep: Record<string, ResponseFormat> = {
    items: ofSchema(nested(5000, (items) => ({ type: 'array', items }))),
    properties: ofSchema(nested(1000, (a) => ({ type: 'object', properties: { a } }))),
    values: ofSchema({ const: nested(20_000, (inner) => [inner]) }),
    groups: { regex: `${'('.repeat(10_000)}a${')'.repeat(10_000)}` },
    'a tool': {
      type: 'tool_calls',
      tools: [{ name: 'f', parameters: nested(1000, (items) => ({ items })) as object & Record<string, unknown> }],
    },
  };
  it.each(Object.entries(deep))('is refused by a typed error: %s', async (_, format) => {
    const error = await constrain(tokenizer, format).catch((error) => error);
    expect(error).toBeInstanceOf(ResponseFormatError);
    expect(error.message).toMatch(/levels deep/);
  });

  it('is refused by a typed error: a grammar', async () => {
    const grammar = `root ::= ${'('.repeat(10_000)}"a"${')'.repeat(10_000)}`;
    await expect(constrain(tokenizer, { grammar })).rejects.toThrow(FormatError);
    await expect(constrain(tokenizer, { grammar })).rejects.toThrow('levels deep');
  });

  it('is accepted at 50 levels', async () => {
    const text = await write(
      tokenizer,
      ofSchema(nested(50, (items) => ({ type: 'array', items, minItems: 1 }))),
      1,
      2000,
    );
    expect(JSON.parse(text)).toBeInstanceOf(Array);
  });
});

it('a text with too many readings fails by a typed error', async () => {
  const { logitsProcessors } = await constrain(tokenizer, { regex: '([a-m]|[n-z])*[a-m].{9000}' });
  const tokens = tokenizer.encode('am'.repeat(4000));
  const scores = new Float32Array(tokenizer.vocabSize);
  const read = () => {
    logitsProcessors[0]?.(scores, tokens, { begin: 0, maxLength: 1e6 });
  };
  expect(read).toThrow(ResponseFormatError);
});
