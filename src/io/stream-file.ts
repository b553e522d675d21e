import { isNode } from '../backend/node.js';
import { FetchError, FormatError } from '../core/errors.js';
import { giveBack } from '../core/passing-bytes.js';
import type { OpenFile } from './file.js';

/** Bytes of a file in order of arrival. */
export interface Chunks {
  /** The next bytes; undefined after the last ones. */
  next(): Promise<Uint8Array | undefined>;
  /** Stops the transfer. */
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
 * A response as a file that is read once, from front to back, without storing it. Throws FetchError if the server has
 * not sent the file, and FormatError if the response has no length.
 */
export function streamFile(response: Response, signal?: AbortSignal): OpenFile {
  const { body, headers, ok, status, url } = response;
  const name = url || 'the response';
  if (!ok) throw new FetchError(`${name} cannot be read: HTTP status ${status}`);
  const length = headers.get('content-encoding') === null ? Number(headers.get('content-length')) : 0;
  if (body === null || !(length > 0)) throw new FormatError(`${name} does not say its length, expected content-length`);
  // Bytes from the network belong to nobody else. In Node, however, clones of a response share them.
  return inOrder(name, length, chunksOf(body), { signal, isOurs: url !== '' && !isNode });
}

/**
 * A file of `size` bytes that arrives in order; skipped bytes are lost. `readAsync` takes growing positions, or 0 until
 * a later position was read. With `isOurs`, the memory of chunks is freed after use. Reads throw the reason of
 * `signal`, FetchError if the connection breaks, and FormatError if the bytes end early.
 */
export function inOrder(
  name: string,
  size: number,
  chunks: Chunks,
  { signal, isOurs }: { signal: AbortSignal | undefined; isOurs: boolean },
): OpenFile {
  /** Received bytes from `start` on that are not yet consumed. */
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
  /** Drops the bytes before a position. */
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
