import { once } from 'node:events';
import { createReadStream, existsSync } from 'node:fs';
import { type FileHandle, open, stat, truncate } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { collect } from '../../bulk/collect.js';
import { jobId } from '../../bulk/job-ids.js';
import { ArgumentError } from '../../core/errors.js';
import { withPath } from '../../io/atomic-write.js';
import { EXIT } from '../exit.js';
import { example } from '../help.js';
import { type QueueFlags, readInputs, withQueue } from '../job-lines.js';
import { checkReadable } from '../lines.js';
import { stopping } from '../stopping.js';

export function collectCommand(): Command {
  return withQueue(new Command('collect'))
    .description('write the results of submitted lines in order; a second run continues where the first was stopped')
    .argument('<file>', 'the file that was submitted')
    .option('-o, --out <file>', 'file for the results, as JSON lines (default: standard output)')
    .addHelpText('after', example('collect words.jsonl --queue names --out results.jsonl'))
    .action(async (file: string, { redis, queue, task, out }: QueueFlags & { out?: string }) => {
      await checkReadable([file]);
      using stop = stopping();
      const { signal } = stop;
      const written = out === undefined ? 0 : await linesOf(out, file, task);
      const output = out === undefined ? null : { path: out, file: await open(out, 'a') };
      let failed = 0;
      let position = written;
      const ids = idsOf(file, task, written);
      try {
        for await (const collected of collect(readInputs(file), { redis, queue, task, signal, from: written })) {
          const id = (await ids.next()).value as string;
          if ('error' in collected) failed++;
          await write(output, `${JSON.stringify({ id, ...collected })}\n`);
          position++;
        }
      } catch (error) {
        if (!signal.aborted) throw error;
        console.error('Stopped; the same command goes on.');
        process.exitCode = EXIT[stop.by ?? 'SIGINT'];
        return;
      } finally {
        await output?.file.close();
      }
      console.error(`${position} results${failed > 0 ? `, of which ${failed} are errors` : ''}`);
      if (failed > 0) process.exitCode = EXIT.failed;
    });
}

async function* idsOf(file: string, task: string, from = 0): AsyncGenerator<string> {
  let position = 0;
  for await (const input of readInputs(file)) {
    const id = jobId(position++, task, input);
    if (position > from) yield id;
  }
}

interface Output {
  readonly path: string;
  readonly file: FileHandle;
}

async function write(output: Output | null, line: string): Promise<void> {
  if (output === null) {
    if (!process.stdout.write(line)) await once(process.stdout, 'drain');
    return;
  }
  await output.file.appendFile(line).catch((error: unknown) => {
    throw withPath(error, output.path);
  });
}

/** The start of each line of results. */
const LINE_START = '{"id":"';

/**
 * Returns the number of results of `file` that the output already has. A truncated last line is removed. Throws
 * ArgumentError if the output belongs to another file or task.
 */
async function linesOf(out: string, file: string, task: string): Promise<number> {
  if (!existsSync(out)) return 0;
  await checkReadable([out]);
  const ids = idsOf(file, task);
  const { size } = await stat(out);
  let [count, bytes] = [0, 0];
  for await (const line of createInterface({ input: createReadStream(out), crlfDelay: Number.POSITIVE_INFINITY })) {
    const id = idIn(line);
    const end = bytes + Buffer.byteLength(line) + 1;
    if (end > size && line.startsWith(LINE_START.slice(0, line.length))) break; // a kill has truncated it
    if (id === undefined || id !== (await ids.next()).value)
      throw new ArgumentError(`${out} has results of other inputs than ${file}: give another --out, or remove it`);
    bytes = end;
    count++;
  }
  await truncate(out, bytes);
  return count;
}

function idIn(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { id: string }).id;
  } catch {
    return undefined;
  }
}
