// Times of tokens, from the decoder's cross-attention to the sound.

import { inSlices } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import { alignmentMatrix, warp } from './time-warping.js';
import type { Listener } from './whisper-settings.js';

/**
 * Times of the tokens after the first `given` ones, in seconds of the window, of which `frames` frames have sound. The
 * last time is repeated for a token that was not read.
 */
export async function timesOf(
  { model, alignmentHeads, medianFilterWidth, precision, extractor }: Listener,
  encoded: Tensor,
  source: number,
  tokens: readonly number[],
  given: number,
  frames: number,
): Promise<number[]> {
  const rows = tokens.length - given;
  if (rows <= 0) return [0];
  const weights = model.device.scope(() => {
    const own = encoded.rows(source, source + 1);
    return model.crossAttention(own, [tokens], alignmentHeads);
  });
  try {
    const [, heads, all, width] = weights.shape as [number, number, number, number];
    const data = (await weights.data()) as Float32Array;
    const columns = Math.max(1, Math.min(width, Math.floor((frames * width) / extractor.frames)));
    const text = new Float32Array(heads * rows * width);
    for (let head = 0; head < heads; head++) {
      const from = (head * all + given) * width;
      text.set(data.subarray(from, from + rows * width), head * rows * width);
    }
    const matrix = await inSlices(alignmentMatrix(text, [heads, rows, width], columns, medianFilterWidth));
    const path = await inSlices(warp(matrix, rows, columns));
    const times = Array.from(path, (column) => column * precision);
    return [...times, times.at(-1) as number];
  } finally {
    weights.dispose();
  }
}
