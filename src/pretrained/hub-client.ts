// Sends requests to Hugging Face's hub. Temporary failures are retried, and errors contain a remedy.

import { isNode } from '../backend/node.js';
import { FetchError, HubError } from '../core/errors.js';
import { proxiedFetch } from '../io/proxied-fetch.js';
import type { HubSettings } from './hub-options.js';

/** Maximum number of attempts for a request that fails for a temporary reason. */
const TRIES = 5;
/** HTTP status of a request for a range that is outside of the file. */
const RANGE_REFUSED = 416;
/** Milliseconds without data after which a connection is considered lost. */
const STALLED = 60_000;
/** Maximum seconds that a server may ask to wait. The hub limits the number of requests in five minutes. */
const MAX_WAIT_SECONDS = 300;

interface HubRequest {
  readonly method?: 'GET' | 'HEAD' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly redirect?: 'follow' | 'manual' | undefined;
  readonly tries?: number | undefined;
}

/** A response, and the watch that closes its connection if no more data arrives. */
interface Answer {
  readonly response: Response;
  readonly watch: Watch;
}

export class HubClient {
  constructor(
    private readonly settings: Pick<HubSettings, 'endpoint' | 'token' | 'signal'>,
    /** Name of the model in messages. */
    private readonly id: string,
  ) {}

  get endpoint(): string {
    return this.settings.endpoint;
  }

  /**
   * Requests the headers of a file from the hub itself, which have the commit, the tag and the length. The store to
   * which the hub redirects lacks them. Pages cannot see redirects and get the store's headers.
   */
  async head(url: string): Promise<Headers> {
    const redirect = isNode ? 'manual' : 'follow';
    for (let hops = 0, target = url; ; hops++) {
      const { response, watch } = await this.#request(target, { method: 'HEAD', redirect });
      watch.end();
      const location = response.headers.get('location');
      const next = location === null ? null : new URL(location, target);
      // For a renamed model, the hub redirects within itself.
      if (next === null || next.origin !== new URL(target).origin || response.headers.has('x-linked-etag') || hops > 5)
        return response.headers;
      target = next.href;
    }
  }

  /** Requests JSON from an API of the hub. */
  async json(url: string, tries?: number): Promise<unknown> {
    const { response, watch } = await this.#request(url, { tries });
    try {
      return await response.json();
    } catch (cause) {
      this.settings.signal?.throwIfAborted();
      throw new HubError(`${url} answered with something other than JSON: is the server a hub?`, url, response.status, {
        cause,
      });
    } finally {
      watch.end();
    }
  }

  /**
   * Yields the bytes of a file from `from` to `to`, or to its end. If the connection is lost, a new one continues.
   * Throws HubError if `size` is known and the file has another length.
   */
  async *bytes(url: string, from: number, size: number | undefined, to = size): AsyncGenerator<Uint8Array> {
    let position = from;
    let failures = 0;
    let asksForParts = true;
    while (to === undefined || position < to) {
      const before = position;
      const answer = await this.#partAnswer(url, asksForParts ? rangeOf(position, to, size) : undefined);
      if (answer === null) {
        asksForParts = false; // a request for the whole file shows if the file has changed
        continue;
      }
      let lastError: unknown;
      try {
        for await (const part of wantedParts(url, answer, position, size, to)) {
          position += part.byteLength;
          yield part;
        }
        if (to === undefined) return;
      } catch (error) {
        if (error instanceof HubError) throw error;
        this.settings.signal?.throwIfAborted();
        lastError = error;
      } finally {
        answer.watch.end();
      }
      if (position === to) return;
      failures = position > before ? 1 : failures + 1;
      if (failures === TRIES) throw endsEarly(url, position, to, lastError);
      await this.#pause(backOff(failures));
    }
  }

  /**
   * Requests a part of a file, or the whole file if `headers` is undefined. Returns null if the server refuses the
   * range.
   */
  async #partAnswer(url: string, headers: HubRequest['headers']): Promise<Answer | null> {
    try {
      return await this.#request(url, { headers });
    } catch (error) {
      if (headers !== undefined && error instanceof HubError && error.status === RANGE_REFUSED) return null;
      throw error;
    }
  }

  async #request(url: string, request: HubRequest): Promise<Answer> {
    const { tries = TRIES } = request;
    for (let attempt = 1; ; attempt++) {
      const watch = new Watch(this.settings.signal);
      let response: Response;
      try {
        response = await this.#fetch(url, request, watch);
      } catch (cause) {
        watch.end();
        this.settings.signal?.throwIfAborted();
        // A FetchError comes from the settings of a proxy, which do not change meanwhile.
        if (attempt < tries && !(cause instanceof FetchError)) {
          await this.#pause(backOff(attempt));
          continue;
        }
        throw new HubError(`${url} cannot be fetched: ${reasonOf(cause)}`, url, undefined, { cause });
      }
      if (response.status < 400) return { response, watch };
      const wait = attempt < tries ? waitOf(response, attempt) : undefined;
      watch.end();
      if (wait === undefined) throw this.#refused(url, response);
      await this.#pause(wait);
    }
  }

  #fetch(url: string, { method = 'GET', headers, redirect = 'follow' }: HubRequest, watch: Watch): Promise<Response> {
    const { endpoint, token } = this.settings;
    const sent = new Headers(headers);
    if (isNode) sent.set('accept-encoding', 'identity'); // lengths and ranges must be those of the uncompressed file
    if (token !== undefined && new URL(url).origin === new URL(endpoint).origin)
      sent.set('authorization', `Bearer ${token}`); // fetch removes it when redirected to another origin
    return proxiedFetch(url, { method, headers: sent, redirect, signal: watch.signal });
  }

  #refused(url: string, { status, headers }: Response): HubError {
    const serverMessage = headers.get('x-error-message');
    const code = headers.get('x-error-code');
    const known = this.settings.token === undefined ? 'give a token (option token, or HF_TOKEN)' : 'check the token';
    let why = `HTTP status ${status}`;
    if (code === 'GatedRepo') why = `access to ${this.id} must be asked for on its page; then ${known}`;
    else if (status === 401 || status === 403) why = `there is no model ${this.id}, or it is private: ${known}`;
    else if (code === 'RevisionNotFound') why = `${this.id} has no such revision`;
    else if (status === 404) why = `${this.id} is not there, or has no such revision or file`;
    else if (status === 429) why = 'too many requests: try later, or give a token for a higher limit';
    return new HubError(
      `${url} refused (${status}): ${why}${serverMessage === null ? '' : ` (${serverMessage})`}`,
      url,
      status,
    );
  }

  /** Waits. The signal ends the wait with its reason. */
  async #pause(milliseconds: number): Promise<void> {
    const { signal } = this.settings;
    signal?.throwIfAborted();
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      signal?.addEventListener('abort', wake);
    });
    signal?.throwIfAborted();
  }
}

