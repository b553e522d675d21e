// Changes that images among the tokens make inside the layers of a decoder's pass.

import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';

/** The rows of one sequence that a pass reads. */
export interface ReadRows {
  /** Number of rows of the sequence before this pass. */
  readonly start: number;
  readonly count: number;
  /**
   * One number per row. Adjacent rows with the same non-negative number attend to each other in both directions. -1: a
   * row attends only to earlier rows.
   */
  readonly groups: Int32Array;
}

/** The rows that attend to later rows, because they belong to an image. */
export interface ImageMasking {
  /** The rows of each sequence; null if all rows attend only to earlier ones. */
  readonly rows: readonly ReadRows[] | null;
  /** The windows of the layers. */
  readonly windows: Iterable<number | null>;
  /**
   * 'image' and 'nearby': rows of a group attend to each other within windows. 'prompt': they attend to the whole
   * group.
   */
  readonly bidirectional: 'none' | 'image' | 'nearby' | 'prompt';
  /** True if attention runs sequence by sequence, so that each has its own mask. */
  readonly isPerSequence: boolean;
}

/** Changes that images make in the layers of one pass. The tensors belong to the scope of the pass. */
export class ImageEffects {
  /** Masks by window: one for each sequence, or one for all. */
  readonly #masks: ReadonlyMap<number | null, readonly (Tensor | null)[]>;

  private constructor(
    /** float32 [N, 2·rotaryDim]: a row of the rotary table for each token. Null: tokens rotate by their positions. */
    readonly angles: Tensor | null,
    /** float32 [N, dModel] each: entry i is added to the output of layer i, from the first layer on. */
    readonly added: readonly Tensor[],
    masks: ReadonlyMap<number | null, readonly (Tensor | null)[]>,
  ) {
    this.#masks = masks;
  }

  /** Makes an instance that only changes rotations. */
  static rotated(angles: Tensor): ImageEffects {
    return new ImageEffects(angles, [], new Map());
  }

  static of(
    device: Device,
    { angles, added }: { readonly angles: Tensor | null; readonly added: readonly Tensor[] },
    { rows, windows, bidirectional, isPerSequence }: ImageMasking,
  ): ImageEffects {
    const seesWholeGroup = bidirectional === 'prompt';
    const masks = [...new Set(rows ? windows : [])].map((window) => {
      const sequences = isPerSequence
        ? (rows as readonly ReadRows[]).map((row) => [row])
        : [rows as readonly ReadRows[]];
      return [window, sequences.map((sequence) => maskOf(device, sequence, window, seesWholeGroup))] as const;
    });
    return new ImageEffects(angles, added, new Map(masks));
  }

  /**
   * Returns the attention mask, int32 [B, 1, T, S]: 1 if a query attends to a key. Null if no query attends to a later
   * key. `sequence`: index of the sequence, if attention runs sequence by sequence.
   */
  mask(window: number | null, sequence = 0): Tensor | null {
    return this.#masks.get(window)?.[sequence] ?? null;
  }

  /** Adds the features of images to `x`, the result of the first `layers` layers, float32 [N, dModel]. */
  addTo(x: Tensor, layers: number): Tensor {
    const features = this.added[layers - 1];
    return features ? add(x, features) : x;
  }

  get tensors(): readonly Tensor[] {
    const all = [this.angles, ...this.added, ...[...this.#masks.values()].flat()];
    return all.filter((tensor) => tensor !== null);
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }
}

/** Returns the mask of sequences, or null if no query attends to a later key. */
function maskOf(
  device: Device,
  sequences: readonly ReadRows[],
  window: number | null,
  seesWholeGroup: boolean,
): Tensor | null {
  if (!sequences.some(({ groups }) => groups.some((group) => group >= 0))) return null;
  const max = (of: (sequence: ReadRows) => number) =>
    sequences.reduce((longest, sequence) => Math.max(longest, of(sequence)), 0);
  const [rows, columns] = [max(({ count }) => count), max(({ start, count }) => start + count)];
  const mask = new Int32Array(sequences.length * rows * columns);
  for (const [i, { start, count, groups }] of sequences.entries()) {
    let [begin, end] = [0, 0]; // rows of the query's group
    for (let query = 0; query < count; query++) {
      const group = groups[query] as number;
      if (query >= end) {
        [begin, end] = [query, query + 1];
        while (group >= 0 && end < count && groups[end] === group) end++;
      }
      const near = window === null ? 0 : Math.max(0, start + query - window + 1);
      const first = seesWholeGroup && group >= 0 ? Math.min(near, start + begin) : near;
      const rowStart = (i * rows + query) * columns;
      mask.fill(1, rowStart + first, rowStart + start + end);
    }
  }
  return device.tensor(mask, [sequences.length, 1, rows, columns]);
}
