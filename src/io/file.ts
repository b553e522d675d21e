/**
 * Safetensors at a path, for Node. Its file system is imported when first used, so that browsers can load this module.
 */

import { nodeModule } from '../backend/node.js';
import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError, DisposedError, FormatError } from '../core/errors.js';
import { isUrl } from '../core/kinds.js';
import { maxTransfer, withPath, writeAtomically } from './atomic-write.js';
import type { ByteSource } from './byte-source.js';
import {
  layOut,
  readSafetensors,
  type Safetensors,
  type SafetensorsMetadata,
  type SafetensorsParts,
  type SafetensorsTensors,
  storedBytes,
} from './safetensors.js';

async function pathFrom(op: string, path: string | URL): Promise<string> {
  if (typeof path === 'string') return path;
  if (!(isUrl(path) && path.protocol === 'file:')) {
    const described = isUrl(path) ? path : describeValue(path);
    throw new ArgumentError(`${op}: the path is ${described}, expected a string or the URL of a file`);
  }
  const { fileURLToPath } = await nodeModule<typeof import('node:url')>('url');
  return fileURLToPath(path);
}

/** An open file. Entries read from it until it is closed, and then throw DisposedError. */
export interface SafetensorsFile extends Safetensors {
  close(): void;
}

/**
 * Opens a safetensors file and reads its header. The data of an entry is read on demand. Throws the errors of
 * `parseSafetensors`, with the path, and the system's error if the file cannot be read.
 */
export async function openSafetensors(path: string | URL): Promise<SafetensorsFile> {
  const file = await openFile(await pathFrom('openSafetensors', path));
  try {
    return { ...readSafetensors(file), close: file.close };
  } catch (cause) {
    file.close();
    if (!(cause instanceof FormatError)) throw cause;
    throw new FormatError(`openSafetensors: ${path}: ${cause.message}`, { cause });
  }
}

export interface OpenFile extends ByteSource {
  close(): void;
}

/**
 * Opens a file for reading. Throws the system's error if that fails. Throws FormatError for a pipe, which cannot be
 * read at any position. Later reads throw FormatError if the file has become shorter.
 */
async function openFile(path: string): Promise<OpenFile> {
  const fs = await nodeModule<typeof import('node:fs')>('fs');
  const { O_RDONLY, O_NONBLOCK = 0 } = fs.constants; // a pipe would wait for a writer; Windows has no such flag
  const file = fs.openSync(path, O_RDONLY | O_NONBLOCK);
  const stats = fs.fstatSync(file);
  if (!stats.isFile() && !stats.isDirectory()) {
    fs.closeSync(file);
    throw new FormatError(`${path} is a pipe or a device, expected a file`);
  }
  let isOpen = true;
  // After closing, the descriptor may belong to another file.
  const assertOpen = () => {
    if (!isOpen) throw new DisposedError(`${path} has already been closed`);
  };
  const shorter = () => new FormatError(`${path} has become shorter while it was read`);
  const readNow = (position: number, into: Uint8Array, start: number, length: number): number => {
    assertOpen();
    try {
      return fs.readSync(file, into, start, length, position);
    } catch (error) {
      throw withPath(error, path);
    }
  };
  return {
    size: stats.size,
    read(position, into) {
      for (let done = 0; done < into.byteLength; ) {
        const wanted = Math.min(into.byteLength - done, maxTransfer);
        const got = readNow(position + done, into, done, wanted);
        if (got === 0) throw shorter();
        done += got;
      }
    },
    async readAsync(position, into) {
      for (let done = 0; done < into.byteLength; ) {
        assertOpen();
        const got = await new Promise<number>((resolve, reject) =>
          fs.read(file, into, done, into.byteLength - done, position + done, (error, count) =>
            error === null ? resolve(count) : reject(withPath(error, path)),
          ),
        );
        if (got === 0) throw shorter();
        done += got;
      }
    },
    close() {
      if (isOpen) fs.closeSync(file);
      isOpen = false;
    },
  };
}

/**
 * Writes a safetensors file, one tensor at a time. The file appears complete or not at all: after an error, the old
 * file is unchanged. Links are followed; devices and pipes are written to. Throws ShapeError or DTypeError if the data
 * do not fit the shape or dtype. Throws ArgumentError for a value that is not an object of tensors, and the system's
 * errors.
 */
export async function saveSafetensors(
  path: string | URL,
  tensors: SafetensorsTensors,
  metadata?: SafetensorsMetadata,
): Promise<void> {
  const parts = safetensorsParts(checkOptions('saveSafetensors', tensors), metadata);
  await writeAtomically(new Map([[await pathFrom('saveSafetensors', path), parts]]));
}

/** The bytes of a safetensors file, one tensor at a time. Throws as `saveSafetensors`. */
export function safetensorsParts(
  tensors: SafetensorsTensors | SafetensorsParts,
  metadata?: SafetensorsMetadata,
): AsyncIterable<Uint8Array> {
  const { header, parts } = layOut(tensors, metadata);
  return contents();

  async function* contents(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const part of parts) {
      const { tensor } = part;
      yield storedBytes(part, typeof tensor.data === 'function' ? await tensor.data() : tensor.data);
    }
  }
}

/**
 * Reads a file of Node. Throws the system's error, which then has the path, also for a folder; or the signal's reason.
 */
export async function readWhole(path: string, signal?: AbortSignal): Promise<Buffer> {
  const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  try {
    return await readFile(path, { signal });
  } catch (error) {
    throw signal?.aborted ? signal.reason : withPath(error, path);
  }
}

/** Returns a function that reads the files of a folder by name. For a missing file, it returns an empty string. */
export async function readFilesOf(
  folder: string,
): Promise<(name: string, signal?: AbortSignal) => Promise<Uint8Array | string>> {
  const { join } = await nodeModule<typeof import('node:path')>('path');
  return async (name, signal) => {
    try {
      return await readWhole(join(folder, name), signal);
    } catch (error) {
      if (isMissing(error)) return '';
      throw error;
    }
  };
}

/** Opens a file of a folder. Returns null if it does not exist. */
export async function openFileOf(folder: string, name: string): Promise<OpenFile | null> {
  const { join } = await nodeModule<typeof import('node:path')>('path');
  try {
    return await openFile(join(folder, name));
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
