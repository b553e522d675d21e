// Samples of a recording that is still going on: from standard input, or from a microphone.

import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { ArgumentError, FormatError } from '../core/errors.js';
import { mixDown, readWav } from '../pretrained/processors/wav.js';

/** Hertz of the samples that models of speech read. */
const RATE = 16_000;
/** Maximum number of bytes before the samples of a WAV file. */
const MAX_HEADER = 1 << 16;

/** Programs that record 16-bit samples of one channel. The first one that is installed is used. */
const RECORDERS: readonly (readonly [command: string, ...args: string[]])[] = [
  ['arecord', '-q', '-t', 'raw', '-f', 'S16_LE', '-r', `${RATE}`, '-c', '1'],
  ['ffmpeg', '-loglevel', 'error', ...microphone(), '-f', 's16le', '-ar', `${RATE}`, '-ac', '1', '-'],
];

function microphone(): string[] {
  if (process.platform === 'darwin') return ['-f', 'avfoundation', '-i', ':default'];
  if (process.platform === 'win32') return ['-f', 'dshow', '-i', 'audio=default'];
  return ['-f', 'pulse', '-i', 'default'];
}

/** Samples of the microphone until `signal`. Rejects with ArgumentError if no program can record. */
export async function* microphoneSamples(signal: AbortSignal): AsyncGenerator<Float32Array> {
  for (const [command, ...args] of RECORDERS) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], signal });
    const ended = new Promise<Error | number | null>((resolve) => {
      child.once('error', resolve);
      child.once('close', resolve);
    });
    try {
      yield* streamedSamples(child.stdout);
    } finally {
      child.kill();
    }
    const end = await ended;
    if (signal.aborted) return;
    if (end instanceof Error && (end as NodeJS.ErrnoException).code === 'ENOENT') continue;
    if (end === 0) return;
    throw new ArgumentError(
      `transcribe: ${command} cannot record: ${end instanceof Error ? end.message : `status ${end}`}`,
    );
  }
  const fix = 'install arecord (alsa-utils) or ffmpeg, or send 16 kHz samples to standard input';
  throw new ArgumentError(`transcribe: no program for recording was found: ${fix}`);
}

/**
 * Samples of a WAV file of any format at 16 kHz, or of 16-bit little-endian numbers of one channel, as they arrive.
 * Throws FormatError for another rate and a damaged file.
 */
export async function* streamedSamples(input: Readable): AsyncGenerator<Float32Array> {
  let format: SampleFormat | null = null;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    if (format === null) {
      const begin = samplesAt(rest);
      if (begin === null) continue;
      format = begin === 0 ? PLAIN : wavFormat(rest.subarray(0, begin));
      rest = rest.subarray(begin);
    }
    const whole = rest.length - (rest.length % format.frame);
    if (whole === 0) continue;
    yield samplesOf(format, rest.subarray(0, whole));
    rest = rest.subarray(whole);
  }
  if (format !== null) return;
  if (rest.length >= RIFF) throw new FormatError('transcribe: the WAV file ends before its samples');
  if (rest.length >= PLAIN.frame) yield samplesOf(PLAIN, rest.subarray(0, rest.length - (rest.length % PLAIN.frame)));
}

/** The form of a stream's samples. */
interface SampleFormat {
  /** A WAV file's header for any number of samples. Null for 16-bit numbers of one channel. */
  readonly header: Uint8Array | null;
  /** Bytes of a sample of all channels. */
  readonly frame: number;
}

const PLAIN: SampleFormat = { header: null, frame: 2 };
/** Bytes that show if a stream is a WAV file. */
const RIFF = 12;

/** The offset of the first sample: 0 if this is not a WAV file. Null if not enough of the stream has arrived. */
function samplesAt(file: Buffer): number | null {
  if (file.length < RIFF) return null;
  if (file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') return 0;
  for (let offset = RIFF; offset + 8 <= file.length; ) {
    if (file.toString('latin1', offset, offset + 4) === 'data') return offset + 8;
    const length = file.readUInt32LE(offset + 4);
    offset += 8 + length + (length % 2);
    if (offset > MAX_HEADER)
      throw new FormatError(`transcribe: the WAV file has no samples in its first ${MAX_HEADER} bytes`);
  }
  return null;
}

/** The format of a WAV file with this header. Throws FormatError for another rate. */
function wavFormat(bytes: Buffer): SampleFormat {
  const header = Uint8Array.from(bytes);
  // A file and samples of unknown lengths accept any number of samples.
  header.fill(0xff, 4, 8);
  header.fill(0xff, header.length - 4);
  const { samplingRate, channels } = readWav(header);
  if (samplingRate !== RATE) {
    const fix = `ffmpeg -i FILE -ar ${RATE} -f wav - | simdformer transcribe MODEL --follow`;
    throw new FormatError(`transcribe: the stream has ${samplingRate} samples a second, expected ${RATE}: ${fix}`);
  }
  for (let frame = 1; ; frame++) {
    const probe = new Uint8Array(header.length + frame);
    probe.set(header);
    if (readWav(probe).channels[0]?.length === 1) return { header, frame };
    if (frame > 8 * channels.length) throw new FormatError('transcribe: the WAV file has no samples');
  }
}

function samplesOf({ header }: SampleFormat, bytes: Uint8Array): Float32Array {
  if (header === null) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) / 2 ** 15);
  }
  const file = new Uint8Array(header.length + bytes.length);
  file.set(header);
  file.set(bytes, header.length);
  return mixDown(readWav(file));
}
