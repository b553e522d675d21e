// The command line as a user meets it: a process of its own.

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../build/tests/simdformer.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Standard input; nothing by default. */
  input?: string | Buffer;
  /** The signal is sent when standard error matches this. */
  interruptAt?: RegExp;
  /** Default: the signal of Ctrl-C. */
  signal?: NodeJS.Signals;
  /** Number of times that the signal is sent. Default: 1. */
  times?: number;
  /** Files for the output and the errors, which `Ended` then lacks. */
  stdout?: string;
  stderr?: string;
  /** Default: 1; null leaves the option out. */
  threads?: number | null;
}

/** Arguments for Node that run `simdformer`. */
export function argumentsOf(args: readonly string[], threads: number | null = 1): string[] {
  const shared = threads === null ? [] : ['--threads', `${threads}`];
  return [MAIN, ...shared, ...args];
}

/** Runs `simdformer` with arguments to its end. */
export function simdformer(
  args: readonly string[],
  { input = '', interruptAt, signal = 'SIGINT', times = 1, threads = 1, ...files }: RunOptions = {},
): Promise<Ended> {
  const [stdout, stderr] = [files.stdout, files.stderr].map((path) =>
    path === undefined ? 'pipe' : openSync(path, 'w'),
  );
  const child = spawn(process.execPath, argumentsOf(args, threads), {
    stdio: ['pipe', stdout, stderr],
  });
  for (const file of [stdout, stderr]) if (typeof file === 'number') closeSync(file);
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  let interrupted = false;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
    if (interrupted || !interruptAt?.test(output.stderr)) return;
    interrupted = true;
    for (let i = 0; i < times; i++) child.kill(signal);
  });
  child.stdin?.on('error', () => {}); // it may end without reading
  child.stdin?.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
  });
}

/** A folder for one file of tests, and what removes it. */
export async function temporaryFolder(): Promise<{ at: (name: string) => string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
  return { at: (name) => join(folder, name), remove: () => rm(folder, { recursive: true }) };
}
