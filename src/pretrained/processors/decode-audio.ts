// Files of sounds → samples. WAV files are read here. Other files are decoded by the browser, in Node by optional
// packages.

import { isNode } from '../../backend/node.js';
import { checkNumber, describeValue, isCount } from '../../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../../core/errors.js';
import { joinFloats } from '../../core/join-floats.js';
import { isBlob, isTyped } from '../../core/kinds.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { importPackage, loadOptional } from '../../io/optional-package.js';
import { mixDown, type Recording, readWav } from './wav.js';

/** A decoder of one file. The packages of all formats have this interface. */
interface Decoder {
  decode(piece: Uint8Array): Decoded;
  flush?(): Decoded;
  free(): void;
}

interface Decoded {
  readonly channelData: readonly Float32Array[];
  readonly sampleRate: number;
  /** Reports of damage, from some decoders. */
  readonly errors?: readonly { readonly message: string }[];
}

/** A format of compressed sound, and the package that decodes it in Node. */
interface Codec {
  readonly part: Parameters<typeof loadOptional>[0];
  readonly name: string;
}

const MP3: Codec = { part: 'An MP3 file', name: '@audio/decode-mp3' };
const FLAC: Codec = { part: 'A FLAC file', name: '@audio/decode-flac' };
const VORBIS: Codec = { part: 'An Ogg Vorbis file', name: '@audio/decode-vorbis' };
const OPUS: Codec = { part: 'An Opus file', name: '@audio/decode-opus' };
const WEBM: Codec = { part: 'A WebM file', name: '@audio/decode-webm' };

const EXPECTED = 'WAV, MP3, FLAC, Ogg Vorbis, Opus or WebM';
/** Maximum number of samples of a channel: four hours at 48 kHz. A few bytes of a hostile file can be a second. */
const MAX_SAMPLES = 4 * 3600 * 48_000;
/**
 * Bytes that are decoded at once. They can become some 100,000 samples of each channel, but no more than a few
 * millions.
 */
const PIECE = 1024;
/** Bytes at the beginning of an Ogg file that tell its codec. */
const OGG_START = 64;

/**
 * Decodes a WAV, MP3, FLAC, Ogg Vorbis, Opus or WebM file. WAV files keep their channels and rate. The channels of
 * other files are averaged. Pages decode these by the browser, which resamples them to `samplingRate` (default: 48000),
 * or to the nearest rate that browsers have, from 8000 to 96000. Node keeps the file's rate and needs one package per
 * format. A file that ends early gives the samples it has.
 *
 * Rejects with FormatError for a damaged file, another format, and more than 691,200,000 samples (four hours at 48
 * kHz). Rejects with ArgumentError for wrong arguments, with SimdformerError if the package is not installed, and with
 * the reason of `signal`.
 */
export async function decodeAudio(
  file: Uint8Array | Blob,
  samplingRate = 48_000,
  signal?: AbortSignal,
): Promise<Recording> {
  if (!(isBlob(file) || isTyped(file, 'Uint8Array')))
    throw new ArgumentError(`decodeAudio: the file is ${describeValue(file)}, expected a Blob or a Uint8Array`);
  checkNumber('decodeAudio', 'samplingRate', samplingRate, isCount, 'a rate in hertz');
  const bytes = isBlob(file) ? new Uint8Array(await file.arrayBuffer()) : file;
  if (startsWith(bytes, 'RIFF')) return readWav(bytes);
  const codec = codecOf(bytes);
  try {
    return isNode ? await byPackage(codec, bytes, signal) : await byBrowser(bytes, samplingRate);
  } catch (cause) {
    if (cause instanceof SimdformerError || signal?.aborted) throw cause;
    throw new FormatError(`decodeAudio: the file is damaged: ${(cause as Error).message}`, { cause });
  }
}

/** Returns the codec of a file by its first bytes. Throws FormatError for other files. */
function codecOf(bytes: Uint8Array): Codec {
  const [first = 0, second = 0] = bytes;
  if (startsWith(bytes, 'fLaC')) return FLAC;
  if (startsWith(bytes, '\x1a\x45\xdf\xa3')) return WEBM;
  if (startsWith(bytes, 'OggS')) {
    const start = String.fromCharCode(...bytes.subarray(0, OGG_START));
    if (start.includes('OpusHead')) return OPUS;
    if (start.includes('\x01vorbis')) return VORBIS;
    throw new FormatError('decodeAudio: the Ogg file has another codec, expected Vorbis or Opus');
  }
  // A frame of MP3 starts with eleven ones. The two bits of its layer are not both 0, as they are in AAC.
  const isFrame = first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) !== 0;
  if (startsWith(bytes, 'ID3') || isFrame) return MP3;
  throw new FormatError(`decodeAudio: this is not a readable sound file, expected ${EXPECTED}`);
}

const startsWith = (bytes: Uint8Array, start: string): boolean =>
  bytes.length >= start.length && Array.from(start).every((letter, i) => bytes[i] === letter.charCodeAt(0));

async function byPackage({ part, name }: Codec, bytes: Uint8Array, signal?: AbortSignal): Promise<Recording> {
  const { decoder } = await loadOptional(part, () => importPackage<{ decoder(): Promise<Decoder> }>(name));
  const open = await decoder();
  try {
    const sound = new DecodedSound();
    for (let offset = 0; offset < bytes.length; offset += PIECE) {
      sound.add(open.decode(bytes.subarray(offset, offset + PIECE)));
      await yieldToEventLoop();
      signal?.throwIfAborted();
    }
    if (open.flush) sound.add(open.flush());
    return sound.recording();
  } finally {
    open.free();
  }
}

/** Decoded pieces of a sound, with their channels averaged. Throws FormatError for damage and for too many samples. */
export class DecodedSound {
  readonly #pieces: Float32Array[] = [];
  #count = 0;
  #rate = 0;

  add({ channelData: channels, sampleRate: rate, errors = [] }: Decoded): void {
    if (errors[0]) throw new FormatError(`decodeAudio: the file is damaged: ${errors[0].message}`);
    const length = channels[0]?.length ?? 0;
    if (length === 0) return;
    if (this.#rate !== 0 && rate !== this.#rate)
      throw new FormatError(`decodeAudio: the sampling rate changes from ${this.#rate} to ${rate} Hz within the file`);
    this.#rate = rate;
    this.#count += length;
    if (this.#count > MAX_SAMPLES)
      throw new FormatError(
        `decodeAudio: the file has more than ${MAX_SAMPLES} samples, which is the most that are read`,
      );
    this.#pieces.push(mixDown({ channels, samplingRate: rate }));
  }

  recording(): Recording {
    if (this.#count === 0) throw new FormatError('decodeAudio: the file is damaged: no samples can be decoded');
    return { samplingRate: this.#rate, channels: [joinFloats(this.#pieces)] };
  }
}

async function byBrowser(bytes: Uint8Array, samplingRate: number): Promise<Recording> {
  if (typeof OfflineAudioContext === 'undefined')
    throw new ArgumentError(
      'decodeAudio: only a page decodes files other than WAV, and a worker does not: decode the file in the page and pass its samples',
    );
  const context = new OfflineAudioContext(1, 1, Math.min(Math.max(samplingRate, 8000), 96_000));
  const sound = await context.decodeAudioData(Uint8Array.from(bytes).buffer);
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  if (sound.length === 0) throw new Error('no samples can be decoded');
  return { samplingRate: sound.sampleRate, channels: [mixDown({ channels, samplingRate: sound.sampleRate })] };
}
