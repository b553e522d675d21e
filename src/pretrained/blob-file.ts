import { ArgumentError, FormatError } from '../core/errors.js';
import { freeBytes } from '../core/passing-bytes.js';
import { inMemory } from '../io/byte-source.js';
import type { OpenFile } from '../io/file.js';

/** Maximum bytes of a file that is read when it is opened. */
const SMALL = 1 << 20;
/** Maximum bytes of the header of a safetensors file, which is read when the file is opened. */
const MAX_HEADER = 100_000_000;

/**
 * Makes an open file from a Blob or a File that was dropped on a page. `readAsync` reads any part. `read` can only
 * return bytes that were read when the file was opened: small files, and the header of a safetensors file.
 */
export async function blobFile(name: string, blob: Blob): Promise<OpenFile> {
  const read = async (from: number, to: number) => {
    try {
      return new Uint8Array(await blob.slice(from, to).arrayBuffer());
    } catch (cause) {
      throw new FormatError(`${name} cannot be read any more: ${(cause as Error).message}`, { cause });
    }
  };
  if (blob.size <= SMALL) return { ...inMemory(await read(0, blob.size)), close() {} };
  let head = await read(0, 8);
  const length = Number(new DataView(head.buffer).getBigUint64(0, true));
  if (length <= Math.min(MAX_HEADER, blob.size - 8)) head = await read(0, 8 + length);
  return {
    size: blob.size,
    read(position, into) {
      if (position + into.byteLength > head.byteLength)
        throw new ArgumentError(`${name} is a Blob, which cannot be read synchronously: use readAsync`);
      into.set(head.subarray(position, position + into.byteLength));
    },
    async readAsync(position, into) {
      const bytes = await read(position, position + into.byteLength);
      if (bytes.byteLength !== into.byteLength) throw new FormatError(`${name} has become shorter while it was read`);
      into.set(bytes);
      freeBytes(bytes);
    },
    close() {},
  };
}
