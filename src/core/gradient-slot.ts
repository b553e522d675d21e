// The gradient of a root. Views write their columns one after another. The slot records which columns are written,
// because the first writer assigns and later ones accumulate.

import type { WrittenColumns } from './program.js';
import { lastOf } from './shape.js';
import { type Gradient, type GradientTarget, Tensor } from './tensor.js';

/** The gradient of a root, and how much of it has been written. */
export class GradientSlot implements Gradient {
  /** Written columns. The whole gradient is written when one range covers all columns. */
  #ranges: WrittenColumns = [];

  constructor(
    readonly root: Tensor,
    readonly tensor: Tensor,
  ) {
    tensor.storage.retain(); // outlives scopes
  }

  get written(): boolean {
    return this.#ranges.length > 0;
  }

  clear(): void {
    this.#ranges = [];
  }

  get state(): WrittenColumns {
    return this.#ranges;
  }

  restore(state: WrittenColumns): void {
    this.#ranges = state;
  }

  release(): void {
    this.tensor.storage.release();
    this.tensor.dispose();
  }

  viewFor(view: Tensor): Tensor {
    if (view === this.root) return this.tensor;
    const within = this.tensor.within + (view.within - this.root.within);
    const { device, shape, dtype, rowStride } = view;
    return new Tensor(device, shape, dtype, this.tensor.storage, within, rowStride, this.tensor.root);
  }

  targetFor(view: Tensor): GradientTarget {
    const cols = lastOf(this.root.shape);
    const whole = view.size === this.root.size;
    const start = (view.within - this.root.within) % cols;
    const isAligned = view.rowStride === cols; // false after reshape(): each row then lies in other columns
    const isColumns = isAligned && view.size / lastOf(view.shape) === this.root.size / cols;
    const [from, to] = whole || !isAligned ? [0, cols] : [start, start + lastOf(view.shape)];
    const tensor = this.viewFor(view);
    if (this.#covers(from, to) || (!whole && !isColumns)) {
      if (!this.#covers(from, to)) this.complete(); // the gradient's rows will not all be written
      return { tensor, accumulate: 1 };
    }
    if (this.#ranges.some(([a, b]) => a < to && from < b)) {
      this.complete();
      return { tensor, accumulate: 1 };
    }
    this.#ranges = [...this.#ranges, [from, to] as const].sort((x, y) => x[0] - y[0]);
    return { tensor, accumulate: 0 };
  }

  complete(): void {
    const cols = lastOf(this.root.shape);
    let from = 0;
    for (const [a, b] of [...this.#ranges, [cols, cols] as const]) {
      if (a > from) zero(this.tensor, from, a);
      from = b;
    }
    this.#ranges = [[0, cols]];
  }

  #covers(from: number, to: number): boolean {
    let reached = from;
    for (const [a, b] of this.#ranges) if (a <= reached && b > reached) reached = b;
    return reached >= to;
  }
}

function zero(tensor: Tensor, from: number, to: number): void {
  const cols = lastOf(tensor.shape);
  const rows = tensor.size / cols;
  const { device, dtype, storage, within } = tensor;
  const y = new Tensor(device, [rows, to - from], dtype, storage, within + from, cols, tensor.root);
  device.emit('fill', { y, rows, cols: to - from, stride: cols, value: 0 });
  y.dispose(); // runs of a program come here, outside of any scope
}
