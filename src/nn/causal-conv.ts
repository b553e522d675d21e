import { checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { causalConv } from '../ops/causal-conv.js';
import type { DecoderState, MemoryNeed } from './decoder-state.js';
import type { StatePlaces } from './extension.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { Sequences } from './sequences.js';
import type { StateNames } from './state-names.js';

/** Input of a recurrent part: whole sequences, or pieces of them with the states between. */
export type Reading = { readonly batch: Sequences } | { readonly places: StatePlaces; readonly state: DecoderState };

/** The options by which an op of sequences reads for a part. */
export function piecesOf(part: object, reading: Reading) {
  if ('batch' in reading) return { lengths: reading.batch.lengths };
  const { lengths, from, to } = reading.places;
  return { lengths, from, to, states: reading.state.of(part) };
}

/** A causal convolution of each feature by itself. Names and layouts are those of PyTorch's nn.Conv1d with groups. */
export class CausalConv extends Module {
  /** [taps, features]; state dicts hold [features, 1, taps]. */
  readonly weight: Tensor;
  /** [features] */
  readonly bias: Tensor | null;

  /** `taps`: rows that each result depends on. Throws ArgumentError, ShapeError, OutOfMemoryError. */
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

  /** The last rows, which the next ones depend on. */
  memories(): readonly MemoryNeed[] {
    const [taps, features] = this.weight.shape as readonly [number, number];
    return taps === 1 ? [] : [{ part: this, rows: 'states', width: (taps - 1) * features }];
  }

  /** `x` and the result: float32 [N, features], rows end to end. Throws ShapeError, DTypeError. */
  forward(x: Tensor, reading: Reading): Tensor {
    const isWhole = this.weight.shape[0] === 1;
    const pieces = isWhole ? {} : piecesOf(this, reading);
    return causalConv(x, this.weight, { bias: this.bias, ...pieces });
  }
}
