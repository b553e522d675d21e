// Fuzzes chat templates: real templates with a few changed bytes, and changed messages. They must render, or throw an error
// of this package. To run it for 30 seconds:
//
//   npm run fuzz -- template 30
import assert from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { chatRendering } from '../../src/tokenizers/chat-options.js';
import type { ApplyChatTemplateOptions, ChatMessage } from '../../src/tokenizers/index.js';
import { renderChat } from '../../src/tokenizers/render-chat.js';
import { checked, withoutTraces } from './checked.js';
import { jsonVariants } from './json-variants.js';
import { randomOf, variants } from './variants.js';

const folder = 'test/tokenizers/chat-templates';
const templates = readdirSync(folder).map((name) => new Uint8Array(readFileSync(`${folder}/${name}`)));

interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly options: ApplyChatTemplateOptions;
}

const call = { type: 'function', function: { name: 'weather', arguments: { city: 'Rome' } } } as const;
const tool = { type: 'function', function: { name: 'weather', parameters: { type: 'object' } } } as const;
const conversations: readonly Conversation[] = [
  {
    messages: [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: [{ type: 'text', text: 'How warm is it?' }] },
      { role: 'assistant', content: null, tool_calls: [call], reasoning_content: 'Ask.' },
      { role: 'tool', content: '21', tool_call_id: 'c' },
    ],
    options: { tools: [tool], addGenerationPrompt: true, variables: { enable_thinking: false } },
  },
  { messages: [{ role: 'user', content: 'Hi' }], options: { documents: [{ title: 'a', text: 'b' }] } },
  {
    messages: [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hel' },
    ],
    options: { continueFinalMessage: true },
  },
];

const SPECIAL = { bos_token: '<s>', eos_token: '</s>' };

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    const below = randomOf(bytes);
    const talks = jsonVariants(bytes, conversations, 500);
    for (const changed of [bytes, ...variants(bytes, templates)]) {
      const template = new TextDecoder().decode(changed);
      const [talk] = conversations as [Conversation];
      await checked({ template, talk }, () => render(template, talk));
    }
    for (const talk of talks) {
      const template = new TextDecoder().decode(templates[below(templates.length)]);
      await checked({ template, talk }, () => render(template, talk));
    }
  });
}

function render(template: string, talk: Conversation): void {
  const { messages, options } = Object(talk) as Conversation;
  const { tokenize: _, ...others } = Object(options) as ApplyChatTemplateOptions;
  const text = renderChat(chatRendering(template, messages, others, SPECIAL));
  assert.equal(typeof text, 'string');
}
