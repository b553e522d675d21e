/** Times of one contestant, in seconds. */
export interface Timing {
  readonly median: number;
  /** First and third quartile of the times. */
  readonly quartiles: readonly [number, number];
  readonly fastest: number;
  readonly rounds: number;
}

/** Returns the quantile `part`, from 0 to 1, with linear interpolation. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = part * (sorted.length - 1);
  const below = sorted[Math.floor(at)] as number;
  return below + (at % 1) * ((sorted[Math.ceil(at)] as number) - below);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

export function summarize(times: readonly number[]): Timing {
  return {
    median: median(times),
    quartiles: [quantile(times, 0.25), quantile(times, 0.75)],
    fastest: Math.min(...times),
    rounds: times.length,
  };
}
