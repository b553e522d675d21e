// `info` and scripts/check-hub.mjs, with a server in place of the hub.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Hub } from '../pretrained/hub-server.js';
import { simdformer } from './run-cli.js';

const data = (path: string) => fileURLToPath(new URL(`../data/${path}`, import.meta.url));
const file = (path: string) => readFileSync(data(path));

let hub: Hub;
let home: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'info-'));
  hub = await new Hub({
    'config.json': file('families/llama/config.json'),
    'model.safetensors': file('families/llama/model.safetensors'),
  }).start();
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HOME', home);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  rmSync(home, { recursive: true });
});

describe('info', () => {
  it('checks by the headers of a model on the hub if it loads', async () => {
    const weights = file('families/llama/model.safetensors');
    const { code, stdout } = await simdformer(['info', 'org/model']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^architecture +llama, LlamaForCausalLM$/m);
    expect(stdout).toMatch(/^loads +yes: every name and shape fits$/m);
    expect(stdout).toMatch(/^memory +float32 \d+\.\d MiB, int8 \d+\.\d MiB, int4 \d+\.\d MiB$/m);
    expect(hub.sent.get('model.safetensors')).toBe(8 + Number(weights.readBigUInt64LE(0)));
    const told = JSON.parse((await simdformer(['info', 'org/model', '--json'])).stdout);
    expect(told).toMatchObject({ fits: true, type: 'llama', missing: [], unexpected: [], misshapen: [] });
    expect(told.memory.float32).toBe(4 * told.parameters);
  });

  it('exits with code 1 and the reason for a model that does not load', async () => {
    const absent = await simdformer(['info', 'org/other']);
    expect(absent).toMatchObject({ code: 1, stdout: '' });
    expect(absent.stderr).toMatch(/404.*org\/other is not there/);
    const told = JSON.parse((await simdformer(['info', 'org/other', '--json'])).stdout);
    expect(told).toMatchObject({ fits: false, problem: expect.stringMatching(/404/) });
    const revision = await simdformer(['info', 'org/model', '--revision', 'v2']);
    expect(revision.stderr).toMatch(/org\/model has no such revision/);
  });

  it('checks the variant of ONNX files that --dtype names', async () => {
    const q4 = await simdformer(['info', data('formats/onnx/bert'), '--dtype', 'q4', '--json']);
    const fp32 = await simdformer(['info', data('formats/onnx/bert'), '--json']);
    const [packed, whole] = [JSON.parse(q4.stdout), JSON.parse(fp32.stdout)];
    expect([packed.fits, whole.fits, packed.parameters]).toEqual([true, true, whole.parameters]);
    const absent = await simdformer(['info', data('formats/onnx/gpt2'), '--dtype', 'q4']);
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringMatching(/no ONNX files for dtype "q4"/) });
  });
});

describe('check-hub', () => {
  const run = (...ids: string[]) =>
    new Promise<{ code: number; stdout: string }>((resolve) => {
      const script = fileURLToPath(new URL('../../scripts/check-hub.mjs', import.meta.url));
      execFile(process.execPath, ['--import', 'tsx', script, ...ids], (error, stdout) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout }),
      );
    });

  it('prints a line for each id, and ends with code 1 if one does not load', async () => {
    const all = await run('org/model', data('families/gpt2'));
    expect(all.stdout).toMatch(/^org\/model +yes +0 +0 +0/m);
    expect(all).toMatchObject({ code: 0, stdout: expect.stringMatching(/^2 of 2 load$/m) });
    const some = await run('org/other', 'org/model');
    expect(some.stdout).toMatch(/^org\/other +no .*404/m);
    expect(some).toMatchObject({ code: 1, stdout: expect.stringMatching(/^1 of 2 load$/m) });
  });
});
