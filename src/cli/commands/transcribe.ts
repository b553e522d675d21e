import { buffer } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { readWhole } from '../../io/file.js';
import type { Pipeline, SpeechRecognitionOutput } from '../../tasks/index.js';
import { srt, vtt } from '../../tasks/speech/subtitles.js';
import { openDevice } from '../common.js';
import { decodeText } from '../data.js';
import { example, REVISION } from '../help.js';
import type { JobInput, ResultFormat } from '../line-jobs.js';
import { checkReadable, linesOfFiles } from '../lines.js';
import { jsonLines, textLines } from '../result-formats.js';
import { microphoneSamples, streamedSamples } from '../sound-stream.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runStoppable } from '../text-jobs.js';

const FORMATS = ['text', 'jsonl', 'srt', 'vtt'] as const;

interface TranscribeOptions {
  readonly out?: string;
  readonly overwrite?: boolean;
  readonly format: (typeof FORMATS)[number];
  readonly words?: boolean;
  readonly follow?: boolean;
  readonly language?: string;
  readonly translate?: boolean;
  readonly revision?: string;
}

interface Transcribed extends SpeechRecognitionOutput {
  readonly file: string;
}

export function transcribeCommand(): Command {
  return new Command('transcribe')
    .description('transcribe recordings of speech')
    .argument('<model>', 'folder or hub id of a Whisper, Moonshine, Parakeet or wav2vec 2.0 model')
    .argument(
      '[file...]',
      'recordings (WAV, MP3, FLAC, Ogg, Opus or WebM), or - for one on standard input (default: names of files on standard input, one per line)',
    )
    .option(
      '-o, --out <file>',
      'output file; after a kill, the same command resumes where it ends (default: standard output)',
    )
    .option('--overwrite', 'replace the results in the output file')
    .addOption(
      new Option('--format <format>', 'format of the results: text, JSON lines with times, or subtitles')
        .choices(FORMATS)
        .default('text'),
    )
    .option('--words', 'give the times of words instead of segments; in text, each word follows its times')
    .option(
      '--follow',
      'transcribe while someone speaks: from the microphone in a terminal (needs arecord or ffmpeg), otherwise 16 kHz samples on standard input (WAV or 16-bit numbers)',
    )
    .option('--language <language>', 'spoken language, such as de or german (default: detected)')
    .option('--translate', 'translate to English')
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('transcribe openai/whisper-tiny.en talk.wav --format srt'))
    .action((model: string, files: string[], options: TranscribeOptions, command: Command) =>
      options.follow ? followStream(model, files, options, command) : transcribe(model, files, options, command),
    );
}

async function transcribe(model: string, files: string[], options: TranscribeOptions, command: Command): Promise<void> {
  const { out, format, words, language, translate, revision, overwrite = false } = options;
  const isSubtitles = format === 'srt' || format === 'vtt';
  if (isSubtitles && files.length !== 1)
    throw new ArgumentError(`${format} is for one recording, but ${files.length} files are given: give one file`);
  await checkReadable(files);
  using device = await openDevice(command);
  using stop = stopping();
  await using recognize = await loadPipeline('automatic-speech-recognition', model, { device, revision, stop });
  const settings = {
    command: 'transcribe',
    model,
    revision: revision ?? null,
    format,
    words: words ?? false,
    language: language ?? null,
    translate: translate ?? false,
  };
  const job = {
    inputs: recordings(files),
    compute: transcriber(recognize, options, stop.signal),
    format: formats[format],
    settings,
    out,
    overwrite,
    batchSize: 1,
  };
  await runStoppable<Transcribed>(job, stop);
}

/** Returns a function that transcribes recordings. An error in a file names the file. */
function transcriber(
  recognize: Pipeline<'automatic-speech-recognition'>,
  { format, words, language, translate }: TranscribeOptions,
  signal: AbortSignal,
) {
  const isCtc = recognize.model.headKind === 'ctc'; // such models give times of words, but no segments
  const timestamps = words || (isCtc && format !== 'text') ? 'word' : format !== 'text';
  return async (inputs: readonly JobInput[]) => {
    const results: Transcribed[] = [];
    for (const { name, bytes } of inputs) {
      const transcript = await recognize(bytes, {
        return_timestamps: timestamps,
        ...(language === undefined ? {} : { language }),
        ...(translate ? { task: 'translate' as const } : {}),
        signal,
      }).catch((error: unknown) => {
        throw named(error, name);
      });
      results.push({ file: name, ...transcript });
    }
    return results;
  };
}