/** Yields the bytes of an answer from `from` to `to`, also if the server ignored the range and sends the whole file. */
async function* wantedParts(
  url: string,
  { response, watch }: Answer,
  from: number,
  size: number | undefined,
  to: number | undefined,
): AsyncGenerator<Uint8Array, void> {
  checkLength(url, response, from, size);
  let position = from;
  let skip = response.status === 206 ? 0 : from;
  for await (const part of watch.parts(response)) {
    const fresh = part.subarray(Math.min(skip, part.byteLength));
    skip -= part.byteLength - fresh.byteLength;
    if (size !== undefined && position + fresh.byteLength > size) throw wrongLength(url, 'more', size);
    const wanted = to === undefined ? fresh : fresh.subarray(0, to - position);
    position += wanted.byteLength;
    if (wanted.byteLength > 0) yield wanted;
    if (position === to && to !== size) return;
  }
}

function endsEarly(url: string, received: number, to: number | undefined, cause: unknown): HubError {
  const message = `${url} ends after ${received} bytes, each time, expected ${to ?? 'more'}`;
  return new HubError(cause === undefined ? message : `${message}: ${reasonOf(cause)}`, url, undefined, { cause });
}

/** Ends a request when the caller's signal aborts, or when no data arrives. */
class Watch {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #abort = () => this.#controller.abort(this.caller?.reason);

  constructor(private readonly caller: AbortSignal | undefined) {
    caller?.throwIfAborted();
    caller?.addEventListener('abort', this.#abort);
    this.#restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async *parts(response: Response): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    for (;;) {
      this.#restart();
      const next = await reader?.read();
      if (next === undefined || next.done) return;
      yield next.value;
    }
  }

  /** Clears the timer and closes the connection. Must be called once the response is read or no longer needed. */
  end(): void {
    clearTimeout(this.#timer);
    this.caller?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }

  /** Restarts the time limit. */
  #restart(): void {
    clearTimeout(this.#timer);
    const reason = new Error(`no data arrived for ${STALLED / 1000} seconds`);
    this.#timer = setTimeout(() => this.#controller.abort(reason), STALLED);
  }
}

function rangeOf(from: number, to: number | undefined, size: number | undefined): Record<string, string> | undefined {
  if (from === 0 && to === size) return undefined;
  return { range: `bytes=${from}-${to === undefined || to === size ? '' : to - 1}` };
}

/** Throws HubError unless a response has the requested part of a file of the expected length. */
function checkLength(url: string, { status, headers }: Response, from: number, size: number | undefined): void {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
  if (status === 206 && range !== null && Number(range[1]) !== from)
    throw new HubError(
      `${url} answered with the bytes from ${range[1]} on, expected those from ${from} on`,
      url,
      status,
    );
  const isEncoded = ![null, 'identity'].includes(headers.get('content-encoding'));
  const total = status === 206 ? range?.[2] : isEncoded ? undefined : headers.get('content-length');
  if (size !== undefined && total && total !== '*' && Number(total) !== size) throw wrongLength(url, total, size);
}

function wrongLength(url: string, found: string, size: number): HubError {
  return new HubError(`${url} has ${found} bytes, expected ${size} by the hub's list`, url);
}

/** Returns the milliseconds to wait before the next attempt; undefined if another attempt is useless. */
function waitOf({ status, headers }: Response, attempt: number): number | undefined {
  if (status !== 429 && status !== 408 && status < 500) return undefined;
  const after = headers.get('retry-after');
  if (after === null) return backOff(attempt);
  const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return backOff(attempt);
  return seconds > MAX_WAIT_SECONDS ? undefined : Math.max(0, seconds * 1000);
}

const backOff = (attempt: number) => 200 * 2 ** (attempt - 1);

/** Returns the reason of a network error. Node's own message is only 'fetch failed'. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
