// Combinations of mixers.

import type { Tensor } from '../core/tensor.js';
import { add, scale } from '../ops/binary.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { MultiHeadAttention } from './attention.js';
import type { CacheSpec, DecoderState } from './decoder-state.js';
import type { Extension } from './extension.js';
import type { Mixer } from './mixer.js';
import { Module } from './module.js';
import type { Sequences } from './sequences.js';
import type { MixerContext } from './shared-tensors.js';

/** The sum of several mixers that read the same input. */
export class SideBySide extends Module implements Mixer {
  readonly mixers: readonly Mixer[];

  /** `mixers`: one or more functions that make a mixer. */
  constructor(mixers: readonly (() => Mixer)[]) {
    super();
    this.mixers = mixers.map((make) => make());
  }

  get attentions(): readonly MultiHeadAttention[] {
    return this.mixers.flatMap(({ attentions }) => attentions);
  }

  cacheSpecs(type?: CacheType): readonly CacheSpec[] {
    return this.mixers.flatMap((mixer) => mixer.cacheSpecs(type));
  }

  forward(x: Tensor, batch: Sequences, context?: MixerContext): Tensor {
    return this.#sum((mixer) => mixer.forward(x, batch, context));
  }

  step(x: Tensor, state: DecoderState): Tensor {
    return this.#sum((mixer) => mixer.step(x, state));
  }

  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    return this.#sum((mixer) => mixer.extend(x, extension, state));
  }

  #sum(run: (mixer: Mixer) => Tensor): Tensor {
    return this.mixers.map(run).reduce((sum, result) => add(sum, result));
  }
}

/** A mixer whose input and output are multiplied by constants. */
export class ScaledMixer extends Module implements Mixer {
  readonly mixer: Mixer;

  constructor(
    mixer: () => Mixer,
    private readonly inScale: number,
    private readonly outScale: number,
  ) {
    super();
    this.mixer = mixer();
  }

  get attentions(): readonly MultiHeadAttention[] {
    return this.mixer.attentions;
  }

  cacheSpecs(type?: CacheType): readonly CacheSpec[] {
    return this.mixer.cacheSpecs(type);
  }

  forward(x: Tensor, batch: Sequences, context?: MixerContext): Tensor {
    return this.#scaled(x, (y) => this.mixer.forward(y, batch, context));
  }

  step(x: Tensor, state: DecoderState): Tensor {
    return this.#scaled(x, (y) => this.mixer.step(y, state));
  }

  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    return this.#scaled(x, (y) => this.mixer.extend(y, extension, state));
  }

  #scaled(x: Tensor, run: (x: Tensor) => Tensor): Tensor {
    return scale(run(scale(x, this.inScale)), this.outScale);
  }
}
