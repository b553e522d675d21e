// Answers of gpt-oss, whose messages are in channels: openai/harmony's documentation has such texts.
import { expect, it } from 'vitest';
import { AnswerStream, answerText } from '../../src/tasks/chat/answer-stream.js';
import { GemmaFilter } from '../../src/tasks/chat/gemma-channels.js';
import { HarmonyFilter } from '../../src/tasks/chat/harmony.js';
import { MistralFilter } from '../../src/tasks/chat/mistral-thoughts.js';
import { parseToolCalls, ReasoningFilter } from '../../src/tasks/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/index.js';

const cases: readonly [answer: string, wanted: string][] = [
  [
    '<|channel|>analysis<|message|>2 + 2 is 4.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.',
    '<think>\n2 + 2 is 4.\n</think>\n\nIt is 4.',
  ],
  ['<|channel|>final<|message|>a < b and <|b', 'a < b and <|b'],
  ['Text without channels, 1 < 2', 'Text without channels, 1 < 2'],
  ['to=day', 'to=day'],
  [' to the sea', ' to the sea'],
  [
    '<|start|>assistant to=functions.now<|channel|>commentary<|message|>{}',
    '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
  ],
  ['<|channel|>analysis<|message|>It was cut he', '<think>\nIt was cut he'],
  [
    '<|channel|>analysis<|message|>First.<|end|><|start|>assistant<|channel|>analysis<|message|>Second.<|end|>' +
      '<|start|>assistant<|channel|>commentary<|message|>I look it up.<|end|>' +
      '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Rome"}',
    '<think>\nFirst.\n\nSecond.\n</think>\n\nI look it up.<tool_call>\n{"name": "get_weather", "arguments": {"city":"Rome"}}\n</tool_call>',
  ],
  [
    ' to=functions.now<|channel|>commentary<|message|><|call|>',
    '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>',
  ],
];

it.each(cases)('translates %j', (answer, wanted) => {
  for (const size of [1, 2, 3, 7, 1000]) {
    const filter = new HarmonyFilter();
    const pieces = (answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map((piece) => filter.push(piece));
    expect(pieces.join('') + filter.end(), `pieces of ${size}`).toBe(wanted);
  }
});

/** Answers of Gemma 4, whose chat template has such texts. */
const gemma: readonly [answer: string, wanted: string][] = [
  ['<|channel>thought\n2 + 2 is 4.\n<channel|>It is 4.<turn|>', '<think>\n2 + 2 is 4.\n\n</think>\n\nIt is 4.'],
  ['Text, 1 < 2 <b> and <|ch', 'Text, 1 < 2 <b> and <|ch'],
  ['<|channel>thought\nIt was cut he', '<think>\nIt was cut he'],
  ['<|channel>other\nNo reasoning.<channel|>', 'No reasoning.'],
  [
    'I look.<|tool_call>call:get_weather{city:<|"|>Rome, {}"]<|"|>,days:2,no:None,on:true,where:{<|"|>lat<|"|>:-1.5},xs:[<|"|>a<|"|>,[]]}<tool_call|><|tool_response>',
    'I look.<tool_call>\n{"name": "get_weather", "arguments": {"city":"Rome, {}\\"]","days":2,"no":null,"on":true,"where":{"lat":-1.5},"xs":["a",[]]}}\n</tool_call>',
  ],
  ['<|tool_call>call:now{}<tool_call|>', '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'],
  ['<|tool_call>call:now{a:}<tool_call|>', 'call:now{a:}'],
  ['<|tool_call>call:now{a:1', 'call:now{a:1'],
];

it.each(gemma)('translates %j of Gemma 4', (answer, wanted) => {
  for (const size of [1, 2, 3, 7, 1000]) {
    const filter = new GemmaFilter();
    const pieces = (answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map((piece) => filter.push(piece));
    expect(pieces.join('') + filter.end(), `pieces of ${size}`).toBe(wanted);
  }
});

/** Answers of Magistral and Ministral 3. */
const mistral: readonly [answer: string, wanted: string][] = [
  ['[THINK]2 + 2 is 4.[/THINK]It is 4.</s>', '<think>2 + 2 is 4.</think>It is 4.'],
  ['Text, [1] < 2 and [THI', 'Text, [1] < 2 and [THI'],
  ['[THINK]It was cut [/', '<think>It was cut [/'],
  ['[THINK]Hm.[/THINK][TOOL_CALLS]now[ARGS]{}</s>', '<think>Hm.</think>[TOOL_CALLS]now[ARGS]{}'],
];

it.each(mistral)('translates %j of Mistral', (answer, wanted) => {
  for (const size of [1, 2, 3, 7, 1000]) {
    const filter = new MistralFilter();
    const pieces = (answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map((piece) => filter.push(piece));
    expect(pieces.join('') + filter.end(), `pieces of ${size}`).toBe(wanted);
  }
});

it('finds reasoning and calls as for other models', () => {
  const filter = new HarmonyFilter();
  const said = filter.push(cases.find(([answer]) => answer.includes('get_weather'))![0]) + filter.end();
  const reasoning = new ReasoningFilter();
  const [first, rest] = [reasoning.push(said), reasoning.end()];
  expect(first.reasoning + rest.reasoning).toBe('First.\n\nSecond.');
  const { text, calls } = parseToolCalls(first.text + rest.text, ['get_weather']);
  expect(text).toBe('I look it up.');
  expect(calls).toMatchObject([{ name: 'get_weather', arguments: { city: 'Rome' } }]);
});

const words = ['<|channel|>', 'analysis', '<|message|>', 'Hm.', '<|end|>', '<|start|>', 'assistant', 'final', ' Yes.'];
const tokenizer = (chatTemplate: string) =>
  ({
    chatTemplate,
    decode: (ids: Iterable<number>, { skipSpecial = true } = {}) =>
      Array.from(ids, (id) => words[id]!)
        .filter((word) => !skipSpecial || !word.startsWith('<|'))
        .join(''),
  }) as unknown as PretrainedTokenizer;
const ids = [0, 1, 2, 3, 4, 5, 6, 0, 7, 2, 8];

it('is used by the chat template, and tokens of the prompt are not in the answer', () => {
  for (const [template, wanted] of [
    ["'<|start|>assistant<|channel|>final<|message|>'", '<think>\nHm.\n</think>\n\n Yes.'],
    ['plain', 'analysisHm.assistantfinal Yes.'],
  ] as const) {
    const stream = new AnswerStream(tokenizer(template), true, [5, 6]);
    expect(ids.map((id) => stream.push(id)).join('') + stream.end()).toBe(wanted);
    expect(answerText(tokenizer(template), ids, true)).toBe(wanted);
  }
});
