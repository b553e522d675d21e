// Images for RF-DETR, as in transformers' processor: interpolated in floating point, without smoothing.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Features } from './features.js';
import { type ImageBytes, ImageProcessor, type PixelSize, rgbOf } from './image.js';
import type { Pixels } from './resize.js';
import { type Json, Settings } from './settings.js';

export class RfDetrImageProcessor extends ImageProcessor {
  /** Takes the content of preprocessor_config.json. Throws FormatError as `ImageProcessor` does. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super(config, modelType, where);
    const settings = new Settings(where, config);
    if (this.resample !== 2) settings.refuse('resample', this.resample, '2, which is bilinear');
    if (config.pad_size != null) settings.refuse('pad_size', config.pad_size, 'null');
  }

  override *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    if (!Array.isArray(images) || images.length === 0)
      throw new ArgumentError(`image processor: the images are ${describeValue(images)}, expected an array of images`);
    const rgbImages: Pixels[] = [];
    for (const image of images) rgbImages.push(yield* rgbOf(image));
    const sizes = rgbImages.map((image) => this.sizeFor(image));
    const { height, width } = sizes[0] as PixelSize;
    const other = sizes.find((size) => size.height !== height || size.width !== width);
    if (other) {
      const described = `${width} × ${height} and ${other.width} × ${other.height}`;
      throw new ArgumentError(`image processor: images become ${described}, expected one size: give them one by one`);
    }
    const data = new Float32Array(rgbImages.length * 3 * height * width);
    for (const [i, image] of rgbImages.entries())
      for (let channel = 0; channel < 3; channel++) {
        const start = (i * 3 + channel) * height * width;
        const plane = data.subarray(start, start + height * width);
        yield* interpolate(image, channel, [height, width], this.normalizer(channel), plane);
      }
    return { data, shape: [rgbImages.length, 3, height, width] };
  }
}

/** Rows between two pauses. */
const ROWS = 64;

/** The two pixels next to each position along a side, and the weight of the second one. */
function tapsOf(from: number, to: number) {
  return Array.from({ length: to }, (_, i) => {
    const position = Math.max(0, ((i + 0.5) * from) / to - 0.5);
    const first = Math.min(from - 1, Math.floor(position));
    return { first, second: Math.min(from - 1, first + 1), share: position - first };
  });
}

/** Resizes one colour plane by torch's bilinear rule, maps it by `normalize`, and writes it to `into`. */
function* interpolate(
  image: Pixels,
  channel: number,
  [height, width]: readonly [number, number],
  normalize: (value: number) => number,
  into: Float32Array,
): Generator<undefined, void> {
  const { data, width: wide } = image;
  const [rows, columns] = [tapsOf(image.height, height), tapsOf(wide, width)];
  const valueAt = (row: number, column: number) => data[(row * wide + column) * 3 + channel] as number;
  for (const [y, row] of rows.entries()) {
    if (y % ROWS === ROWS - 1) yield;
    columns.forEach((column, x) => {
      const across = (line: number) =>
        valueAt(line, column.first) + (valueAt(line, column.second) - valueAt(line, column.first)) * column.share;
      const above = across(row.first);
      into[y * width + x] = normalize(above + (across(row.second) - above) * row.share);
    });
  }
}
