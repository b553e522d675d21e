// A linear axis with round numbers, by the rules of d3-array's `ticks` and `nice`. d3's packages take 50 kB in a
// bundle.

/** Ratios of the wanted step to a power of ten from which 10, 5 and 2 times this power are better steps. */
const FACTORS = [
  [Math.sqrt(50), 10],
  [Math.sqrt(10), 5],
  [Math.sqrt(2), 2],
] as const;

/** Returns a step of 1, 2 or 5 times a power of ten, of which about `count` lie between two numbers. */
function steps(min: number, max: number, count: number) {
  const wanted = (max - min) / count;
  const power = Math.floor(Math.log10(wanted));
  const [, factor] = FACTORS.find(([error]) => wanted / 10 ** power >= error) ?? [0, 1];
  // Below 1, the inverse is the integer: 3 / 10 is closer to 0.3 than 3 * 0.1 is.
  const [step, inverse] = power < 0 ? [1, 10 ** -power / factor] : [factor * 10 ** power, 1];
  const at = (i: number) => (i * step) / inverse;
  const of = (value: number) => (value / step) * inverse;
  const nearest = (value: number) => Math.round(of(value));
  return {
    size: step / inverse,
    at,
    of,
    /** Return the last multiple of the step at or below a number, and the first at or above it. */
    below: (value: number) => nearest(value) - Number(at(nearest(value)) > value),
    above: (value: number) => nearest(value) + Number(at(nearest(value)) < value),
  };
}

/** Maps numbers of a range to pixels. */
export interface Axis {
  (value: number): number;
  /** Round numbers on the axis, about `count`. */
  ticks(count: number): number[];
}

/** An axis from one pixel to another that begins at or below `min`, and ends at or above `max`, with round numbers. */
export function axis([min, max]: readonly [number, number], [from, to]: readonly [number, number]): Axis {
  // A wider range may need a wider step.
  for (let size = 0, step = steps(min, max, 10); step.size !== size; step = steps(min, max, 10)) {
    ({ size } = step);
    min = step.at(Math.floor(step.of(min)));
    max = step.at(Math.ceil(step.of(max)));
  }
  const toPixels = (value: number) => {
    const part = (value - min) / (max - min);
    return from * (1 - part) + to * part;
  };
  const ticks = (count: number) => {
    const { at, above, below } = steps(min, max, count);
    const first = above(min);
    return Array.from({ length: below(max) - first + 1 }, (_, i) => at(first + i));
  };
  return Object.assign(toPixels, { ticks });
}
