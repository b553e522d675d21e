/** A filter: weights of consecutive bins of a spectrum. */
export interface MelFilter {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Triangular filters over the bins of a spectrum, as in librosa and transformers. They are evenly spaced on the mel
 * scale of Slaney's Auditory Toolbox (1998), each of area 1. `bins` frequencies range from 0 to half the sampling rate;
 * `count` filters range from `lowest` to `highest` hertz.
 */
export function slaneyFilters(
  count: number,
  bins: number,
  samplingRate: number,
  lowest: number,
  highest: number,
): MelFilter[] {
  const corners = cornersOf(count, toMel(lowest), toMel(highest)).map(toHertz);
  return triangles(corners, bins, samplingRate, (left, right) => 2 / (right - left));
}

/**
 * Triangular filters as in torchaudio: they are evenly spaced on HTK's mel scale, 2595 · log₁₀(1 + hertz / 700), and
 * have height 1. Arguments are those of `slaneyFilters`.
 */
export function htkFilters(
  count: number,
  bins: number,
  samplingRate: number,
  lowest: number,
  highest: number,
): MelFilter[] {
  const mel = (hertz: number) => 2595 * Math.log10(1 + hertz / 700);
  const corners = cornersOf(count, mel(lowest), mel(highest)).map((place) => 700 * (10 ** (place / 2595) - 1));
  return triangles(corners, bins, samplingRate, () => 1);
}

/** The bins at which `count` overlapping triangles begin, peak and end. */
function cornersOf(count: number, low: number, high: number): number[] {
  const step = (high - low) / (count + 1);
  return Array.from({ length: count + 2 }, (_, i) => low + step * i);
}

/** Filters whose edges are linear in hertz. `height`: the peak of a filter between two corners. */
function triangles(
  corners: readonly number[],
  bins: number,
  samplingRate: number,
  height: (left: number, right: number) => number,
): MelFilter[] {
  return Array.from({ length: corners.length - 2 }, (_, i) => {
    const [left, centre, right] = corners.slice(i, i + 3) as [number, number, number];
    const all = Float64Array.from({ length: bins }, (_, bin) => {
      const hertz = (bin * samplingRate) / 2 / (bins - 1);
      const share = Math.min((hertz - left) / (centre - left), (right - hertz) / (right - centre));
      return Math.max(0, share) * height(left, right);
    });
    return filterOf(all);
  });
}

/** A filter without zeros at its ends. */
function filterOf(all: Float64Array): MelFilter {
  const first = Math.max(0, all.findIndex(isPositive));
  return { first, weights: all.slice(first, all.findLastIndex(isPositive) + 1) };
}

const isPositive = (weight: number) => weight > 0;

/** Slaney's scale: linear up to 1000 Hz (15 mel), then logarithmic with 27 steps per factor of 6.4. */
const toMel = (hertz: number) =>
  hertz < 1000 ? (hertz * 3) / 200 : 15 + (Math.log(hertz / 1000) * 27) / Math.log(6.4);
const toHertz = (mel: number) => (mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp((mel - 15) * (Math.log(6.4) / 27)));

/**
 * Triangular filters as in Kaldi: their edges are straight on the mel scale, 1127 · ln(1 + hertz / 700), and they have
 * height 1. Arguments are those of `slaneyFilters`.
 */
export function kaldiFilters(
  count: number,
  bins: number,
  samplingRate: number,
  lowest: number,
  highest: number,
): MelFilter[] {
  const mel = (hertz: number) => 1127 * Math.log(1 + hertz / 700);
  const corners = cornersOf(count, mel(lowest), mel(highest));
  return Array.from({ length: count }, (_, i) => {
    const [left, centre, right] = corners.slice(i, i + 3) as [number, number, number];
    const all = Float64Array.from({ length: bins }, (_, bin) => {
      const place = mel((bin * samplingRate) / 2 / (bins - 1));
      return Math.max(0, Math.min((place - left) / (centre - left), (right - place) / (right - centre)));
    });
    return filterOf(all);
  });
}
