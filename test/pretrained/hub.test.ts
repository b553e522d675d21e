import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArgumentError, FetchError, FormatError, HubError } from '../../src/core/errors.js';
import { openHub } from '../../src/pretrained/hub.js';
import type { DownloadProgress } from '../../src/pretrained/hub-options.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { cutting, type Fault, failing, Hub, SHA } from './hub-server.js';

const weights = Buffer.alloc(300_000);
for (let i = 0; i < weights.length; i++) weights[i] = (i * 2654435761) >>> 24;
const config = Buffer.from('{"model_type": "bert"}');
const pooling = Buffer.from('{"word_embedding_dimension": 384}');

let hub: Hub;
let home: string;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'hub-'));
  hub = await new Hub({
    'config.json': config,
    'model.safetensors': weights,
    '1_Pooling/config.json': pooling,
  }).start();
  vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
  vi.stubEnv('HF_HOME', home);
  for (const name of [
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
    'HF_TOKEN_PATH',
    'HF_HUB_OFFLINE',
    'TRANSFORMERS_OFFLINE',
  ])
    vi.stubEnv(name, '');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  rmSync(home, { recursive: true });
});

const repository = () => join(home, 'hub', 'models--org--model');
const blobs = () => readdirSync(join(repository(), 'blobs'));

/** Runs an action with the model in another process. */
function downloading(action: string) {
  const hubModule = JSON.stringify(new URL('../../src/pretrained/hub.ts', import.meta.url));
  const script = `import { openHub } from ${hubModule}; await openHub('org/model').then(${action});`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: 'inherit' });
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)));
  return { process: child, ended };
}

