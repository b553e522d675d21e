// Texts that random scores write under a constraint: every one must be of its format.

import Ajv from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { constrain, type ResponseFormat } from '../../src/constrain/index.js';
import { createDevice, loadModel } from '../../src/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/huggingface.js';
import { byteTokenizer } from './byte-tokenizer.js';
import { repeatedNames } from './repeated-names.js';
import { BEGIN, tryDocument, write as writeWith } from './write.js';

const tokenizer = await byteTokenizer();
const ajv = new Ajv.default({ strict: false });

const write = (format: ResponseFormat, seed: number, max?: number) => writeWith(tokenizer, format, seed, max);

describe('a JSON Schema', () => {
  // SCHEMAS=100000 tries more of them, SCHEMAS_FROM=100000 others.
  const schemas = Number(process.env.SCHEMAS ?? 300);
  const first = Number(process.env.SCHEMAS_FROM ?? 0);
  it('is satisfied by every output, within maxNewTokens', { timeout: 60_000 + 500 * schemas }, async () => {
    const counts = { written: 0, refused: 0 };
    for (let seed = first; seed < first + schemas; seed++) {
      const { outcome, details } = await tryDocument(tokenizer, seed);
      expect(outcome, `seed ${seed}: ${details}`).not.toBe('wrong');
      if (outcome !== 'wrong') counts[outcome]++;
    }
    expect(counts.written, JSON.stringify(counts)).toBeGreaterThan(schemas / 3);
  });

  it('can be a zod schema', async () => {
    const schema = z.object({
      name: z.string().min(2).max(9),
      age: z.number().int().min(0).max(150),
      tags: z.array(z.enum(['a', 'b'])),
    });
    for (let seed = 0; seed < 20; seed++) schema.parse(JSON.parse(await write({ type: 'json_schema', schema }, seed)));
  });

  it.each([
    [{ type: 'object', patternProperties: {} }, /at # has 'patternProperties'/],
    [{ type: 'array', uniqueItems: true }, /'uniqueItems'/],
    [{ properties: { a: { not: { type: 'null' } } } }, /at #\/properties\/a has 'not'/],
    [{ type: 'number', multipleOf: 3 }, /'multipleOf'/],
    [{ type: 'string', pattern: '(?<=a)b' }, /assertions/],
    [{ type: 'string', pattern: '(a)\\1' }, /\\1/],
    [{ $ref: '#/$defs/none' }, /which is not there/],
    [{ type: 'integer', minimum: 3, maximum: 2 }, /no number/],
    [{ oneOf: [{ type: 'string' }, { minLength: 3 }] }, /one value may satisfy two branches/],
    [
      {
        $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } },
        $ref: '#/$defs/a',
      },
      /nothing that ends/,
    ],
  ])('is refused by name if it is not supported: %j', async (schema, message) => {
    await expect(constrain(tokenizer, { type: 'json_schema', schema })).rejects.toThrow(message);
  });
});

it('a regular expression, choices and a grammar are obeyed', async () => {
  const grammar = 'root ::= sum ("=" sum)? # an equation\nsum ::= [0-9]{1,3} (("+" | "-") sum)?';
  for (let seed = 0; seed < 30; seed++) {
    expect(await write({ regex: '[a-f]+(-[^a-z]{2}|ü)?\\.' }, seed)).toMatch(/^[a-f]+(-[^a-z]{2}|ü)?\.$/u);
    expect(['yes', 'no', 'yesterday']).toContain(await write({ choices: ['yes', 'no', 'yesterday'] }, seed));
    expect(await write({ grammar }, seed)).toMatch(/^\d{1,3}([+-]\d{1,3})*(=\d{1,3}([+-]\d{1,3})*)?$/);
    const json = await write({ type: 'json_object' }, seed);
    expect(JSON.parse(json)).toBeTypeOf('object');
    expect(repeatedNames(json), json).toEqual([]);
  }
});

it('allows every text of a format', async () => {
  const { logitsProcessors } = await constrain(tokenizer, { regex: 'tr(ue|"),?' });
  const allowed = (text: string) => {
    const tokens = [5, ...tokenizer.encode(text)];
    const scores = new Float32Array(tokenizer.vocabSize);
    logitsProcessors[0]?.(scores, tokens, { begin: BEGIN, maxLength: 100 });
    return [...scores.keys()].filter((id) => scores[id] === 0).map((id) => tokenizer.idToToken(id));
  };
  expect(allowed('').sort()).toEqual(['t', 'tr', 'true']);
  expect(allowed('tr').sort()).toEqual(['"', '",', 'u', 'ue']);
  expect(allowed('true')).toEqual([',']);
});

it('refuses invalid formats with clear errors', async () => {
  const refused = (format: unknown) => expect(constrain(tokenizer, format as ResponseFormat)).rejects;
  await refused({ grammar: 'root ::= root "a" | "a"' }).toThrow("the rule 'root' begins with itself");
  await refused({ grammar: 'root ::= (' }).toThrow('grammar, line 1');
  await refused({ grammar: 'a ::= "b"' }).toThrow("no rule 'root'");
  await refused({ regex: '[' }).toThrow(/responseFormat: Invalid regular expression/);
  await refused({ choices: [] }).toThrow('expected an array of texts');
  await refused({ type: 'xml' }).toThrow('expected one of json_schema, json_object');
  await refused({ rexeg: 'a' }).toThrow('none of type, regex, choices, grammar is given');
});

describe('a model under a constraint', () => {
  it('generates with the option of generate', async () => {
    const device = await createDevice({ threads: 1 });
    const model = await loadModel(device, 'test/data/gguf/qwen2.Q8_0.gguf');
    const prompt = [3, 4, 5];
    const own = model.tokenizer as PretrainedTokenizer;
    model.tokenizer = null as never;
    await expect(model.generate([prompt], { responseFormat: { choices: ['a'] } })).rejects.toThrow(
      'needs a model with a tokenizer',
    );
    model.tokenizer = own;
    const schema = {
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'string' } },
      required: ['a', 'b'],
    };
    const responseFormat = { type: 'json_schema', schema } as const;
    for (const more of [{}, { numBeams: 3 }, { doSample: true, seed: 4 }]) {
      const { sequences } = await model.generate([prompt, [7]], { responseFormat, maxNewTokens: 40, ...more });
      for (const ids of sequences) expect(ajv.validate(schema, JSON.parse(own.decode(ids)))).toBe(true);
    }
    await expect(model.generate([prompt], { responseFormat, maxNewTokens: 5 })).rejects.toThrow('Raise maxNewTokens');
    device.dispose();
  });
});
