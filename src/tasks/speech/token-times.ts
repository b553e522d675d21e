// Times of tokens, from the decoder's cross-attention to the sound.

import { inSlices } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import { alignmentMatrix, warp } from './time-warping.js';
import type { WhisperContext } from './whisper-context.js';

/**
 * Times of the tokens after the first `prefixLength` ones, in seconds of the window. `encoded`: the encoder's output
 * for the window, of which `frames` frames have sound. The last time is repeated for a token that was not read.
 */
export async function timesOf(
  { model, alignmentHeads, medianFilterWidth, precision, extractor }: WhisperContext,
  encoded: Tensor,
  tokens: readonly number[],
  { prefixLength, frames }: { readonly prefixLength: number; readonly frames: number },
): Promise<number[]> {
  const rows = tokens.length - prefixLength;
  if (rows <= 0) return [0];
  const weights = model.device.scope(() => model.crossAttention(encoded, [tokens], alignmentHeads));
  try {
    const [, heads, all, width] = weights.shape as [number, number, number, number];
    const data = (await weights.data()) as Float32Array;
    const columns = Math.max(1, Math.min(width, Math.floor((frames * width) / extractor.frames)));
    const text = new Float32Array(heads * rows * width);
    for (let head = 0; head < heads; head++) {
      const from = (head * all + prefixLength) * width;
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
