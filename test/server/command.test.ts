// `simdformer serve`, as a process.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lora } from '../../src/finetune/index.js';
import { ContinuousBatching } from '../../src/generate/index.js';
import { hasPackedWeights } from '../../src/models/quantize.js';
import { loadModel } from '../../src/pretrained/index.js';
import { DEFAULT_WEIGHTS } from '../../src/pretrained/packed-options.js';
import { argumentsOf, simdformer } from '../cli/run-cli.js';
import { testData } from '../test-data.js';
import { type Served, startServer } from './served.js';

const PROMPT = [1, 403, 407, 261, 378];

/** The command as a process that listens, whose log is told as it is by then. */
async function started(args: string[]) {
  const child = spawn(process.execPath, argumentsOf(args, 1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.on('close', () => reject(new Error(log)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const found = /at (http:\S+)\/v1/.exec(log)?.[1];
      if (found) resolve(found);
    });
  });
  return { child, url, ended, log: () => log };
}

it('says that a port is in use before it loads a model', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await simdformer(['serve', 'no-such-folder', '--port', `${port}`]);
  other.close();
  expect(stderr).toContain(`address already in use 127.0.0.1:${port}`);
  expect(stderr).not.toContain('no-such-folder');
  expect(code).toBe(1);
});

describe('simdformer serve', () => {
  let server: Served;
  beforeAll(async () => {
    server = await startServer({ context: 512 });
  });
  afterAll(() => server?.end());

  it('answers until SIGTERM, finishes current requests, and logs one line per request, without prompts', async () => {
    const args = [
      'serve',
      `stories=${server.folder}`,
      '--port',
      '0',
      '--parallel',
      '2',
      '--context',
      '300',
      '--weights',
      'int8',
      '--api-key',
      'k',
    ];
    const { child, url, ended, log } = await started(args);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const ask = (key: string) =>
      fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({
          model: 'stories',
          prompt: 'A secret dog',
          max_tokens: 290,
          logit_bias: { 2: -100 },
          stream: true,
        }),
      });
    expect((await ask('wrong')).status).toBe(401);
    const response = await ask('k');
    child.kill('SIGTERM');
    const events = (await response.text()).trim().split('\n\n');
    expect(events.at(-1)).toBe('data: [DONE]');
    expect(JSON.parse(events.at(-2)!.slice('data: '.length)).choices[0].finish_reason).toBe('length');
    expect(await ended).toBe(0);
    const lines = log()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
    expect(lines.map(({ status }) => status)).toEqual([401, 200]);
    expect(lines[1]).toMatchObject({ path: '/v1/completions', model: 'stories' });
    expect(log()).not.toMatch(/secret|dog/);
  });

  it('caches keys and values as float16 if weights are packed, unless an option says otherwise', async () => {
    const told = async (options: string[]) => {
      const common = ['serve', `stories=${server.folder}`, '--port', '0', '--context', '64', '--parallel', '1'];
      const { child, url, ended } = await started([...common, ...options]);
      const body = { model: 'stories', prompt: PROMPT, max_tokens: 24, temperature: 0, logprobs: 0 };
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: JSON.stringify(body) });
      const { choices } = (await answer.json()) as { choices: { logprobs: { token_logprobs: number[] } }[] };
      child.kill('SIGTERM');
      await ended;
      return choices[0]!.logprobs.token_logprobs;
    };
    const byItself = async (weights: 'int8' | 'float32', cacheType: 'float16' | 'float32') => {
      const model = await loadModel(server.models.stories.device, server.folder, { weights, cacheType });
      const options = { maxNewTokens: 24, doSample: false };
      const batching = new ContinuousBatching(model, { parallel: 1, context: 64 });
      const logProbabilities: number[] = [];
      for await (const { logProbability } of batching.stream(PROMPT, options)) logProbabilities.push(logProbability);
      await batching.dispose();
      model.dispose();
      return logProbabilities;
    };
    const [halves, floats] = [await byItself('int8', 'float16'), await byItself('int8', 'float32')];
    expect(halves).not.toEqual(floats);
    expect(await told(['--weights', 'int8'])).toEqual(halves);
    expect(await told(['--weights', 'int8', '--cache-type', 'float32'])).toEqual(floats);
    expect(await told([])).toEqual(await byItself('float32', 'float32'));
  });

  it('serves the models and adapters of a folder, each loaded at its first request', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-models-'));
    cpSync(server.folder, join(folder, 'stories'), { recursive: true });
    cpSync(`${testData('gguf').path}/qwen2.Q8_0.gguf`, join(folder, 'qwen.gguf'));
    const adapter = lora(server.models.stories, { r: 2, name: 'slow' });
    await adapter.save(join(folder, 'slow'));
    adapter.dispose();
    const config = join(folder, 'slow', 'adapter_config.json');
    const settings = { ...JSON.parse(readFileSync(config, 'utf8')), base_model_name_or_path: 'someone/stories' };
    writeFileSync(config, JSON.stringify(settings));
    const args = ['serve', '--models-dir', folder, '--port', '0', '--max-memory', '1GiB', '--pin', 'qwen'];
    const { child, url, ended } = await started([...args, '--context', '64', '--keep-alive', '1h']);
    const listed = async () => {
      const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: Listed[] };
      return Object.fromEntries(data.map(({ id, status }) => [id, status.value]));
    };
    type Listed = { id: string; status: { value: string } };
    const before = { qwen: 'loaded', stories: 'unloaded', 'stories:slow': 'unloaded' };
    expect(await listed()).toEqual(before);
    for (const model of ['stories:slow', 'slow']) {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, prompt: PROMPT, max_tokens: 4 }),
      });
      expect(await response.json()).toMatchObject({ model: 'stories:slow' });
    }
    expect(await listed()).toEqual({ ...before, stories: 'loaded', 'stories:slow': 'loaded' });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    rmSync(folder, { recursive: true });
  });

  it('documents the actual default of --weights', async () => {
    const { stdout } = await simdformer(['serve', '--help']);
    const help = stdout.replace(/\s+/g, ' ');
    expect(help).toContain(`(default: ${DEFAULT_WEIGHTS.packed} for GGUF files, otherwise ${DEFAULT_WEIGHTS.other}`);
    const gguf = `${testData('gguf').path}/qwen2.Q8_0.gguf`;
    const model = await loadModel(server.models.stories.device, gguf);
    expect(hasPackedWeights(model)).toBe(true);
    expect(hasPackedWeights(server.models.stories)).toBe(false);
    model.dispose();
  });

  it('reports wrong arguments', async () => {
    expect(await simdformer(['serve', '/nowhere'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nowhere'),
    });
    expect((await simdformer(['serve', 'x', '--port', '70000'])).code).toBe(2);
    expect((await simdformer(['serve', 'x', '--weights', 'int3'])).code).toBe(2);
    expect((await simdformer(['serve'])).code).toBe(2);
    expect((await simdformer(['serve', 'x', '--keep-alive', 'soon'])).code).toBe(2);
    expect((await simdformer(['serve', 'x', '--max-memory', '4 apples'])).code).toBe(2);
    expect(await simdformer(['serve', '--models-dir', `${server.folder}/nowhere`])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('expected a folder of models'),
    });
    expect(await simdformer(['serve', `a=${server.folder}`, '--pin', 'b'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--pin is b, expected one of a'),
    });
    const twice = await simdformer(['serve', `a=${server.folder}`, `a=${server.folder}`]);
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringContaining("two models have the name 'a'") });
  });

  const schemathesis = process.env.SCHEMATHESIS ?? 'schemathesis';
  const hasSchemathesis = spawnSync(schemathesis, ['--version'], { stdio: 'ignore' }).status === 0;
  const reason = hasSchemathesis ? '' : ': not tested, schemathesis is missing (pip install schemathesis)';
  const checked = { timeout: 400_000 }; // 4,500 requests
  it.runIf(hasSchemathesis)(`satisfies its OpenAPI document, checked by schemathesis${reason}`, checked, async () => {
    // A text that is too long for a model is refused, and no JSON Schema can express its number of tokens.
    const args = ['run', `${server.url}/openapi.json`, '--seed', '1', '--max-examples', '2'];
    const child = spawn(schemathesis, [...args, '--exclude-checks', 'positive_data_acceptance'], {
      cwd: server.folder,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code, output).toBe(0);
  });
});
