import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeWhole } from '../../src/cli/whole-file.js';
import { type FileParts, writeAtomically, writeInFolders } from '../../src/io/atomic-write.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
  await writeFile(join(folder, 'a'), 'old');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const write = (files: Record<string, FileParts>) =>
  writeAtomically(new Map(Object.entries(files).map(([name, parts]) => [join(folder, name), parts])));
const content = (name: string) => readFile(join(folder, name), 'utf8');

/** The prototype that has every open file's `sync`. */
async function fileMethods() {
  const file = await open(join(folder, 'a'));
  await file.close();
  return Object.getPrototypeOf(file) as typeof file;
}

describe('writeAtomically', () => {
  it('replaces files by their parts', async () => {
    await write({ a: [bytes('new'), bytes('er')], b: [] });
    expect([await content('a'), await content('b')]).toEqual(['newer', '']);
    expect(await readdir(folder)).toEqual(['a', 'b']);
  });

  it('leaves all files as they were if one fails', async () => {
    const failing = (async function* () {
      yield bytes('part');
      throw new Error('gone');
    })();
    await expect(write({ a: [bytes('new')], b: failing })).rejects.toThrow('gone');
    await expect(write({ a: [bytes('new')], 'nowhere/b': [] })).rejects.toThrow('ENOENT');
    await mkdir(join(folder, 'b'));
    await expect(write({ a: [bytes('new')], b: [] })).rejects.toThrow(/EISDIR.*b'/);
    expect(await readdir(folder)).toEqual(['a', 'b']);
    expect(await content('a')).toBe('old');
  });

  it('throws the first error, even if cleaning up fails, too', async () => {
    const failing = (async function* () {
      const temporary = (await readdir(folder)).find((name) => name.endsWith('.tmp')) as string;
      await rm(join(folder, temporary));
      await mkdir(join(folder, temporary)); // a folder, which cannot be removed as a file
      yield bytes('');
      throw new Error('gone');
    })();
    await expect(write({ a: failing })).rejects.toThrow('gone');
  });
});

describe('writeInFolders', () => {
  const place = (name: string) => join(folder, name);
  it('makes folders, and removes them if writing fails', async () => {
    const failing = (async function* () {
      yield bytes('part');
      throw new Error('gone');
    })();
    await mkdir(place('old'));
    const files = new Map<string, FileParts>([
      [place('old/new/deep/b'), [bytes('b')]],
      [place('new/c'), failing],
    ]);
    await expect(writeInFolders(files)).rejects.toThrow('gone');
    expect(await readdir(folder, { recursive: true })).toEqual(['a', 'old']);
    await expect(writeInFolders(new Map([[place('a/b/c'), []]]))).rejects.toThrow(/ENOTDIR|EEXIST/);
    await writeInFolders(new Map([...files, [place('new/c'), [bytes('c')]]]));
    expect([await content('old/new/deep/b'), await content('new/c')]).toEqual(['b', 'c']);
  });
});

describe.skipIf(process.platform === 'win32')('a path that is not a plain file', () => {
  const isLink = async (name: string) => (await lstat(join(folder, name))).isSymbolicLink();

  it('follows links to the written file, even if it does not exist yet', async () => {
    await mkdir(join(folder, 'disk'));
    await symlink('a', join(folder, 'link'));
    await symlink('disk/../disk/new', join(folder, 'first'));
    await symlink('first', join(folder, 'second'));
    await write({ link: [bytes('A')], second: [bytes('B')] });
    expect([await content('a'), await content('disk/new')]).toEqual(['A', 'B']);
    expect(await Promise.all(['link', 'first', 'second'].map(isLink))).toEqual([true, true, true]);
    expect(await readdir(join(folder, 'disk'))).toEqual(['new']);
  });

  it('resolves `..` after a link', async () => {
    await mkdir(join(folder, 'disk/deep'), { recursive: true });
    await symlink('disk/deep', join(folder, 'deep'));
    await symlink('deep/../new', join(folder, 'relative'));
    await symlink(`${folder}/deep/../newer`, join(folder, 'absolute'));
    await write({ relative: [bytes('A')], absolute: [bytes('B')] });
    expect([await content('disk/new'), await content('disk/newer')]).toEqual(['A', 'B']);
  });

  it('refuses cycles of links', async () => {
    await symlink('round', join(folder, 'round'));
    await expect(write({ a: [bytes('new')], 'round/b': [] })).rejects.toThrow('ELOOP');
    await expect(write({ a: [bytes('new')], round: [] })).rejects.toThrow('ELOOP');
    expect(await content('a')).toBe('old');
    expect(await readdir(folder)).toEqual(['a', 'round']);
    expect(await isLink('round')).toBe(true);
  });

  it.runIf(process.platform === 'linux')('stays what it is where it is open already, as /dev/stdout is', async () => {
    const file = await open(join(folder, 'a'), 'a');
    await symlink(`/proc/self/fd/${file.fd}`, join(folder, 'stdout')); // never /dev/stdout itself: tests may run as root
    await write({ stdout: [bytes(', and '), bytes('new')] });
    await file.writeFile('er');
    await file.close();
    expect(await content('a')).toBe('old, and newer');
    expect(await isLink('stdout')).toBe(true);
    expect(await readdir(folder)).toEqual(['a', 'stdout']);
  });

  it('names the given path if it cannot be written to', async () => {
    const server = createServer().listen(join(folder, 'socket'));
    await once(server, 'listening');
    await symlink('socket', join(folder, 'link'));
    await expect(write({ link: [] })).rejects.toThrow(/ENXIO.*link'$/);
    server.close();
  });

  it('writes to a pipe', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const [read] = await Promise.all([content('pipe'), write({ pipe: [bytes('through'), bytes(' it')] })]);
    expect(read).toBe('through it');
    expect((await lstat(join(folder, 'pipe'))).isFIFO()).toBe(true);
  });
});

it('names the file that the system refuses to write', async () => {
  const refused = Object.assign(new Error('ENOSPC: no space left on device, fsync'), {
    code: 'ENOSPC',
    syscall: 'fsync',
  });
  vi.spyOn(await fileMethods(), 'sync').mockRejectedValue(refused);
  await expect(write({ a: [bytes('new')] })).rejects.toMatchObject({
    path: expect.stringMatching(/a\.[\da-f-]+\.tmp$/),
  });
});

it.each([
  ["Node's permission model", Object.assign(new Error('fsync API is disabled'), { code: 'ERR_ACCESS_DENIED' })],
  ["Yarn's Plug'n'Play", new Error('Method not implemented.')],
])('writes if flushing to the disk is forbidden: %s', async (_, error) => {
  vi.spyOn(await fileMethods(), 'sync').mockImplementation(() => {
    throw error;
  });
  await write({ a: [bytes('new')] });
  expect(await content('a')).toBe('new');
});

describe('writeWhole', () => {
  it('flushes a file to the disk before it replaces another', async () => {
    const before: string[] = [];
    const sync = vi.spyOn(await fileMethods(), 'sync').mockImplementation(async () => {
      before.push(await content('a'));
    });
    await writeWhole(join(folder, 'a'), 'nёw');
    expect(sync).toHaveBeenCalledOnce();
    expect(before).toEqual(['old']);
    expect(await content('a')).toBe('nёw');
    expect(await readdir(folder)).toEqual(['a']);
  });

  it('keeps the old file, and nothing else, if it fails', async () => {
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValue(new Error('disk full'));
    await expect(writeWhole(join(folder, 'a'), 'new')).rejects.toThrow('disk full');
    expect(await content('a')).toBe('old');
    expect(await readdir(folder)).toEqual(['a']);
  });

  it.skipIf(process.platform === 'win32')('writes to a device', async () => {
    await writeWhole('/dev/null', 'text');
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });
});
