// Fuzzes the reader of WAV files. It must throw a FormatError, or return channels of one length that fit into the file.
// To run it for 30 seconds:
//
//   npm run fuzz -- wav 30
import assert from 'node:assert';
import { mixDown, readWav, writeWav } from '../../src/pretrained/processors/wav.js';
import { checked, withoutTraces } from './checked.js';
import { variants } from './variants.js';

/** A file of 40 bytes of samples. Kind 1 is integers, 3 is floats, 0xfffe has the true kind behind. */
function wav(kind: number, channels: number, bits: number, subKind = 1): Uint8Array {
  const file = Buffer.alloc(108);
  file.write('RIFF');
  file.writeUInt32LE(100, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(40, 16);
  file.writeUInt16LE(kind, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(16000, 24);
  file.writeUInt16LE(bits, 34);
  file.writeUInt16LE(subKind, 44);
  file.write('data', 60);
  file.writeUInt32LE(40, 64);
  return file;
}

const seeds = [
  writeWav(Float32Array.of(0, 0.5, -1, 1), 16000),
  ...[8, 16, 24, 32].map((bits) => wav(1, 2, bits)),
  wav(3, 1, 32),
  wav(3, 2, 64),
  wav(0xfffe, 1, 16),
  wav(0xfffe, 1, 32, 3),
];

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    for (const file of [bytes, ...variants(bytes, seeds)]) await checked(file, () => check(file));
  });
}

function check(file: Uint8Array): void {
  const recording = readWav(file);
  const length = recording.channels[0]?.length as number;
  assert.ok(recording.samplingRate > 0);
  assert.ok(recording.channels.every((channel) => channel.length === length));
  assert.ok(recording.channels.length * length <= file.length);
  assert.equal(mixDown(recording).length, length);
}
