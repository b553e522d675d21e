import { checkNumber, checkSizes, isCount } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { rotary } from '../ops/rotary.js';
import { checkInitializer, type Initializer } from './init.js';
import type { GridSize } from './interpolation.js';
import { Module } from './module.js';
import type { RotateOptions, Rotation } from './rotary-embedding.js';

export interface AxialRotaryOptions {
  /** Features of a head, a multiple of 4. */
  readonly headSize: number;
  /** Base of the frequencies: pair i of an axis rotates by 2π · theta^(-4i/headSize) over half of the image. */
  readonly theta: number;
  /** Number of tokens before the patches. They do not rotate. */
  readonly prefix: number;
}

/**
 * Rotates queries and keys of image patches by the positions of their centres, from -1 to 1 on both axes (DINOv3,
 * Siméoni et al. 2025, arXiv 2508.10104). The first half of a head's pairs rotates by the row, the second half by the
 * column.
 */
export class AxialRotary extends Module implements Rotation {
  /**
   * float32 [tokens, 2 · headSize]: cosines and signed sines for the images of the current pass. Null before `start`.
   */
  #table: Tensor | null = null;

  /** Throws ArgumentError for a head size that is not a multiple of 4. */
  constructor(
    private readonly init: Initializer,
    private readonly options: AxialRotaryOptions,
  ) {
    super();
    checkInitializer('AxialRotary', init);
    const { headSize, theta, prefix } = options;
    const isFour = (size: number) => isCount(size) && size % 4 === 0;
    checkNumber('AxialRotary', 'headSize', headSize, isFour, 'a multiple of 4');
    checkNumber('AxialRotary', 'theta', theta, (base) => base > 0, 'a positive number');
    checkSizes('AxialRotary', { prefix }, 0);
  }

  /** Computes the table for images with this grid of patches. The table belongs to the calling scope. */
  start(grid: GridSize): void {
    const { headSize, prefix } = this.options;
    this.#table = this.init.device.tensor(this.#angles(grid), [prefix + grid[0] * grid[1], 2 * headSize]);
  }

  forward(x: Tensor, positions: Tensor, _length: number, { columns = x.shape.at(-1) as number }: RotateOptions = {}) {
    if (this.#table === null)
      throw new ArgumentError('AxialRotary: no grid is set, expected start(grid) before forward');
    return rotary(x, positions, this.#table, { columns, layout: 'halves' });
  }

  lengthOf(longest: number): number {
    return longest;
  }

  /** Cosines and signed sines of each token, [tokens, 2 · headSize]; prefix tokens have angle 0. */
  #angles([height, width]: GridSize): Float32Array {
    const { headSize, theta, prefix } = this.options;
    const [half, quarter] = [headSize / 2, headSize / 4];
    // Frequencies and positions are rounded to float32, as in transformers.
    const frequencies = Array.from({ length: quarter }, (_, i) => Math.fround(1 / Math.fround(theta ** (i / quarter))));
    const coordinate = (i: number, size: number) => Math.fround(Math.fround(2 * Math.fround((i + 0.5) / size)) - 1);
    const table = new Float32Array((prefix + height * width) * 2 * headSize);
    for (let row = 0; row < prefix; row++) table.fill(1, row * 2 * headSize, (row * 2 + 1) * headSize);
    for (let patch = 0; patch < height * width; patch++) {
      const coordinates = [coordinate(Math.floor(patch / width), height), coordinate(patch % width, width)];
      const cosines = (prefix + patch) * 2 * headSize;
      const sines = cosines + headSize;
      for (let pair = 0; pair < half; pair++) {
        const turns = (coordinates[Math.floor(pair / quarter)] as number) * (frequencies[pair % quarter] as number);
        const angle = Math.fround(2 * Math.PI * turns);
        table[cosines + pair] = table[cosines + half + pair] = Math.cos(angle);
        table[sines + pair] = -Math.sin(angle);
        table[sines + half + pair] = Math.sin(angle);
      }
    }
    return table;
  }
}
