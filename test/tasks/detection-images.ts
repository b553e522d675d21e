// The images that make_detections.py writes, with what transformers makes of them.
import { readFileSync } from 'node:fs';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';

export const { tensors } = parseSafetensors(
  new Uint8Array(readFileSync(new URL('./detections.safetensors', import.meta.url))),
);

export function imageOf(name: string): ImageBytes {
  const entry = tensors.get(`image.${name}`)!;
  const [height, width] = entry.shape as [number, number];
  return { width, height, data: Uint8Array.from(entry.data() as Int32Array) };
}
