import { checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { causalConv } from '../ops/causal-conv.js';
import type { CacheSpec, DecoderState } from './decoder-state.js';
import type { StateSlots } from './extension.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import { RecurrentSlots } from './recurrent-slots.js';
import type { Sequences } from './sequences.js';
import type { StateNames } from './state-names.js';

/** Rows that a recurrent part reads: whole sequences, or pieces of sequences whose states are kept between passes. */
export type RecurrentRows =
  | { readonly batch: Sequences }
  | { readonly slots: StateSlots; readonly state: DecoderState };

/** Returns the options of an op over sequences, such as `causalConv`, for the rows and states of `part`. */
export function piecesOf(part: object, rows: RecurrentRows) {
  if ('batch' in rows) return { lengths: rows.batch.lengths };
  const { lengths, from, to } = rows.slots;
  return { lengths, from, to, states: rows.state.cacheOf(part) };
}

/** A causal depthwise convolution. Names and layouts are those of PyTorch's nn.Conv1d with one group per feature. */
export class CausalConv extends Module {
  /** [taps, features]; state dicts hold [features, 1, taps]. */
  readonly weight: Tensor;
  /** [features] */
  readonly bias: Tensor | null;

  /**
   * `features`: number of channels. `taps`: kernel size in rows. Throws ArgumentError, ShapeError, OutOfMemoryError.
   */
  constructor(init: Initializer, features: number, taps: number, bias = true) {
    super();
    checkInitializer('CausalConv', init);
    checkSizes('CausalConv', { features, taps }, 1);
    this.weight = init.normal([taps, features], taps ** -0.5);
    this.bias = bias ? init.constant([features], 0) : null;
  }

  protected override get transposed(): readonly string[] {
    return ['weight'];
  }

  protected override get stateNames(): StateNames {
    return { weight: { name: 'weight', leading: [this.weight.shape[1] as number] } };
  }

  /** Memory between steps: the last taps − 1 rows of the input. */
  cacheSpecs(): readonly CacheSpec[] {
    const [taps, features] = this.weight.shape as readonly [number, number];
    return taps === 1 ? [] : [{ part: this, rows: 'states', slots: RecurrentSlots, width: (taps - 1) * features }];
  }

  /** `x` and the result: float32 [N, features], rows end to end. Throws ShapeError, DTypeError. */
  forward(x: Tensor, rows: RecurrentRows): Tensor {
    const isWhole = this.weight.shape[0] === 1;
    const pieces = isWhole ? {} : piecesOf(this, rows);
    return causalConv(x, this.weight, { bias: this.bias, ...pieces });
  }
}
