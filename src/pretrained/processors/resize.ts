// Resizes images with the same bits as Pillow's Resample.c: fixed-point weights, rounding to 8 bits after each
// direction.

/** Rows of pixels, with one byte per channel. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** The weighting function of a filter, and its support in pixels on each side. */
interface Filter {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Cubic convolution with a = −1/2 (Keys, 1981). */
function bicubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
}

/** Filters by PIL's numbers, which are `resample` in preprocessor_config.json. Number 0 selects the nearest pixel. */
const filters: Readonly<Record<number, Filter>> = {
  1: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) }, // Lanczos
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) }, // bilinear
  3: { support: 2, weight: bicubic },
  4: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) }, // box
  5: { support: 1, weight: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0) }, // Hamming
};

export const isResample = (resample: number): boolean => resample === 0 || Object.hasOwn(filters, resample);

/** Resizes with PIL's filter number `resample`. Pauses after some thousands of pixels. */
export function* resize(image: Pixels, width: number, height: number, resample: number): Generator<undefined, Pixels> {
  const filter = filters[resample];
  if (filter === undefined) return nearest(image, width, height);
  const across = function* (from: Pixels) {
    return width === from.width ? from : yield* horizontal(from, width, filter);
  };
  const down = function* (from: Pixels) {
    return height === from.height ? from : yield* vertical(from, height, filter);
  };
  // Pillow 13's rule. The order of the two directions changes how bytes are rounded between them.
  const isFlatter = image.height - height > Math.max(0, 2 * (image.width - width));
  return isFlatter ? yield* across(yield* down(image)) : yield* down(yield* across(image));
}

/** Fraction bits of weights. 32 bits also hold a pixel's 8 bits, and 2 bits for sums that overshoot. */
const PRECISION = 22;

/** For each new pixel: the first old pixel with a weight, and `taps` weights from there on. */
interface Weights {
  readonly taps: number;
  readonly first: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
}

function weightsOf(from: number, to: number, { support, weight }: Filter): Weights {
  const scale = from / to;
  const stretch = Math.max(scale, 1); // width of the source of one pixel: antialiasing
  const radius = support * stretch;
  const taps = Math.ceil(radius) * 2 + 1;
  const result = { taps, first: new Int32Array(to), counts: new Int32Array(to), weights: new Int32Array(to * taps) };
  const floats = new Float64Array(taps);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - radius + 0.5));
    const count = Math.min(from, Math.trunc(centre + radius + 0.5)) - first;
    let sum = 0;
    for (let j = 0; j < count; j++) {
      floats[j] = weight((j + first - centre + 0.5) * (1 / stretch));
      sum += floats[j] as number;
    }
    for (let j = 0; j < count; j++) {
      const share = sum === 0 ? (floats[j] as number) : (floats[j] as number) / sum;
      result.weights[i * taps + j] = Math.trunc(share * (1 << PRECISION) + (share < 0 ? -0.5 : 0.5));
    }
    result.first[i] = first;
    result.counts[i] = count;
  }
  return result;
}

function* horizontal(image: Pixels, width: number, filter: Filter): Generator<undefined, Pixels> {
  const { channels, height } = image;
  const data = new Uint8ClampedArray(width * height * channels);
  const weights = weightsOf(image.width, width, filter);
  const all = { start: 0, end: width };
  const rows = Math.max(1, Math.floor(SLICE / (width * weights.taps * channels)));
  for (let y = 0; y < height; y++) {
    if (y % rows === rows - 1) yield;
    const from = image.data.subarray(y * image.width * channels);
    weightedSums(from, data.subarray(y * width * channels), channels, weights, all);
  }
  return { width, height, channels, data };
}

function* vertical(image: Pixels, height: number, filter: Filter): Generator<undefined, Pixels> {
  const { channels, width } = image;
  const row = width * channels;
  const data = new Uint8ClampedArray(row * height);
  const weights = weightsOf(image.height, height, filter);
  const rows = Math.max(1, Math.floor(SLICE / (row * weights.taps)));
  for (let start = 0; start < height; start += rows) {
    weightedSums(image.data, data, row, weights, { start, end: Math.min(height, start + rows) });
    yield;
  }
  return { width, height, channels, data };
}

/** Products between two pauses: a few milliseconds. */
const SLICE = 1 << 21;

/**
 * Writes the weighted sums along one direction, for a range of new pixels. `stride`: number of adjacent values that are
 * summed in the same way, and the distance to the next pixel of this direction.
 */
function weightedSums(
  from: Pixels['data'],
  to: Uint8ClampedArray,
  stride: number,
  { taps, first, counts, weights }: Weights,
  range: { readonly start: number; readonly end: number },
): void {
  for (let i = range.start; i < range.end; i++) {
    const count = counts[i] as number;
    const start = (first[i] as number) * stride;
    for (let line = 0; line < stride; line++) {
      let sum = 1 << (PRECISION - 1);
      for (let j = 0; j < count; j++)
        sum += (from[start + line + j * stride] as number) * (weights[i * taps + j] as number);
      to[i * stride + line] = sum >> PRECISION;
    }
  }
}

/** The old pixel at each new one's centre. Places are summed as in PIL, so that their roundings are equal, too. */
function nearestPixels(from: number, to: number): Int32Array {
  const step = from / to;
  let position = step * 0.5;
  return Int32Array.from({ length: to }, () => {
    const pixel = Math.min(Math.trunc(position), from - 1);
    position += step;
    return pixel;
  });
}

function nearest(image: Pixels, width: number, height: number): Pixels {
  const { channels } = image;
  const data = new Uint8ClampedArray(width * height * channels);
  const [rows, columns] = [nearestPixels(image.height, height), nearestPixels(image.width, width)];
  for (let y = 0, index = 0; y < height; y++) {
    const row = (rows[y] as number) * image.width;
    for (let x = 0; x < width; x++, index += channels) {
      const from = (row + (columns[x] as number)) * channels;
      for (let c = 0; c < channels; c++) data[index + c] = image.data[from + c] as number;
    }
  }
  return { width, height, channels, data };
}
