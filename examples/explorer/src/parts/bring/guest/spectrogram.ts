// The strength of a sound's frequencies over time.

export interface Spectrogram {
  /** Names of the bands, high ones first, and of the columns. */
  readonly bands: readonly string[];
  readonly times: readonly string[];
  /** From 0, a millionth of the strongest or less, to 1: [bands, times]. */
  readonly values: Float32Array;
}

const WINDOW = 512;
const BANDS = 24;
/** Hertz of the lowest and the highest band. */
const [LOWEST, HIGHEST] = [120, 7000];

/** `columns`: number of columns, of equal time. */
export function spectrogramOf(samples: Float32Array, samplingRate: number, columns: number): Spectrogram {
  const ratio = (HIGHEST / LOWEST) ** (1 / (BANDS - 1));
  const frequencies = Array.from({ length: BANDS }, (_, i) => HIGHEST / ratio ** i);
  const centre = (column: number) => ((column + 0.5) * samples.length) / columns;
  const powers = new Float32Array(BANDS * columns);
  for (const [band, frequency] of frequencies.entries())
    for (let column = 0; column < columns; column++)
      powers[band * columns + column] = powerAt(samples, Math.round(centre(column)), frequency / samplingRate);
  const most = powers.reduce((a, b) => Math.max(a, b), 1e-20);
  return {
    bands: frequencies.map((frequency) => `${(frequency / 1000).toFixed(1)} kHz`),
    times: Array.from({ length: columns }, (_, i) => `${((i * samples.length) / columns / samplingRate).toFixed(1)} s`),
    values: powers.map((power) => Math.max(0, 1 + Math.log10(Math.max(power / most, 1e-6)) / 6)),
  };
}

/** The power of a frequency, in periods per sample, around a sample: |Σ w(n)·x(n)·e^(−2πi·f·n)|², with Hann's window. */
function powerAt(samples: Float32Array, centre: number, frequency: number): number {
  const start = Math.max(0, centre - WINDOW / 2);
  const end = Math.min(samples.length, centre + WINDOW / 2);
  let [real, imaginary] = [0, 0];
  for (let n = start; n < end; n++) {
    const weight = 0.5 + 0.5 * Math.cos((2 * Math.PI * (n - centre)) / WINDOW);
    const phase = 2 * Math.PI * frequency * (n - centre);
    real += weight * (samples[n] as number) * Math.cos(phase);
    imaginary -= weight * (samples[n] as number) * Math.sin(phase);
  }
  return real * real + imaginary * imaginary;
}
