import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { ContinuousBatching } from '../../src/generate/index.js';
import { ArgumentError, createDevice, FormatError, Transformer } from '../../src/index.js';
import {
  Chat,
  type ChatAnswer,
  type ChatGenerateOptions,
  type ChatModel,
  type ChatOptions,
  ContextFullError,
} from '../../src/tasks/index.js';
import { type ChatMessage, type ChatTool, parseTokenizer } from '../../src/tokenizers/index.js';
import { Scripted } from './scripted-model.js';

const read = (name: string) => readFile(`test/tokenizers/${name}`, 'utf8');
const recorded = JSON.parse(await read('chat.json')) as { tokenizer: object; special: Record<string, string> };
const templateOf = (name: string) => read(`chat-templates/${name}.jinja`);
const tokenizer = await parseTokenizer(recorded.tokenizer, {
  ...recorded.special,
  chat_template: await templateOf('chatml'),
});

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

/** Weights are drawn: what it says is noise, but always the same. */
function makeModel(maxLength = 512): Transformer & ChatModel {
  const sizes = { dModel: 32, heads: 2, dFF: 64, encoderLayers: 0, decoderLayers: 2 };
  const options = { ...sizes, targetVocab: tokenizer.vocabSize, positions: 'rotary', norm: 'pre' } as const;
  const model = new Transformer(device, { ...options, maxLength, seed: 5 }).eval();
  for (const [name, parameter] of model.namedTensors())
    if (name === 'generator.weight') parameter.write(parameter.dataSync().map((w) => 6 * w) as Float32Array);
  return Object.assign(model, { tokenizer });
}

async function say(chat: Chat, ...given: Parameters<Chat['send']>): Promise<string> {
  let text = '';
  for await (const piece of chat.send(...given)) text += piece;
  return text;
}

const short = { maxNewTokens: 12 };

