import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/index.js';
import { Chat } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';

describeReal('smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf', (path) => {
  let device: Device;
  let model: LoadedModel;
  beforeAll(async () => {
    device = await createDevice({ threads: 2 });
    // With integers for activations it answers as llama.cpp does with these: in French.
    model = await loadModel(device, path, { activations: 'float32' });
  });
  afterAll(() => device.dispose());

  it('knows earlier messages, with and without drafts', async () => {
    // A step that was queued ahead has read the newest token of the answer, too. With drafts, no step is queued ahead.
    for (const [draft, cachedTokens] of [[undefined, 44] as const, ['prompt', 43] as const]) {
      const chat = new Chat(model, { maxLength: 512, generation: { draft, doSample: false, maxNewTokens: 24 } });
      const say = async (text: string) => {
        let answer = '';
        for await (const piece of chat.send(text)) answer += piece;
        return answer;
      };
      expect(await say('What is the capital of France?')).toBe('The capital of France is Paris.');
      expect(await say('And of Italy?')).toBe('The capital of Italy is Rome.');
      // The template's end of an answer and its beginnings are read.
      expect(chat.answer).toMatchObject({ promptTokens: 59, cachedTokens, finishReason: 'stop' });
      chat.dispose();
    }
  });

  it('generates the same tokens with drafts', async () => {
    const code = 'Repeat: const a = 1; const b = 2; const c = a + b; const d = 4; const e = c + d;';
    const ids = await model.tokenizer!.applyChatTemplate([{ role: 'user', content: code }], {
      addGenerationPrompt: true,
    });
    const options = { doSample: false, maxNewTokens: 48 };
    const plain = await model.generate([ids], options);
    expect(await model.generate([ids], { ...options, draft: 'prompt' })).toEqual(plain);
  });
});
