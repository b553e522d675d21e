// Fetches through the proxy of the environment. Node's own fetch ignores HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

import { environment, isNode } from '../backend/node.js';
import { FetchError } from '../core/errors.js';

type Fetch = typeof fetch;

/** Lower case takes precedence, and `http://` may be left out, as in curl. */
const NAMES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'no_proxy', 'NO_PROXY'] as const;

let made: { readonly settings: string; readonly fetch: Promise<Fetch> } | undefined;

/**
 * Like `fetch`, but in Node requests go through the proxy of the environment, except for the hosts in NO_PROXY. Bun and
 * Deno do so themselves, and pages use the browser's proxy. Throws FetchError if the proxy is not a URL.
 */
export async function proxiedFetch(url: string | URL, init?: RequestInit): Promise<Response> {
  const values = NAMES.map((name) => environment(name));
  if (!isNode || 'Bun' in globalThis || 'Deno' in globalThis || !values.slice(0, 4).some(Boolean))
    return fetch(url, init);
  const settings = JSON.stringify(values);
  if (made?.settings !== settings) made = { settings, fetch: throughProxy(values) };
  return (await made.fetch)(url, init);
}

async function throughProxy(values: readonly (string | undefined)[]): Promise<Fetch> {
  const urls = values.slice(0, 4).map((value, i) => {
    const url = value && !/^[a-z][a-z\d+.-]*:\/\//i.test(value) ? `http://${value}` : value;
    if (url && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)))
      throw new FetchError(`${NAMES[i]} is ${JSON.stringify(value)}, expected a URL such as http://proxy.example:3128`);
    return url;
  });
  const { fetchByTunnel } = await import('./tunnel.js');
  const [https, HTTPS, http, HTTP] = urls;
  const [no, NO] = values.slice(4);
  const proxies = { https: https ?? HTTPS ?? '', http: http ?? HTTP ?? '', not: no ?? NO ?? '' };
  return (url, init) => fetchByTunnel(proxies, url as string | URL, init);
}
