// The JSON Schemas of the OpenAPI document accept the bodies that the server accepts. ajv is the reference.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it, type MockInstance, vi } from 'vitest';
import { chatCompletions } from '../../src/server/chat-completions.js';
import { completions } from '../../src/server/completions.js';
import { embeddings } from '../../src/server/embeddings.js';
import { ApiError } from '../../src/server/errors.js';
import { ModelPool } from '../../src/server/model-pool.js';
import { jsonOf, read, string } from '../../src/server/schema.js';

const ajv = new Ajv2020({ strict: false });
const settings = { parallel: 1, context: 16, maxWaiting: 1, imageHosts: [] };
const models = await ModelPool.open({}, { ...settings, keepAliveSeconds: 0, maxMemoryBytes: 1 });
const bodies = {
  chat: chatCompletions(models).body,
  completion: completions(models).body,
  embedding: embeddings(models).body,
};

const messages = [{ role: 'user', content: 'x' }];
const chat = { model: 'm', messages };
const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: null } } } };
const called = { id: '1', type: 'function', function: { name: 'f', arguments: '{}' } };
const format = (schema: unknown) => ({ type: 'json_schema', json_schema: { name: 'n', schema } });
const GIVEN: readonly [kind: keyof typeof bodies, body: unknown, isValid: boolean][] = [
  ['chat', chat, true],
  ['chat', { ...chat, temperature: null, tools: null, functions: null, stop: ['a', 'b'] }, true],
  ['chat', { ...chat, tools: [tool], tool_choice: { type: 'function', function: { name: 'f' } } }, true],
  ['chat', { ...chat, messages: [{ role: 'assistant', tool_calls: [called] }] }, true],
  ['chat', { ...chat, messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }] }] }, true],
  ['chat', { ...chat, response_format: format({ type: 'string' }), logit_bias: { 5: -100 }, seed: -1 }, true],
  ['chat', { ...chat, stream: true, stream_options: { include_usage: true }, logprobs: true, top_logprobs: 1 }, true],
  ['chat', { ...chat, user: '😀'.repeat(512) }, true],
  ['chat', { ...chat, user: '😀'.repeat(513) }, false],
  ['chat', [], false],
  ['chat', { model: 'm' }, false],
  ['chat', { messages }, false],
  ['chat', { ...chat, messages: [] }, false],
  ['chat', { ...chat, messages: [{ role: 'user' }] }, false],
  ['chat', { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] }, false],
  ['chat', { ...chat, messages: [{ role: 'nobody', content: 'x' }] }, false],
  ['chat', { ...chat, temprature: 1 }, false],
  ['chat', { ...chat, temperature: 3 }, false],
  ['chat', { ...chat, n: 1.5 }, false],
  ['chat', { ...chat, functions: [] }, false],
  ['chat', { ...chat, stream_options: {} }, false],
  ['chat', { ...chat, top_logprobs: 1 }, false],
  ['chat', { ...chat, logit_bias: { a: 1 } }, false],
  ['chat', { ...chat, response_format: format([]) }, false],
  ['chat', { ...chat, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'all', tools: [] } } }, false],
  ['completion', { model: 'm', prompt: 'x', n: 2, logprobs: 5 }, true],
  ['completion', { model: 'm', prompt: ['x', 'y'] }, true],
  ['completion', { model: 'm', prompt: [0] }, true],
  ['completion', { model: 'm', prompt: ['x', 0] }, false],
  ['completion', { model: 'm', prompt: [] }, false],
  ['completion', { model: 'm' }, false],
  ['embedding', { model: 'm', input: 'x', truncate: true, encoding_format: 'base64' }, true],
  ['embedding', { model: 'm', input: '' }, false],
  ['embedding', { model: 'm', input: ['x'], truncate: 'yes' }, false],
];

const validators = Object.fromEntries(Object.entries(bodies).map(([kind, body]) => [kind, ajv.compile(jsonOf(body!))]));

it.each(GIVEN)('%s, body %#', (kind, body, isValid) => {
  const schema = bodies[kind]!;
  expect(validators[kind]!(body)).toBe(isValid);
  if (isValid) expect(read(schema, body)).toMatchObject({ model: 'm' });
  else expect(() => read(schema, body)).toThrow(ApiError);
});

it('names the innermost wrong field, and the expected value', () => {
  const problem = (body: unknown) => {
    try {
      return read(bodies.chat!, body);
    } catch (error) {
      return error;
    }
  };
  expect(problem({ ...chat, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'all' } } })).toMatchObject({
    param: 'tool_choice.allowed_tools.mode',
    message: `'tool_choice.allowed_tools.mode' is "all", expected one of auto, required`,
  });
  expect(problem({ ...chat, stop: ['a', ''] })).toMatchObject({ param: 'stop[1]', code: 'invalid_value' });
  expect(problem({ ...chat, audio: {} })).toMatchObject({ param: 'audio', code: 'unsupported_parameter' });
});

it('counts the characters of a text only if they decide, because a text may have millions', () => {
  const name = string({ minLength: 2, maxLength: 4 });
  const isRead = (text: string, schema = name) => {
    try {
      return read(schema, text) === text;
    } catch {
      return false;
    }
  };
  const accepted = ['', 'a', 'ab', 'abcd', 'abcde', '😀', '😀😀', '😀😀😀😀', '😀😀😀😀a', 'x'.repeat(9)].filter(
    (text) => isRead(text),
  );
  expect(accepted).toEqual(['ab', 'abcd', '😀😀', '😀😀😀😀']);
  const iterated: MockInstance = vi.spyOn(String.prototype, Symbol.iterator as never);
  try {
    expect(isRead('x'.repeat(1e6), string({ minLength: 1 }))).toBe(true);
    expect(isRead('x'.repeat(1e6))).toBe(false);
    expect(iterated).not.toHaveBeenCalled();
  } finally {
    iterated.mockRestore();
  }
});
