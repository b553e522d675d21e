// Schemas of zod 4, as JSON Schema of both drafts and as they are: zod itself checks the answers.

import { expect, it } from 'vitest';
import { z } from 'zod';
import { constrain } from '../../src/constrain/index.js';
import { byteTokenizer } from './byte-tokenizer.js';
import { repeatedNames } from './repeated-names.js';
import { write } from './write.js';

const tokenizer = await byteTokenizer();

const tree = z.object({
  value: z.int().min(0).max(9),
  get children() {
    return z.array(tree).max(2);
  },
});

const schemas: Record<string, z.ZodType> = {
  record: z.record(z.string(), z.number()),
  'record of listed names': z.record(z.enum(['a', 'b']), z.boolean()),
  'record of some listed names': z.partialRecord(z.enum(['a', 'b']), z.boolean()),
  'record of names with a pattern': z.record(z.string().regex(/^[a-z]{3,}$/), z.null()),
  'discriminated union': z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
    z.object({ kind: z.literal(['square', 'rectangle']), sides: z.array(z.number()).max(3) }),
  ]),
  tuple: z.tuple([z.string().max(5), z.number()]),
  'tuple with a rest': z.tuple([z.boolean()]).rest(z.int()),
  date: z.iso.date(),
  'date-time': z.iso.datetime(),
  time: z.iso.time(),
  duration: z.iso.duration(),
  email: z.email(),
  'email with a length': z.email().max(30),
  uuid: z.uuid(),
  url: z.url(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  cidr: z.cidrv4(),
  base64: z.base64(),
  nanoid: z.nanoid(),
  'phone number': z.e164(),
  'pattern with a length': z
    .string()
    .regex(/^(ab|c)+$/)
    .min(3)
    .max(7),
  'start and end': z.string().startsWith('ab').endsWith('c').max(12),
  'template literal': z.templateLiteral(['v', z.int(), '.', z.int()]),
  optional: z.object({ a: z.string().optional(), b: z.nullable(z.number()), c: z.literal(7).default(7) }),
  recursive: tree,
  intersection: z.intersection(z.object({ a: z.boolean() }), z.object({ b: z.null() })),
  integers: z.object({ a: z.int(), b: z.number().int().gte(-3).lt(4), c: z.number().gt(0).lt(1) }),
};

it.each(Object.entries(schemas))('%s', async (_, schema) => {
  const drafts = (['draft-2020-12', 'draft-7'] as const).map((target) => z.toJSONSchema(schema, { target }));
  for (const [i, each] of [schema, ...drafts].entries())
    for (let seed = 0; seed < 6; seed++) {
      const written = await write(tokenizer, { type: 'json_schema', schema: each }, 10 * i + seed, 250);
      expect(repeatedNames(written), written).toEqual([]);
      expect(schema.safeParse(JSON.parse(written)).error, written).toBeUndefined();
    }
});

it('refuses a date that JSON cannot represent, with the error of zod', async () => {
  await expect(constrain(tokenizer, { type: 'json_schema', schema: z.object({ at: z.date() }) })).rejects.toThrow(
    /responseFormat: .*Date/,
  );
  await expect(constrain(tokenizer, { type: 'json_schema', schema: z.never() })).rejects.toThrow('nothing that ends');
});
