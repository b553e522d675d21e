// A file on a server that is read once, from front to back, and asked for in parts: of an answer that comes faster than it is read
// Chromium keeps all in the page's memory.

import { isNode } from '../backend/node.js';
import { FetchError } from '../core/errors.js';
import type { OpenFile } from './file.js';
import { proxiedFetch } from './proxied-fetch.js';
import { type Chunks, inOrder, streamFile } from './stream-file.js';

/** Bytes of a part. While one is read the next one comes. */
const PART = 1 << 21;

/**
 * Opens the file at a URL, whose bytes are not kept. A server that does not send parts sends it whole, as `streamFile` reads it. Throws
 * FetchError if the server cannot be reached or refuses, if the file changes while it is read or a part does not come when it is asked
 * for again, the reason of `signal`, and what `streamFile` throws.
 */
export async function fetchInParts(url: URL, signal?: AbortSignal): Promise<OpenFile> {
  const server = new Server(url, signal);
  // A server of another origin may refuse to be asked for a part, which looks as if it were not there.
  const first = await server.ask(0).catch(() => server.ask());
  const version = versionOf(first);
  if (version !== null && isPartFrom(first, 0))
    return inOrder(url.href, version.size, new Parts(server, first, version), { signal, isOurs: !isNode });
  if (first.status !== 206 && first.status !== 416) return streamFile(first, signal);
  first.body?.cancel().catch(() => {}); // it does not say what it is a part of, or there is none
  return streamFile(await server.ask(), signal);
}

/** Asks for a file until it is told to end. */
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

  /** The part from a position on, or all. */
  async ask(from?: number): Promise<Response> {
    const headers = from === undefined ? {} : { range: `bytes=${from}-${from + PART - 1}` };
    try {
      const response = await proxiedFetch(this.url, { headers, signal: this.#ending.signal });
      this.url = response.url || this.url; // where one was redirected to, the others are
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

/** Properties that all parts of one file share. */
interface Version {
  readonly size: number;
  /** Its tag, or else its date; null where the server shows neither. */
  readonly tag: string | null;
}

/** Null where an answer does not say it: another origin has to allow that its headers are seen. */
function versionOf({ headers }: Response): Version | null {
  const size = CONTENT_RANGE.exec(headers.get('content-range') ?? '')?.[2];
  if (size === undefined) return null;
  return { size: Number(size), tag: headers.get('etag') ?? headers.get('last-modified') };
}

/** The parts of a file, one after another. Each comes as a whole: what Chromium gives bit by bit it keeps a copy of for a while. */
class Parts implements Chunks {
  /** Position of the part that is under way. */
  #from = 0;
  #coming: Promise<Uint8Array>;

  constructor(
    private readonly server: Server,
    first: Response,
    private readonly version: Version,
  ) {
    this.#coming = bytesOf(first);
    this.#coming.catch(() => {}); // whoever comes to it hears of it
  }

  async next(): Promise<Uint8Array | undefined> {
    const from = this.#from;
    if (from >= this.version.size) return undefined;
    const part = await this.#coming.catch(() => this.#ask(from)); // once more, should the connection be cut
    this.#from += part.byteLength;
    if (part.byteLength > 0 && this.#from < this.version.size) {
      this.#coming = this.#ask(this.#from);
      this.#coming.catch(() => {});
    }
    return part.byteLength > 0 ? part : undefined;
  }

  async #ask(from: number): Promise<Uint8Array> {
    const answer = await this.server.ask(from);
    const version = versionOf(answer);
    const isChanged = version !== null && (version.size !== this.version.size || version.tag !== this.version.tag);
    if (!isChanged && isPartFrom(answer, from)) return bytesOf(answer);
    answer.body?.cancel().catch(() => {});
    const why = isChanged
      ? 'it has changed meanwhile, load it again'
      : `HTTP status ${answer.status}, expected the part from there on`;
    throw new FetchError(`${this.server.name} cannot be read on after ${from} bytes: ${why}`);
  }

  cancel(): void {
    this.server.end();
  }
}

const bytesOf = async (answer: Response) => new Uint8Array(await answer.arrayBuffer());
