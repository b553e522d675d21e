import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { mul } from '../ops/binary.js';
import type { MultiHeadAttention } from './attention.js';
import type { RecurrentRows } from './causal-conv.js';
import type { CacheSpec, DecoderState } from './decoder-state.js';
import type { Extension } from './extension.js';
import type { Mixer } from './mixer.js';
import { Module } from './module.js';
import { checkSequences, type Sequences } from './sequences.js';

/** A recurrent mixer. One method processes any number of rows, with the states before and after them. */
export abstract class RecurrentMixer extends Module implements Mixer {
  readonly attentions: readonly MultiHeadAttention[] = [];

  abstract cacheSpecs(): readonly CacheSpec[];

  /** `x` and the result: float32 [N, dModel], rows end to end. */
  protected abstract mix(x: Tensor, reading: RecurrentRows): Tensor;

  forward(x: Tensor, batch: Sequences): Tensor {
    const { tokenMask } = checkSequences('RecurrentMixer', batch);
    return this.mix(tokenMask ? mul(x, tokenMask) : x, { batch });
  }

  step(x: Tensor, state: DecoderState): Tensor {
    return this.mix(x, { slots: state.stateSlots, state });
  }

  extend(x: Tensor, { stateSlots }: Extension, state: DecoderState): Tensor {
    if (!stateSlots) throw new ArgumentError('RecurrentMixer: the extension has no slots for states');
    return this.mix(x, { slots: stateSlots, state });
  }
}
