// Long jobs over many inputs. Results are written in the order of the inputs. A killed job resumes where its output
// ends: only the interrupted batch is computed again, nothing is written twice, and nothing is lost.

import { once } from 'node:events';
import { ArgumentError } from '../core/errors.js';
import { duration } from './duration.js';
import { digestOf, ResultFile } from './result-file.js';

/** An input, and its name in error messages. */
export interface JobInput {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Conversion of results to bytes. */
export interface ResultFormat<Result> {
  encode(results: readonly Result[]): Uint8Array;
  /** Header of a file with `count` results. All headers have equal lengths. A format with a header needs a file. */
  header?(count: number): Uint8Array;
}

export interface LineJob<Result> {
  readonly inputs: AsyncIterable<JobInput>;
  /** Computes results, one per input, in order. */
  compute(inputs: readonly JobInput[]): Promise<readonly Result[]>;
  readonly format: ResultFormat<Result>;
  /** Path of the output. Undefined for standard output, which cannot be resumed. */
  readonly out: string | undefined;
  /** True replaces an existing file. */
  readonly overwrite: boolean;
  /** Settings that results depend on, besides the inputs. A job resumes only with equal settings. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Number of inputs that are processed and written together. */
  readonly batchSize: number;
  /** Stops the job after the current batch, or during it if `compute` rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

/** Runs a job until it ends or is stopped. Returns the number of inputs done. */
export async function runLineJob<Result>(job: LineJob<Result>): Promise<{ done: number; stopped: boolean }> {
  const file = job.out === undefined ? null : await ResultFile.open(job.out, job.settings, job.overwrite);
  if (file === null && job.format.header)
    throw new ArgumentError('this format needs a file, because its header has the number of rows: give -o');
  const doneBefore = file?.inputs ?? 0;
  const progress = showInputs(doneBefore);
  let done = doneBefore;
  const { signal } = job;
  try {
    const inputs = untilAborted(signal, job.inputs);
    let digest = await digestOfFirst(inputs, doneBefore);
    if (digest !== (file?.digest ?? '') && !signal.aborted) throw otherInputs(job.out);
    let batch: JobInput[] = [];
    const processBatch = async () => {
      const results = await job.compute(batch);
      for (const { bytes } of batch) digest = digestOf(digest, bytes);
      done += batch.length;
      const bytes = job.format.encode(results);
      if (file) await file.append(bytes, batch.length, digest, job.format.header?.(done));
      else if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
      batch = [];
      progress.update(done);
    };
    for await (const input of inputs) {
      batch.push(input);
      if (batch.length === job.batchSize) await processBatch();
    }
    if (batch.length > 0 && !signal.aborted) await processBatch();
    if (file && done === 0) await file.append(new Uint8Array(0), 0, '', job.format.header?.(0));
    return { done, stopped: signal.aborted };
  } catch (error) {
    if (error !== signal.reason) throw error;
    return { done, stopped: true };
  } finally {
    progress.stop();
    await file?.close();
  }
}

/** Reads the `count` inputs that an earlier run has processed, or as many as there are. Returns their digest. */
async function digestOfFirst(inputs: AsyncIterator<JobInput>, count: number): Promise<string> {
  let digest = '';
  for (let i = 0; i < count; i++) {
    const next = await inputs.next();
    if (next.done) break;
    digest = digestOf(digest, next.value.bytes);
  }
  return digest;
}

/** Yields items until the signal aborts, which also ends the wait for the next item. */
async function* untilAborted<Item>(signal: AbortSignal, items: AsyncIterable<Item>): AsyncGenerator<Item, void, void> {
  const iterator = items[Symbol.asyncIterator]();
  const aborted = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  for (;;) {
    const next = await Promise.race([aborted, iterator.next()]);
    if (next === null || next.done) return;
    yield next.value;
  }
}

function otherInputs(out: string | undefined): ArgumentError {
  return new ArgumentError(`${out} was made from other inputs: give the same inputs again, or --overwrite`);
}

/** Seconds between two lines of progress. */
const LINE_EVERY = 5;

/** Shows the number of finished inputs on standard error: in one line on a terminal, elsewhere every few seconds. */
function showInputs(doneBefore: number) {
  const stream = process.stderr;
  const started = performance.now();
  const isDrawn = stream.isTTY && process.env.TERM !== 'dumb';
  let next = isDrawn ? 0 : LINE_EVERY;
  let done = doneBefore;
  const line = () => {
    const seconds = (performance.now() - started) / 1000;
    const speed = ((done - doneBefore) / seconds).toFixed(1);
    return `${done} done, ${speed}/s, ${duration(seconds)}`;
  };
  if (doneBefore > 0) stream.write(`${doneBefore} were done before\n`);
  return {
    update(count: number) {
      done = count;
      const seconds = (performance.now() - started) / 1000;
      if (seconds < next) return;
      next = seconds + (isDrawn ? 0.1 : LINE_EVERY);
      stream.write(isDrawn ? `\r\x1b[K${line()}` : `${line()}\n`);
    },
    stop() {
      stream.write(`${isDrawn ? '\r\x1b[K' : ''}${line()}\n`);
    },
  };
}
