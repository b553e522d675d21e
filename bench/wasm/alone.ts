// A page of headless Chromium without a debugger. With a debugger, Chromium would keep responses of up to ten
// megabytes, a hundred in total.

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '../../test/browser/chromium.js';
import { type Folders, filesOf, isolation } from '../../test/browser/server.js';
import { BenchError } from '../harness/error.js';

/** Resident bytes of a process, and the part that is not backed by a file, such as its program. */
export interface Memory {
  readonly all: number;
  readonly own: number;
}

/** Work in a page that has `module`: texts of asynchronous code. */
export interface Script {
  readonly module: string;
  readonly prepare: string;
  readonly act: string;
}

export interface Watched {
  readonly seconds: number;
  /** Largest growth of the page's process during the work. */
  readonly grown: Memory;
}

/**
 * Runs a script in a cross-origin isolated page, and watches its process. Files of the folders are served with
 * additional `headers`.
 */
export async function watch(
  script: Script,
  folders: Folders,
  headers: Readonly<Record<string, string>> = {},
): Promise<Watched> {
  const files = filesOf(folders, { ...isolation, ...headers });
  let hear: (said: string) => void = () => {};
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') {
      hear(await textOf(request));
      response.end();
    } else
      await files(request, response, () => {
        response.writeHead(200, { 'Content-Type': 'text/html', ...isolation }).end(page(script));
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const profile = mkdtempSync(join(tmpdir(), 'simdformer-chromium-'));
  const { executablePath, args } = chromium as NonNullable<typeof chromium>;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = spawn(executablePath, ['--headless=new', ...args, `--user-data-dir=${profile}`, url], {
    stdio: 'ignore',
    detached: true, // a separate process group, which is ended as a whole
  });
  const ended = new Promise((resolve) => browser.on('exit', resolve));
  let timer: NodeJS.Timeout | undefined;
  try {
    let start = 0;
    const processes = new Map<number, { before: Memory; max: Memory }>();
    await new Promise<void>((resolve, reject) => {
      hear = (said) => {
        if (said === 'done') return resolve();
        if (said !== 'ready') return reject(new BenchError(`the page failed: ${said}`));
        for (const id of pagesOf(browser.pid as number)) {
          const before = memoryOf(id);
          processes.set(id, { before, max: before });
        }
        timer = setInterval(() => {
          for (const [id, { before, max }] of processes) processes.set(id, { before, max: larger(max, memoryOf(id)) });
        }, 2);
        start = performance.now();
      };
      ended.then(() => reject(new BenchError('Chromium ended early')));
    });
    const growths = Array.from(processes.values(), ({ before, max }) => ({
      all: max.all - before.all,
      own: max.own - before.own,
    }));
    return { seconds: (performance.now() - start) / 1e3, grown: growths.reduce(larger) };
  } finally {
    clearInterval(timer);
    process.kill(-(browser.pid as number), 'SIGKILL');
    await ended;
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
  }
}

const page = ({ module, prepare, act }: Script) => `<!doctype html><script type="module">
  const say = (what) => fetch('/', { method: 'POST', body: what });
  try {
    const module = await import('${module}');
    ${prepare};
    await say('ready');
    ${act};
    await say('done');
  } catch (error) {
    await say(String(error));
  }
</script>`;

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

const larger = (a: Memory, b: Memory): Memory => ({ all: Math.max(a.all, b.all), own: Math.max(a.own, b.own) });

/** Bytes of a process, as Linux reports them. */
function memoryOf(id: number): Memory {
  const status = readFileSync(`/proc/${id}/status`, 'utf8');
  const of = (name: string) => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return { all: of('VmRSS'), own: of('RssAnon') + of('RssShmem') };
}

/** Returns the processes of a browser's pages. Some of them are spare processes. */
function pagesOf(browser: number): number[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = new Map(processes.map((id) => [Number(id), Number(read(id, 'status', /PPid:\s+(\d+)/))]));
  const isOf = (id: number): boolean => id === browser || (parents.has(id) && isOf(parents.get(id) as number));
  return [...parents.keys()].filter((id) => isOf(id) && read(`${id}`, 'cmdline', /--type=(renderer)/) !== undefined);
}

/** Reads a word in a file of /proc for a process; undefined if the process has ended. */
function read(id: string, name: string, pattern: RegExp): string | undefined {
  try {
    return pattern.exec(readFileSync(`/proc/${id}/${name}`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
