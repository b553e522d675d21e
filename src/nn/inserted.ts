// Images among the tokens of a decoder's pass: what they change inside the layers.

import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';

/** The rows of one sequence that a pass reads. */
export interface ReadRows {
  /** Number of rows of the sequence before this pass. */
  readonly start: number;
  readonly count: number;
  /**
   * One number per row. Neighbours with the same number from 0 on see each other, also later ones. -1: a row sees
   * earlier rows only.
   */
  readonly groups: Int32Array;
}

/** Which rows see later ones. */
export interface Sight {
  /** The rows of each sequence; null if all rows see earlier ones only. */
  readonly rows: readonly ReadRows[] | null;
  /** The windows of the layers. */
  readonly windows: Iterable<number | null>;
  /** 'image' and 'nearby': rows of a group see each other within windows. 'prompt': they see the whole group. */
  readonly twoSided: 'none' | 'image' | 'nearby' | 'prompt';
  /** True if sequences attend one by one. */
  readonly apart: boolean;
}

/** Changes that images make in the layers of one pass. The tensors belong to the scope of the pass. */
export class Inserted {
  /** Masks by window: one for each sequence, or one for all. */
  readonly #masks: ReadonlyMap<number | null, readonly (Tensor | null)[]>;

  private constructor(
    /** float32 [N, 2·rotaryDim]: a row of the rotary table for each token. Null: tokens rotate by their positions. */
    readonly angles: Tensor | null,
    /** float32 [N, dModel] each: entry i is added to the output of layer i. */
    readonly added: readonly Tensor[],
    masks: ReadonlyMap<number | null, readonly (Tensor | null)[]>,
  ) {
    this.#masks = masks;
  }

  /** Rotations alone. */
  static rotated(angles: Tensor): Inserted {
    return new Inserted(angles, [], new Map());
  }

  static of(
    device: Device,
    { angles, added }: { readonly angles: Tensor | null; readonly added: readonly Tensor[] },
    { rows, windows, twoSided, apart }: Sight,
  ): Inserted {
    const seesWhole = twoSided === 'prompt';
    const masks = [...new Set(rows ? windows : [])].map((window) => {
      const sequences = apart ? (rows as readonly ReadRows[]).map((each) => [each]) : [rows as readonly ReadRows[]];
      return [window, sequences.map((each) => maskOf(device, each, window, seesWhole))] as const;
    });
    return new Inserted(angles, added, new Map(masks));
  }

  /**
   * int32 [B, 1, T, S]: 1 where a query sees a key, if some query sees a later one; else null. `sequence`: its index, if
   * sequences attend one by one.
   */
  mask(window: number | null, sequence = 0): Tensor | null {
    return this.#masks.get(window)?.[sequence] ?? null;
  }

  /** The output of layer number `layer`, float32 [N, dModel], with the features that are added to it. */
  after(layer: number, y: Tensor): Tensor {
    const features = this.added[layer];
    return features ? add(y, features) : y;
  }

  get tensors(): readonly Tensor[] {
    const all = [this.angles, ...this.added, ...[...this.#masks.values()].flat()];
    return all.filter((tensor) => tensor !== null);
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }
}

/** The mask of sequences side by side, or null if no query of them sees a later key. */
function maskOf(
  device: Device,
  sequences: readonly ReadRows[],
  window: number | null,
  seesWhole: boolean,
): Tensor | null {
  if (!sequences.some(({ groups }) => groups.some((group) => group >= 0))) return null;
  const most = (of: (each: ReadRows) => number) => sequences.reduce((longest, each) => Math.max(longest, of(each)), 0);
  const [rows, columns] = [most(({ count }) => count), most(({ start, count }) => start + count)];
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
      const first = seesWhole && group >= 0 ? Math.min(near, start + begin) : near;
      const line = (i * rows + query) * columns;
      mask.fill(1, line + first, line + start + end);
    }
  }
  return device.tensor(mask, [sequences.length, 1, rows, columns]);
}
