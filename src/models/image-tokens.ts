// Prompts with images. An image that a model has read has ids of its own, one for each of its rows, above those of all
// vocabularies. A prompt is thus a list of numbers. Batches, beams, streams and prompt caches need no further knowledge
// of images, and equal ids mean equal content.

import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { GridSize } from '../nn/interpolation.js';
import { concat, gather } from '../ops/move.js';
import type { ImageRows } from './image-reader.js';

/** The first id of an image. */
const FIRST_ID = 2 ** 30;
const LAST_ID = 2 ** 31 - 1;

/** True for the id of an image's row. */
export function isImageId(id: number): boolean {
  return id >= FIRST_ID;
}

/** An image: some rows of a tensor. */
export interface ImagePart {
  readonly source: Pick<ImageRows, 'rows' | 'added'>;
  /** Index of its first row in `source`. */
  readonly offset: number;
  readonly count: number;
  readonly grid: GridSize | null;
}

/** Rows of an image among the tokens of a sequence. */
export interface PlacedImage {
  readonly image: ImagePart;
  /** Index of the first row in the image. */
  readonly first: number;
  readonly count: number;
  /** Index of the first token. */
  readonly start: number;
}

/** Images that a model has read for prompts. Dispose of them when no prompt needs them any more. */
export interface ReadImages {
  /** For each image, the ids that stand for its rows, in place of placeholders. */
  readonly ids: readonly (readonly number[])[];
  dispose(): void;
}

/** The parts of a tensor of rows. */
export function partsOf({ rows, added, counts, grids }: ImageRows): ImagePart[] {
  let end = 0;
  return counts.map((count, i) => {
    const offset = end;
    end += count;
    return { source: { rows, added }, offset, count, grid: grids?.[i] ?? null };
  });
}

/** The images of a model that prompts name by ids. */
export class ImageTokens {
  /** Images in ascending order of their first ids. */
  readonly #images: { readonly first: number; readonly image: ImagePart }[] = [];
  #next = FIRST_ID;

