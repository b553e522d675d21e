// Commands that read texts line by line and pass each to a pipeline.

import { type Command, Option } from 'commander';
import type { Device } from '../core/device.js';
import { ArgumentError, HubError } from '../core/errors.js';
import type { DownloadProgress } from '../pretrained/hub-options.js';
import type { WarningCode } from '../pretrained/warnings.js';
import { BATCH_SIZE } from '../tasks/batches.js';
import { type Pipeline, pipeline, type TaskName } from '../tasks/index.js';
import { decodeText } from './data.js';
import { EXIT } from './exit.js';
import { REVISION } from './help.js';
import { type JobInput, type LineJob, type ResultFormat, runLineJob } from './line-jobs.js';
import { linesOfFiles } from './lines.js';
import { integer } from './parsers.js';
import type { Stopping } from './stopping.js';

/** Options that all of these commands have. */
export interface TextJobOptions {
  out?: string;
  overwrite?: boolean;
  format?: string;
  field?: string;
  batch: number;
  revision?: string;
}

/**
 * Number of lines that are processed and written together. A kill loses at most this work, which takes some seconds.
 */
const LINES_PER_BATCH = 256;

/** Adds the arguments and options of such a command. Its output has one of `formats`. */
export function textJobCommand(command: Command, formats: readonly string[]): Command {
  return command
    .argument('<model>', 'folder or hub id')
    .argument('[file...]', 'files of texts, one text per line (default: standard input)')
    .option(
      '-o, --out <file>',
      'output file; after a kill, the same command resumes where it ends (default: standard output)',
    )
    .option('--overwrite', 'replace the results in the output file')
    .addOption(
      new Option(
        '--format <format>',
        'format of the results (default: by the ending of the output file, otherwise text)',
      ).choices(formats),
    )
    .option(
      '--field <name>',
      'read each line as a JSON object, with the text under this name (default: the line is the text)',
    )
    .option('--batch <n>', 'number of texts that the model reads side by side', integer(1), BATCH_SIZE)
    .option('--revision <name>', REVISION);
}

/** Texts of inputs. Throws ArgumentError, naming the input, if one is not text. */
function textsOfInputs(inputs: readonly JobInput[], field: string | undefined): string[] {
  return inputs.map(({ name, bytes }) => {
    const line = decodeText(name, bytes);
    if (field === undefined) return line;
    let value: unknown;
    try {
      value = (JSON.parse(line) as Record<string, unknown> | null)?.[field];
    } catch (cause) {
      throw new ArgumentError(`${name} is not JSON`, { cause });
    }
    if (typeof value === 'string') return value;
    throw new ArgumentError(`${name} has no text under ${JSON.stringify(field)}`);
  });
}

/** Loads a pipeline and reports downloads on standard error. */
export async function loadPipeline<Name extends TaskName>(
  task: Name,
  model: string,
  { device, revision, stop }: { device: Device; revision: string | undefined; stop: Stopping },
): Promise<Pipeline<Name>> {
  const isReported = new Set<string>();
  const onProgress = ({ file, total }: DownloadProgress) => {
    if (isReported.has(file)) return;
    isReported.add(file);
    console.error(`fetching ${file}${Number.isNaN(total) ? '' : `, ${(total / 1e6).toFixed(1)} MB`}`);
  };
  const onWarning = (message: string, code: WarningCode) => {
    if (code !== 'new-head') return console.error(`simdformer: ${message}`);
    const reason = `the model '${model}' was not trained for ${task}: its files have no weights of the head`;
    throw new ArgumentError(`${reason}. Fine-tune it, or choose another model`);
  };
  try {
    return await pipeline(task, model, { device, revision, signal: stop.signal, onProgress, onWarning });
  } catch (error) {
    if (error instanceof HubError && error.status === 404)
      throw new ArgumentError(`there is no model '${model}': neither a folder nor on the hub`, { cause: error });
    throw error;
  }
}

/** Runs a command's job on the lines of `files`. If it is stopped, prints how to resume. */
export async function runTextJob<Result>(
  files: readonly string[],
  options: TextJobOptions,
  stop: Stopping,
  job: {
    /** Settings that results depend on: the command and its options. */
    readonly settings: Readonly<Record<string, unknown>>;
    readonly format: ResultFormat<Result>;
    compute(texts: readonly string[]): Promise<readonly Result[]>;
  },
): Promise<void> {
  const { field, out, overwrite = false } = options;
  const jobOptions = {
    inputs: linesOfFiles(files),
    compute: (inputs: readonly JobInput[]) => job.compute(textsOfInputs(inputs, field)),
    format: job.format,
    settings: { ...job.settings, field: field ?? null },
    out,
    overwrite,
    batchSize: files.length === 0 && process.stdin.isTTY ? 1 : LINES_PER_BATCH,
  };
  await runStoppable(jobOptions, stop);
}

/** Runs a job. If it is stopped, prints how to resume. */
export async function runStoppable<Result>(job: Omit<LineJob<Result>, 'signal'>, stop: Stopping): Promise<void> {
  const { done, stopped } = await runLineJob({ ...job, signal: stop.signal });
  if (!stopped) return;
  console.error(`Stopped after ${done}${job.out === undefined ? '' : '; the same command goes on'}.`);
  process.stdin.destroy();
  process.exitCode = stop.by === undefined ? EXIT.failed : EXIT[stop.by];
}
