// Reads a file on a server once, from beginning to end, in parts. A single request could fill the page's memory,
// because Chromium keeps a response that arrives faster than it is read.

import { isNode } from '../backend/node.js';
import { FetchError } from '../core/errors.js';
import type { OpenFile } from './file.js';
import { proxiedFetch } from './proxied-fetch.js';
import { type Chunks, sequentialFile, streamFile } from './stream-file.js';

/** Bytes per part. The next part arrives while one is read. */
const PART = 1 << 21;

/**
 * Opens the file at a URL without storing its bytes. A server without range requests sends the whole file, which
 * `streamFile` reads. Throws FetchError if the server is unreachable or refuses, if the file changes, or if a part
 * fails twice. Throws the reason of `signal`, and the errors of `streamFile`.
 */
export async function fetchInParts(url: URL, signal?: AbortSignal): Promise<OpenFile> {
  const server = new Server(url, signal);
  // A server of another origin may refuse range requests, which looks like a missing server.
  const first = await server.ask(0).catch(() => server.ask());
  const version = versionOf(first);
  if (version !== null && isPartFrom(first, 0))
    return sequentialFile(url.href, version.size, new Parts(server, first, version), { signal, isOurs: !isNode });
  if (first.status !== 206 && first.status !== 416) return streamFile(first, signal);
  first.body?.cancel().catch(() => {}); // the server sent no range
  return streamFile(await server.ask(), signal);
}

/** Sends requests for a file until the signal aborts them. */
class Server {
  readonly name: string;
  readonly #ending = new AbortController();
  readonly #abort = () => this.#ending.abort(this.signal?.reason);

  constructor(
    private url: URL | string,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.name = String(url);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', this.#abort);
  }

  /** Requests the part that begins at a position, or the whole file. */
  async ask(from?: number): Promise<Response> {
    const headers = from === undefined ? {} : { range: `bytes=${from}-${from + PART - 1}` };
    try {
      const response = await proxiedFetch(this.url, { headers, signal: this.#ending.signal });
      this.url = response.url || this.url; // later requests skip the redirection
      return response;
    } catch (error) {
      this.signal?.throwIfAborted();
      const { cause, message } = error as Error;
      const why = cause instanceof Error ? cause.message : message; // Node's message is only 'fetch failed'
      throw new FetchError(`${this.name} cannot be fetched: ${why}`, { cause: error });
    }
  }

  end(): void {
    this.signal?.removeEventListener('abort', this.#abort);
    this.#ending.abort();
  }
}

const CONTENT_RANGE = /^bytes (\d+)-\d+\/(\d+)$/;

function isPartFrom({ status, headers }: Response, from: number): boolean {
  const start = CONTENT_RANGE.exec(headers.get('content-range') ?? '')?.[1];
  return status === 206 && Number(start) === from && headers.get('content-encoding') === null;
}

/** Version of the file, which all parts must share. */
interface Version {
  readonly size: number;
  /** ETag, or else the date; null if the server sends neither. */
  readonly tag: string | null;
}

/** Null if the response hides the headers, as servers of other origins may. */
function versionOf({ headers }: Response): Version | null {
  const size = CONTENT_RANGE.exec(headers.get('content-range') ?? '')?.[2];
  if (size === undefined) return null;
  return { size: Number(size), tag: headers.get('etag') ?? headers.get('last-modified') };
}

/**
 * Parts of a file in order. Each arrives as a whole, because Chromium holds a copy of a body that is read in pieces.
 */
class Parts implements Chunks {
  /** Position of the part that is being fetched. */
  #from = 0;
  #coming: Promise<Uint8Array>;

  constructor(
    private readonly server: Server,
    first: Response,
    private readonly version: Version,
  ) {
    this.#coming = bytesOf(first);
    this.#coming.catch(() => {}); // the error is reported when the part is needed
  }

  async next(): Promise<Uint8Array | undefined> {
    const from = this.#from;
    if (from >= this.version.size) return undefined;
    const part = await this.#coming.catch(() => this.#request(from)); // one retry after a lost connection
    this.#from += part.byteLength;
    if (part.byteLength > 0 && this.#from < this.version.size) {
      this.#coming = this.#request(this.#from);
      this.#coming.catch(() => {});
    }
    return part.byteLength > 0 ? part : undefined;
  }

  async #request(from: number): Promise<Uint8Array> {
    const answer = await this.server.ask(from);
    const version = versionOf(answer);
    const isChanged = version !== null && (version.size !== this.version.size || version.tag !== this.version.tag);
    if (!isChanged && isPartFrom(answer, from)) return bytesOf(answer);
    answer.body?.cancel().catch(() => {});
    const why = isChanged
      ? 'it has changed meanwhile, load it again'
      : `HTTP status ${answer.status}, expected the part from there on`;
    throw new FetchError(`${this.server.name} cannot be read beyond byte ${from}: ${why}`);
  }

  cancel(): void {
    this.server.end();
  }
}

const bytesOf = async (answer: Response) => new Uint8Array(await answer.arrayBuffer());