async function rejected(action: Promise<unknown>): Promise<HubError> {
  const error = await action.then(
    () => expect.fail('it was accepted'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(HubError);
  expect(error).toBeInstanceOf(FetchError);
  return error;
}

describe('openHub', () => {
  it.runIf(platform() === 'linux')('says that the disk of its cache can only be read', async () => {
    const library = join(home, 'read-only.so');
    writeFileSync(join(home, 'read-only.c'), '#include <errno.h>\nint mkdir() { errno = EROFS; return -1; }\n');
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', library, join(home, 'read-only.c')]);
    const hubModule = JSON.stringify(new URL('../../src/pretrained/hub.ts', import.meta.url));
    const script = `import { openHub } from ${hubModule};
      const fails = async () => (await openHub('org/model')).json('config.json');
      await fails().catch(({ name, cause }) => console.log(name, cause.code, cause.path));`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '-e', script],
      { env: { ...process.env, LD_PRELOAD: library, TSX_DISABLE_CACHE: '1' } },
    );
    expect(stdout).toBe(`ArgumentError EROFS ${join(home, 'hub')}\n`);
  });

  it('downloads opened files into the layout of Hugging Face’s cache', async () => {
    const source = await openHub('org/model');
    expect(await source.list()).toEqual(['1_Pooling/config.json', 'config.json', 'model.safetensors']);
    expect(await source.has('tokenizer.json')).toBe(false);
    await expect(source.open('tokenizer.json')).rejects.toThrow(/org\/model has no tokenizer.json/);
    expect(await source.json('config.json')).toEqual({ model_type: 'bert' });
    expect(await source.json('1_Pooling/config.json')).toEqual({ word_embedding_dimension: 384 });
    expect(Buffer.from(await source.bytes('model.safetensors')).equals(weights)).toBe(true);

    expect(readFileSync(join(repository(), 'refs/main'), 'utf8')).toBe(SHA);
    const snapshot = join(repository(), 'snapshots', SHA);
    expect(readdirSync(snapshot).sort()).toEqual(['1_Pooling', 'config.json', 'model.safetensors']);
    const tag = createHash('sha256').update(weights).digest('hex');
    expect(readlinkSync(join(snapshot, 'model.safetensors'))).toBe(`../../blobs/${tag}`);
    expect(readlinkSync(join(snapshot, '1_Pooling/config.json'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\/[\da-f]{40}$/);
    expect(blobs()).toHaveLength(3); // no partial file stays
  });

  it('requests only the commit if files are cached, and nothing offline', async () => {
    await (await openHub('org/model')).bytes('model.safetensors');
    hub.requests.length = 0;
    await (await openHub('org/model')).bytes('model.safetensors');
    expect(hub.requests.map(({ url }) => url)).toEqual(['/api/models/org/model/revision/main?blobs=true']);

    hub.requests.length = 0;
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const source = await openHub('org/model');
    expect(await source.list()).toEqual(['model.safetensors']);
    expect(Buffer.from(await source.bytes('model.safetensors')).equals(weights)).toBe(true);
    expect((await rejected(source.open('config.json'))).message).toMatch(
      /config.json of org\/model is not in the cache/,
    );
    expect((await rejected(openHub('org/other'))).message).toMatch(/HF_HUB_OFFLINE is set/);
    expect(await (await openHub('org/model', { revision: SHA })).has('model.safetensors')).toBe(true);
    expect(hub.requests).toEqual([]);
  });

  it('uses the cache when the hub is unreachable', async () => {
    await (await openHub('org/model')).bytes('config.json');
    hub.faults = [(request) => !!request.socket.destroy()];
    const source = await openHub('org/model');
    expect(await source.json('config.json')).toEqual({ model_type: 'bert' });
    expect((await rejected(source.open('model.safetensors'))).message).toMatch(/the hub is unreachable/);
    vi.stubEnv('HF_HOME', join(home, 'empty'));
    const error = await rejected(openSource('org/model'));
    expect(error.status).toBeUndefined();
    expect(error.message).toMatch(/^there is no folder or file org\/model, and http.* cannot be fetched: /);
  });

  it('reads files that Python’s library left, and its partial downloads', async () => {
    const tag = createHash('sha256').update(weights).digest('hex');
    mkdirSync(join(repository(), 'blobs'), { recursive: true });
    writeFileSync(join(repository(), 'blobs', `${tag}.incomplete`), weights.subarray(0, 1234));
    expect(Buffer.from(await (await openHub('org/model')).bytes('model.safetensors')).equals(weights)).toBe(true);
    expect(hub.requests.filter(({ host }) => host === 'store')).toMatchObject([{ range: 'bytes=1234-' }]);
  });

  it('requests tag and length of each file that the list lacks', async () => {
    hub.withBlobs = false;
    const source = await openHub('org/model');
    await source.bytes('config.json');
    await source.bytes('model.safetensors');
    expect(hub.requests.filter(({ method }) => method === 'HEAD').map(({ host }) => host)).toEqual(['hub', 'hub']);
    const names = [config, weights].map((data, i) =>
      i === 1
        ? createHash('sha256').update(data).digest('hex')
        : createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex'),
    );
    expect(blobs().sort()).toEqual(names.sort());
  });

  it('follows a revision, keeps others, and refuses invalid ones', async () => {
    await (await openHub('org/model')).bytes('config.json');
    hub.sha = 'f'.repeat(40);
    hub.files['config.json'] = Buffer.from('{"model_type": "gpt2"}');
    expect(await (await openHub('org/model')).json('config.json')).toEqual({ model_type: 'gpt2' });
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await (await openHub('org/model', { revision: SHA })).json('config.json')).toEqual({ model_type: 'bert' });
    vi.stubEnv('HF_HUB_OFFLINE', '');
    const error = await rejected(openHub('org/model', { revision: 'refs/pr/9' }));
    expect(error).toMatchObject({ status: 404 });
    expect(error.message).toMatch(/org\/model has no such revision \(Invalid rev id\)/);
    for (const revision of ['../..', 'a/../../b', '/etc', ''])
      await expect(openHub('org/model', { revision })).rejects.toThrow(ArgumentError);
  });

  it('sends its token only to the hub', async () => {
    hub.token = 'hf_secret';
    const refused = await rejected(openHub('org/model'));
    expect(refused).toMatchObject({ status: 401 });
    expect(refused.message).toMatch(/no model org\/model, or it is private: give a token/);
    expect((await rejected(openHub('org/model', { token: 'hf_other' }))).message).toMatch(/check the token/);

    await (await openHub('org/model', { token: 'hf_secret' })).bytes('model.safetensors');
    const toStore = hub.requests.filter(({ host }) => host === 'store');
    expect(toStore).toHaveLength(1);
    expect(toStore[0]).not.toHaveProperty('authorization');

    writeFileSync(join(home, 'token'), 'hf_secret\n');
    await openHub('org/model');
    vi.stubEnv('HF_TOKEN', 'hf_other');
    await rejected(openHub('org/model'));
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await openHub('org/model');
    await rejected(openHub('org/model', { token: false }));
    await expect(openHub('org/model', { token: 'two words' })).rejects.toThrow(ArgumentError);
  });

  it('continues after a lost connection', async () => {
    hub.faults = [cutting(weights, 100_000, 2)];
    const progress: DownloadProgress[] = [];
    const source = await openHub('org/model', { onProgress: (now) => progress.push(now) });
    expect(Buffer.from(await source.bytes('model.safetensors')).equals(weights)).toBe(true);
    const ranges = hub.requests.filter(({ host }) => host === 'store').map(({ range }) => range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.length).toBe(3);
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=\d+-$/);
    expect(progress[0]).toEqual({ file: 'model.safetensors', loaded: 0, total: weights.length });
    expect(progress.at(-1)).toEqual({ file: 'model.safetensors', loaded: weights.length, total: weights.length });
    for (let i = 1; i < progress.length; i++)
      expect(progress[i]!.loaded).toBeGreaterThanOrEqual(progress[i - 1]!.loaded);
  });

  it('continues the download of an earlier run', async () => {
    const controller = new AbortController();
    const stop = new Error('enough');
    const onProgress = ({ loaded }: DownloadProgress) => loaded > 0 && controller.abort(stop);
    hub.faults = [cutting(weights, 50_000, 1)];
    const source = await openHub('org/model', { signal: controller.signal, onProgress });
    await expect(source.bytes('model.safetensors')).rejects.toBe(stop);
    const [partial] = blobs();
    expect(partial).toMatch(/\.incomplete$/);
    const { size } = lstatSync(join(repository(), 'blobs', partial!));
    expect(size).toBeGreaterThan(0);
    hub.requests.length = 0;
    await (await openHub('org/model')).bytes('model.safetensors');
    expect(hub.requests.at(-1)).toMatchObject({ host: 'store', range: `bytes=${size}-` });
  });

  it.each<[string, Fault]>([
    ['knows no ranges', (request) => !delete request.headers.range],
    ['refuses the rest', (request, response) => !!request.headers.range && failing(416, 1)(request, response)],
  ])('continues if a server %s', async (_, fault) => {
    hub.faults = [
      cutting(weights, 100_000, 1),
      (request, response) => !!request.url?.endsWith('?signed') && fault(request, response),
    ];
    expect(Buffer.from(await (await openHub('org/model')).bytes('model.safetensors')).equals(weights)).toBe(true);
  });

  it('gives up on a connection that is always lost', async () => {
    hub.faults = [cutting(weights, 0, 99)];
    const error = await rejected((await openHub('org/model')).bytes('model.safetensors'));
    expect(error.message).toMatch(/ends after 0 bytes, each time, expected 300000/);
  });

  it('waits as long as a server requests, and retries temporary failures', async () => {
    hub.faults = [failing(429, 1, { 'retry-after': '1' }), failing(503, 2)];
    const start = performance.now();
    await (await openHub('org/model')).bytes('config.json');
    expect(performance.now() - start).toBeGreaterThan(990);
    expect(hub.requests).toHaveLength(5);
    hub.faults = [failing(429, 1, { 'retry-after': '3600' })];
    const error = await rejected(openHub('org/model', { cacheDir: join(home, 'other') }));
    expect(error).toMatchObject({ status: 429, message: expect.stringMatching(/too many requests/) });
  });

  it('stops waiting at the signal', async () => {
    hub.faults = [failing(429, 1, { 'retry-after': '100' })];
    const signal = AbortSignal.timeout(100);
    await expect(openHub('org/model', { signal })).rejects.toThrow(/timeout/);
    expect(signal.aborted).toBe(true);
  });

  it.each([
    ['shorter', 299_000],
    ['longer', 300_001],
  ])('refuses a file that is %s than the hub says', async (_, length) => {
    hub.faults = [
      (request, response) => {
        if (!request.url?.endsWith('?signed')) return false;
        response.writeHead(200, { 'content-length': length }).end(Buffer.alloc(length));
        return true;
      },
    ];
    const error = await rejected((await openHub('org/model')).bytes('model.safetensors'));
    expect(error.message).toMatch(`has ${length} bytes, expected 300000`);
  });

  it('refuses more bytes than were announced, without a length', async () => {
    hub.faults = [
      (request, response) => {
        if (!request.url?.endsWith('?signed')) return false;
        response.writeHead(200).end(Buffer.alloc(400_000));
        return true;
      },
    ];
    expect((await rejected((await openHub('org/model')).bytes('model.safetensors'))).message).toMatch(/has more bytes/);
  });

  it('refuses and removes a large file with a wrong hash', async () => {
    hub.faults = [
      (request, response) => {
        if (!request.url?.endsWith('?signed')) return false;
        response.writeHead(200, { 'content-length': weights.length }).end(Buffer.alloc(weights.length));
        return true;
      },
    ];
    const source = await openHub('org/model');
    expect((await rejected(source.bytes('model.safetensors'))).message).toMatch(/has the SHA-256 /);
    expect(blobs()).toEqual([]);
    hub.faults = [];
    expect(Buffer.from(await source.bytes('model.safetensors')).equals(weights)).toBe(true);
  });

  it('downloads cached files of a wrong length again', async () => {
    await (await openHub('org/model')).bytes('model.safetensors');
    const blob = join(repository(), 'blobs', blobs()[0]!);
    writeFileSync(blob, weights.subarray(0, 100));
    expect(Buffer.from(await (await openHub('org/model')).bytes('model.safetensors')).equals(weights)).toBe(true);
    expect(existsSync(`${blob}.incomplete`)).toBe(false);
  });

  it('lets two callers download the same file at once', async () => {
    const [a, b] = await Promise.all([openHub('org/model'), openHub('org/model')]);
    const both = await Promise.all([a.bytes('model.safetensors'), b.bytes('model.safetensors')]);
    for (const bytes of both) expect(Buffer.from(bytes).equals(weights)).toBe(true);
    expect(blobs()).toHaveLength(1);
  });

  it('lets processes download the same file, even if one is killed', async () => {
    const waiting: (() => void)[] = [];
    let allCame = () => {};
    const reached = new Promise<void>((resolve) => {
      allCame = resolve;
    });
    hub.faults = [
      (request, response) => {
        if (!request.url?.endsWith('?signed')) return false;
        response.writeHead(200, { 'content-length': weights.length }).write(weights.subarray(0, 100_000));
        waiting.push(() => response.end(weights.subarray(100_000)));
        if (waiting.length === 3) allCame();
        return true;
      },
    ];
    const children = Array.from({ length: 3 }, () => downloading(`s => s.bytes('model.safetensors')`));
    await reached;
    children[0]!.process.kill('SIGKILL');
    for (const go of waiting) go();
    expect(await Promise.all(children.map(({ ended }) => ended))).toEqual([null, 0, 0]);
    expect(blobs()).toHaveLength(1);
    hub.faults = [failing(503, 99)];
    expect(Buffer.from(await (await openHub('org/model')).bytes('model.safetensors')).equals(weights)).toBe(true);
  });

  it('names a file that cannot be written, and resumes it later', async () => {
    const blob = join(repository(), 'blobs', createHash('sha256').update(weights).digest('hex'));
    mkdirSync(`${blob}.incomplete`, { recursive: true });
    const source = await openHub('org/model');
    await expect(source.bytes('model.safetensors')).rejects.toMatchObject({
      code: 'EISDIR',
      path: `${blob}.incomplete`,
    });
    rmdirSync(`${blob}.incomplete`);
    mkdirSync(join(blob, 'full'), { recursive: true });
    await expect(source.bytes('model.safetensors')).rejects.toMatchObject({ syscall: 'rename' });
    rmSync(blob, { recursive: true });
    hub.requests.length = 0;
    expect(Buffer.from(await source.bytes('model.safetensors')).equals(weights)).toBe(true);
    expect(hub.requests).toEqual([]); // all of it was there
  });

  it.each(['proc', 'a file'])('refuses a cache folder that cannot be made: %s', async (kind) => {
    writeFileSync(join(home, 'file'), '');
    const cacheDir = kind === 'proc' && platform() === 'linux' ? '/proc/simdformer/hub' : join(home, 'file/hub');
    const error = await openHub('org/model', { cacheDir }).catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(
      /^the cache of the hub cannot be written: E(NOENT|EXIST|NOTDIR): .* set cacheDir, /,
    );
  });

  it('stays in its folder for any names of files on a server', async () => {
    hub.files['../../../evil.json'] = config;
    const source = await openHub('org/model');
    expect(await source.list()).not.toContain('../../../evil.json');
    await expect(source.open('../../../evil.json')).rejects.toThrow(FormatError);
    hub.faults = [
      (_, response) => {
        response.end(JSON.stringify({ sha: '../../..', siblings: [] }));
        return true;
      },
    ];
    expect((await rejected(openHub('org/model'))).message).toMatch(/is the server a hub\?/);
    hub.faults = [(_, response) => !!response.end('<html>')];
    expect((await rejected(openHub('org/model'))).message).toMatch(/something other than JSON/);
  });

  it('stores its files in the given folder', async () => {
    await (await openHub('org/model', { cacheDir: join(home, 'given') })).bytes('config.json');
    vi.stubEnv('HF_HUB_CACHE', join(home, 'by environment'));
    await (await openHub('org/model')).bytes('config.json');
    expect(readdirSync(home).sort()).toEqual(['by environment', 'given']);
    await expect(openHub('org/model', { cacheDirectory: 'x' } as object)).rejects.toThrow(/no option cacheDirectory/);
  });
});
