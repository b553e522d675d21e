import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { loadModelTokenizer } from '../../src/pretrained/load-tokenizer.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { type ApplyChatTemplateOptions, type ChatMessage, parseTokenizer } from '../../src/tokenizers/index.js';
import { strftime } from '../../src/tokenizers/strftime.js';

interface Recorded {
  readonly smollm2: string;
  readonly special: Readonly<Record<string, string>>;
  readonly cases: Readonly<Record<string, { messages: ChatMessage[]; options: Readonly<Record<string, unknown>> }>>;
  readonly results: readonly { template: string; case: string; text?: string; ids?: number[]; refused?: string }[];
  readonly dates: { of: string; formats: Readonly<Record<string, string>> };
  readonly tokenizer: object;
}

const read = (name: string) => readFileSync(`test/tokenizers/${name}`, 'utf8');
/** Results of transformers, written by make_chat.py. */
const recorded = JSON.parse(read('chat.json')) as Recorded;
const templateOf = (name: string) => (name === 'smollm2' ? recorded.smollm2 : read(`chat-templates/${name}.jinja`));

const load = (chat_template?: unknown) => parseTokenizer(recorded.tokenizer, { ...recorded.special, chat_template });

type Given = Omit<ApplyChatTemplateOptions, 'tokenize'>;

/** Options by the names that transformers has. */
function optionsOf({ tools, documents, ...others }: Readonly<Record<string, unknown>>): Given {
  const { add_generation_prompt, continue_final_message, ...variables } = { date_string: '26 Jul 2024', ...others } as {
    [name: string]: unknown;
  };
  return {
    tools,
    documents,
    variables,
    addGenerationPrompt: add_generation_prompt,
    continueFinalMessage: continue_final_message,
  } as Given;
}

describe('applyChatTemplate', () => {
  it.each(recorded.results.map((result) => [`${result.template}, ${result.case}`, result] as const))(
    'gives what transformers gives: %s',
    async (_, { template, case: name, text, ids, refused }) => {
      const tokenizer = await load(templateOf(template));
      const { messages, options } = recorded.cases[name] as Recorded['cases'][string];
      const rendered = tokenizer.applyChatTemplate(messages, { ...optionsOf(options), tokenize: false });
      if (refused !== undefined) {
        await expect(rendered).rejects.toThrow(new RegExp(`refuses the messages: ${refused}`));
        await expect(rendered).rejects.toThrow(ArgumentError);
        return;
      }
      expect(await rendered).toBe(text);
      expect(await tokenizer.applyChatTemplate(messages, optionsOf(options))).toEqual(ids);
    },
  );

  const hello = [{ role: 'user', content: 'hi' }];
  const named = [
    { name: 'default', template: 'plain {{ messages[0].content }}' },
    { name: 'tool_use', template: 'tools {{ tools | length }}' },
    { name: 'rag', template: 'rag' },
  ];

  it('chooses among several templates like transformers', async () => {
    const tokenizer = await load(named);
    const render = (options: Given = {}) => tokenizer.applyChatTemplate(hello, { ...options, tokenize: false });
    expect(await render()).toBe('plain hi');
    expect(await render({ tools: [] })).toBe('tools 0');
    expect(await render({ chatTemplate: 'rag' })).toBe('rag');
    expect(await render({ chatTemplate: '{{ messages | length }}' })).toBe('1');
    tokenizer.chatTemplate = { rag: 'rag', zero: '0' };
    await expect(render()).rejects.toThrow(/none .* is the default; give one of rag, zero/);
    tokenizer.chatTemplate = null;
    await expect(render()).rejects.toThrow(/has no chat template; set tokenizer\.chatTemplate/);
  });

  it('shows a bare function as one in the form of OpenAI', async () => {
    const tokenizer = await load(templateOf('qwen3'));
    const bare = { name: 'now', description: 'The time', parameters: { type: 'object', properties: {} } };
    const render = (tools: Given['tools']) => tokenizer.applyChatTemplate(hello, { tools, tokenize: false });
    const shown = await render([bare]);
    expect(shown).toBe(await render([{ type: 'function', function: bare }]));
    expect(shown).toContain('"name": "now"');
  });

  it('reads line ends as Jinja does, and writes small fractions as Python does', async () => {
    const chatTemplate = '{%- if true %}\r\n{{ a }}\r\n{%- endif %}\r{{ a | tojson }} {{ a.b }} {{ a.c[0] | tojson }}';
    const variables = { a: { b: 1e-9, c: [0.00002, -1.5e-7, 0.25, 'x'] } };
    const tokenizer = await load();
    expect(await tokenizer.applyChatTemplate(hello, { chatTemplate, variables, tokenize: false })).toBe(
      `{'b': 1e-09, 'c': [2e-05, -1.5e-07, 0.25, 'x']}{"b": 1e-09, "c": [2e-05, -1.5e-07, 0.25, "x"]} 1e-09 2e-05`,
    );
  });

  it('finds the template in all files that may contain it', async () => {
    const text = (value: unknown) =>
      new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
    const load = async (files: Record<string, unknown>) => {
      const all = { 'tokenizer.json': recorded.tokenizer, ...files };
      const bytes = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, text(value)]));
      return (await loadModelTokenizer(await openSource(bytes, {}), undefined))?.chatTemplate;
    };
    expect(await load({})).toBeNull();
    expect(await load({ 'tokenizer_config.json': { chat_template: 'a' } })).toBe('a');
    expect(await load({ 'tokenizer_config.json': { chat_template: 'a' }, 'chat_template.jinja': 'b' })).toBe('b');
    expect(await load({ 'tokenizer_config.json': { chat_template: named } })).toEqual(
      Object.fromEntries(named.map(({ name, template }) => [name, template])),
    );
    expect(await load({ 'chat_template.jinja': 'b', 'additional_chat_templates/tool_use.jinja': 'c' })).toEqual({
      default: 'b',
      tool_use: 'c',
    });
    await expect(load({ 'tokenizer_config.json': { chat_template: [1] } })).rejects.toThrow(FormatError);
  });

  it('refuses invalid arguments', async () => {
    const tokenizer = await load('{{ messages[0].content }}');
    const apply = (messages: unknown, options: unknown = {}) =>
      tokenizer.applyChatTemplate(messages as never, options as never);
    await expect(apply([])).rejects.toThrow(/messages is \[\], expected at least one/);
    await expect(apply('hi')).rejects.toThrow(ArgumentError);
    await expect(apply([{ content: 'hi' }])).rejects.toThrow(
      /messages\[0\]\.role is undefined, expected text such as 'user'/,
    );
    await expect(apply(hello, { add_generation_prompt: true })).rejects.toThrow(/it is addGenerationPrompt here/);
    await expect(apply(hello, { addGenerationPrompt: true, continueFinalMessage: true })).rejects.toThrow(
      ArgumentError,
    );
    await expect(apply([{ role: 'user' }], { continueFinalMessage: true })).rejects.toThrow(/needs text/);
    await expect(apply(hello, { chatTemplate: '{% if %}' })).rejects.toThrow(FormatError);
    const endless = { chatTemplate: '{{ range(100001)|length }}' };
    await expect(apply(hello, endless)).rejects.toThrow(/range\(\) has 100001 numbers, at most 100000 are allowed/);
    await expect(apply(hello, { chatTemplate: '{{ messages | unheard_of }}' })).rejects.toThrow(FormatError);
  });
});

it('formats dates like Python', () => {
  const { of, formats } = recorded.dates;
  for (const [format, expected] of Object.entries(formats)) expect(strftime(new Date(of), format)).toBe(expected);
});
