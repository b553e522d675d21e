// Images for OWLv2, as in transformers' NumPy processor. Black pixels on the right and at the bottom make a square. The
// square is smoothed and interpolated in floating point.

import type { Features } from './features.js';
import { type ImageBytes, ImageProcessor, rgbOf } from './image.js';
import type { Pixels } from './resize.js';
import { type Json, Settings } from './settings.js';

export class Owlv2ImageProcessor extends ImageProcessor {
  readonly #pads: boolean;

  /** Takes the content of preprocessor_config.json. Throws FormatError as `ImageProcessor` does. */
  constructor(config: Json, where = 'preprocessor_config.json') {
    super({ ...config, do_pad: false }, 'owlv2', where);
    const settings = new Settings(where, config);
    this.#pads = settings.boolean('do_pad', true);
    // transformers then rounds to bytes while it smooths.
    if (!settings.boolean('do_rescale', true)) settings.refuse('do_rescale', false, 'true');
  }

  override get padsToSquare(): boolean {
    return this.#pads;
  }

  override *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    const { size } = this;
    if (!this.#pads || size === null || !('height' in size)) return yield* super.processInParts(images);
    const { height, width } = size;
    const data = new Float32Array(images.length * 3 * height * width);
    for (const [i, image] of images.entries()) {
      const square = yield* squareOf(yield* rgbOf(image));
      for (let channel = 0; channel < 3; channel++) {
        const plane = Float64Array.from(
          square.data.subarray(channel * square.side ** 2, (channel + 1) * square.side ** 2),
        );
        const across = yield* smoothed(plane, square.side, width, 'rows');
        const smooth = yield* smoothed(across, square.side, height, 'columns');
        const resized = yield* interpolated(smooth, square.side, height, width);
        const into = data.subarray((i * 3 + channel) * height * width);
        const values = this.normalizer(channel);
        for (let index = 0; index < resized.length; index++) {
          if (index % (ROWS * width) === 0) yield;
          into[index] = values(resized[index] as number);
        }
      }
    }
    return { data, shape: [images.length, 3, height, width] };
  }
}

/** Rows between two pauses. */
const ROWS = 16;

/** The colour planes of an image, padded with black on the right and at the bottom. */
function* squareOf({ width, height, data }: Pixels): Generator<undefined, { side: number; data: Float64Array }> {
  const side = Math.max(width, height);
  const square = new Float64Array(3 * side * side);
  for (let y = 0; y < height; y++) {
    if (y % ROWS === 0) yield;
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 3; channel++)
        square[(channel * side + y) * side + x] = data[(y * width + x) * 3 + channel] as number;
  }
  return { side, data: square };
}

/** Maps an index outside of the image to the pixel that mirrors it at the centre of the border pixel. */
function mirrored(position: number, count: number): number {
  if (count === 1) return 0;
  const period = 2 * (count - 1);
  const within = Math.abs(position) % period;
  return within < count ? within : period - within;
}

/** A Gaussian filter along rows or columns, whose width grows with the reduction: scipy's `gaussian_filter`. */
function* smoothed(
  plane: Float64Array,
  side: number,
  to: number,
  along: 'rows' | 'columns',
): Generator<undefined, Float64Array> {
  const sigma = Math.max(0, (side / to - 1) / 2);
  const radius = Math.trunc(4 * sigma + 0.5);
  if (sigma === 0 || radius === 0) return plane;
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-0.5 * ((i - radius) / sigma) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const [step, apart] = along === 'rows' ? [1, side] : [side, 1];
  const result = new Float64Array(plane.length);
  for (let position = 0; position < side; position++) {
    if (position % ROWS === ROWS - 1) yield;
    for (let tap = -radius; tap <= radius; tap++) {
      const weight = (weights[tap + radius] as number) / total;
      const from = mirrored(position + tap, side) * step;
      for (let line = 0; line < side; line++) {
        const index = line * apart + position * step;
        result[index] = (result[index] as number) + weight * (plane[line * apart + from] as number);
      }
    }
  }
  return result;
}

/** Bilinear interpolation of a square whose pixels are areas: scipy's `zoom` with `grid_mode`. */
function* interpolated(
  plane: Float64Array,
  side: number,
  height: number,
  width: number,
): Generator<undefined, Float64Array> {
  const tapsOf = (to: number) =>
    Array.from({ length: to }, (_, i) => {
      const position = ((i + 0.5) * side) / to - 0.5;
      const first = Math.floor(position);
      return { first: mirrored(first, side), second: mirrored(first + 1, side), share: position - first };
    });
  const [rows, columns] = [tapsOf(height), tapsOf(width)];
  const result = new Float64Array(height * width);
  for (const [y, row] of rows.entries()) {
    if (y % ROWS === ROWS - 1) yield;
    columns.forEach((column, x) => {
      const across = (line: number) => {
        const [a, b] = [plane[line * side + column.first] as number, plane[line * side + column.second] as number];
        return a + (b - a) * column.share;
      };
      const [above, below] = [across(row.first), across(row.second)];
      result[y * width + x] = above + (below - above) * row.share;
    });
  }
  return result;
}