describe('a conversation', () => {
  it('gives the same answer as for the whole conversation, and reads only new tokens', async () => {
    const model = makeModel();
    const chat = new Chat(model, { system: 'Be brief.' });
    const written: { role: string; content: string }[] = [{ role: 'system', content: 'Be brief.' }];
    for (const text of ['Hello!', 'And who are you?', '😀 東京']) {
      const prompt = await tokenizer.applyChatTemplate([...written, { role: 'user', content: text }], {
        addGenerationPrompt: true,
      });
      const answer = await say(chat, text, short);
      const promptTokens = chat.answer!.promptTokens;
      if (written.length === 1) {
        const stopTokens = [tokenizer.eosId!, tokenizer.tokenToId('<|im_end|>')!];
        const { sequences } = await model.generate([prompt], { ...short, stopTokens });
        expect(answer).toBe(tokenizer.decode(sequences[0]!).replace(/\ufffd+$/, ''));
        expect(promptTokens).toBe(prompt.length);
      } else {
        // All earlier tokens but the newest are cached.
        expect(chat.answer!.cachedTokens).toBeGreaterThan(written.length * 10);
        expect(promptTokens - chat.answer!.cachedTokens).toBeLessThan(60);
      }
      written.push({ role: 'user', content: text }, { role: 'assistant', content: chat.answer!.text });
      expect(chat.messages).toEqual(written.slice(1));
    }
    chat.dispose();
    model.dispose();
  });

  it('answers overlapping messages in one batch, with the same bits as one by one', async () => {
    const model = makeModel();
    const streams = vi.spyOn(ContinuousBatching.prototype, 'stream');
    const questions = Array.from({ length: 20 }, (_, i) => `Question ${'?'.repeat(i)}`);
    const options = (i: number): ChatGenerateOptions => ({ maxNewTokens: 24, doSample: i % 2 === 1, seed: i });
    const turns = async (chat: Chat, i: number) => [
      await say(chat, questions[i]!, options(i)),
      await say(chat, 'And?', options(i)),
      chat.answer,
    ];
    const alone: unknown[] = [];
    for (const i of questions.keys()) {
      using chat = new Chat(model, { system: `You are number ${i}.` });
      alone.push(await turns(chat, i));
    }
    const used = device.memory().used;
    streams.mockClear();
    const chats = questions.map((_, i) => new Chat(model, { system: `You are number ${i}.` }));
    const together = await Promise.all(chats.map(turns));
    const cached = (answers: unknown[]) =>
      answers.map((each) => (each as unknown[]).map((part) => (part as ChatAnswer).cachedTokens ?? part));
    expect(cached(together).map((each) => each.slice(0, 2))).toEqual(cached(alone).map((each) => each.slice(0, 2)));
    const batchings = new Set(streams.mock.contexts as ContinuousBatching[]);
    expect(batchings.size).toBe(1);
    const { steps, generatedTokens } = [...batchings][0]!.load;
    expect(generatedTokens).toBeGreaterThan(500);
    expect(generatedTokens / steps).toBeGreaterThan(8);
    for (const chat of chats) chat.dispose();
    await device.flush();
    expect(device.memory().used).toBeLessThanOrEqual(used);
    streams.mockRestore();
    model.dispose();
  });

  it('does not depend on the answers of other conversations', async () => {
    const model = makeModel();
    const [one, two] = [new Chat(model), new Chat(model)];
    await say(one, 'Hello!', short);
    await say(two, 'Hello!', short);
    const answer = await say(one, 'Go on.', short);
    expect(await say(two, 'Go on.', short)).toBe(answer);
    // A conversation with the same messages reads them; it copies no keys and values that were written.
    const read = new Chat(model, { messages: one.messages.slice(0, 2) });
    await say(read, 'Go on.', short);
    expect(read.answer!.cachedTokens).toBeLessThan(one.answer!.cachedTokens);
    model.dispose();
  });

  it('streams whole characters, which together form the text', async () => {
    const model = makeModel();
    for (let seed = 0; seed < 5; seed++) {
      const chat = new Chat(model);
      const pieces: string[] = [];
      for await (const piece of chat.send('x', { maxNewTokens: 60, doSample: true, seed })) pieces.push(piece);
      expect(pieces.join('')).toBe(chat.answer!.text.replace(/\ufffd+$/, ''));
      expect(pieces.length).toBeGreaterThan(20);
      chat.dispose();
    }
    model.dispose();
  });

  it('forks, rewinds and starts again', async () => {
    const model = makeModel();
    const chat = new Chat(model);
    await say(chat, 'One', short);
    const fork = chat.fork();
    const second = await say(chat, 'Two', short);
    expect(await say(fork, 'Two', short)).toBe(second);
    expect(fork.answer!.cachedTokens).toBeGreaterThan(20);
    expect(await say(fork, 'Three', short)).not.toBe('');
    expect([chat.messages.length, fork.messages.length]).toEqual([4, 6]);
    chat.rewind();
    expect(chat.messages.map(({ content }) => content)).toEqual(['One', chat.messages[1]!.content]);
    expect(chat.answer).toBeNull();
    expect(await say(chat, 'Two', short)).toBe(second);
    fork.rewind(3);
    expect(fork.messages).toEqual([]);
    expect(() => fork.rewind()).toThrow('turns is 1, expected 1 to 0');
    chat.reset();
    expect(chat.messages).toEqual([]);
    for (const each of [chat, fork]) each.dispose();
    model.dispose();
  });

  it('shares the beginning of another conversation', async () => {
    const model = makeModel();
    const system = 'You know everything about everything, and you say so in as few words as there are.';
    const [one, two] = [new Chat(model, { system }), new Chat(model, { system })];
    await say(one, 'Hello!', short);
    const answer = await say(two, 'Goodbye!', short);
    expect(two.answer!.cachedTokens).toBeGreaterThan(40);
    one.dispose();
    const alone = new Chat(makeModel(), { system });
    expect(answer).toBe(await say(alone, 'Goodbye!', short));
    expect(alone.answer!.cachedTokens).toBe(0);
    two.dispose();
    model.dispose();
  });

  it('is saved and restored', async () => {
    const model = makeModel();
    const folder = await mkdtemp(join(tmpdir(), 'chat-'));
    const path = join(folder, 'chat.json');
    const chat = new Chat(model, { system: 'Be brief.', maxLength: 400, whenFull: 'shift' });
    await say(chat, 'One', short);
    await chat.save(path);
    const restored = await Chat.restore(model, path);
    expect(restored.messages).toEqual(chat.messages);
    expect(await say(restored, 'Two', short)).toBe(await say(chat, 'Two', short));
    expect(restored.toJSON()).toEqual(chat.toJSON());
    for (const text of ['no json', '{}', '{"format":"simdformer-chat","version":2}']) {
      await writeFile(path, text);
      await expect(Chat.restore(model, path)).rejects.toThrow(FormatError);
    }
    await expect(Chat.restore(model, join(folder, 'missing'))).rejects.toThrow('ENOENT');
    await rm(folder, { recursive: true });
    model.dispose();
  });

  it('continues after an answer that was stopped', async () => {
    const model = makeModel();
    const chat = new Chat(model);
    await say(chat, 'One', short);
    const controller = new AbortController();
    let pieces = 0;
    const stopped = (async () => {
      for await (const _ of chat.send('Two', { maxNewTokens: 300, signal: controller.signal }))
        if (++pieces === 3) controller.abort();
    })();
    await expect(stopped).rejects.toThrow('abort');
    expect(chat.messages).toHaveLength(4);
    for await (const _ of chat.send('Three', { maxNewTokens: 300 })) break;
    expect(chat.messages).toHaveLength(6);
    expect(chat.messages[3]!.content).not.toBe('');
    await expect(say(chat, 'Four', { signal: AbortSignal.abort() })).rejects.toThrow('abort');
    expect(chat.messages).toHaveLength(6);
    await say(chat, 'Four', short);
    expect(chat.messages).toHaveLength(8);
    const running = chat.send('Five', short);
    await running.next();
    expect(() => chat.fork()).toThrow('an answer is under way');
    await expect(say(chat, 'Six')).rejects.toThrow('an answer is under way');
    await running.return(undefined as never);
    model.dispose();
    await expect(say(chat, 'Seven')).rejects.toThrow('disposed');
  });

  it('refuses messages that leave no room, or hides the oldest turns', async () => {
    const model = makeModel();
    const options: ChatOptions = { system: 'Be brief.', maxLength: 100 };
    const [refusing, shifting] = [new Chat(model, options), new Chat(model, { ...options, whenFull: 'shift' })];
    let error: unknown;
    for (let i = 0; i < 8 && error === undefined; i++) {
      const before = refusing.messages;
      await say(refusing, 'Go on, please.', short).catch((thrown) => {
        error = thrown;
        expect(refusing.messages).toBe(before);
      });
    }
    expect(error).toBeInstanceOf(ContextFullError);
    expect((error as ContextFullError).message).toContain('no room for an answer of 12 in a context of 100');
    for (let i = 0; i < 8; i++) await say(shifting, 'Go on, please.', short);
    expect(shifting.messages).toHaveLength(16);
    expect(shifting.answer!.hiddenTurns).toBeGreaterThan(3);
    expect(shifting.answer!.promptTokens).toBeLessThanOrEqual(88);
    await expect(say(shifting, 'a b c d e f '.repeat(40), short)).rejects.toThrow(ContextFullError);
    model.dispose();
  });

  it('refuses a text that cannot fit before it is tokenized', async () => {
    const model = makeModel();
    const chat = new Chat(model, { maxLength: 100 });
    const encode = vi.spyOn(model.tokenizer!, 'encodeAsync');
    const error = await say(chat, 'What is this? '.repeat(3e5), short).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ContextFullError);
    expect(error.tokens).toBeGreaterThan(1000);
    expect(encode).not.toHaveBeenCalled();
    encode.mockRestore();
    model.dispose();
  });

  it('refuses invalid arguments', async () => {
    const model = makeModel();
    const refused = (options: object, message: string, of: object = model) => {
      expect(() => new Chat(of as ChatModel, options)).toThrow(message);
      expect(() => new Chat(of as ChatModel, options)).toThrow(ArgumentError);
    };
    refused({ systemPrompt: '' }, 'no option systemPrompt');
    refused({ whenFull: 'forget' }, 'whenFull is "forget"');
    refused({ generation: { numBeams: 2 } }, 'numBeams is decided by the conversation');
    refused({}, 'the model has no tokenizer', { ...model, startDecoding: () => {}, tokenizer: null });
    const plain = await parseTokenizer(recorded.tokenizer, recorded.special);
    refused({}, 'has no chat template', { ...model, startDecoding: () => {}, tokenizer: plain });
    const chat = new Chat(model);
    await expect(say(chat, 3 as never)).rejects.toThrow('expected text or { role, content }');
    await expect(say(chat, 'x', { prefix: [1] } as object)).rejects.toThrow('prefix is decided');
    await expect(say(chat, 'x', { temprature: 1 } as object)).rejects.toThrow('no option temprature');
    expect(chat.messages).toEqual([]);
    model.dispose();
  });

  it('generates the same with drafts', async () => {
    const model = makeModel();
    const answers = [];
    for (const generation of [{}, { draft: 'prompt' }] as const) {
      const chat = new Chat(model, { generation: { ...generation, maxNewTokens: 60 } });
      answers.push([await say(chat, 'a b a b a b a b'), await say(chat, 'c d c d c d c d')]);
      chat.dispose();
    }
    expect(answers[1]).toEqual(answers[0]);
    model.dispose();
  });
});

