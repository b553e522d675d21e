// Images in conversations, and speech, by the real packages `ai` and `@langchain/core`.
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { experimental_generateSpeech as generateSpeech, generateText } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimdformer } from '../../src/ai-sdk/index.js';
import { createDevice, type Device, loadModel } from '../../src/index.js';
import { ChatSimdformer } from '../../src/langchain/index.js';
import type { LoadedModel } from '../../src/pretrained/index.js';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { Chat, type ChatModel, pipeline } from '../../src/tasks/index.js';
import { PromptImages } from '../../src/tasks/prompt-images.js';
import { imageTextFiles, picturesFor } from '../tasks/image-text-model.js';
import { programModel } from '../tasks/program-models.js';

let device: Device;
let model: LoadedModel & ChatModel;
let image: Uint8Array;
/** The greedy answer to the image and a text. */
let expected: string;
const question = 'w7 w8 w9';
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
  model = (await loadModel(device, await imageTextFiles('smolvlm'))) as LoadedModel & ChatModel;
  image = await encodeImage(picturesFor('smolvlm')[0]!);
  using chat = new Chat(model);
  const content = [
    { type: 'image', image },
    { type: 'text', text: question },
  ];
  const answer = chat.send([{ role: 'user', content }], { doSample: false, maxNewTokens: 6 });
  for await (const _ of answer);
  expected = chat.answer!.text;
  expect(expected).not.toBe('');
});
afterAll(() => device?.dispose());

it('the AI SDK sends images, as bytes and as data URLs', async () => {
  const provider = createSimdformer({ device });
  for (const data of [image, `data:image/png;base64,${Buffer.from(image).toString('base64')}`]) {
    const { text } = await generateText({
      model: provider(model),
      messages: [
        {
          role: 'user',
          content: [
            { type: 'file', mediaType: 'image/png', data },
            { type: 'text', text: question },
          ],
        },
      ],
      temperature: 0,
      maxOutputTokens: 6,
    });
    expect(text).toBe(expected);
  }
});

it('LangChain sends images, as its own blocks and as those of OpenAI', async () => {
  const chat = new ChatSimdformer({ model, temperature: 0, maxTokens: 6 });
  const base64 = Buffer.from(image).toString('base64');
  const ask = (part: Record<string, unknown>) =>
    chat.invoke([new HumanMessage({ content: [part as { type: string }, { type: 'text', text: question }] })]);
  for (const part of [
    { type: 'image', mimeType: 'image/png', data: base64 },
    { type: 'image', source_type: 'base64', mime_type: 'image/png', data: base64 },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } },
    { type: 'image_url', image_url: `data:image/png;base64,${base64}` },
  ])
    expect((await ask(part)).text).toBe(expected);
  await expect(ask({ type: 'image_url', image_url: { url: 'https://example.com/a.png' } })).rejects.toThrow(/download/);
  await expect(ask({ type: 'image', data: 'A' })).rejects.toThrow(/base64 text of a file is damaged/);
});

describe('images in results of tools', () => {
  const call = { id: 'call', type: 'function' as const, function: { name: 'look', arguments: {} } };
  const said = { role: 'tool', tool_call_id: 'call', name: 'look' };
  const asked = [
    { role: 'user', content: question },
    { role: 'assistant', content: '', tool_calls: [call] },
  ];

  it('reach the model through the AI SDK and LangChain', async () => {
    const base64 = Buffer.from(image).toString('base64');
    using chat = new Chat(model);
    const content = [
      { type: 'text', text: 'w5' },
      { type: 'image', image },
    ];
    for await (const _ of chat.send([...asked, { ...said, content }], { doSample: false, maxNewTokens: 6 }));
    const wanted = chat.answer!.text;
    const provider = createSimdformer({ device });
    const tool = { toolCallId: 'call', toolName: 'look' };
    for (const part of [
      { type: 'file' as const, mediaType: 'image/png', data: { type: 'data' as const, data: base64 } },
      { type: 'image-data' as const, mediaType: 'image/png', data: base64 },
    ]) {
      const output = { type: 'content' as const, value: [{ type: 'text' as const, text: 'w5' }, part] };
      const { text } = await generateText({
        model: provider(model),
        messages: [
          { role: 'user', content: question },
          { role: 'assistant', content: [{ type: 'tool-call', ...tool, input: {} }] },
          { role: 'tool', content: [{ type: 'tool-result', ...tool, output: output as never }] },
        ],
        temperature: 0,
        maxOutputTokens: 6,
      });
      expect(text).toBe(wanted);
    }
    const langchain = new ChatSimdformer({ model, temperature: 0, maxTokens: 6 });
    const answer = await langchain.invoke([
      new HumanMessage(question),
      new AIMessage({ content: '', tool_calls: [{ id: 'call', name: 'look', args: {} }] }),
      new ToolMessage({
        content: [
          { type: 'text', text: 'w5' },
          { type: 'image', mimeType: 'image/png', data: base64 },
        ],
        tool_call_id: 'call',
        name: 'look',
      }),
    ]);
    expect(answer.text).toBe(wanted);
  });

  it('begin the next message of the user if the template does not show them', async () => {
    const images = PromptImages.of(model)!;
    const content = [
      { type: 'text', text: 'w5' },
      { type: 'image', image },
    ];
    const messages = [...asked, { ...said, content }, { ...said, content: 'w6' }, { role: 'user', content: 'w8' }];
    expect(await images.arrange(messages)).toBe(messages); // this model's template shows them
    const texts = '{% for m in messages %}{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}';
    const refusing = "{{ raise_exception('no tools') }}";
    for (const template of [texts, refusing]) {
      const alone = messages.slice(0, 3);
      const moved = { role: 'user', content: [{ type: 'image', image }] };
      const result = { ...said, content: 'w5' };
      expect(await images.arrange(alone, template)).toEqual([...asked, result, moved]);
      const answered = [...alone, { role: 'assistant', content: 'w9' }];
      expect(await images.arrange(answered, template)).toEqual([...asked, result, moved, answered[3]]);
      expect(await images.arrange(messages, template)).toEqual([
        ...asked,
        result,
        messages[3],
        { role: 'user', content: [...moved.content, { type: 'text', text: 'w8' }] },
      ]);
    }
  });
});

it('the AI SDK speaks, and warns of settings that a model lacks', async () => {
  const provider = createSimdformer({ device });
  const vits = programModel('vits') as never;
  const speak = await pipeline('text-to-speech', vits, { device });
  const { audio, warnings } = await generateSpeech({ model: provider.speechModel(vits), text: 'the cat' });
  const sound = await speak('the cat');
  expect(audio.uint8Array).toEqual(sound.toWav());
  expect([audio.mediaType, warnings]).toEqual(['audio/wav', []]);
  const other = await generateSpeech({
    model: provider.speechModel(vits),
    text: 'the cat',
    speed: 2,
    outputFormat: 'mp3',
    instructions: 'Whisper.',
    language: 'de',
    voice: 'alloy',
    providerOptions: { simdformer: { seed: 3 } },
  });
  const rate = 2 * Number(speak.model.config.speaking_rate ?? 1);
  expect(other.audio.uint8Array).toEqual((await speak('the cat', { speaking_rate: rate, seed: 3 })).toWav());
  expect(other.warnings.map((warning) => 'feature' in warning && warning.feature)).toEqual([
    'outputFormat',
    'instructions',
    'language',
    'voice',
  ]);
  await provider.dispose();
});
