// Fuzzes response formats: JSON schemas, regular expressions, grammars and tools. Compiling must succeed, or throw an error
// of this package. A compiled format must always allow a token or the end, until there is no room. To run it for 30 seconds:
//
//   npm run fuzz -- schema 30
import assert from 'node:assert';
import { constrain } from '../../src/constrain/index.js';
import { Random } from '../../src/core/random.js';
import { byteTokenizer } from '../constrain/byte-tokenizer.js';
import { randomSchema } from '../constrain/schemas.js';
import { checked, withoutTraces } from './checked.js';
import { jsonVariants } from './json-variants.js';
import { randomOf } from './variants.js';

type Format = Parameters<typeof constrain>[1];

const schemas = Array.from({ length: 60 }, (_, seed) => randomSchema(new Random(seed, 1), 3));
const seeds: Format[] = [
  ...schemas.map((schema) => ({ type: 'json_schema' as const, schema })),
  { type: 'json_schema', json_schema: { schema: { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#' }, {}] } } } } },
  { type: 'json_object' },
  { regex: '^(?<year>\\d{4})-(?:0[1-9]|1[0-2])(?!-00)(?=-)-\\d\\d$' },
  { choices: ['yes', 'no', 'maybe'] },
  { grammar: 'root ::= (expr "=" ws num "\\n")+\nexpr ::= num ([-+*/] num)*\nnum ::= [0-9]+ ws\nws ::= [ \\t]{0,2}' },
  {
    type: 'tool_calls',
    syntax: 'hermes',
    optional: true,
    parallel: true,
    tools: [{ name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] } }],
  },
];

const tokenizer = await byteTokenizer();
const MAX_TOKENS = 24;

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    const below = randomOf(bytes);
    const text = bytes.toString();
    for (const format of [{ regex: text }, { grammar: text }, ...jsonVariants<Format>(bytes, seeds, 40)])
      await checked(format, () => write(format, below));
  });
}

/** Writes a text of random allowed tokens. */
async function write(format: Format, below: (count: number) => number): Promise<void> {
  const { logitsProcessors, stop } = await constrain(tokenizer, format);
  const tokens: number[] = [];
  while (tokens.length < MAX_TOKENS && !stop(tokens)) {
    const scores = new Float32Array(tokenizer.vocabSize);
    for (const process of logitsProcessors) process(scores, tokens, { begin: 0, maxLength: MAX_TOKENS } as never);
    const allowed = [...scores.keys()].filter((token) => scores[token] === 0);
    assert.ok(allowed.length > 0, 'no token is allowed');
    const token = allowed[below(allowed.length)] as number;
    if (token === tokenizer.eosId) return;
    tokens.push(token);
  }
}
