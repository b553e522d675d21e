// The first sub-layer of a layer: it mixes tokens of a sequence, by attention, by a convolution or by a recurrence.

import type { Tensor } from '../core/tensor.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { MultiHeadAttention } from './attention.js';
import type { CacheSpec, DecoderState, Memory } from './decoder-state.js';
import type { Extension } from './extension.js';
import type { Module } from './module.js';
import type { Sequences } from './sequences.js';
import type { MixerContext } from './shared-tensors.js';

/** Mixes the tokens of each sequence. Shapes are float32 [N, dModel] → [N, dModel], tokens end to end. */
export interface Mixer extends Module {
  /** The attention parts in it, whose maps can be observed. */
  readonly attentions: readonly MultiHeadAttention[];
  /** The earlier attention whose keys and values it reuses. Default: none. */
  readonly keySource?: MultiHeadAttention | null;
  /** True if later layers reuse its keys and values. Default: false. */
  readonly isKeySource?: boolean;
  /** Writes projections of an encoder's output into the state, for all later steps. */
  cacheMemory?(memory: Memory, state: DecoderState): void;
  /** Caches that it needs between steps. `type`: type of cached keys and values; default 'float32'. */
  cacheSpecs(type?: CacheType): readonly CacheSpec[];
  /**
   * Processes whole sequences. If a state is given, keys and values are also written there. Recurrent states are
   * written only by `extend` and `step`.
   */
  forward(x: Tensor, batch: Sequences, context?: MixerContext): Tensor;
  /** Processes the newest token of each sequence, [sequences, dModel]. */
  step(x: Tensor, state: DecoderState): Tensor;
  /** Processes new tokens of some sequences, [N, dModel] end to end. */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor;
}
