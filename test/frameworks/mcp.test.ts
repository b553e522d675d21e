// `simdformer mcp`, by the client of the real SDK.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { splitPassages } from '../../src/tasks/index.js';
import { argumentsOf, simdformer } from '../cli/run-cli.js';
import { testData } from '../test-data.js';
import { type SmallModels, smallModels } from './small-models.js';

interface Result {
  path: string;
  firstLine: number;
  lastLine: number;
  score: number;
  text: string;
}

describe('simdformer mcp', () => {
  // The embedding model knows molecules. A query that equals a passage has the same vector.
  const files = {
    'alcohols.md': 'CCO\n',
    'rings/benzene.txt': '# Rings\n\nc1ccccc1\n',
    'rings/long.txt': 'N'.repeat(2500),
  };
  let models: SmallModels;
  let folder: string;
  let client: Client;
  /** Text that the server wrote to standard error. */
  let said = '';
  const search = async (query: string, limit?: number) => {
    const { structuredContent, isError } = await client.callTool({ name: 'search', arguments: { query, limit } });
    expect(isError).toBeFalsy();
    return (structuredContent as { results: Result[] }).results;
  };

  beforeAll(async () => {
    models = await smallModels();
    folder = mkdtempSync(join(tmpdir(), 'simdformer-mcp-'));
    for (const name of ['rings', 'node_modules', '.hidden']) mkdirSync(join(folder, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, 'node_modules/code.js'), 'CCCC');
    writeFileSync(join(folder, '.hidden/secret.txt'), 'CCCC');
    writeFileSync(join(folder, 'latin.txt'), Buffer.from('caf\u00e9', 'latin1'));
    writeFileSync(join(folder, 'image.png'), Buffer.from([137, 80, 78, 71, 0, 255, 0]));
    symlinkSync(join(models.folder, 'config.json'), join(folder, 'outside.json'));
    client = new Client({ name: 'test', version: '1' });
    const model = join(testData('checkpoints').path, 'rxnmapper-albert');
    const args = argumentsOf(['mcp', '--folder', folder, '--model', model, '--chat', models.folder]);
    const transport = new StdioClientTransport({ command: process.execPath, args, stderr: 'pipe' });
    transport.stderr!.on('data', (chunk) => {
      said += String(chunk);
    });
    await client.connect(transport);
  });
  afterAll(async () => {
    await client?.close();
    models?.end();
    rmSync(folder, { recursive: true });
  });

  it('lists its tools', async () => {
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['search', 'answer']);
  });

  it('finds a passage, with its position', async () => {
    const [best, ...others] = await search('CCO');
    expect(best).toEqual({ path: 'alcohols.md', firstLine: 1, lastLine: 1, text: 'CCO', score: expect.closeTo(1, 5) });
    expect(new Set(others.map(({ path }) => path))).toEqual(new Set(['rings/benzene.txt', 'rings/long.txt']));
    expect((await search('CCO', 1)).length).toBe(1);
  });

  it('names texts that are not UTF-8, to the client and on standard error', async () => {
    const { content, structuredContent } = await client.callTool({ name: 'search', arguments: { query: 'CCO' } });
    expect((content as object[]).at(-1)).toEqual({ type: 'text', text: 'Left out: latin.txt (not UTF-8)' });
    expect(structuredContent).toMatchObject({ skipped: [{ path: 'latin.txt', why: 'not UTF-8' }] });
    expect(said).toContain('simdformer: Left out: latin.txt (not UTF-8)');
    writeFileSync(join(folder, 'latin.txt'), 'CCO');
    expect(await search('CCO')).toContainEqual(expect.objectContaining({ path: 'latin.txt' }));
    rmSync(join(folder, 'latin.txt'));
    expect((await client.callTool({ name: 'search', arguments: { query: 'CCO' } })).content).toHaveLength(1);
  });

  it('finds changes of files', async () => {
    writeFileSync(join(folder, 'new.md'), 'ClCCl\n');
    rmSync(join(folder, 'alcohols.md'));
    const results = await search('ClCCl');
    expect(results[0]).toMatchObject({ path: 'new.md', score: expect.closeTo(1, 5) });
    expect(results.map(({ path }) => path)).not.toContain('alcohols.md');
  });

  it('answers from the passages found', async () => {
    const { content, isError } = await client.callTool({ name: 'answer', arguments: { question: 'ClCCl' } });
    expect(isError).toBeFalsy();
    expect((content as { text: string }[])[0]!.text).not.toBe('');
  });

  it('reports invalid calls', async () => {
    for (const [given, reason] of [
      [{}, /'query' is undefined, expected text/],
      [{ query: 'C', limit: 0 }, /'limit' is 0, expected an integer from 1 to 50/],
      [{ query: 'C', limt: 1 }, /no argument 'limt', expected query, limit/],
    ] as const) {
      const { content, isError } = await client.callTool({ name: 'search', arguments: given });
      expect(isError).toBe(true);
      expect((content as { text: string }[])[0]!.text).toMatch(reason);
    }
  });

  it('ends with a reason if a model does not load, or is not for conversations', async () => {
    const albert = join(testData('checkpoints').path, 'rxnmapper-albert');
    // The client stays: its end of standard input is open.
    const run = (...args: string[]) =>
      promisify(execFile)(process.execPath, argumentsOf(['mcp', '--folder', folder, '--model', ...args]));
    const message = expect.stringMatching(/nowhere/);
    await expect(run(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 1, stdout: '', stderr: message });
    const reason = 'simdformer: the model has no chat template: choose a model that was trained for conversations\n';
    const advice = expect.stringContaining(reason);
    await expect(run(albert, '--chat', albert)).rejects.toMatchObject({ code: 1, stdout: '', stderr: advice });
  });

  it('refuses a path that is not a folder', async () => {
    const { code, stderr } = await simdformer(['mcp', '--folder', join(folder, 'nowhere')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/--folder is '.*nowhere', expected a folder/);
  });
});

describe('passages', () => {
  it('end at empty lines, and are at most 1000 characters', () => {
    const paragraph = 'word '.repeat(120).trim();
    const text = [paragraph, '', paragraph, '', 'end', 'x'.repeat(2300), ''].join('\n');
    const passages = splitPassages(text);
    expect(passages.map(({ firstLine, lastLine }) => [firstLine, lastLine])).toEqual([
      [1, 1],
      [3, 3],
      [5, 5],
      [6, 6],
      [6, 6],
      [6, 6],
    ]);
    expect(Math.max(...passages.map((each) => each.text.length))).toBeLessThanOrEqual(1000);
    expect(passages.map((each) => each.text).join('')).toBe(text.replaceAll('\n', ''));
  });

  it('do not exist in an empty text', () => expect(splitPassages(' \n\n')).toEqual([]));
  it('refuse a value that is not text', () => expect(() => splitPassages(5 as never)).toThrow('splitPassages: '));
});
