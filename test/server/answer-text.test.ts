import { describe, expect, it } from 'vitest';
import { textAfter } from '../../src/server/answer-text.js';
import { joined, ToolCalls } from '../../src/server/tool-calls.js';
import { StopStrings } from '../../src/tasks/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/huggingface.js';
import { ByteTokenizer } from '../../src/tokenizers/index.js';

/** A text cut into pieces of this many characters. */
const cut = (text: string, size: number) => text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
const sizes = [1, 2, 3, 7, 100];

describe('text of tokens as they come', () => {
  it('has only whole characters, and is complete at the end', () => {
    const tokenizer = new ByteTokenizer() as unknown as PretrainedTokenizer;
    const text = 'aé漢😀b';
    const pieces = textAfter(tokenizer, tokenizer.encode('before: ü'), true);
    const told = tokenizer.encode(text).map((id) => pieces.push(id));
    expect(told.filter((piece) => piece !== '')).toEqual([...text]);
    const broken = tokenizer.encode('é').slice(0, 1);
    expect(broken.map((id) => pieces.push(id))).toEqual(['']);
    expect(pieces.end()).toBe('');
  });

  it.each(sizes)('ends before the first stop string, in pieces of %i characters', (size) => {
    const read = (text: string, stops: string[]) => {
      const stopping = new StopStrings(stops);
      let told = '';
      for (const piece of cut(text, size)) {
        told += stopping.push(piece);
        if (stopping.stopped) return told;
      }
      return told + stopping.end();
    };
    expect(read('one two three', ['three', 'two'])).toBe('one ');
    expect(read('aab aabaab', ['aabaab'])).toBe('aab ');
    expect(read('one two', ['twos'])).toBe('one two');
    expect(read('aaab', ['aab'])).toBe('a');
  });
});

const UNIQUE = expect.stringMatching(/^call_[A-Za-z0-9]{24}$/);

describe('calls of tools', () => {
  const called = (name: string, written: string) => ({ type: 'function', function: { name, arguments: written } });

  it.each(sizes)('are found in generated text, in pieces of %i characters', (size) => {
    const read = (text: string) => {
      const reader = new ToolCalls(['add']).reader();
      return joined([...cut(text, size).map((piece) => reader.push(piece)), reader.end()]);
    };
    const one = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>';
    expect(read(`Let me see. ${one}\n${one.replace('1', '2')}`)).toEqual({
      content: 'Let me see. ',
      calls: [
        { id: UNIQUE, ...called('add', '{"a": 1}') },
        { id: UNIQUE, ...called('add', '{"a": 2}') },
      ],
    });
    expect(read('{"name": "add", "parameters": {"b": [2]}}').calls).toMatchObject([called('add', '{"b": [2]}')]);
    const list =
      '[TOOL_CALLS] [{"name": "add", "arguments": {"a": "[TOOL_CALLS]}\\\\\\""}}, {"name": "b", "arguments": {}}]';
    expect(read(list).calls).toMatchObject([called('add', '{"a": "[TOOL_CALLS]}\\\\\\""}'), called('b', '{}')]);
    expect(read('[TOOL_CALLS]add[ARGS]{"a": {}}[TOOL_CALLS]b{}').calls).toMatchObject([
      called('add', '{"a": {}}'),
      called('b', '{}'),
    ]);
    expect(read('[TOOL_CALLS]add[CALL_ID]a1B2c3D4e[ARGS] {"a": 1}').calls).toEqual([
      { id: 'a1B2c3D4e', ...called('add', '{"a": 1}') },
    ]);
    expect(read('<tool_call>{"arguments": {"a": 1}, "name": "add"}').calls).toMatchObject([called('add', '{"a":1}')]);
    for (const text of ['no call', 'a <tool_call> that is none', '<tool_cal', '{"name": 1}', '{ is a brace'])
      expect(read(text)).toEqual({ content: text, calls: [] });
  });
});
