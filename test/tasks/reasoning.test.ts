import { expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { pipeline, ReasoningFilter } from '../../src/tasks/index.js';
import { testData } from '../test-data.js';

const cases: readonly [answer: string, reasoning: string, text: string, isOpen?: boolean][] = [
  ['<think>\nIs it so?\n</think>\n\nYes.', 'Is it so?', 'Yes.'],
  ['\n<think>a < b</think>No. <think> is text here.', 'a < b', 'No. <think> is text here.'],
  ['Is it so?\n</think>\n\nYes.', 'Is it so?', 'Yes.', true],
  ['<think>\n\n</think>\n\nYes.', '', 'Yes.'],
  ['<think>It ends here </thi', 'It ends here </thi', ''],
  ['Yes, </think> is text. ', '', 'Yes, </think> is text. '],
  ['<thing> is text', '', '<thing> is text'],
  ['<thi', '', '<thi'],
  ['', '', ''],
  ['<think>\nIs it?\n</think>\n<answer>\nYes.\n</answer>', 'Is it?', 'Yes.'],
  ['<think>Is it?</think><response>Yes, a < b.</response>\n', 'Is it?', 'Yes, a < b.'],
  ['<think>Is it?</think><response>Cut </resp', 'Is it?', 'Cut </resp'],
  ['<think>Is it?</think><answers>', 'Is it?', '<answers>'],
  ['<think>Is it?</think><ans', 'Is it?', '<ans'],
];

it.each(cases)('splits %j', (answer, reasoning, text, isOpen = false) => {
  for (const size of [1, 2, 3, 5, 100]) {
    const filter = new ReasoningFilter(isOpen);
    const pieces = (answer.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).map((piece) => filter.push(piece));
    pieces.push(filter.end());
    expect(pieces.map((piece) => piece.reasoning).join(''), `pieces of ${size}`).toBe(reasoning);
    expect(pieces.map((piece) => piece.text).join(''), `pieces of ${size}`).toBe(text);
  }
});

it('the text-generation pipeline separates the reasoning from the answer', async () => {
  using device = await createDevice();
  const model = await loadModel(device, { 'model.gguf': await testData('gguf').bytes('qwen2.Q8_0.gguf') });
  const said = '{% for message in messages %}{{ message.content }}{% endfor %}';
  const answer = async (template: string) => {
    model.tokenizer!.chatTemplate = template;
    const write = await pipeline('text-generation', model);
    const [result] = await write([{ role: 'user', content: 'Hi' }], { max_new_tokens: 6, do_sample: false });
    return result!.generated_text.at(-1)!;
  };
  const plain = await answer(`${said}\n<think`);
  expect(plain.reasoning_content).toBeUndefined();
  expect(plain.content).not.toBe('');
  const { content, reasoning_content: reasoning } = await answer(`${said}\n<think>\n`); // the prompt begins the reasoning
  expect(content).toBe('');
  expect(reasoning).not.toBe('');
  model.dispose();
});
