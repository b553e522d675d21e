// Predicts the time of a step of N ranks from a few measured ones.

/** A step that was measured, or that is to be predicted. */
export interface Point {
  readonly ranks: number;
  readonly bitsPerSecond: number;
  /** One way. */
  readonly latency: number;
  readonly parameters: number;
  /** Seconds that a rank computes. */
  readonly compute: number;
  /** Ranks per core, which slow down the handling of bytes. Above 1 if hosts are namespaces of one machine. */
  readonly sharing: number;
  readonly overlapped: boolean;
}

export interface Measured extends Point {
  readonly seconds: number;
}

/** Parameters that are fitted. */
export interface Constants {
  /** CPU seconds per byte that a rank sends and receives, which do not overlap with computation. */
  readonly perByte: number;
  /** Fraction of a link's bits that carry gradients. */
  readonly efficiency: number;
  /** Number of one-way delays for which a bucket waits. */
  readonly delays: number;
  /**
   * Fraction of the computation that can overlap with the transfer of gradients: the backward pass after the first
   * bucket.
   */
  readonly hidden: number;
}

/** Parameters of a bucket. */
const BUCKET = 1 << 19;

/** Returns the bytes that each rank sends, and receives: its gradients to the ranks that add them, then the sums. */
export function bytesOf({ ranks, parameters }: Point): number {
  return (2 * 4 * parameters * (ranks - 1)) / ranks;
}

/** Returns the seconds of a step: computation, handling of bytes, and network time that is not overlapped. */
export function secondsOf(point: Point, { perByte, efficiency, delays, hidden }: Constants): number {
  const { bitsPerSecond, latency, parameters, compute, sharing, overlapped } = point;
  const bytes = bytesOf(point);
  const buckets = Math.ceil(parameters / BUCKET);
  const network = (8 * bytes) / (bitsPerSecond * efficiency) + buckets * delays * latency;
  const last = network / buckets; // the last bucket is sent after all computation
  const exposed = overlapped ? Math.max(last, network - hidden * compute) : network;
  return compute + perByte * bytes * sharing + exposed;
}

/** Fits the constants to the points by minimizing relative errors. The search narrows step by step. */
export function fitted(points: readonly Measured[]): Constants {
  let best: Constants = { perByte: 2e-9, efficiency: 0.9, delays: 4, hidden: 0.5 };
  const error = (constants: Constants) =>
    points.reduce((sum, point) => sum + (secondsOf(point, constants) / point.seconds - 1) ** 2, 0);
  const max: Constants = { perByte: 1e-6, efficiency: 1, delays: 50, hidden: 0.95 };
  for (let width = 1; width > 1e-4; width *= 0.7)
    for (let round = 0; round < 20; round++)
      for (const name of Object.keys(best) as (keyof Constants)[])
        for (const factor of [1 - width * 0.9, 1 + width]) {
          const tried = { ...best, [name]: Math.min(max[name], best[name] * factor) };
          if (error(tried) < error(best)) best = tried;
        }
  return best;
}
