// examples/memory, with its real databases and three small models in one process.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SmallModels, smallModels } from '../frameworks/small-models.js';
import { folderOf } from '../retrieval/folders.js';
import { testData } from '../test-data.js';

const run = promisify(execFile);
const home = resolve('.cache/hosts/memory');
const tsc = 'node_modules/typescript/bin/tsc';
const embedder = join(testData('checkpoints').path, 'rxnmapper-albert');
let models: SmallModels;

beforeAll(async () => {
  cpSync('examples/memory', home, { recursive: true });
  const { dependencies, peerDependencies } = JSON.parse(readFileSync('examples/memory/package.json', 'utf8'));
  const { simdformer: _, ...packages } = { ...dependencies, ...peerDependencies }; // an alias of the sources
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies: packages }));
  if (!existsSync(join(home, 'node_modules/libsql')))
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home });
  models = await smallModels();
  const writer = join(home, 'writer');
  await models.writer.save(writer);
  const config = join(writer, 'tokenizer_config.json');
  const { chatTemplate } = models.writer.tokenizer;
  const saved = existsSync(config) ? JSON.parse(readFileSync(config, 'utf8')) : {};
  writeFileSync(config, JSON.stringify({ ...saved, chat_template: chatTemplate }));
});
afterAll(() => models?.end());

it('compiles in strict mode', async () => {
  const paths = { simdformer: ['../../../src/index.ts'], 'simdformer/*': ['../../../src/*/index.ts'] };
  const compilerOptions = { paths, typeRoots: ['../../../node_modules/@types'] };
  writeFileSync(
    join(home, 'tsconfig.json'),
    JSON.stringify({ extends: '../../../tsconfig.json', compilerOptions, include: ['*.ts'], exclude: [] }),
  );
  const { stdout, stderr } = await run(process.execPath, [tsc, '-p', home]).catch((error) => error);
  expect(stdout + stderr).toBe('');
});

describe.each(['sqlite', 'lancedb'])('a memory in %s', (store) => {
  let folder: string;
  const command = async (...args: string[]) => {
    const { main } = await import(join(home, 'main.ts'));
    const lines: string[] = [];
    const given = ['--store', store, '--memory', join(folder, '.memory'), '--embedder', embedder];
    const reading = ['--reranker', folderOf('cross-encoder-default'), '--chat', join(home, 'writer')];
    const status = await main([...args, '--json', ...given, ...reading], (line: string) => lines.push(line));
    return { status, result: lines.length > 0 ? JSON.parse(lines.join('\n')) : null };
  };
  const index = async () => (await command('index', folder)).result;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'simdformer-memory-'));
    mkdirSync(join(folder, 'rings'));
    writeFileSync(join(folder, "alcohol's.md"), 'CCO\n');
    writeFileSync(join(folder, 'rings/benzene.py'), '# Rings\n\nc1ccccc1\n');
    writeFileSync(join(folder, 'picture.png'), 'CCCC');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('has no answer while it is empty', async () => {
    expect(await command('ask', 'CCO')).toEqual({ status: 1, result: null });
  });

  it('reads only files that are new or have changed', async () => {
    expect(await index()).toEqual({ read: 2, unchanged: 0, forgotten: 0 });
    expect(await index()).toEqual({ read: 0, unchanged: 2, forgotten: 0 });
    writeFileSync(join(folder, "alcohol's.md"), 'CCCO\n');
    writeFileSync(join(folder, 'new.md'), 'ClCCl\n');
    rmSync(join(folder, 'rings'), { recursive: true });
    expect(await index()).toEqual({ read: 2, unchanged: 0, forgotten: 1 });
  });

  it('answers from its passages, and cites one of them', async () => {
    const { status, result } = await command('ask', 'ClCCl');
    expect(status).toBe(0);
    const texts = Object.fromEntries(
      result.passages.map(({ path, text }: { path: string; text: string }) => [path, text]),
    );
    expect(texts).toEqual({ "alcohol's.md": 'CCCO', 'new.md': 'ClCCl' });
    expect(result.answer.length).toBeGreaterThan(0);
    expect(result.passages).toContainEqual(result.source);
  });

  it('finds the nearest passage first', async () => {
    const { SqliteStore } = await import(join(home, 'sqlite-store.ts'));
    const { LanceStore } = await import(join(home, 'lance-store.ts'));
    const path = join(folder, '.memory', 'own');
    const [near, far] = (await models.vectors.encode(['CCO', 'c1ccccc1'])) as [Float32Array, Float32Array];
    const own = store === 'sqlite' ? new SqliteStore(path, near.length) : await LanceStore.open(path);
    const place = { firstLine: 1, lastLine: 1 };
    await own.put('b', '2', [{ ...place, path: 'b', text: 'c1ccccc1', vector: far }]);
    await own.put('a', '1', [{ ...place, path: 'a', text: 'CCO', vector: near }]);
    const found = await own.search(near, 2);
    const [[cosine]] = models.vectors.similarity([near], [far]) as [[number]];
    expect(found).toEqual([
      { ...place, path: 'a', text: 'CCO', score: expect.closeTo(1, 5) },
      { ...place, path: 'b', text: 'c1ccccc1', score: expect.closeTo(cosine, 5) },
    ]);
    own.close();
  });
});
