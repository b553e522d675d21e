// Images in conversations, and speech, by the real packages `ai` and `@langchain/core`.
import { HumanMessage } from '@langchain/core/messages';
import { experimental_generateSpeech as generateSpeech, generateText } from 'ai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSimdformer } from '../../src/ai-sdk/index.js';
import { createDevice, type Device, loadModel } from '../../src/index.js';
import { ChatSimdformer } from '../../src/langchain/index.js';
import type { LoadedModel } from '../../src/pretrained/index.js';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { Chat, type ChatModel, pipeline } from '../../src/tasks/index.js';
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
