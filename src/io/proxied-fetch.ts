// fetch by way of the proxy that the environment names. Node's own fetch ignores HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

import { environment, isNode } from '../backend/node.js';
import { FetchError } from '../core/errors.js';

type Fetch = typeof fetch;

/** Each in lower case first, as curl has it. */
const NAMES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY', 'no_proxy', 'NO_PROXY'] as const;

/**
 * The result of a call, which minifiers do not put into import(): bundlers for pages then leave the package out.
 * scripts/node.mjs replaces it in Node's bundle, which includes the package.
 */
const UNDICI = String('undici');

let made: { readonly settings: string; readonly fetch: Promise<Fetch> } | undefined;

/**
 * As `fetch`. In Node, requests go through the proxy that the environment names, except for the hosts of NO_PROXY. Bun
 * and Deno do so by themselves; pages use the proxy of their browser. Throws FetchError for a proxy that is no URL.
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
  for (const [i, value] of values.slice(0, 4).entries()) {
    if (value !== undefined && !/^https?:\/\/./.test(value))
      throw new FetchError(`${NAMES[i]} is ${JSON.stringify(value)}, expected a URL such as http://proxy.example:3128`);
  }
  const undici: typeof import('undici') = await import(/* @vite-ignore */ /* webpackIgnore: true */ UNDICI);
  const [https, HTTPS, http, HTTP, no, NO] = values;
  const [httpsProxy = '', httpProxy = '', noProxy = ''] = [https ?? HTTPS, http ?? HTTP, no ?? NO];
  const dispatcher = new undici.EnvHttpProxyAgent({ httpsProxy, httpProxy, noProxy });
  return ((url: string | URL, init?: RequestInit) =>
    undici.fetch(url, { ...(init as object), dispatcher })) as unknown as Fetch;
}
