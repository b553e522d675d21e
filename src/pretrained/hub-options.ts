// Settings for Hugging Face's hub, from options and from the environment variables of its Python library.

import { environment, isNode, nodeModule } from '../backend/node.js';
import { anyOf, checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** Progress of the download of a file. */
export interface DownloadProgress {
  /** Name of the file in the repository. */
  readonly file: string;
  /** Number of bytes downloaded so far. */
  readonly loaded: number;
  /** Number of bytes of the whole file; NaN while it is unknown. */
  readonly total: number;
}

/** Options of functions that accept the id of a model on the hub. */
export interface HubOptions {
  /** A branch, a tag or a commit. Default: `main`. */
  revision?: string | undefined;
  /**
   * An access token; false for none. Default: `HF_TOKEN`, or the content of the file `HF_TOKEN_PATH` or
   * `HF_HOME/token`, which `huggingface-cli login` writes.
   */
  token?: string | false | undefined;
  /**
   * The folder of Hugging Face's cache, in Node. Default: `HF_HUB_CACHE`, or `HF_HOME/hub`, or
   * `~/.cache/huggingface/hub`. In pages it is the name of a cache in Cache storage, `huggingface-hub` by default.
   */
  cacheDir?: string | undefined;
  /** Called while files are downloaded, but not for files in the cache. Default: none. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Aborts the loading, which rejects with the signal's reason. Downloaded parts stay in the cache. Default: none. */
  signal?: AbortSignal | undefined;
}

/** Options with all defaults and the environment. */
export interface HubSettings {
  /** The hub's URL without a slash at the end. */
  readonly endpoint: string;
  readonly revision: string;
  readonly token: string | undefined;
  readonly cacheDir: string;
  /** True if `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set. No request is then sent. */
  readonly offline: boolean;
  readonly onProgress: (progress: DownloadProgress) => void;
  readonly signal: AbortSignal | undefined;
}

let host: string | undefined;
const defaultHost = () => environment('HF_ENDPOINT') ?? 'https://huggingface.co';
const withoutSlash = (url: string) => url.replace(/\/+$/, '');

/** The hub's URL, without a slash at the end. Throws ArgumentError for a value that is not an HTTP URL. */
export const hub = {
  get endpoint(): string {
    return withoutSlash(host ?? defaultHost());
  },
  set endpoint(url: string) {
    if (typeof url !== 'string' || !/^https?:\/\/./.test(url))
      throw new ArgumentError(`the hub's URL is ${describeValue(url)}, expected an address that begins with https://`);
    host = withoutSlash(url) === withoutSlash(defaultHost()) ? undefined : url;
  },
};

const REVISION = /^(?!.*\.\.)[\w.-]+(\/[\w.-]+)*$/;

/** Checks hub options, even if they are not used, as for a local folder. Throws ArgumentError. */
export function checkHubOptions(op: string, options: HubOptions): HubOptions {
  return checkOptions(op, options, {
    revision: {
      accepts: (value) => typeof value === 'string' && REVISION.test(value),
      expected: 'a branch, a tag or a commit',
    },
    token: anyOf('string', { accepts: (value) => value === false, expected: 'false' }),
    cacheDir: 'string',
    onProgress: 'function',
    signal: 'signal',
  });
}

export const hubOptionNames = ['revision', 'token', 'cacheDir', 'onProgress', 'signal'] as const;

/**
 * Reads options and environment variables. Throws ArgumentError for unknown options, values of the wrong type, and
 * revisions that could lead out of the cache.
 */
export async function hubSettings(op: string, options: HubOptions = {}): Promise<HubSettings> {
  const { revision = 'main', token, cacheDir, onProgress, signal } = checkHubOptions(op, options);
  const secret = token === false ? undefined : (token ?? (await storedToken()));
  if (secret !== undefined && !/^[!-~]+$/.test(secret))
    throw new ArgumentError(`${op}: token has characters that are invalid in an access token`);
  return {
    endpoint: hub.endpoint,
    revision,
    token: secret,
    cacheDir: cacheDir ?? (isNode ? await defaultCache() : 'huggingface-hub'),
    offline: isSet('HF_HUB_OFFLINE') || isSet('TRANSFORMERS_OFFLINE'),
    onProgress: onProgress ?? (() => {}),
    signal,
  };
}

const isSet = (name: string) => /^(1|on|yes|true)$/i.test(environment(name) ?? '');

/** Returns `HF_HOME` or its default, the folder of Hugging Face's libraries. */
async function home(): Promise<string> {
  const { homedir } = await nodeModule<typeof import('node:os')>('os');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const caches = environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
  return withHome(environment('HF_HOME') ?? join(caches, 'huggingface'), homedir());
}

/** Expands a leading tilde, as Python's libraries do. */
const withHome = (path: string, home: string) => path.replace(/^~(?=$|[\\/])/, () => home);

async function defaultCache(): Promise<string> {
  const { homedir } = await nodeModule<typeof import('node:os')>('os');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const cacheFolder = environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE');
  return cacheFolder === undefined ? join(await home(), 'hub') : withHome(cacheFolder, homedir());
}

async function storedToken(): Promise<string | undefined> {
  const token = environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN');
  if (token !== undefined || !isNode) return token?.trim() || undefined;
  const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const path = environment('HF_TOKEN_PATH') ?? join(await home(), 'token');
  const text = await readFile(path, 'utf8').catch(() => ''); // usually there is no such file
  return text.trim() || undefined;
}
