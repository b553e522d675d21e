// A small static server, as a page without a bundler would have.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

export interface StaticServer {
  readonly origin: string;
  close(): void;
}

/**
 * Serves folders by the prefix of the path, and an empty page at `/`. `isolated` sends the headers without which pages have
 * no shared memory.
 */
export async function serve(folders: Readonly<Record<string, string>>, isolated: boolean): Promise<StaticServer> {
  const headers = isolated
    ? { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
    : {};
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const prefix = Object.keys(folders).find((start) => pathname.startsWith(start));
    try {
      const body =
        prefix === undefined ? '<!doctype html>' : await readFile(folders[prefix] + pathname.slice(prefix.length));
      const type = types[prefix === undefined ? '.html' : extname(pathname)] ?? 'application/octet-stream';
      response.writeHead(200, { 'Content-Type': type, ...headers }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => server.close() };
}
