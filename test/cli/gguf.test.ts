import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'cli-gguf-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('GGUF files on the command line', () => {
  it('are written by quantize and described by info', async () => {
    const given = fileURLToPath(new URL('../data/gguf/llama.Q8_0.gguf', import.meta.url));
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

  it('do not grow unless that is allowed', async () => {
    const given = fileURLToPath(new URL('../data/gguf/llama.Q4_K_M.gguf', import.meta.url));
    const packed = join(folder, 'larger');
    const larger = await simdformer(['quantize', given, packed]);
    expect(larger.code).toBe(1);
    expect(larger.stderr).toMatch(/would have 1\.\d MB as int8, more than the \d\.\d MB of .*add --allow-larger/);
    expect(existsSync(packed)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  it('are run and timed, and become folders of packed weights', async () => {
    const given = fileURLToPath(new URL('../data/gguf/llama.Q4_K_M.gguf', import.meta.url));
    const run = async (name: string) => {
      const { stdout, code } = await simdformer(['run', name, 'Zwei Männer', '--max-tokens', '5', '--json']);
      expect(code).toBe(0);
      return JSON.parse(stdout);
    };
    const [own] = await run(given);
    expect(own.input).toBe('Zwei Männer');
    const packed = join(folder, 'packed');
    const { code, stdout } = await simdformer(['quantize', given, packed, '--allow-larger']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/packed: \d\.\d MB → \d\.\d MB \(int8\)$/m);
    expect(existsSync(join(packed, 'model.simdformer.safetensors'))).toBe(true);
    const told = JSON.parse((await simdformer(['info', packed, '--json'])).stdout);
    expect(told).toMatchObject({ type: 'llama', packed: ['int8'], tokenizer: true });
    expect(Object.keys(told.types).sort()).toEqual(['F32', 'I8']);
    const [again] = await run(packed);
    expect(Math.abs(again.score - own.score)).toBeLessThan(0.5); // weights of tiny models are rounded once more
    const refused = await simdformer(['quantize', given, packed, '--type', 'q4_0']);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('q4_0 is not a type of a folder');
    const timed = await simdformer(['bench', given, '--length', '8', '--tokens', '32', '--json']);
    const { read, written, bytes } = JSON.parse(timed.stdout);
    expect(read).toBeGreaterThan(0);
    expect(written ?? 1).toBeGreaterThan(0); // null if noise made 32 tokens seem faster than one
    expect(bytes).toBeLessThan(1_100_000);
  });
});
