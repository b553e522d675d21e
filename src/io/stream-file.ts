import { isNode } from '../backend/node.js';
import { FetchError, FormatError } from '../core/errors.js';
import { freeBytes } from '../core/passing-bytes.js';
import type { OpenFile } from './file.js';

/** Bytes of a file in order of arrival. */
export interface Chunks {
  /** Resolves with the next bytes, or undefined at the end. */
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
 * Makes a file of a response. It can be read once, from beginning to end, and is not stored. Throws FetchError if the
 * server has not sent the file, and FormatError if the response has no length.
 */
export function streamFile(response: Response, signal?: AbortSignal): OpenFile {
  const { body, headers, ok, status, url } = response;
  const name = url || 'the response';
  if (!ok) throw new FetchError(`${name} cannot be read: HTTP status ${status}`);
  const length = headers.get('content-encoding') === null ? Number(headers.get('content-length')) : 0;
  if (body === null || !(length > 0))
    throw new FormatError(`${name} was sent without a length, expected a content-length header`);
  // Bytes from the network can be freed after use. In Node they cannot, because clones of a response share them.
  return sequentialFile(name, length, chunksOf(body), { signal, isOurs: url !== '' && !isNode });
}

/**
 * Makes a file of `size` bytes that arrive in order; skipped bytes are lost. Positions passed to `readAsync` must
 * increase, except that 0 is allowed until a later position was read. With `isOurs`, the memory of chunks is freed
 * after use. Reads throw the reason of `signal`, FetchError if the connection breaks, and FormatError if the bytes end
 * early.
 */
export function sequentialFile(
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
  /** Frees the bytes before a position. */
  const forget = (position: number) => {
    while (parts.length > 0 && start + (parts[0] as Uint8Array).byteLength <= position) {
      const part = parts.shift() as Uint8Array;
      start += part.byteLength;
      if (isOurs) freeBytes(part);
    }
  };
  const copy = (position: number, into: Uint8Array) => {
    let partStart = start;
    for (const part of parts) {
      const [from, to] = [
        Math.max(position, partStart),
        Math.min(position + into.byteLength, partStart + part.byteLength),
      ];
      if (from < to) into.set(part.subarray(from - partStart, to - partStart), from - position);
      partStart += part.byteLength;
    }
  };
  return {
    size,
    read() {
      throw new FormatError(`${name} cannot be read synchronously: use readAsync`);
    },
    async readAsync(position, into) {
      if (position < start) throw new FormatError(`${name} can only be read in order: byte ${position} has passed`);
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
