// RIFF WAVE files (Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", 1991).

import { describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';

/** A recording: one array of samples from −1 to 1 per channel, of equal lengths. */
export interface Recording {
  readonly samplingRate: number;
  readonly channels: readonly Float32Array[];
}

const PCM = 1;
const FLOAT = 3;
/** WAVE_FORMAT_EXTENSIBLE: the format chunk has the real number in its extension. */
const EXTENSIBLE = 0xfffe;

/** The smallest length that means "not known": SoX declares 0x7ffff000 bytes, ffmpeg 0xffffffff. */
const UNKNOWN_LENGTH = 0x7ffff000;

interface Format {
  readonly isFloat: boolean;
  readonly channels: number;
  readonly samplingRate: number;
  readonly bits: number;
}

/**
 * Reads a WAV file with any number of channels: integers of 8, 16, 24 or 32 bits, or floats of 32 or 64 bits. ffmpeg
 * and SoX declare the largest length if they write to a pipe; such a file has the samples that follow. Throws
 * FormatError for other formats, for a file that ends before its declared samples, and for bytes that are not a WAV file.
 */
export function readWav(file: Uint8Array): Recording {
  if (!isTyped(file, 'Uint8Array'))
    throw new ArgumentError(`readWav: the file is ${describeValue(file)}, expected its bytes, as a Uint8Array`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tag = (offset: number) => String.fromCharCode(...file.subarray(offset, offset + 4));
  if (file.byteLength < 12 || tag(0) !== 'RIFF' || tag(8) !== 'WAVE')
    throw new FormatError('this is not a WAV file: expected RIFF and WAVE at its beginning');
  let format: Format | undefined;
  for (let offset = 12; offset + 8 <= file.byteLength; ) {
    const length = view.getUint32(offset + 4, true);
    const end = Math.min(offset + 8 + length, file.byteLength);
    if (tag(offset) === 'fmt ') format = readFormat(view, offset + 8, end);
    else if (tag(offset) === 'data') {
      if (format === undefined) throw new FormatError('WAV: the samples come before their format');
      checkLength(length, end - offset - 8, view.getUint32(4, true));
      return readSamples(view, offset + 8, end, format);
    }
    offset += 8 + length + (length % 2); // chunks begin at even offsets
  }
  throw new FormatError('WAV: there are no samples in it');
}

/** Throws unless the declared bytes of samples are there, or both declared lengths say that it was unknown. */
function checkLength(declared: number, present: number, ofFile: number): void {
  const isUnknown = declared >= UNKNOWN_LENGTH && ofFile >= UNKNOWN_LENGTH;
  if (declared <= present || isUnknown) return;
  const fix = 'the file is damaged or was cut off: convert or copy it again';
  throw new FormatError(`WAV: ${declared} bytes of samples are declared, but ${present} follow: ${fix}`);
}

function readFormat(view: DataView, offset: number, end: number): Format {
  if (end - offset < 16) throw new FormatError(`WAV: its format has ${end - offset} bytes, expected 16 at least`);
  const word = view.getUint16(offset, true);
  const kind = word === EXTENSIBLE && end - offset >= 26 ? view.getUint16(offset + 24, true) : word;
  const format = {
    isFloat: kind === FLOAT,
    channels: view.getUint16(offset + 2, true),
    samplingRate: view.getUint32(offset + 4, true),
    bits: view.getUint16(offset + 14, true),
  };
  const bits = kind === PCM ? [8, 16, 24, 32] : kind === FLOAT ? [32, 64] : [];
  if (!bits.includes(format.bits)) {
    const expected = 'integers of 8, 16, 24 or 32 bits (1) or floats of 32 or 64 (3)';
    throw new FormatError(`WAV: its samples are of kind ${kind} and ${format.bits} bits, expected ${expected}`);
  }
  if (format.channels === 0 || format.samplingRate === 0)
    throw new FormatError(`WAV: ${format.channels} channels at ${format.samplingRate} Hz, expected more than 0`);
  return format;
}

function readSamples(
  view: DataView,
  start: number,
  end: number,
  { isFloat, channels, samplingRate, bits }: Format,
): Recording {
  const bytes = bits / 8;
  const count = Math.floor((end - start) / (bytes * channels));
  const read = readers[`${isFloat ? 'float' : 'int'}${bits}`] as (view: DataView, offset: number) => number;
  const samples = Array.from({ length: channels }, (_, channel) => {
    const of = new Float32Array(count);
    for (let i = 0; i < count; i++) of[i] = read(view, start + (i * channels + channel) * bytes);
    return of;
  });
  return { samplingRate, channels: samples };
}

const readers: Readonly<Record<string, (view: DataView, offset: number) => number>> = {
  int8: (view, offset) => (view.getUint8(offset) - 128) / 128,
  int16: (view, offset) => view.getInt16(offset, true) / 2 ** 15,
  int24: (view, offset) => (view.getInt16(offset + 1, true) * 256 + view.getUint8(offset)) / 2 ** 23,
  int32: (view, offset) => view.getInt32(offset, true) / 2 ** 31,
  float32: (view, offset) => view.getFloat32(offset, true),
  float64: (view, offset) => view.getFloat64(offset, true),
};

/** The mean of all channels. */
export function mixDown({ channels }: Recording): Float32Array {
  const [first, ...otherChannels] = channels;
  if (first === undefined) throw new ArgumentError('mixDown: there are no channels');
  if (otherChannels.length === 0) return first;
  return first.map(
    (sample, i) => otherChannels.reduce((sum, channel) => sum + (channel[i] as number), sample) / channels.length,
  );
}

/**
 * Makes a WAV file with one channel of 16-bit integers. Samples beyond −1 and 1 are clipped. Throws ArgumentError for
 * values other than a Float32Array, and for more samples than the file's header can count.
 */
export function writeWav(samples: Float32Array, samplingRate: number): Uint8Array {
  if (!isTyped(samples, 'Float32Array'))
    throw new ArgumentError(`writeWav: the samples are ${describeValue(samples)}, expected a Float32Array`);
  const bytes = 2 * samples.length;
  if (bytes + HEADER > 2 ** 32)
    throw new ArgumentError(`writeWav: ${samples.length} samples are too many for a WAV file`);
  const file = new Uint8Array(HEADER + bytes);
  const view = new DataView(file.buffer);
  const tag = (offset: number, text: string) => file.set(new TextEncoder().encode(text), offset);
  tag(0, 'RIFF');
  view.setUint32(4, HEADER - 8 + bytes, true);
  tag(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, samplingRate, true);
  view.setUint32(28, 2 * samplingRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  tag(36, 'data');
  view.setUint32(40, bytes, true);
  file.set(pcm16(samples), HEADER);
  return file;
}

/** Samples as little-endian 16-bit integers. Samples beyond −1 and 1 are clipped. */
export function pcm16(samples: Float32Array): Uint8Array {
  const bytes = new Uint8Array(2 * samples.length);
  const view = new DataView(bytes.buffer);
  for (const [i, sample] of samples.entries())
    view.setInt16(2 * i, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
  return bytes;
}

/** Bytes of the header, before the samples. */
const HEADER = 44;
