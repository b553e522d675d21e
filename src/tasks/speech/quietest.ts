/** Returns the middle of the `width` samples with the least energy, between two positions. */
export function quietest(samples: Float32Array, from: number, to: number, width: number): number {
  let [best, least] = [to, Number.POSITIVE_INFINITY];
  for (let start = from; start + width <= to; start += width) {
    const energy = samples.subarray(start, start + width).reduce((sum, sample) => sum + sample * sample, 0);
    if (energy < least) [best, least] = [start + Math.floor(width / 2), energy];
  }
  return best;
}
