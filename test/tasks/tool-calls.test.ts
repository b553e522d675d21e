import { describe, expect, it } from 'vitest';
import { withParsedArguments, withReadyCalls } from '../../src/tasks/chat/call-arguments.js';
import { parseToolCalls } from '../../src/tasks/index.js';

const UNIQUE = expect.stringMatching(/^call_[A-Za-z0-9]{24}$/) as unknown as string;
const call = (id: string, name: string, args: object) => ({ id, name, arguments: args });

describe('parseToolCalls', () => {
  it('names values of other types', () => {
    expect(() => parseToolCalls(null as never, [])).toThrow('parseToolCalls: answer is null, expected a text');
    expect(() => parseToolCalls('x', 'f' as never)).toThrow('parseToolCalls: names is "f", expected an array of names');
  });

  it.each<[string, string, object]>([
    ['text alone', 'Hello.', { text: 'Hello.', calls: [] }],
    [
      'two in tags, with text',
      'Well.\n<tool_call>\n{"name": "a", "arguments": {"x": 1}}\n</tool_call>\n<tool_call>{"name":"b"}</tool_call>',
      { text: 'Well.', calls: [call(UNIQUE, 'a', { x: 1 }), call(UNIQUE, 'b', {})] },
    ],
    ['without the end tag', '<tool_call>{"name":"a"}', { text: '', calls: [call(UNIQUE, 'a', {})] }],
    [
      'one that is none beside one that is',
      '<tool_call>{oops}</tool_call> <tool_call>{"name":"a"}</tool_call>',
      { text: '<tool_call>{oops}</tool_call>', calls: [call(UNIQUE, 'a', {})] },
    ],
    [
      'arguments as JSON in text',
      '<tool_call>{"name":"a","arguments":"{\\"x\\":[1]}"}</tool_call>',
      { text: '', calls: [call(UNIQUE, 'a', { x: [1] })] },
    ],
    [
      "Mistral's list, with ids",
      'Hm. [TOOL_CALLS] [{"name":"a","arguments":{"x":"]"},"id":"abcdefghi"},{"name":"b","arguments":{}}]',
      { text: 'Hm.', calls: [call('abcdefghi', 'a', { x: ']' }), call(UNIQUE, 'b', {})] },
    ],
    [
      "Mistral's later form",
      '[TOOL_CALLS]a[ARGS]{"x": 1}[TOOL_CALLS]b{"y": {}}[TOOL_CALLS]c[CALL_ID]123456789[ARGS]{}',
      {
        text: '',
        calls: [call(UNIQUE, 'a', { x: 1 }), call(UNIQUE, 'b', { y: {} }), call('123456789', 'c', {})],
      },
    ],
    [
      "Llama's, several",
      '<|python_tag|>{"name": "a", "parameters": {"x": "};{"}}; {"name": "b", "parameters": {}}',
      { text: '', calls: [call(UNIQUE, 'a', { x: '};{' }), call(UNIQUE, 'b', {})] },
    ],
    ['by itself', ' {"name": "a", "parameters": {"x": null}}\n', { text: '', calls: [call(UNIQUE, 'a', { x: null })] }],
    ['by itself, of no tool', '{"name": "z"}', { text: '{"name": "z"}', calls: [] }],
    ['JSON that is not a call', '{"a": 1}', { text: '{"a": 1}', calls: [] }],
    ['arguments that are not an object', '<tool_call>{"name":"a","arguments":3}</tool_call>', { calls: [] }],
  ])('%s', (_, answer, expected) => {
    expect(parseToolCalls(answer, ['a', 'b'])).toMatchObject(expected);
  });
});

it('parses arguments of earlier calls for templates, and leaves invalid JSON unchanged', () => {
  const call = (given: string | object) => ({ id: 'a', function: { name: 'weather', arguments: given as string } });
  const message = (...given: (string | object)[]) => ({ role: 'assistant', content: '', tool_calls: given.map(call) });
  const rest = [
    { role: 'user', content: '{"city": 1}' },
    { role: 'assistant', content: 'x', tool_calls: null },
  ];
  expect(withParsedArguments([message('{"city": "Oslo"}', '', '{"city"', '[1]', { n: 1 }), ...rest])).toEqual([
    message({ city: 'Oslo' }, {}, '{"city"', '[1]', { n: 1 }),
    ...rest,
  ]);
});

it('numbers random ids for templates, so that equal conversations have equal prompts', () => {
  const conversation = (first: string, second: string) => [
    { role: 'assistant', tool_calls: [first, 'own'].map((id) => ({ id, function: { name: 'a', arguments: {} } })) },
    { role: 'tool', content: '1', tool_call_id: first },
    { role: 'tool', content: '2', tool_call_id: 'own' },
    { role: 'assistant', tool_calls: [{ id: second, function: { name: 'a', arguments: {} } }] },
    { role: 'tool', content: '3', tool_call_id: second },
  ];
  const ids = () => parseToolCalls('{"name": "a"};{"name": "a"}', ['a']).calls.map(({ id }) => id) as [string, string];
  const [one, other] = [ids(), ids()];
  expect(new Set([...one, ...other]).size).toBe(4);
  expect(withReadyCalls(conversation(...one))).toEqual(conversation('call00001', 'call00003'));
  expect(withReadyCalls(conversation(...other))).toEqual(conversation('call00001', 'call00003'));
});
