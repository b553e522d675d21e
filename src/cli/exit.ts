import { SimdformerError } from '../core/errors.js';

/** Exit codes. */
export const EXIT = {
  done: 0,
  /** The command was understood, but could not be done. */
  failed: 1,
  /** The arguments make no sense. */
  usage: 2,
  /** Ended by a signal, as shells have it: 128 and its number. Ctrl-C is SIGINT. */
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
} as const;

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this is not allowed',
  EPERM: 'this is not allowed',
  EROFS: 'its disk can only be read',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'there is a file of that name',
  ENOSPC: 'its disk is full',
  EDQUOT: 'its disk is full',
};

/** What a user should read about an error; undefined if it is a fault of the program, whose stack should be seen. */
export function describeError(error: unknown): string | undefined {
  if (error instanceof SimdformerError) return error.message;
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  const reason = SYSTEM_ERRORS[code];
  if (reason === undefined) return message;
  return path === undefined ? `a file cannot be used: ${reason} (${message})` : `${path}: ${reason} (${code})`;
}
