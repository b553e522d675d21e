// Files over HTTP: a small static server, as a page without a bundler would have, and the same as a part of Vite's.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { pipeline } from 'node:stream';

const types: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Without these, pages have no shared memory and WebAssembly no threads. */
export const isolation: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Folders by the prefix of the path. */
export type Folders = Readonly<Record<string, string>>;

/** Answers what lies in the folders, or the part of it that is asked for, and leaves the rest to `next`. */
export function filesOf(folders: Folders, headers: Readonly<Record<string, string>> = {}) {
  return async (request: IncomingMessage, response: ServerResponse, next: () => void): Promise<void> => {
    const { url = '/' } = request;
    const { pathname } = new URL(url, 'http://localhost');
    const prefix = Object.keys(folders).find((start) => pathname.startsWith(start));
    if (prefix === undefined) return next();
    try {
      const path = folders[prefix] + pathname.slice(prefix.length);
      const { size } = await stat(path);
      const type = types[extname(pathname)] ?? 'application/octet-stream';
      const part = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      const start = Number(part?.[1] ?? 0);
      const end = Math.min(Number(part?.[2] ?? size), size - 1);
      const range = part ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {};
      const length = { 'Content-Length': end + 1 - start };
      response.writeHead(part ? 206 : 200, { 'Content-Type': type, ...length, ...range, ...headers });
      // The client may have gone.
      pipeline(createReadStream(path, { start, end: Math.max(start, end) }), response, () => {});
    } catch {
      response.writeHead(404).end();
    }
  };
}

export interface StaticServer {
  readonly origin: string;
  close(): void;
}

/** Serves the folders, and an empty page at every other path. `further` headers come with all of it. */
export async function serve(
  folders: Folders,
  isolated: boolean,
  further: Readonly<Record<string, string>> = {},
): Promise<StaticServer> {
  const headers = { ...(isolated ? isolation : {}), ...further };
  const files = filesOf(folders, headers);
  const server = createServer((request, response) =>
    files(request, response, () => {
      response.writeHead(200, { 'Content-Type': 'text/html', ...headers }).end('<!doctype html>');
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => server.close() };
}