  /** Takes over the rows, which outlive the scope. Throws ArgumentError if all ids are in use. */
  add(images: ImageRows): ReadImages {
    const parts = partsOf(images);
    const total = parts.reduce((sum, { count }) => sum + count, 0);
    if (this.#next + total > LAST_ID)
      throw new ArgumentError('readImages: the model has read too many images, load it again');
    const entries = parts.map((image) => {
      const entry = { first: this.#next, image };
      this.#next += image.count;
      this.#images.push(entry);
      return entry;
    });
    return {
      ids: entries.map(({ first, image }) => Array.from({ length: image.count }, (_, i) => first + i)),
      dispose: () => {
        for (const entry of entries.splice(0)) this.#images.splice(this.#images.indexOf(entry), 1);
        for (const tensor of [images.rows, ...(images.added ?? [])]) tensor.dispose();
      },
    };
  }

  /** The images that the ids of a sequence name. Throws ArgumentError for an id of no image. */
  locate(ids: ArrayLike<number>): PlacedImage[] {
    const found: PlacedImage[] = [];
    for (let index = 0; index < ids.length; ) {
      const id = ids[index] as number;
      if (!isImageId(id)) {
        index++;
        continue;
      }
      const { image, first } = this.#of(id);
      let count = 1;
      while (first + count < image.count && ids[index + count] === id + count) count++;
      found.push({ image, first, count, start: index });
      index += count;
    }
    return found;
  }

  #of(id: number): { image: ImagePart; first: number } {
    let [low, high] = [0, this.#images.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#images[middle] as { first: number }).first <= id) low = middle + 1;
      else high = middle;
    }
    const entry = this.#images[low - 1];
    const first = id - (entry?.first ?? 0);
    if (entry && first < entry.image.count) return { image: entry.image, first };
    throw new ArgumentError(`the id ${id} is of an image that is not there: it was disposed of, or is another model's`);
  }

  dispose(): void {
    const sources = new Set(this.#images.splice(0).map(({ image }) => image.source));
    for (const { rows, added = [] } of sources) for (const tensor of [rows, ...added]) tensor.dispose();
  }
}

/** The images in the order of the placeholders of all sequences. Throws ShapeError if there are more or fewer rows. */
export function atPlaceholders(
  sequences: readonly ArrayLike<number>[],
  placeholder: number,
  images: ImageRows,
): PlacedImage[][] {
  const parts = partsOf(images);
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  let [placeholders, part, first] = [0, 0, 0];
  const placedImages = sequences.map((ids) => {
    const found: PlacedImage[] = [];
    for (let index = 0; index < ids.length; ) {
      if (ids[index] !== placeholder) {
        index++;
        continue;
      }
      let run = 1;
      while (ids[index + run] === placeholder) run++;
      placeholders += run;
      for (const end = index + run; index < end && part < parts.length; ) {
        const image = parts[part] as ImagePart;
        const count = Math.min(image.count - first, end - index);
        found.push({ image, first, count, start: index });
        index += count;
        first += count;
        if (first === image.count) [part, first] = [part + 1, 0];
      }
      if (part === parts.length) index += run; // too many placeholders, reported below
    }
    return found;
  });
  if (placeholders !== total)
    throw new ShapeError(
      `forward: inputIds have ${placeholders} placeholders of images (${placeholder}), but the images have ${total} rows`,
    );
  return placedImages;
}

/**
 * Rows of ids with the ids of images in place of placeholders. Throws ShapeError if there are more or fewer
 * placeholders than rows of images.
 */
export function atIds(rows: readonly (readonly number[])[], placeholder: number, ids: ReadImages['ids']): number[][] {
  const all = ids.flat();
  let next = 0;
  const prompts = rows.map((row) => row.map((id) => (id === placeholder ? (all[next++] ?? id) : id)));
  if (next === all.length) return prompts;
  throw new ShapeError(
    `inputIds have ${next} placeholders of images (${placeholder}), but the images have ${all.length} rows`,
  );
}

/**
 * `x`, float32 [N, d], with the rows of images in place of those at `placedImages`. `starts`: index of each sequence's
 * first row. `rowsOf`: the rows of images, or features of theirs.
 */
export function withRows(
  x: Tensor,
  placedImages: readonly (readonly PlacedImage[])[],
  starts: ArrayLike<number>,
  rowsOf: (source: ImagePart['source']) => Tensor,
): Tensor {
  let end = x.shape[0] as number;
  const order = Int32Array.from({ length: end }, (_, i) => i);
  const firsts = new Map<ImagePart['source'], number>();
  const parts = [x];
  for (const [i, images] of placedImages.entries())
    for (const { image, first, count, start: begin } of images) {
      const { source, offset } = image;
      if (!firsts.has(source)) {
        const rows = rowsOf(source);
        firsts.set(source, end);
        parts.push(rows);
        end += rows.shape[0] as number;
      }
      const from = (firsts.get(source) as number) + offset + first;
      for (let row = 0; row < count; row++) order[(starts[i] as number) + begin + row] = from + row;
    }
  return gather(concat(parts), x.device.tensor(order));
}

/** The rotary positions of a sequence, and what they leave for the tokens after each of its tokens. */
export interface AxisPositions {
  /** Frame, row and column of each token. */
  readonly axes: readonly [Int32Array, Int32Array, Int32Array];
  /** For each token: the position of a text token after it, minus the index of that token. */
  readonly shifts: Int32Array;
}

/**
 * Positions on three axes (Qwen2-VL, Wang et al. 2024, arXiv 2409.12191). Text counts on all of them. An image has one
 * frame; its rows and columns count from there, and the text after it continues behind the longer side. `start` is the
 * number of earlier tokens, after which positions are `start` plus a shift that the caller adds.
 */
export function axisPositions(start: number, count: number, images: readonly PlacedImage[]): AxisPositions {
  const axes = [0, 1, 2].map(() => new Int32Array(count)) as unknown as [Int32Array, Int32Array, Int32Array];
  const shifts = new Int32Array(count);
  let [position, token] = [start, 0];
  const text = (end: number) => {
    for (; token < end; token++, position++) {
      for (const axis of axes) axis[token] = position;
      shifts[token] = position - start - token;
    }
  };
  for (const { image, first, count: rows, start: begin } of images) {
    const { grid } = image;
    if (grid === null) continue;
    text(begin);
    const base = position - first;
    for (let row = first; row < first + rows; row++, token++) {
      axes[0][token] = base;
      axes[1][token] = base + Math.floor(row / grid[1]);
      axes[2][token] = base + (row % grid[1]);
      shifts[token] = base + first - start - begin;
    }
    position += rows;
    if (first + rows === image.count) {
      position = base + Math.max(...grid);
      shifts[token - 1] = position - start - token;
    }
  }
  text(count);
  return { axes, shifts };
}
