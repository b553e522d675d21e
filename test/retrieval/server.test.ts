// The server's embeddings use the same modules, prompts and routes as `encode`.
import { expect, it } from 'vitest';
import { openai } from '../../src/server/index.js';
import { difference, expectedOf, load, TOLERANCE } from './folders.js';

it('embeddings of queries, of documents, and with any prompt', async () => {
  const [prompts, router] = [await load('mean-exclude-prompt'), await load('router')];
  const app = await openai({ models: { prompts, router } });
  const embed = async (body: object) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await app.request('/v1/embeddings', { method: 'POST', headers, body: JSON.stringify(body) });
    return (await answer.json()) as { data: { embedding: number[] }[]; error?: { message: string; param: string } };
  };
  const vectors = async (body: object) => (await embed(body)).data.map(({ embedding }) => embedding);
  for (const model of ['prompts', 'router']) {
    const expected = expectedOf(model === 'router' ? 'router' : 'mean-exclude-prompt');
    for (const [use, texts] of [
      ['query', expected.queries],
      ['document', expected.documents],
    ] as const) {
      const found = await vectors({ model, input: texts, input_type: use, truncate: true });
      expect(difference(found, expected[`encode_${use}`])).toBeLessThan(TOLERANCE);
    }
    expect(difference(await vectors({ model, input: expected.texts, truncate: true }), expected.encode)).toBeLessThan(
      TOLERANCE,
    );
  }
  const { texts, ...expected } = expectedOf('mean-exclude-prompt');
  const input = (texts as string[]).slice(0, expected.encode_prompt_good.length);
  const good = await vectors({ model: 'prompts', input, prompt: 'good ' });
  expect(difference(good, expected.encode_prompt_good)).toBeLessThan(TOLERANCE);
  const title = await vectors({ model: 'prompts', input, prompt_name: 'title' });
  expect(difference(title, expected.encode_prompt_name_title)).toBeLessThan(TOLERANCE);
  const { error } = await embed({ model: 'prompts', input, prompt_name: 'nothing' });
  expect(error).toMatchObject({ param: 'prompt_name', message: expect.stringContaining('title') });
  await app.close();
  prompts.dispose();
  router.dispose();
});
