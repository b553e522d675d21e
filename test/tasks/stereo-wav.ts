import { writeWav } from '../../src/pretrained/processors/wav.js';

/** A WAV file of two channels. */
export function stereoWav(left: Float32Array, right: Float32Array, samplingRate: number): Buffer {
  const both = Float32Array.from({ length: 2 * left.length }, (_, i) => (i % 2 === 0 ? left : right)[i >> 1]!);
  const file = Buffer.from(writeWav(both, samplingRate));
  file.writeUInt16LE(2, 22); // channels
  file.writeUInt16LE(4, 32); // bytes of both
  return file;
}
