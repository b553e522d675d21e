// The examples of frameworks, with the real packages and small models behind the real server.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningServer, serve } from '../../src/server/index.js';
import { type SmallModels, smallModels, storyAfter } from '../frameworks/small-models.js';

const run = promisify(execFile);
const folder = resolve('.cache/hosts/frameworks');
let models: SmallModels;
let server: RunningServer;
beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  cpSync('examples/frameworks', folder, { recursive: true });
  if (!existsSync(join(folder, 'node_modules', 'genkit')))
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });
  models = await smallModels();
  const { stories, writer, vectors } = models;
  server = await serve({ models: { stories, writer, vectors }, port: 0, log: 'none' });
});
afterAll(async () => {
  await server?.close();
  models?.end();
});

async function example(name: string, model: string): Promise<Record<string, unknown>> {
  const env = { ...process.env, SIMDFORMER_URL: server.url, MODEL: model, MASTRA_TELEMETRY_DISABLED: '1' };
  const { stdout } = await run(process.execPath, [name], { cwd: folder, env });
  return JSON.parse(stdout.trim().split('\n').at(-1) as string);
}

it('OpenAI Agents call a tool', async () => {
  const { finalOutput } = await example('openai-agents.mjs', 'writer');
  expect(finalOutput).toMatch(/^It is warm in [\s\S]{0,20}\.$/u);
});

it('Genkit generates and streams', async () => {
  const { text, streamed } = await example('genkit.mjs', 'stories');
  expect(String(text).length).toBeGreaterThan(50);
  expect(streamed).toBe(text);
});

it('Mastra generates and streams', async () => {
  const { text, streamed } = await example('mastra.mjs', 'stories');
  const asked = '<|start_story|>system: You answer briefly.\nuser: Name three cats.\nassistant: ';
  expect(text).toBe(await storyAfter(models.stories, asked, 40));
  expect(streamed).toBe(text);
});

it("LlamaIndex's classes embed and chat", async () => {
  const { SimdformerEmbedding, SimdformerLLM } = await import(join(folder, 'llamaindex.ts'));
  const embedding = new SimdformerEmbedding(models.vectors);
  const [cat, dog] = await embedding.getTextEmbeddings(['CCO', 'CCN']);
  expect(cat).toEqual([...((await models.vectors.encode(['CCO']))[0] as Float32Array)]);
  expect(await embedding.getQueryEmbedding({ type: 'text', text: 'CCN' })).toEqual(dog);
  const llm = new SimdformerLLM(models.stories, { temperature: 0, maxTokens: 24 });
  const messages = [{ role: 'user', content: 'Name three cats.' }];
  const { message } = await llm.chat({ messages });
  const expected = await storyAfter(models.stories, '<|start_story|>user: Name three cats.\nassistant: ', 24);
  expect(message.content).toBe(expected);
  let streamed = '';
  for await (const { delta } of await llm.chat({ messages, stream: true })) streamed += delta;
  expect(streamed).toBe(expected);
  expect((await llm.complete({ prompt: 'Name three cats.' })).text).toBe(expected);
});
