// Settings of Hugging Face's hub: options, and the environment variables of its Python library.

import { environment, isNode, nodeModule } from '../backend/node.js';
import { anyOf, checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** Progress of the download of a file. */
export interface DownloadProgress {
  /** The file's name in the repository. */
  readonly file: string;
  /** Bytes that are there. */
  readonly loaded: number;
  /** Bytes of the whole file; NaN as long as the server has not said. */
  readonly total: number;
}

/** Options of whatever takes a model's id on the hub. */
export interface HubOptions {
  /** A branch, a tag or a commit. Default `main`. */
  revision?: string | undefined;
  /**
   * An access token; false for none. Default: `HF_TOKEN`, or what `huggingface-cli login` left in the file
   * `HF_TOKEN_PATH` or `HF_HOME/token`.
   */
  token?: string | false | undefined;
  /**
   * The folder of Hugging Face's cache, in Node. Default: `HF_HUB_CACHE`, or `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
   * Pages have Cache storage instead, where this is the name of a cache. Default `huggingface-hub`.
   */
  cacheDir?: string | undefined;
  /** Called while files are downloaded, not for those in the cache. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Ends the loading with its reason when it is aborted; what has arrived stays for the next time. */
  signal?: AbortSignal | undefined;
}

/** Options with all defaults and the environment. */
export interface HubSettings {
  /** `https://huggingface.co`, or `HF_ENDPOINT`; without a slash at its end. */
  readonly endpoint: string;
  readonly revision: string;
  readonly token: string | undefined;
  readonly cacheDir: string;
  /** True if `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is set: nothing is asked of the network. */
  readonly offline: boolean;
  readonly onProgress: (progress: DownloadProgress) => void;
  readonly signal: AbortSignal | undefined;
}

const REVISION = /^(?!.*\.\.)[\w.-]+(\/[\w.-]+)*$/;

/** Checks options that nothing may use: files of a folder need no hub. Throws ArgumentError. */
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
 * Reads options and environment. Throws ArgumentError for unknown options and for values of the wrong type, and for
 * names of revisions that could lead out of the cache.
 */
export async function hubSettings(op: string, options: HubOptions = {}): Promise<HubSettings> {
  const { revision = 'main', token, cacheDir, onProgress, signal } = checkHubOptions(op, options);
  const secret = token === false ? undefined : (token ?? (await storedToken()));
  if (secret !== undefined && !/^[!-~]+$/.test(secret))
    throw new ArgumentError(`${op}: the token has characters that no token has`);
  return {
    endpoint: (environment('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    revision,
    token: secret,
    cacheDir: cacheDir ?? (isNode ? await defaultCache() : 'huggingface-hub'),
    offline: isSet('HF_HUB_OFFLINE') || isSet('TRANSFORMERS_OFFLINE'),
    onProgress: onProgress ?? (() => {}),
    signal,
  };
}

const isSet = (name: string) => /^(1|on|yes|true)$/i.test(environment(name) ?? '');

/** `HF_HOME`, where Hugging Face's libraries keep everything. */
async function home(): Promise<string> {
  const { homedir } = await nodeModule<typeof import('node:os')>('os');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const caches = environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
  return withHome(environment('HF_HOME') ?? join(caches, 'huggingface'), homedir());
}

/** Python's libraries expand a tilde that the shell left. */
const withHome = (path: string, home: string) => path.replace(/^~(?=$|[\\/])/, () => home);

async function defaultCache(): Promise<string> {
  const { homedir } = await nodeModule<typeof import('node:os')>('os');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const given = environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE');
  return given === undefined ? join(await home(), 'hub') : withHome(given, homedir());
}

async function storedToken(): Promise<string | undefined> {
  const given = environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN');
  if (given !== undefined || !isNode) return given?.trim() || undefined;
  const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const path = environment('HF_TOKEN_PATH') ?? join(await home(), 'token');
  const text = await readFile(path, 'utf8').catch(() => ''); // most have none
  return text.trim() || undefined;
}
