import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BenchError } from './error.js';

/** The folder of the peers' programs. */
export const peersFolder = fileURLToPath(new URL('../peers/', import.meta.url));

/** A program in a separate process that answers each line of JSON with one line of JSON. */
export class Peer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(command: string, args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
    // These two variables would restrict OpenBLAS to old kernels.
    const { OPENBLAS_CORETYPE: _, OPENBLAS_L2_SIZE: __, ...env } = process.env;
    this.#child = spawn(command, args, { env: { ...env, ...variables }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => {
      this.#errors += error.message;
    });
    this.#child.stdin?.on('error', () => {});
    this.#child.stderr?.on('data', (text) => {
      this.#errors += text;
    });
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /**
   * A peer in Python: the system's, or PYTHON, with its packages. Memory that its tensors free stays with the process,
   * as PyTorch's tuning guide recommends. Otherwise every large result would need new pages from the system.
   */
  static python(script: string): Peer {
    const keepMemory = { MALLOC_MMAP_THRESHOLD_: '4294967296', MALLOC_TRIM_THRESHOLD_: '4294967296' };
    return new Peer(process.env.PYTHON ?? '/usr/bin/python3', [`${peersFolder}${script}`], keepMemory);
  }

  /** A peer in Node. */
  static node(script: string, args: readonly string[]): Peer {
    return new Peer(process.execPath, [`${peersFolder}${script}`, ...args]);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  ask<Answer>(question: unknown): Promise<Answer> {
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    return this.hear();
  }

  /** Returns the next line that it prints. */
  async hear<Answer>(): Promise<Answer> {
    const { value, done } = await this.#lines.next();
    if (done)
      throw new BenchError(`the peer ended: ${this.#errors.trim().split('\n').at(-1) || 'it could not be started'}`);
    return JSON.parse(value) as Answer;
  }

  close(): void {
    this.#child.kill();
  }
}
