// Fetches through an HTTP proxy, by Node's own modules: a tunnel (CONNECT) for each request.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { nodeModule } from '../backend/node.js';
import { FetchError } from '../core/errors.js';

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 20;

/** Proxies of the environment, and the hosts that are reached without them, as in NO_PROXY. */
export interface Proxies {
  readonly https: string;
  readonly http: string;
  readonly not: string;
}

/** Same as `fetch` for requests without a body, through these proxies. */
export async function fetchByTunnel(proxies: Proxies, from: string | URL, init: RequestInit = {}): Promise<Response> {
  const { method = 'GET', redirect = 'follow', signal } = init;
  const headers = new Headers(init.headers);
  // A response's bytes are passed on without decoding.
  if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'identity');
  let url = new URL(from);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    signal?.throwIfAborted();
    const proxy = proxyOf(proxies, url);
    const sent = { method, headers, signal: signal ?? null };
    const response = proxy ? await ask(proxy, url, sent) : await fetch(url, { ...sent, redirect: 'manual' });
    const location = response.headers.get('location');
    if (redirect !== 'follow' || location === null || !REDIRECTS.includes(response.status)) return response;
    await response.body?.cancel();
    const next = new URL(location, url);
    if (next.origin !== url.origin) for (const secret of ['authorization', 'cookie']) headers.delete(secret);
    url = next;
  }
  throw new TypeError(`${from} redirects more than ${MAX_REDIRECTS} times`);
}

/** The proxy for a URL, or null if NO_PROXY names its host, or a domain that the host is in. */
function proxyOf({ https, http, not }: Proxies, { protocol, hostname, port }: URL): URL | null {
  const proxy = protocol === 'https:' ? https || http : http;
  const isLeftOut = not.split(/[\s,]+/).some((entry) => {
    const [, name = '', only] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) as RegExpExecArray;
    if (entry === '*') return true;
    const isPort = only === undefined || only === (port || defaultPort(protocol));
    return name !== '' && isPort && (hostname === name || hostname.endsWith(`.${name}`));
  });
  return proxy === '' || isLeftOut ? null : new URL(proxy);
}

const defaultPort = (protocol: string) => (protocol === 'https:' ? '443' : '80');

/** A host as sockets expect it: IPv6 without brackets. */
const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '');

interface Sent {
  readonly method: string;
  readonly headers: Headers;
  readonly signal: AbortSignal | null;
}

async function ask(proxy: URL, url: URL, { method, headers, signal }: Sent): Promise<Response> {
  const { request } = await nodeModule<typeof import('node:http')>('http');
  const { once } = await nodeModule<typeof import('node:events')>('events');
  const { Readable } = await nodeModule<typeof import('node:stream')>('stream');
  const socket = await connect(proxy, url, signal);
  const options = { method, path: url.pathname + url.search, createConnection: () => socket };
  const requestHeaders = { host: url.host, ...Object.fromEntries(headers as unknown as Iterable<[string, string]>) };
  const sent = request({ ...options, headers: requestHeaders, ...(signal && { signal }) });
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const { statusCode: status = 0, statusMessage: statusText = '', rawHeaders } = answer;
  const received = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) received.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
  const encoding = received.get('content-encoding') ?? 'identity';
  if (encoding !== 'identity') {
    answer.destroy();
    throw new TypeError(`${url} was sent with the encoding ${encoding}, expected none`);
  }
  const hasBody = method !== 'HEAD' && ![204, 205, 304].includes(status);
  if (!hasBody) answer.resume();
  const body = hasBody ? (Readable.toWeb(answer) as ReadableStream<Uint8Array<ArrayBuffer>>) : null;
  const response = new Response(body, { status, statusText, headers: received });
  return Object.defineProperty(response, 'url', { value: url.href });
}

/** A connection to the URL's host through the proxy, with TLS if the URL has it. */
async function connect(proxy: URL, url: URL, signal: AbortSignal | null): Promise<Socket> {
  const { request } = await nodeModule<typeof import('node:http')>(proxy.protocol === 'https:' ? 'https' : 'http');
  const { once } = await nodeModule<typeof import('node:events')>('events');
  const authority = `${url.hostname}:${url.port || defaultPort(url.protocol)}`;
  const { username, password } = proxy;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = username !== '' && { 'proxy-authorization': `Basic ${btoa(credentials)}` };
  const connectRequest = request({
    host: hostOf(proxy),
    port: proxy.port || defaultPort(proxy.protocol),
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...authorization },
    agent: false,
    ...(signal && { signal }),
  });
  connectRequest.end();
  const [{ statusCode }, socket] = (await once(connectRequest, 'connect')) as [IncomingMessage, Socket];
  if (statusCode !== 200) {
    socket.destroy();
    const needsUser = statusCode === 407;
    const remedy = needsUser ? ': check the user and password of its URL, http://user:password@host:port' : '';
    const refusal = `the proxy ${proxy.host} refused a connection to ${authority} (HTTP status ${statusCode})${remedy}`;
    throw needsUser ? new FetchError(refusal) : new TypeError(refusal);
  }
  if (url.protocol === 'http:') return socket;
  const { connect } = await nodeModule<typeof import('node:tls')>('tls');
  const { isIP } = await nodeModule<typeof import('node:net')>('net');
  const host = hostOf(url);
  const secure = connect({ socket, host, ...(isIP(host) === 0 && { servername: host }) });
  await once(secure, 'secureConnect', { signal: signal ?? undefined });
  return secure;
}
