import { SimdformerError } from '../core/errors.js';

/** Exit codes. */
export const EXIT = {
  done: 0,
  /** The command is valid, but failed. */
  failed: 1,
  /** The arguments are invalid. */
  usage: 2,
  /** Ended by a signal: 128 plus its number, as in shells. Ctrl-C is SIGINT. */
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
} as const;

/** Signals that ask a program to end. */
export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** The end of a command by a signal. */
export class Interruption extends Error {
  constructor(readonly by: Signal) {
    super(by === 'SIGINT' ? 'stopped by Ctrl-C' : `stopped by ${by}`);
  }
}

/** The interruption that an error is, or that caused it, as in the errors of Node's streams. */
export function interruptionIn(error: unknown): Interruption | undefined {
  const { cause } = (error ?? {}) as { cause?: unknown };
  return [error, cause].find((failure) => failure instanceof Interruption);
}

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

/** Message of an error for users; undefined for an error of the program itself, whose stack is printed. */
export function describeError(error: unknown): string | undefined {
  const interruption = interruptionIn(error);
  if (interruption) return interruption.message;
  if (error instanceof SimdformerError) return error.message;
  // V8 throws RangeError if memory for an array runs out.
  if (error instanceof RangeError && /array (buffer|length)|allocation/i.test(error.message)) {
    return `this takes more memory than there is (${error.message}): give smaller sizes`;
  }
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return undefined;
  // Files are written under a temporary name first. The message names the final path.
  const location = path?.replace(/\.[\da-f-]+\.tmp$/, '').replace(/\.unfinished-\d+(?=$|[\\/])/, '');
  if (SYSTEM_ERRORS[code] === undefined)
    return location && !message.includes(location) ? `${location}: ${message}` : message;
  return `${location === undefined ? 'a file cannot be used' : location || "''"}: ${reasonOf(error as Error)}`;
}

/** The system's reason, in words. */
export function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  const reason = SYSTEM_ERRORS[code];
  return reason === undefined ? message : `${reason} (${code})`;
}
