// The output file of a long job, which can be killed at any time. An index file in the same folder records the valid
// length.

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { isFolder, withPath } from '../io/atomic-write.js';
import { removeUnfinished } from '../train/checkpoint.js';
import { writeWhole } from './whole-file.js';

/** The valid part of a file. */
interface Index {
  /** Settings of the results. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Number of inputs whose results are in the file. */
  readonly inputs: number;
  /** Valid bytes of the file. Later bytes belong to an interrupted batch. */
  readonly bytes: number;
  /** A hash of all inputs, so that a job resumes only with equal inputs. */
  readonly digest: string;
}

/** Digest of inputs, extended by one input. */
export function digestOf(before: string, input: Uint8Array): string {
  return createHash('sha256').update(before).update(input).digest('base64');
}

/** Results in a file. After an interruption, the next process continues at the position in the index. */
export class ResultFile {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private index: Index,
  ) {}

  /**
   * Opens a file for results of `settings`: a new file, or one with an index. Throws ArgumentError if the file has no
   * index or other settings, unless it may be overwritten. Throws the system's errors.
   */
  static async open(path: string, settings: Index['settings'], overwrite: boolean): Promise<ResultFile> {
    const present = statSync(path, { throwIfNoEntry: false });
    if (present?.isDirectory()) throw isFolder(path);
    if (present?.isFile() === false)
      throw new ArgumentError(
        `${path} is a device or a pipe, expected a file: leave --out out, and redirect the output`,
      );
    const found = overwrite ? null : await readIndex(path);
    if (found === null && !overwrite && existsSync(path))
      throw new ArgumentError(`${path} exists, but has no index to continue from: give --overwrite, or another file`);
    const changed = found && differences(found.settings, settings);
    if (changed) throw new ArgumentError(`${path} was made with ${changed}: give --overwrite, or another file`);
    await removeUnfinished(indexOf(path));
    const index = found ?? { settings, inputs: 0, bytes: 0, digest: '' };
    // The index is written first, because a file without an index would not be replaced later.
    if (found === null) await writeIndex(path, index);
    let file: FileHandle | undefined;
    try {
      file = await open(path, found ? 'r+' : 'w');
      if ((await file.stat()).size < index.bytes)
        throw new ArgumentError(`${path} is shorter than its index records: give --overwrite, or another file`);
      await file.truncate(index.bytes);
      return new ResultFile(path, file, index);
    } catch (error) {
      await file?.close();
      throw withPath(error, path);
    }
  }

  /** Number of inputs whose results exist already. */
  get inputs(): number {
    return this.index.inputs;
  }

  get digest(): string {
    return this.index.digest;
  }

  /**
   * Appends the results of `inputs` inputs. `digest` covers all inputs so far. `header` is the new beginning of the
   * file, always of equal length. Results count only after all of it is on the disk.
   */
  async append(bytes: Uint8Array, inputs: number, digest: string, header?: Uint8Array): Promise<void> {
    const start = Math.max(this.index.bytes, header?.length ?? 0);
    try {
      if (header) await writeAll(this.file, header, 0);
      await writeAll(this.file, bytes, start);
      await this.file.datasync();
    } catch (error) {
      throw withPath(error, this.path);
    }
    this.index = { ...this.index, inputs: this.index.inputs + inputs, bytes: start + bytes.length, digest };
    await writeIndex(this.path, this.index);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

async function writeIndex(path: string, index: Index): Promise<void> {
  try {
    await writeWhole(indexOf(path), `${JSON.stringify(index, null, 2)}\n`);
  } catch (error) {
    throw withPath(error, path);
  }
}

function indexOf(path: string): string {
  return `${path}.index.json`;
}

/** Reads the index beside a file; null if there is none. */
async function readIndex(path: string): Promise<Index | null> {
  const indexPath = indexOf(path);
  if (!existsSync(indexPath) || !existsSync(path)) return null;
  const text = await readFile(indexPath, 'utf8');
  const index = parseOrNull(text);
  const { settings, inputs, bytes, digest } = isObject(index) ? index : {};
  if (isObject(settings) && Number.isInteger(inputs) && Number.isInteger(bytes) && typeof digest === 'string')
    return index as unknown as Index;
  throw new ArgumentError(`${indexPath} is damaged: give --overwrite, or remove it and ${path}`);
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Describes the differences in words; empty if there are none. */
function differences(before: Index['settings'], now: Index['settings']): string {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const different = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
  return different.map((name) => `${name} ${JSON.stringify(before[name] ?? null)}`).join(', ');
}

async function writeAll(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done);
    done += bytesWritten;
  }
}