const tools: ChatTool[] = ['get_weather', 'now'].map((name) => {
  return { type: 'function', function: { name, parameters: { type: 'object', properties: {} } } };
});

describe('tools', () => {
  it.each([
    [
      'qwen3',
      'I look. <tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>',
      'I look. ',
    ],
    ['llama3', '{"name": "get_weather", "parameters": {"city": "Zürich"}}', ''],
    ['mistral', '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Zürich"}}]', ''],
  ])('of %s are called, and answered', async (template, written, shown) => {
    const model = new Scripted(device, tokenizer);
    const chat = new Chat(model, { tools, chatTemplate: await templateOf(template), variables: { date_string: 'x' } });
    const end = [tokenizer.eosId!];
    model.writes([...tokenizer.encode(written), ...end], [...tokenizer.encode('Sunny {now}'), ...end]);
    expect(await say(chat, 'How is it?')).toBe(shown);
    const [{ id } = { id: '' }] = chat.answer!.toolCalls;
    expect(id).toMatch(/^call_[A-Za-z0-9]{24}$/);
    expect(chat.answer!.toolCalls).toEqual([{ id, name: 'get_weather', arguments: { city: 'Zürich' } }]);
    expect(chat.answer!.text).toBe(shown.trim());
    const result: ChatMessage = { role: 'tool', content: 'sunny', name: 'get_weather', tool_call_id: id };
    expect(await say(chat, result)).toBe('Sunny {now}');
    expect(chat.answer!.toolCalls).toEqual([]);
    expect(chat.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
    expect(chat.fork().messages).toHaveLength(4);
    chat.rewind();
    expect(chat.messages).toEqual([]);
  });

  it('are not called by similar text', async () => {
    const model = new Scripted(device, tokenizer);
    const bare = tools.map((tool) => tool.function);
    const chat = new Chat(model, { tools: bare, chatTemplate: await templateOf('qwen3') });
    const texts = [
      '{"name": "other", "parameters": {}}',
      'a <tool_call>{"name": 3}</tool_call> b',
      'x < y <tool',
      '{}',
    ];
    model.writes(...texts.map((text) => [...tokenizer.encode(text), tokenizer.eosId!]));
    for (const text of texts) {
      expect(await say(chat, 'Go')).toBe(text);
      expect(chat.answer).toMatchObject({ text, toolCalls: [] });
    }
    model.writes([
      ...tokenizer.encode('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'),
      tokenizer.eosId!,
    ]);
    await say(chat, 'Go');
    expect(chat.answer!.toolCalls).toMatchObject([{ name: 'now', arguments: {} }]);
  });
});
