import { isNode } from '../backend/node.js';
import { FetchError, FormatError } from '../core/errors.js';
import { giveBack } from '../core/passing-bytes.js';
import type { OpenFile } from './file.js';

/** The bytes of a file in order, as they come. */
export interface Chunks {
  /** The next bytes; undefined after the last. */
  next(): Promise<Uint8Array | undefined>;
  /** Ends what is under way. */
  cancel(): void;
}

export function chunksOf(body: ReadableStream<Uint8Array>): Chunks {
  const reader = body.getReader();
  return {
    next: async () => (await reader.read()).value,
    cancel: () => void reader.cancel().catch(() => {}), // it may have ended already
  };
}

/**
 * A server's answer as a file that is read once, from front to back, without being kept. Throws FetchError if the server has not sent
 * the file, and FormatError if it does not say how long that is.
 */
export function streamFile(response: Response, signal?: AbortSignal): OpenFile {
  const { body, headers, ok, status, url } = response;
  const name = url || 'the response';
  if (!ok) throw new FetchError(`${name} cannot be read: HTTP status ${status}`);
  const length = headers.get('content-encoding') === null ? Number(headers.get('content-length')) : 0;
  if (body === null || !(length > 0)) throw new FormatError(`${name} does not say its length, expected content-length`);
  // Bytes from the network belong to nobody else. In Node the streams of a cloned response have the same parts.
  return inOrder(name, length, chunksOf(body), { signal, isOurs: url !== '' && !isNode });
}

/**
 * A file of `size` bytes that comes in order: what was skipped is gone. The beginning can be read again until something behind it is:
 * `readAsync` of positions that grow, or of 0. The memory of what `isOurs` is given back. Reading throws the reason of `signal`,
 * FetchError if the chunks break off, and FormatError if they end early.
 */
export function inOrder(
  name: string,
  size: number,
  chunks: Chunks,
  { signal, isOurs }: { signal: AbortSignal | undefined; isOurs: boolean },
): OpenFile {
  /** Bytes that were read and not yet asked for, from `start` on. */
  let parts: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  const fetchUntil = async (position: number) => {
    while (end < position) {
      const part = await chunks.next().catch((cause: unknown) => {
        signal?.throwIfAborted();
        if (cause instanceof FetchError) throw cause;
        throw new FetchError(`${name} broke off after ${end} bytes: ${(cause as Error).message}`, { cause });
      });
      if (part === undefined) throw new FormatError(`${name} ends after ${end} of ${size} bytes`);
      parts.push(part);
      end += part.byteLength;
    }
  };
  /** Forgets what is before a position. */
  const forget = (position: number) => {
    while (parts.length > 0 && start + (parts[0] as Uint8Array).byteLength <= position) {
      const part = parts.shift() as Uint8Array;
      start += part.byteLength;
      if (isOurs) giveBack(part);
    }
  };
  const copy = (position: number, into: Uint8Array) => {
    let at = start;
    for (const part of parts) {
      const [from, to] = [Math.max(position, at), Math.min(position + into.byteLength, at + part.byteLength)];
      if (from < to) into.set(part.subarray(from - at, to - at), from - position);
      at += part.byteLength;
    }
  };
  return {
    size,
    read() {
      throw new FormatError(`${name} cannot be read without waiting: use readAsync`);
    },
    async readAsync(position, into) {
      if (position < start) throw new FormatError(`${name} is read from front to back: byte ${position} has gone by`);
      if (position > 0) forget(position);
      await fetchUntil(position + into.byteLength);
      if (position > 0) forget(position);
      copy(position, into);
    },
    close() {
      parts = [];
      chunks.cancel();
    },
  };
}
