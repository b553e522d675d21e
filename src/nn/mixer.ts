// The first sub-layer of a layer: it mixes tokens of a sequence, by attention, by a convolution or by a recurrence.

import type { Tensor } from '../core/tensor.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { MultiHeadAttention } from './attention.js';
import type { DecoderState, Memory, MemoryNeed } from './decoder-state.js';
import type { MixerContext } from './exchange.js';
import type { Extension } from './extension.js';
import type { Module } from './module.js';
import type { Sequences } from './sequences.js';

/** Mixes the tokens of each sequence. Shapes are float32 [N, dModel] → [N, dModel], tokens end to end. */
export interface Mixer extends Module {
  /** The attentions in it, whose maps can be observed. */
  readonly attentions: readonly MultiHeadAttention[];
  /** The earlier attention whose keys and values it reads. Default: none. */
  readonly keySource?: MultiHeadAttention | null;
  /** True if later layers read its keys and values. Default: false. */
  readonly isKeySource?: boolean;
  /** Writes what it reads of an encoder's output into the state, for all later steps. */
  remember?(memory: Memory, state: DecoderState): void;
  /** Memory between steps. `type` is that of keys and values. */
  memories(type?: CacheType): readonly MemoryNeed[];
  /** Whole sequences. Fills the memory of a given state; recurrent states are filled by `extend` alone. */
  forward(x: Tensor, batch: Sequences, context?: MixerContext): Tensor;
  /** The newest token of each sequence. */
  step(x: Tensor, state: DecoderState): Tensor;
  /** New tokens of some sequences, end to end. */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor;
}
