// The clients that people have, as they are.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, startServer } from './served.js';

const KEY = 'a-key-of-the-test';
const messages = [{ role: 'user' as const, content: 'Tell me a story about a cat.' }];
const greedy = { model: 'stories', temperature: 0, max_tokens: 24 };

describe('clients of the server', () => {
  let server: Served;
  let client: OpenAI;
  /** The model's own greedy answer to `messages`. */
  let answer: string;
  beforeAll(async () => {
    server = await startServer({ apiKeys: [KEY] });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
    const { stories } = server.models;
    const tokenizer = stories.tokenizer!;
    const prompt = await tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
    const { sequences } = await stories.generate([prompt], { maxNewTokens: 24 });
    const whole = tokenizer.decode([...prompt, ...sequences[0]!]);
    answer = whole.slice(tokenizer.decode(prompt).length);
  });
  afterAll(() => server?.end());

  describe('openai', () => {
    it('chats', async () => {
      const completion = await client.chat.completions.create({ ...greedy, messages });
      const [choice] = completion.choices;
      expect(choice!.message).toEqual({ role: 'assistant', content: answer, refusal: null });
      expect(choice!.finish_reason).toBe('length');
      expect(completion.usage).toMatchObject({ completion_tokens: 24 });
      expect(completion.usage!.total_tokens).toBe(completion.usage!.prompt_tokens + 24);
    });

    it('streams a chat, with usage, log-probabilities and several answers', async () => {
      const stream = await client.chat.completions.create({
        ...greedy,
        messages,
        n: 2,
        stream: true,
        logprobs: true,
        top_logprobs: 3,
        stream_options: { include_usage: true },
      });
      const texts = ['', ''];
      const tokens = [0, 0];
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        usage = chunk.usage;
        for (const { index, delta, logprobs } of chunk.choices) {
          texts[index] += delta.content ?? '';
          for (const { logprob, top_logprobs: top } of logprobs?.content ?? []) {
            tokens[index]!++;
            expect(top.length).toBe(3);
            expect(top[0]!.logprob).toBe(logprob);
          }
        }
      }
      expect(texts).toEqual([answer, answer]);
      expect(tokens).toEqual([24, 24]);
      expect(usage).toMatchObject({ completion_tokens: 48 });
    });

    it('streams through its helper, which checks the events', async () => {
      const stream = client.chat.completions.stream({ ...greedy, messages });
      expect(await stream.finalContent()).toBe(answer);
    });

    it('completes texts', async () => {
      const { choices } = await client.completions.create({ ...greedy, prompt: ['Once upon', 'The dog'], echo: true });
      expect(choices.map(({ text }) => text.startsWith('Once upon') || text.startsWith('The dog'))).toEqual([
        true,
        true,
      ]);
      expect(choices[0]!.text.length).toBeGreaterThan(20);
    });

    it('reads refusals of earlier answers, and a best_of that changes nothing', async () => {
      const before = { role: 'assistant' as const, content: [{ type: 'refusal' as const, refusal: 'No cats.' }] };
      const chat = (said: OpenAI.ChatCompletionAssistantMessageParam) =>
        client.chat.completions.create({ ...greedy, messages: [...messages, said, ...messages] });
      const [refused, text] = [await chat(before), await chat({ role: 'assistant', content: 'No cats.' })];
      expect(refused.choices).toEqual(text.choices);
      // OpenAI Agents add all other fields of the answer to its text.
      const fields = { role: 'assistant', refusal: null, reasoning_content: 'Hm.', tool_calls: [{ id: 'a' }] };
      const part = { ...fields, type: 'text' as const, text: 'No cats.' };
      expect((await chat({ role: 'assistant', content: [part] })).choices).toEqual(text.choices);
      const { choices } = await client.completions.create({ ...greedy, prompt: 'Once', best_of: 1 });
      expect(choices.length).toBe(1);
      const best = client.completions.create({ ...greedy, prompt: 'Once', best_of: 2 });
      await expect(best).rejects.toThrow(OpenAI.BadRequestError);
    });

    it('embeds, in base64 by default or as numbers', async () => {
      const input = ['CCO', 'c1ccccc1'];
      const packed = await client.embeddings.create({ model: 'vectors', input });
      const plain = await client.embeddings.create({ model: 'vectors', input, encoding_format: 'float' });
      expect(packed.data.length).toBe(2);
      for (const [i, { embedding }] of plain.data.entries()) {
        expect(embedding.length).toBe(server.models.vectors.config.hidden_size);
        expect([...packed.data[i]!.embedding]).toEqual(embedding);
      }
    });

    it('lists models, and gives errors of the right classes', async () => {
      const ids = [];
      for await (const { id } of client.models.list()) ids.push(id);
      expect(ids).toEqual(['stories', 'vectors']);
      expect((await client.models.retrieve('stories')).owned_by).toBe('simdformer');
      await expect(client.chat.completions.create({ ...greedy, model: 'gpt-4', messages })).rejects.toThrow(
        OpenAI.NotFoundError,
      );
      await expect(client.chat.completions.create({ ...greedy, messages: [] })).rejects.toThrow(OpenAI.BadRequestError);
      const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'another', maxRetries: 0 });
      await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    });

    it('leaves a stream, which frees its row at once', async () => {
      const stream = await client.completions.create({ ...greedy, prompt: 'Once', max_tokens: 500, stream: true });
      for await (const _ of stream) break;
      const running = async () =>
        (await (await client.get('/../metrics', {}).asResponse()).text()).match(/running.*stories"} (\d+)/)?.[1];
      await expect.poll(running).toBe('0');
    });
  });

  describe('the ai SDK', () => {
    const provider = () => createOpenAICompatible({ name: 'simdformer', baseURL: `${server.url}/v1`, apiKey: KEY });
    const settings = { messages, temperature: 0, maxOutputTokens: 24 };

    it('generates and streams text', async () => {
      const model = provider().chatModel('stories');
      const { text, usage, finishReason } = await generateText({ model, ...settings });
      expect([text, usage.outputTokens, finishReason]).toEqual([answer, 24, 'length']);
      let streamed = '';
      for await (const piece of streamText({ model, ...settings }).textStream) streamed += piece;
      expect(streamed).toBe(answer);
    });

    it('embeds', async () => {
      const model = provider().embeddingModel('vectors');
      const { embeddings } = await embedMany({ model, values: ['CCO', 'CO'] });
      expect(embeddings.map(({ length }) => length)).toEqual([256, 256]);
    });
  });

  describe('LangChain', () => {
    const configuration = () => ({ baseURL: `${server.url}/v1` });

    it('chats and streams', async () => {
      const model = new ChatOpenAI({
        model: 'stories',
        temperature: 0,
        maxTokens: 24,
        apiKey: KEY,
        configuration: configuration(),
      });
      const asked = [new HumanMessage(messages[0]!.content)];
      expect((await model.invoke(asked)).content).toBe(answer);
      let streamed = '';
      for await (const { content } of await model.stream(asked)) streamed += content;
      expect(streamed).toBe(answer);
    });

    it('embeds', async () => {
      const model = new OpenAIEmbeddings({ model: 'vectors', apiKey: KEY, configuration: configuration() });
      const [first, second] = await model.embedDocuments(['CCO', 'CO']);
      expect(await model.embedQuery('CCO')).toEqual(first);
      expect(second).not.toEqual(first);
    });
  });

  it('answers curl', async () => {
    const run = promisify(execFile);
    const body = JSON.stringify({ ...greedy, messages, stream: true });
    const headers = ['-H', `authorization: Bearer ${KEY}`, '-H', 'content-type: application/json'];
    const { stdout } = await run('curl', ['-sN', `${server.url}/v1/chat/completions`, ...headers, '-d', body]);
    const events = stdout
      .trim()
      .split('\n\n')
      .map((line) => line.replace('data: ', ''));
    expect(events.pop()).toBe('[DONE]');
    const pieces = events.map((event) => JSON.parse(event).choices[0].delta.content ?? '');
    expect(pieces.join('')).toBe(answer);
  });
});
