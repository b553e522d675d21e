import { checkOptions, checkSizes, orNull } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { type CacheType, cacheFill } from '../ops/kv-cache.js';
import type { DecoderState, LayerCache, Memory } from './decoder-state.js';
import type { Dropout, LayerDrop } from './dropout.js';
import type { Extension } from './extension.js';
import type { TransformerLayer } from './layer.js';
import type { Projection } from './linear.js';
import { checkMade, checkMaker, type PartKind, partKinds } from './made-parts.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import type { Sequences } from './sequences.js';

/** The inputs of a stack beside `x`, and its outputs beside the result. */
export interface StackContext {
  /** The encoder's output, for layers that attend to one. */
  readonly memory?: Memory | null | undefined;
  /** Is filled for the steps that come after. */
  readonly state?: DecoderState | undefined;
  /** Gets the input of each layer, and the result. */
  readonly hiddenStates?: Tensor[] | undefined;
}

/** Optional parts of a stack beside its layers, as functions. Default: none. */
export interface StackParts {
  /** To other features, at the very end (OPT). */
  readonly projection?: (() => Projection) | null | undefined;
  /** Dropout after the last layer and its norm, in training (T5). */
  readonly dropout?: (() => Dropout) | null | undefined;
  /** Leaves out layers, in training. */
  readonly layerDrop?: (() => LayerDrop) | null | undefined;
}

const maker = orNull('function');
const kinds = { projection: maker, dropout: maker, layerDrop: maker };

/** Layers one after the other, and a norm at the end unless there is none: an encoder, or a decoder. */
export class Stack extends Module {
  readonly layers: readonly TransformerLayer[];
  readonly norm: Norm | null;
  readonly projection: Projection | null;
  readonly dropout: Dropout | null;
  /** One for each layer, or none. */
  readonly layerDrops: readonly LayerDrop[];

  /** `layers`: how many, 0 or more; `layer` makes number i, `norm` and `parts` what comes after the last. */
  constructor(
    layers: number,
    layer: (i: number) => TransformerLayer,
    norm: (() => Norm) | null,
    parts: StackParts = {},
  ) {
    super();
    checkSizes('Stack', { layers }, 0);
    checkMaker('Stack', 'layer', layer);
    checkMaker('Stack', 'norm', norm, true);
    const { projection, dropout, layerDrop } = checkOptions('Stack', parts, kinds);
    const make = <Part extends Module>(name: string, maker: (() => Part) | null | undefined, kind: PartKind) =>
      maker ? checkMade('Stack', name, maker(), kind) : null;
    this.layers = Array.from({ length: layers }, (_, i) =>
      checkMade('Stack', `layer(${i})`, layer(i), partKinds.layer),
    );
    this.norm = make('norm', norm, partKinds.norm);
    this.projection = make('projection', projection, partKinds.module);
    this.dropout = make('dropout', dropout, partKinds.module);
    this.layerDrops = layerDrop
      ? Array.from({ length: layers }, () => checkMade('Stack', 'layerDrop', layerDrop(), partKinds.layerDrop))
      : [];
  }

  /** `x`: float32 [N, dModel], the rows of `batch` end to end; so is the result. */
  forward(x: Tensor, batch: Sequences, { memory, state, hiddenStates }: StackContext = {}): Tensor {
    const isSeen = hiddenStates !== undefined || this.layers.some(isObserved);
    const layers = this.#layerByLayer(x, !isSeen, (layer, before, i) => {
      hiddenStates?.push(before);
      const y = layer.forward(before, batch, { memory, cache: state?.layers[i] });
      return this.layerDrops[i]?.choose(before, y) ?? y;
    });
    x = finish(layers);
    hiddenStates?.push(x);
    return x;
  }

  /** `x`: float32 [sequences, dModel], the newest token of each sequence; so is the result. */
  step(x: Tensor, state: DecoderState): Tensor {
    return finish(this.stepByLayers(x, state));
  }

  /** `x`: float32 [N, dModel], new tokens of some sequences, end to end; so is the result. */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    return finish(this.extendByLayers(x, extension, state));
  }

  /** Same as `step`, yielding the output of each layer. */
  stepByLayers(x: Tensor, state: DecoderState): Generator<Tensor, Tensor> {
    return this.#layerByLayer(x, true, (layer, before, i) => layer.step(before, state.layers[i] as LayerCache, state));
  }

  /** Same as `extend`, yielding the output of each layer. */
  extendByLayers(x: Tensor, extension: Extension, state: DecoderState): Generator<Tensor, Tensor> {
    return this.#layerByLayer(x, true, (layer, before, i) =>
      layer.extend(before, extension, state.layers[i] as LayerCache, state),
    );
  }

  /**
   * Runs the layers one after the other. Without gradients and with `frees`, each layer's temporary tensors are free for
   * the next layer, and its input is free for the layer after that: memory is that of one layer.
   */
  *#layerByLayer(
    x: Tensor,
    frees: boolean,
    run: (layer: TransformerLayer, x: Tensor, i: number) => Tensor,
  ): Generator<Tensor, Tensor> {
    for (const [i, layer] of this.layers.entries()) {
      const pass = run.bind(null, layer, x, i);
      const isFree = frees && !x.device.gradientsOn;
      const y = isFree ? x.device.scope(pass) : pass();
      if (isFree && i > 0 && y !== x) x.dispose(); // the first one is the caller's
      x = y;
      yield x;
    }
    return this.#end(x);
  }

  #end(x: Tensor): Tensor {
    const normed = this.norm?.forward(x) ?? x;
    const kept = this.dropout?.forward(normed) ?? normed;
    return this.projection?.forward(kept) ?? kept;
  }

  /** Puts the memory's keys and values into the state, where every step will find them. */
  remember({ hidden, batch }: Memory, state: DecoderState): void {
    state.sourceLengths.write(Int32Array.from(batch.counts));
    for (const [i, { multiheadAttn }] of this.layers.entries()) {
      const cache = state.layers[i]?.cross;
      if (!multiheadAttn || !cache) continue;
      const format = multiheadAttn.cacheFormat(state.sizes.cache);
      cacheFill(cache, multiheadAttn.keysAndValues(hidden), batch.lengths, format);
    }
  }

  /** Words of keys and values together, of each layer, in a cache of this type. */
  cacheWidths(type: CacheType = 'float32'): readonly number[] {
    return this.layers.map(({ selfAttn }) => selfAttn.cacheWidth(type));
  }
}

/** Runs all layers at once. */
function finish(layers: Generator<Tensor, Tensor>): Tensor {
  for (;;) {
    const { done, value } = layers.next();
    if (done) return value;
  }
}

/** True if somebody outside gets tensors that the layer makes on its way. */
function isObserved({ selfAttn, multiheadAttn }: TransformerLayer): boolean {
  return [selfAttn, multiheadAttn].some((attention) => attention && (attention.observe || attention.observeHeads));
}