/** Options of `transcribe` that mean nothing for a recording that goes on. */
const NOT_FOLLOWED = ['out', 'overwrite', 'words'] as const;

/**
 * Writes the text of a recording that goes on: final text in lines; in a terminal, also the text that may still change.
 */
async function followStream(
  model: string,
  files: readonly string[],
  options: TranscribeOptions,
  command: Command,
): Promise<void> {
  if (files.some((name) => name !== '-') || files.length > 1)
    throw new ArgumentError('transcribe: --follow reads standard input or the microphone, expected no files');
  const unused = NOT_FOLLOWED.find((name) => options[name]);
  if (unused) throw new ArgumentError(`transcribe: --follow takes no --${unused}`);
  if (options.format !== 'text') throw new ArgumentError('transcribe: --follow writes text and takes no --format');
  const { language, translate, revision } = options;
  using device = await openDevice(command);
  using stop = stopping();
  await using recognize = await loadPipeline('automatic-speech-recognition', model, { device, revision, stop });
  const listens = process.stdin.isTTY && files.length === 0;
  const source = listens ? microphoneSamples(stop.signal) : streamedSamples(process.stdin);
  const transcript = recognize(source, {
    ...(language === undefined ? {} : { language }),
    ...(translate ? { task: 'translate' as const } : {}),
    signal: stop.signal,
  });
  const isTerminal = process.stdout.isTTY;
  let written = '';
  try {
    for await (const { text, final } of transcript) {
      const line = final.slice(written.length).trim();
      if (isTerminal) process.stdout.write('\r\u001b[2K');
      if (line !== '') process.stdout.write(`${line}\n`);
      written = final;
      // The end of a long line, because a terminal clears one row only.
      if (isTerminal)
        process.stdout.write(
          text
            .slice(final.length)
            .trim()
            .slice(1 - (process.stdout.columns ?? 80)),
        );
    }
  } finally {
    if (isTerminal) process.stdout.write('\n');
  }
}

/** An error in a recording, with the recording's name. */
function named(error: unknown, name: string): unknown {
  if (!(error instanceof FormatError || error instanceof ArgumentError)) return error;
  return new FormatError(`${name}: ${error.message}`, { cause: error });
}

const whole = (encode: (result: Transcribed) => string): ResultFormat<Transcribed> => ({
  encode: (results) => new TextEncoder().encode(results.map(encode).join('')),
});

/** The text of a recording. With times, each word or segment follows its own: "[0.00-0.38] And [0.38-0.72] so". */
function lineOf({ text, chunks }: Transcribed): string {
  if (chunks === undefined) return text.trim();
  const seconds = (time: number | null | undefined) => time?.toFixed(2) ?? '';
  return chunks
    .map(({ text: spoken, timestamp: [from, to] }) => `[${seconds(from)}-${seconds(to)}] ${spoken.trim()}`)
    .join(' ');
}

const formats: Readonly<Record<(typeof FORMATS)[number], ResultFormat<Transcribed>>> = {
  text: textLines(lineOf),
  jsonl: jsonLines((result) => result),
  srt: whole(({ chunks = [] }) => srt(chunks)),
  vtt: whole(({ chunks = [] }) => vtt(chunks)),
};

async function* recordings(files: readonly string[]): AsyncGenerator<JobInput> {
  for (const name of files) yield { name, bytes: name === '-' ? await buffer(process.stdin) : await readWhole(name) };
  if (files.length > 0) return;
  for await (const { name: line, bytes } of linesOfFiles([])) {
    const name = decodeText(line, bytes);
    if (name !== '') yield { name, bytes: await readWhole(name) };
  }
}
