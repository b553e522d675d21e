/** Returns the middle of the `width` samples with the least energy, between two positions. */
export function quietest(samples: Float32Array, from: number, to: number, width: number): number {
  let [best, least] = [to, Number.POSITIVE_INFINITY];
  for (let at = from; at + width <= to; at += width) {
    const energy = samples.subarray(at, at + width).reduce((sum, sample) => sum + sample * sample, 0);
    if (energy < least) [best, least] = [at + Math.floor(width / 2), energy];
  }
  return best;
}
