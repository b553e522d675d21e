import { ArgumentError, FormatError } from '../core/errors.js';
import { giveBack } from '../core/passing-bytes.js';
import type { OpenFile } from '../io/file.js';
import { inMemory } from '../io/safetensors.js';

/** A file of no more bytes is read when it is opened. */
const SMALL = 1 << 20;
/** Headers of safetensors files are read when those are opened, if they are no longer. */
const MAX_HEADER = 100_000_000;

/**
 * A Blob, or a File that was dropped on a page, as an open file. It is read where it lies, which can only be waited for:
 * `readAsync` gives all of it. `read` gives what is read when it is opened: small files, and the header of a safetensors file.
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
        throw new ArgumentError(`${name} is a Blob, which cannot be read without waiting: use readAsync`);
      into.set(head.subarray(position, position + into.byteLength));
    },
    async readAsync(position, into) {
      const bytes = await read(position, position + into.byteLength);
      if (bytes.byteLength !== into.byteLength) throw new FormatError(`${name} has become shorter while it was read`);
      into.set(bytes);
      giveBack(bytes);
    },
    close() {},
  };
}
