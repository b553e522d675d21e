// Callers without types: each option is given a wrong type and a wrong name, and is left out where it is needed.

import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { CALL_SYNTAXES } from '../../src/constrain/call-syntax.js';
import { constrain, type ResponseFormat, ResponseFormatError } from '../../src/constrain/index.js';
import { parseTokenizer } from '../../src/tokenizers/index.js';
import { byteTokenizer } from './byte-tokenizer.js';
import { write } from './write.js';

const tokenizer = await byteTokenizer();
const refusal = async (format: unknown): Promise<Error> => {
  const error = await constrain(tokenizer, format as ResponseFormat).catch((error) => error);
  expect(error).toBeInstanceOf(ResponseFormatError);
  return error;
};

const tools = [{ name: 'f', parameters: { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] } }];
const whole: Record<string, Record<string, unknown>> = {
  json_schema: { type: 'json_schema', schema: { type: 'string' } },
  'OpenAI’s json_schema': { type: 'json_schema', json_schema: { schema: { type: 'string' } } },
  json_object: { type: 'json_object' },
  regex: { regex: 'a' },
  choices: { choices: ['a'] },
  grammar: { grammar: 'root ::= "a"' },
  tool_calls: { type: 'tool_calls', tools, syntax: 'json', optional: false, parallel: true },
};
const cases = Object.entries(whole).flatMap(([name, format]) =>
  Object.keys(format).map((option) => [name, option] as const),
);

it.each(cases)('%s: %s refuses values of the wrong type', async (name, option) => {
  const format = whole[name] as Record<string, unknown>;
  for (const [value, shown] of [
    [7, '7'],
    [null, 'null'],
    [() => {}, 'a function'],
    ['wrong', '"wrong"'],
  ] as const) {
    if (typeof value === 'string' && ['regex', 'grammar'].includes(option)) continue; // any text is right
    if (value === null && Object.keys(format).length === 1) continue; // null means none
    const { message } = await refusal({ ...format, [option]: value });
    expect(message).toContain(`responseFormat: ${option} is ${shown}, expected `);
  }
});

it.each(Object.entries(whole))('%s: refuses a misspelt option', async (_, format) => {
  expect((await refusal({ ...format, sintax: 1 })).message).toContain('there is no option sintax');
});

it('names the accepted values', async () => {
  expect((await refusal({ type: 'xml' })).message).toContain('one of json_schema, json_object, tool_calls');
  expect((await refusal({ type: 'tool_calls', tools, syntax: 'xml' })).message).toContain(
    `one of ${Object.keys(CALL_SYNTAXES).join(', ')}, or an object of the texts begin, end`,
  );
  expect((await refusal({ type: 'tool_calls', tools, syntax: { open: '' } })).message).toContain(
    'the texts begin, end',
  );
  expect((await refusal({ type: 'json_schema' })).message).toContain('schema is missing, expected a JSON Schema');
  expect((await refusal({ type: 'tool_calls' })).message).toContain('tools is empty or missing');
  expect((await refusal({ type: 'tool_calls', tools: ['f'] })).message).toContain(
    'tools[0] is "f", expected an object',
  );
  expect((await refusal({ type: 'tool_calls', tools: [{}] })).message).toContain('tools[0].name is missing');
  expect((await refusal({ type: 'tool_calls', tools: [{ name: 3 }] })).message).toContain('tools[0].name is 3');
  expect((await refusal({ type: 'tool_calls', tools: [{ name: 'f', parameters: 'x' }] })).message).toContain(
    'tools[0].parameters is "x", expected an object',
  );
  for (const [wrapped, problem] of [
    [{ type: 'function', function: { parameters: {} } }, 'tools[0].function.name is missing'],
    [{ type: 'function', function: 'f' }, 'tools[0].function is "f", expected an object'],
    [{ type: 'web_search', function: { name: 'f' } }, 'tools[0].type is "web_search", expected'],
  ] as const)
    expect((await refusal({ type: 'tool_calls', tools: [wrapped] })).message).toContain(problem);
  const misspelt = { type: 'tool_calls', tools: [{ name: 'f', parametres: {} }] };
  expect((await refusal(misspelt)).message).toContain('responseFormat: tools[0]: there is no option parametres, only');
  expect((await refusal({})).message).toContain('none of type, regex, choices, grammar is given');
  expect((await refusal('json')).message).toContain('the value is "json", expected an object with one of type');
  expect((await refusal({ type: 'json_schema', schema: { const: 1n } })).message).toContain('1n in it, expected JSON');
});

it('a call is refused only if its shortest text has more tokens than are left', async () => {
  const { tokenizer: json, special } = JSON.parse(await readFile('test/tokenizers/chat.json', 'utf8'));
  const bpe = await parseTokenizer(json, special);
  const call = '<tool_call>\n{"name": "f", "arguments": {"a": true}}\n</tool_call>';
  const tokens = bpe.encode(call, { addSpecial: false }).length;
  expect(tokens).toBeLessThan(0.7 * call.length);
  const format = { type: 'tool_calls', tools, syntax: 'hermes' } as const;
  for (let seed = 0; seed < 8; seed++)
    for (const max of [tokens + 2, tokens + 9]) expect(await write(bpe, format, seed, max)).toMatch(/<\/tool_call>$/);
  await expect(write(bpe, format, 0, tokens - 1)).rejects.toThrow(
    /more tokens than are left: after 0 generated tokens/,
  );
});

it('tool calls have a named syntax, or that of the chat template', async () => {
  const own = await byteTokenizer();
  const text = (format: object) => write(own, { type: 'tool_calls', tools, ...format }, 1);
  expect(JSON.parse(await text({ syntax: 'json' }))).toMatchObject({
    name: 'f',
    arguments: { a: expect.any(Boolean) },
  });
  expect(JSON.parse(await text({}))).toMatchObject({ name: 'f', arguments: {} });
  const described = tools.map((tool) => ({ ...tool, description: 'Does something' }));
  expect(await text({ tools: described })).toBe(await text({}));
  const wrapped = described.map((tool) => ({ type: 'function', function: { ...tool, strict: true } }));
  expect(await text({ tools: wrapped })).toBe(await text({}));
  expect(JSON.parse(await text({ syntax: 'llama' }))).toMatchObject({ name: 'f', parameters: {} });
  own.chatTemplate = '{{ "<tool_call>" }}';
  expect(await text({})).toMatch(/^<tool_call>\n\{"name": "f", "arguments": \{.*\}\}\n<\/tool_call>$/);
  expect(await text({ syntax: 'mistral-args' })).toMatch(/^\[TOOL_CALLS\]f\[ARGS\]\{.*\}$/);
});
