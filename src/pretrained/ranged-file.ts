// A file on a server, of which only parts are read: the header of its weights, for example.

import { ArgumentError, HubError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import type { HubClient } from './hub-client.js';

/** Bytes that readers request while they do not know how many they need. */
const WINDOW = 1 << 12;
/** Maximum number of bytes that are read ahead of a reader that goes from front to back. */
const MAX_AHEAD = 1 << 16;
/** Maximum length of the header of a safetensors file. */
const MAX_HEADER = 100_000_000;

/** Bytes that have arrived. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/**
 * Opens a file by range requests. No byte is transferred twice. `read` works for the header of safetensors files only, which is
 * fetched here. `known`: its length; undefined asks the server. Throws HubError if the server refuses or the connection breaks.
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

/** The length of a file by its headers. A hub gives that of the file in the store to which it redirects. */
function lengthIn(headers: Headers, url: string): number {
  const length = Number(headers.get('x-linked-size') ?? headers.get('content-length') ?? Number.NaN);
  if (Number.isSafeInteger(length)) return length;
  throw new HubError(`${url}: the server does not say how long it is`, url);
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
      throw new ArgumentError(`${this.url} is on a server, and cannot be read without waiting: use readAsync`);
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

  /** The first range that has not arrived; null if all has. */
  #missing(from: number, to: number): { start: number; end: number } | null {
    let start = from;
    for (const segment of this.#segments) if (segment.start <= start) start = Math.max(start, segment.end);
    if (start >= to) return null;
    const next = this.#segments.find((segment) => segment.start > start);
    return { start, end: Math.min(to, next?.start ?? to) };
  }

  /** Fetches a range. It becomes longer, each time, if it continues the range before it. */
  async #fetch(start: number, wanted: number): Promise<void> {
    const before = this.#segments.findLast((segment) => segment.end === start);
    this.#ahead = before ? Math.min(MAX_AHEAD, 2 * (before.end - before.start)) : 0;
    const next = this.#segments.find((segment) => segment.start > start)?.start ?? this.size;
    const end = Math.min(next, Math.max(wanted, start + this.#ahead));
    const bytes = new Uint8Array(end - start);
    let at = 0;
    for await (const part of this.client.bytes(this.url, start, this.size, end)) {
      bytes.set(part, at);
      at += part.byteLength;
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
