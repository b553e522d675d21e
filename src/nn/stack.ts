import { checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { cacheFill } from '../ops/kv-cache.js';
import type { DecoderState, LayerCache, Memory } from './decoder-state.js';
import type { Extension } from './extension.js';
import type { TransformerLayer } from './layer.js';
import type { Linear } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import type { Sequences } from './sequences.js';

/** What a stack reads beside its input, and what it leaves. */
export interface StackContext {
  /** The encoder's output, for layers that attend to one. */
  readonly memory?: Memory | null | undefined;
  /** Is filled for the steps that come after. */
  readonly state?: DecoderState | undefined;
  /** Gets the input of each layer, and the result. */
  readonly hiddenStates?: Tensor[] | undefined;
}

/** Layers one after the other, and a norm at the end unless there is none: an encoder, or a decoder. */
export class Stack extends Module {
  readonly layers: readonly TransformerLayer[];
  readonly norm: Norm | null;
  /** To other features, at the very end (OPT). */
  readonly projection: Linear | null;

  /** `layers`: how many, 0 or more; `layer` makes number i, `norm` and `projection` what comes after the last. */
  constructor(
    layers: number,
    layer: (i: number) => TransformerLayer,
    norm: (() => Norm) | null,
    projection: (() => Linear) | null = null,
  ) {
    super();
    checkSizes('Stack', { layers }, 0);
    this.layers = Array.from({ length: layers }, (_, i) => layer(i));
    this.norm = norm?.() ?? null;
    this.projection = projection?.() ?? null;
  }

  /** `x`: float32 [N, dModel], the rows of `batch` end to end; so is the result. */
  forward(x: Tensor, batch: Sequences, { memory, state, hiddenStates }: StackContext = {}): Tensor {
    for (const [i, layer] of this.layers.entries()) {
      hiddenStates?.push(x);
      x = layer.forward(x, batch, { memory, cache: state?.layers[i] });
    }
    x = this.#end(x);
    hiddenStates?.push(x);
    return x;
  }

  /** `x`: float32 [sequences, dModel], the newest token of each sequence; so is the result. */
  step(x: Tensor, state: DecoderState): Tensor {
    for (const [i, layer] of this.layers.entries()) x = layer.step(x, state.layers[i] as LayerCache, state);
    return this.#end(x);
  }

  /** `x`: float32 [N, dModel], new tokens of some sequences, end to end; so is the result. */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    for (const [i, layer] of this.layers.entries())
      x = layer.extend(x, extension, state.layers[i] as LayerCache, state);
    return this.#end(x);
  }

  #end(x: Tensor): Tensor {
    const normed = this.norm?.forward(x) ?? x;
    return this.projection?.forward(normed) ?? normed;
  }

  /** Puts the memory's keys and values into the state, where every step will find them. */
  remember({ hidden, batch }: Memory, state: DecoderState): void {
    state.sourceLengths.write(Int32Array.from(batch.counts));
    for (const [i, { multiheadAttn }] of this.layers.entries()) {
      const cache = state.layers[i]?.cross;
      if (multiheadAttn && cache) cacheFill(cache, multiheadAttn.keysAndValues(hidden), batch.lengths);
    }
  }

  /** Features of keys and values together, of each layer. */
  get cacheWidths(): readonly number[] {
    return this.layers.map(({ selfAttn }) => selfAttn.cacheWidth);
  }
}
