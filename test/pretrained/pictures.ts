// Pictures of numbers that Python's make_processors.py and make_media_modes.py make, too.
import type { ImageBytes } from '../../src/pretrained/processors/image.js';

/** Numbers below 65,536 in a fixed order. */
export function* wordsOf(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 16;
  }
}

export function pictureOf(width: number, height: number, channels: number, seed: number): ImageBytes {
  const words = wordsOf(seed);
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) data[at++] = ((x * 7 + y * 3 + c * 50) % 171) + (words.next().value % 85);
  return { width, height, data };
}
