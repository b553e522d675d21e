// A file on a server from which only parts are read, for example the header of its weights.

import { ArgumentError, HubError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import type { HubClient } from './hub-client.js';

/** Number of bytes that readers request while they do not know the length of a header. */
const WINDOW = 1 << 12;
/** Maximum number of bytes that are fetched ahead of a sequential reader. */
const MAX_AHEAD = 1 << 16;
/** Maximum length of the header of a safetensors file. */
const MAX_HEADER = 100_000_000;

/** A range of bytes that has arrived. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/**
 * Opens a file that is read by range requests. No byte is transferred twice. `read` works only for the header of a
 * safetensors file, which is fetched here. `known` is the file's length; by default the server is asked for it. Throws
 * HubError if the server refuses or the connection breaks.
 */
export async function openRanged(client: HubClient, url: string, known?: number): Promise<OpenFile> {
  const size = known ?? lengthIn(await client.head(url), url);
  const file = new RangedFile(client, url, size);
  if (new URL(url).pathname.endsWith('.safetensors') && size >= 8) {
    const length = await file.bytes(0, 8);
    const header = Number(new DataView(length.buffer, length.byteOffset).getBigUint64(0, true));
    if (header <= Math.min(MAX_HEADER, size - 8)) await file.bytes(8, 8 + header);
  }
  return file;
}

/**
 * Reads the length of a file from response headers. If the hub redirects to a store, a separate header has the length.
 */
function lengthIn(headers: Headers, url: string): number {
  const length = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  if (Number.isSafeInteger(length)) return length;
  throw new HubError(`${url} was sent without a length, expected a content-length header`, url);
}

class RangedFile implements OpenFile {
  readonly window = WINDOW;
  #segments: Segment[] = [];
  #ahead = 0;

  constructor(
    private readonly client: HubClient,
    private readonly url: string,
    readonly size: number,
  ) {}

  read(position: number, into: Uint8Array): void {
    if (this.#missing(position, position + into.byteLength) !== null)
      throw new ArgumentError(`${this.url} is on a server, so it cannot be read synchronously: use readAsync`);
    this.#copy(position, into);
  }

  async readAsync(position: number, into: Uint8Array): Promise<void> {
    const end = position + into.byteLength;
    for (let gap = this.#missing(position, end); gap !== null; gap = this.#missing(position, end))
      await this.#fetch(gap.start, gap.end);
    this.#copy(position, into);
  }

  async bytes(from: number, to: number): Promise<Uint8Array> {
    const into = new Uint8Array(to - from);
    await this.readAsync(from, into);
    return into;
  }

  close(): void {}

  /** Returns the first missing range; null if all bytes have arrived. */
  #missing(from: number, to: number): { start: number; end: number } | null {
    let start = from;
    for (const segment of this.#segments) if (segment.start <= start) start = Math.max(start, segment.end);
    if (start >= to) return null;
    const next = this.#segments.find((segment) => segment.start > start);
    return { start, end: Math.min(to, next?.start ?? to) };
  }

  /** Fetches a range. The amount fetched ahead doubles while ranges follow each other. */
  async #fetch(start: number, wanted: number): Promise<void> {
    const before = this.#segments.findLast((segment) => segment.end === start);
    this.#ahead = before ? Math.min(MAX_AHEAD, 2 * (before.end - before.start)) : 0;
    const next = this.#segments.find((segment) => segment.start > start)?.start ?? this.size;
    const end = Math.min(next, Math.max(wanted, start + this.#ahead));
    const bytes = new Uint8Array(end - start);
    let offset = 0;
    for await (const part of this.client.bytes(this.url, start, this.size, end)) {
      bytes.set(part, offset);
      offset += part.byteLength;
    }
    this.#segments = [...this.#segments, { start, end, bytes }].sort((a, b) => a.start - b.start);
  }

  #copy(position: number, into: Uint8Array): void {
    for (const { start, end, bytes } of this.#segments) {
      const [from, to] = [Math.max(start, position), Math.min(end, position + into.byteLength)];
      if (from < to) into.set(bytes.subarray(from - start, to - start), from - position);
    }
  }
}
