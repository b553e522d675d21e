// The hub behind a proxy: host names that only the proxy can resolve.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { FetchError } from '../../src/core/errors.js';
import { loadTokenizer } from '../../src/index.js';
import { fetchByTunnel } from '../../src/io/tunnel.js';
import { Hub } from './hub-server.js';

const wordpiece = (name: string) => readFileSync(`test/tasks/wordpiece/${name}`);
const files = {
  'config.json': Buffer.from('{"model_type": "bert"}'),
  'tokenizer.json': wordpiece('tokenizer.json'),
  'tokenizer_config.json': wordpiece('tokenizer_config.json'),
};
/** A key and its certificate for the host hub.invalid, good for tests alone: `openssl req -x509 -newkey ec …`. */
const pem = readFileSync(new URL('hub.invalid.pem', import.meta.url), 'utf8');

const servers: Server[] = [];
const started = async (server: Server) => {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

let hub: Hub;
let folder: string;
beforeEach(async () => {
  hub = await new Hub(files).start();
  folder = mkdtempSync(join(tmpdir(), 'proxy-'));
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'])
    vi.stubEnv(name, '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true });
});

/** A proxy that tunnels each connection to a port here, and what it was asked for. */
async function proxyTo(port: number) {
  const asked: string[] = [];
  const credentials: (string | undefined)[] = [];
  const server = createServer();
  server.on('connect', (request, client, head) => {
    asked.push(request.url ?? '');
    credentials.push(request.headers['proxy-authorization']);
    const target = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.write(head);
      target.pipe(client).pipe(target);
    });
    target.on('error', () => client.destroy());
    client.on('error', () => target.destroy());
  });
  return { asked, credentials, port: await started(server) };
}

const load = () => loadTokenizer('org/model', { cacheDir: folder });

it('is reached by HTTPS_PROXY, with the credentials of its URL', async () => {
  const behind = new URL(hub.endpoint);
  const tls = createTlsServer({ key: pem, cert: pem }, (request, response) => {
    void fetch(new URL(request.url ?? '', behind), { method: request.method ?? 'GET' }).then(async (answer) => {
      response.writeHead(answer.status, Object.fromEntries(answer.headers as unknown as Iterable<[string, string]>));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
  });
  const proxy = await proxyTo(await started(tls as unknown as Server));
  vi.stubEnv('HF_ENDPOINT', 'https://hub.invalid');
  vi.stubEnv('HTTPS_PROXY', `http://me:secret@127.0.0.1:${proxy.port}`);
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0'); // the certificate is the test's own
  expect((await load()).encode('a cat')).toEqual([10, 71]);
  expect(new Set(proxy.asked)).toEqual(new Set(['hub.invalid:443']));
  expect(proxy.credentials[0]).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
});

it('is reached by HTTP_PROXY, but not for the hosts of NO_PROXY', async () => {
  const proxy = await proxyTo(Number(new URL(hub.endpoint).port));
  vi.stubEnv('HF_ENDPOINT', 'http://hub.invalid');
  vi.stubEnv('HTTP_PROXY', `127.0.0.1:${proxy.port}`); // http:// may be left out, as in curl
  vi.stubEnv('NO_PROXY', '127.0.0.1'); // the store of large files is there
  expect((await load()).encode('a cat')).toEqual([10, 71]);
  expect(new Set(proxy.asked)).toEqual(new Set(['hub.invalid:80']));
  const before = proxy.asked.length;
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  await loadTokenizer('org/model', { cacheDir: join(folder, 'other') });
  expect(proxy.asked.length).toBe(before);
});

it('refuses an invalid proxy and describes the expected value', async () => {
  vi.stubEnv('HF_ENDPOINT', 'https://hub.invalid');
  vi.stubEnv('HTTPS_PROXY', 'my proxy:3128');
  const waits = vi.spyOn(globalThis, 'setTimeout');
  onTestFinished(() => waits.mockRestore());
  const refused = load();
  await expect(refused).rejects.toThrow(/HTTPS_PROXY is "my proxy:3128", expected a URL such as http:/);
  await expect(refused).rejects.toBeInstanceOf(FetchError);
  expect(waits.mock.calls.map(([, time]) => time)).not.toContain(200); // the first wait before another try
});

it('gives the status of a proxy that refuses', async () => {
  const server = createServer();
  server.on('connect', (_, client) => client.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
  const place = `127.0.0.1:${await started(server)}`;
  const proxies = { https: `http://${place}`, http: '', not: '' };
  await expect(fetchByTunnel(proxies, 'https://hub.invalid/file')).rejects.toThrow(
    `the proxy ${place} refused a connection to hub.invalid:443 (HTTP status 403)`,
  );
});

it('asks for a user if the proxy needs one, and does not try again', async () => {
  let asked = 0;
  const server = createServer();
  server.on('connect', (_, client) => {
    asked++;
    client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
  });
  vi.stubEnv('HF_ENDPOINT', 'https://hub.invalid');
  vi.stubEnv('HTTPS_PROXY', `http://127.0.0.1:${await started(server)}`);
  await expect(load()).rejects.toThrow(
    /HTTP status 407\): check the user and password of its URL, http:\/\/user:password@host:port/,
  );
  expect(asked).toBe(1);
});

it('follows redirects, without credentials for another origin, and streams what arrives', async () => {
  const seen: (string | undefined)[] = [];
  const target = createServer(({ url, headers }, response) => {
    seen.push(`${headers.host}${url} ${headers.authorization}`);
    if (url === '/a') response.writeHead(302, { location: 'http://two.invalid/b' });
    response.end(url === '/b' ? 'bytes' : '');
  });
  const proxy = await proxyTo(await started(target));
  const proxies = { https: '', http: `http://127.0.0.1:${proxy.port}`, not: 'three.invalid,*.four.invalid:81' };
  const init = { headers: { authorization: 'Bearer key' } };
  const response = await fetchByTunnel(proxies, 'http://one.invalid/a', init);
  expect([response.status, response.url, await response.text()]).toEqual([200, 'http://two.invalid/b', 'bytes']);
  expect(seen).toEqual(['one.invalid/a Bearer key', 'two.invalid/b undefined']);
  const manual = await fetchByTunnel(proxies, 'http://one.invalid/a', { ...init, redirect: 'manual' });
  expect([manual.status, manual.headers.get('location')]).toEqual([302, 'http://two.invalid/b']);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(fetchByTunnel(proxies, 'http://one.invalid/a', { signal })).rejects.toThrow('enough');
});
