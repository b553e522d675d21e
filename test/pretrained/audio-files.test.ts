// Files of sound beside what ffmpeg decodes from them (make_audio_files.py), and files that are refused before they take memory.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { MissingPackageError } from '../../src/io/optional-package.js';
import { DecodedSound, decodeAudio } from '../../src/pretrained/processors/decode-audio.js';
import { writeWav } from '../../src/pretrained/processors/wav.js';

interface Recorded {
  readonly name: string;
  readonly rate: number;
  readonly samples: number;
  readonly every: number;
  readonly values: readonly number[];
  readonly file: string;
}

const all: Recorded[] = JSON.parse(readFileSync(new URL('audio-files.json', import.meta.url), 'utf8'));
const recorded = all.filter(({ values }) => values !== undefined);
const named = (name: string) => Uint8Array.from(Buffer.from(all.find((each) => each.name === name)!.file, 'base64'));

/** Two steps of 16 bits, to which some decoders round, and of the five digits in the file. */
const TOLERANCE = 2 ** -14;

describe('decodeAudio', () => {
  it.each(recorded.map((each) => [each.name, each] as const))('reads %s like ffmpeg', async (name, each) => {
    const { samplingRate, channels } = await decodeAudio(named(name));
    expect(samplingRate).toBe(each.rate);
    expect(channels).toHaveLength(1);
    expect(channels[0]).toHaveLength(each.samples);
    const found = each.values.map((_, i) => channels[0]![i * each.every]!);
    const errors = found.map((value, i) => Math.abs(value - each.values[i]!));
    expect(Math.max(...errors)).toBeLessThan(TOLERANCE);
    expect(Math.max(...found.map(Math.abs))).toBeGreaterThan(0.1);
  });

  it('keeps the channels of WAV files, and accepts a Blob', async () => {
    const wav = writeWav(Float32Array.from([0, 0.5, -0.5]), 8000);
    expect(await decodeAudio(new Blob([wav as Uint8Array<ArrayBuffer>]))).toMatchObject({ samplingRate: 8000 });
  });

  it.each(recorded.map(({ name }) => name))('reads the beginning of %s, or refuses it', async (name) => {
    const file = named(name);
    const whole = (await decodeAudio(file)).channels[0]!;
    for (const part of [0.02, 0.5, 0.9]) {
      const cut = await decodeAudio(file.subarray(0, Math.ceil(part * file.length))).catch((error) => error);
      if (cut instanceof Error) expect(cut).toBeInstanceOf(FormatError);
      else expect(cut.channels[0]!.length).toBeLessThanOrEqual(whole.length);
    }
  });

  it.each(recorded.map(({ name }) => name))('never crashes for damaged bytes of %s', async (name) => {
    for (let seed = 1; seed <= 12; seed++) {
      const file = named(name);
      for (let at = (seed * 7) % 40; at < file.length; at += 13 + 11 * seed) file[at] = file[at]! ^ (seed * 37);
      const found = await decodeAudio(file).catch((error) => error);
      if (found instanceof Error) expect(found).toBeInstanceOf(FormatError);
      else expect(found.channels[0]!.length).toBeGreaterThan(0);
    }
  });

  it('refuses other files and values', async () => {
    const text = (letters: string) => Uint8Array.from(Buffer.from(letters, 'latin1'));
    await expect(decodeAudio(text('hello'))).rejects.toThrow(/not a readable sound file, expected WAV, MP3/);
    await expect(decodeAudio(new Uint8Array(0))).rejects.toThrow(FormatError);
    await expect(decodeAudio(text(`OggS${'\0'.repeat(24)}\x80theora`))).rejects.toThrow(/expected Vorbis or Opus/);
    await expect(decodeAudio(text('\xff\xf1\x50\x80'))).rejects.toThrow(FormatError); // AAC
    await expect(decodeAudio(text('\xff\xfb\x90\x00'))).rejects.toThrow(/no samples can be decoded/);
    await expect(decodeAudio('a.mp3' as never)).rejects.toThrow(ArgumentError);
    await expect(decodeAudio(named('mono.opus'), 0)).rejects.toThrow(/samplingRate/);
  });

  it('stops at once when its signal is aborted', async () => {
    const reason = new Error('enough');
    await expect(decodeAudio(named('jfk.opus'), undefined, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('stops at four hours, which a few megabytes can declare', async () => {
    // A block of WebM with one byte of Opus is 60 ms of silence: 21 kB are three minutes.
    const file = Buffer.from(named('stereo.webm'));
    const mark = Buffer.from('1f43b675', 'hex');
    const blocks = Buffer.alloc(7 * 3000, Buffer.from('a3858100008018', 'hex'));
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(blocks.length + 3) | (1n << 56n));
    const start = [file.subarray(0, file.indexOf(mark)), mark, size, Buffer.from('e78100', 'hex')];
    const { channels } = await decodeAudio(Uint8Array.from(Buffer.concat([...start, blocks])));
    expect(channels[0]!.length).toBeGreaterThan(175 * 48_000);
    // The pieces of four hours take half a minute to decode, so that this one counts the same piece again and again.
    const piece = { channelData: [new Float32Array(2 ** 20)], sampleRate: 48_000 };
    const sound = new DecodedSound();
    const max = Math.floor(691_200_000 / 2 ** 20);
    for (let i = 0; i < max; i++) sound.add(piece);
    expect(() => sound.add(piece)).toThrow(/more than 691200000 samples/);
  });

  it('refuses a rate that changes, and damage that the decoder reports', () => {
    const sound = new DecodedSound();
    const channelData = [new Float32Array(3)];
    sound.add({ channelData, sampleRate: 8000 });
    expect(() => sound.add({ channelData, sampleRate: 16_000 })).toThrow(/changes from 8000 to 16000 Hz/);
    expect(() => sound.add({ channelData, sampleRate: 8000, errors: [{ message: 'bad' }] })).toThrow(/damaged: bad/);
  });
});

it('names the package that is missing', async () => {
  const { loadOptional, importPackage } = await import('../../src/io/optional-package.js');
  const missing = loadOptional('An MP3 file', () => importPackage('@audio/decode-none'));
  await expect(missing).rejects.toThrow(MissingPackageError);
  await expect(missing).rejects.toThrow(/npm install @audio\/decode-mp3@1/);
});
