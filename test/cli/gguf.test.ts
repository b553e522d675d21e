import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { describeShared } from '../shared.js';
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'cli-gguf-'));
afterAll(() => rmSync(folder, { recursive: true }));

await describeShared('GGUF files on the command line', 'gguf', 'SOURCE.txt', async () => {
  it('are written by quantize and told by info', async () => {
    const given = fileURLToPath(new URL('../../../shared/gguf/llama.Q8_0.gguf', import.meta.url));
    const file = join(folder, 'model.gguf');
    expect((await simdformer(['quantize', given, file, '--type', 'q4_0'])).code).toBe(0);
    const { stdout } = await simdformer(['info', '--json', folder]); // the only one in it
    const { types, parameters, vocabulary, metadata } = JSON.parse(stdout);
    expect(Object.keys(types).sort()).toEqual(['F32', 'Q4_0', 'Q8_0']);
    expect({ parameters, vocabulary }).toEqual({ parameters: 1443072, vocabulary: 512 });
    expect(metadata).toMatchObject({ 'general.architecture': 'llama', 'llama.block_count': 2 });
    const told = await simdformer(['info', file]);
    expect(told.stdout).toMatch(/^Q4_0 +14 tensors, 1,179,648 numbers/m);
    expect(told.stdout).toContain('chat template    none');
  });
});
