// Access to the bytes of a file in memory, on a disk or on a server, and the detection of its format.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** A source of a file's bytes. `read` fills `into` or throws. `view` exists if the bytes are in memory. */
export interface ByteSource {
  readonly size: number;
  read(position: number, into: Uint8Array): void;
  /** Like `read`, without blocking. Exists if reading takes time. */
  readAsync?(position: number, into: Uint8Array): Promise<void>;
  view?(position: number, length: number): Uint8Array;
  /**
   * Number of bytes to read at a time while the length of a header is unknown. Set if every byte is expensive, as on a
   * server. Default: the reader's own.
   */
  readonly window?: number | undefined;
}

/** Returns a source for a file in memory, without copying it. Throws ArgumentError for a value that has no bytes. */
export function inMemory(file: Uint8Array | ArrayBuffer): ByteSource {
  const { buffer, byteOffset = 0, byteLength } = (file ?? {}) as Uint8Array;
  if (byteLength === undefined) {
    throw new ArgumentError(
      `parseSafetensors: the file is ${describeValue(file)}, expected its bytes, as a Uint8Array`,
    );
  }
  const bytes = new Uint8Array(buffer ?? file, byteOffset, byteLength);
  const view = (position: number, length: number) => bytes.subarray(position, position + length);
  return { size: bytes.byteLength, view, read: (offset, into) => into.set(view(offset, into.byteLength)) };
}

/**
 * Returns some bytes of a file: a view if they are in memory, otherwise an array made by `make` into which they are
 * read.
 */
export async function bytesOf(
  source: ByteSource,
  position: number,
  length: number,
  make = (size: number): Uint8Array => new Uint8Array(size),
): Promise<Uint8Array> {
  if (source.view) return source.view(position, length);
  const bytes = make(length);
  await (source.readAsync ? source.readAsync(position, bytes) : source.read(position, bytes));
  return bytes;
}

/** Detects common formats of weights by the first bytes of a file. Returns null for other formats. */
export function formatOf(
  bytes: Uint8Array,
): 'zip' | 'pickle' | 'GGUF' | 'HDF5' | 'Git LFS pointer' | 'HTML' | 'tar' | null {
  const begins = (...first: number[]) => first.every((byte, i) => bytes[i] === byte);
  const text = (from: number, length: number) => String.fromCharCode(...bytes.subarray(from, from + length));
  if (begins(0x50, 0x4b, 3, 4)) return 'zip';
  if (begins(0x80) && (bytes[1] as number) >= 2 && (bytes[1] as number) <= 5) return 'pickle';
  if (begins(0x47, 0x47, 0x55, 0x46)) return 'GGUF';
  if (begins(0x89, 0x48, 0x44, 0x46)) return 'HDF5';
  if (text(0, 8) === 'version ') return 'Git LFS pointer';
  if (/^\s*<(!doctype|html)/i.test(text(0, 32))) return 'HTML';
  if (text(257, 5) === 'ustar') return 'tar';
  return null;
}
