// Runs a server in a separate process during a benchmark.

import { type ChildProcess, spawn } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { forNode } from '../../scripts/bundle.mjs';
import { BenchError } from './error.js';

/** Starts a server that listens at a port of this machine. */
export type Server = (port: number) => ChildProcess;

/** Returns `simdformer serve` with these arguments, bundled as it is published. */
export async function ourServer(threads: number, args: readonly string[]): Promise<Server> {
  const outdir = 'build/bench'; // same depth as src/cli, because paths into the package are relative
  await build({ ...forNode, entryPoints: { simdformer: 'src/cli/main.ts' }, outdir });
  const main = fileURLToPath(new URL(`../../${outdir}/simdformer.js`, import.meta.url));
  return (port) => {
    const command = ['--threads', `${threads}`, 'serve', '--port', `${port}`, ...args];
    return spawn(process.execPath, [main, ...command], { stdio: 'ignore' });
  };
}

/** Starts a server, returns the result of `use`, and stops the server. */
export async function served<T>(start: Server, use: (url: string, server: ChildProcess) => Promise<T>): Promise<T> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = start(port);
  const left = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new BenchError(`a server ended with ${code}`)));
  });
  left.catch(() => {}); // the promise rejects at the end
  try {
    return await Promise.race([left, ready(url).then(() => use(url, child))]);
  } finally {
    child.kill();
  }
}

async function ready(url: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    const response = await fetch(`${url}/health`).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new BenchError(`no server answers at ${url}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts all servers, returns the result of `use`, and stops them. */
export async function allServed<T>(
  [next, ...others]: readonly { name: string; start: Server }[],
  use: (urls: { name: string; url: string }[]) => Promise<T>,
): Promise<T> {
  if (next === undefined) return use([]);
  const { name, start } = next;
  return served(start, (url) => allServed(others, (urls) => use([{ name, url }, ...urls])));
}

/**
 * Posts a request and returns the body of the answer. `onFirst` is called when it begins. The function does little
 * work, because client and server share the processors.
 */
export function post(url: string, body: string, onFirst = () => {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = httpRequest(url, { method: 'POST', agent: false, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.once('data', onFirst);
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(pieces).toString());
        else reject(new BenchError(`the server answered ${response.statusCode}`));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}
