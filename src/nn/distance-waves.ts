import type { Tensor } from '../core/tensor.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';

/** Minimum number of distances in a table. */
const FIRST = 256;

/**
 * Vectors of distances: sines, then cosines, of geometric wavelengths (Dai et al. 2019, arXiv 1901.02860). Layers share
 * one instance. It has no parameters.
 */
export class SinusoidalDistances extends Module {
  /** Tables for increasing numbers of distances. Smaller tables are kept, because they may be in use. */
  readonly #tables: Tensor[] = [];

  /** `features`: size of a vector. `clamp`: larger distances count as this one; null: no limit. */
  constructor(
    private readonly init: Initializer,
    private readonly features: number,
    private readonly clamp: number | null,
  ) {
    super();
  }

  /** Returns float32 [2·length − 1, features], for the distances −(length − 1) … length − 1. */
  table(length: number): Tensor {
    const last = this.#tables.at(-1);
    const table = last && (last.shape[0] as number) >= 2 * length - 1 ? last : this.#make(length);
    const middle = ((table.shape[0] as number) - 1) / 2;
    return table.rows(middle - length + 1, middle + length);
  }

  #make(length: number): Tensor {
    const { features, clamp } = this;
    const max = Math.max(FIRST, 2 ** Math.ceil(Math.log2(length)));
    const waves = Math.ceil(features / 2);
    const limit = clamp ?? max;
    const table = this.init.table(2 * max - 1, features, (first, count) => {
      const values = new Float32Array(count * features);
      for (let row = 0; row < count; row++) {
        const distance = Math.max(-limit, Math.min(limit, first + row - (max - 1)));
        for (let wave = 0; wave < waves; wave++) {
          const angle = distance / 10000 ** ((2 * wave) / features);
          values[row * features + wave] = Math.sin(angle);
          if (waves + wave < features) values[row * features + waves + wave] = Math.cos(angle);
        }
      }
      return values;
    });
    this.#tables.push(table);
    return table;
  }

  protected override release(): void {
    super.release();
    for (const table of this.#tables) table.dispose();
  }
}
