/** A filter: weights of consecutive bins of a spectrum. */
export interface MelFilter {
  readonly first: number;
  readonly weights: Float64Array;
}

/** Filters of a spectrum of `bins` frequencies, which range from 0 to half the sampling rate. */
export interface MelFilterSizes {
  /** Number of filters. */
  readonly count: number;
  readonly bins: number;
  readonly samplingRate: number;
  /** Lowest frequency of the first filter, in hertz. */
  readonly min: number;
  /** Highest frequency of the last filter, in hertz. */
  readonly max: number;
}

interface MelScale {
  readonly toMel: (hertz: number) => number;
  readonly toHertz: (mel: number) => number;
  /** True if the edges of filters are linear in mel, false if they are linear in hertz. */
  readonly areEdgesOnMel: boolean;
  /** Height of a filter between two frequencies in hertz. */
  readonly peak: (left: number, right: number) => number;
}

const SCALES = {
  /**
   * Slaney's Auditory Toolbox (1998), as in librosa and transformers: linear up to 1000 Hz (15 mel), then logarithmic
   * with 27 steps per factor of 6.4. Each filter has area 1.
   */
  slaney: {
    toMel: (hertz) => (hertz < 1000 ? (hertz * 3) / 200 : 15 + (Math.log(hertz / 1000) * 27) / Math.log(6.4)),
    toHertz: (mel) => (mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp((mel - 15) * (Math.log(6.4) / 27))),
    areEdgesOnMel: false,
    peak: (left, right) => 2 / (right - left),
  },
  /** HTK's scale, as in torchaudio. */
  htk: {
    toMel: (hertz) => 2595 * Math.log10(1 + hertz / 700),
    toHertz: (mel) => 700 * (10 ** (mel / 2595) - 1),
    areEdgesOnMel: false,
    peak: () => 1,
  },
  /** Kaldi's scale is HTK's by the natural logarithm. */
  kaldi: {
    toMel: (hertz) => 1127 * Math.log(1 + hertz / 700),
    toHertz: (mel) => 700 * (Math.exp(mel / 1127) - 1),
    areEdgesOnMel: true,
    peak: () => 1,
  },
} satisfies Record<string, MelScale>;

/** Overlapping triangular filters over the bins of a spectrum. They are evenly spaced on the mel scale. */
export function melFilters(scale: keyof typeof SCALES, sizes: MelFilterSizes): MelFilter[] {
  const { count, bins, samplingRate, min, max } = sizes;
  const { toMel, toHertz, areEdgesOnMel, peak }: MelScale = SCALES[scale];
  const low = toMel(min);
  const step = (toMel(max) - low) / (count + 1);
  const fromMel = areEdgesOnMel ? (mel: number) => mel : toHertz;
  const fromHertz = areEdgesOnMel ? toMel : (hertz: number) => hertz;
  const corners = Array.from({ length: count + 2 }, (_, i) => fromMel(low + step * i));
  return Array.from({ length: count }, (_, i) => {
    const [left, centre, right] = corners.slice(i, i + 3) as [number, number, number];
    const weights = Float64Array.from({ length: bins }, (_, bin) => {
      const melFrequency = fromHertz((bin * samplingRate) / 2 / (bins - 1));
      const share = Math.min((melFrequency - left) / (centre - left), (right - melFrequency) / (right - centre));
      return Math.max(0, share) * peak(left, right);
    });
    return withoutZeros(weights);
  });
}

/** A filter without the zeros at its ends. */
function withoutZeros(weights: Float64Array): MelFilter {
  const first = Math.max(0, weights.findIndex(isPositive));
  return { first, weights: weights.slice(first, weights.findLastIndex(isPositive) + 1) };
}

const isPositive = (weight: number) => weight > 0;
