import { checkOptions, checkSizes, orNull } from '../core/check.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { type CacheType, cacheFill } from '../ops/kv-cache.js';
import type { CacheSpec, DecoderState, Memory } from './decoder-state.js';
import type { Dropout, LayerDrop } from './dropout.js';
import type { Extension } from './extension.js';
import type { ImageEffects } from './image-effects.js';
import type { PostNorm, TransformerLayer } from './layer.js';
import type { Projection } from './linear.js';
import { checkMade, checkMaker, type PartKind, partKinds } from './made-parts.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import type { Sequences } from './sequences.js';
import { SharedTensors } from './shared-tensors.js';

/** Further inputs and outputs of a stack. */
export interface StackContext {
  /** The encoder's output, for layers that attend to one. */
  readonly memory?: Memory | null | undefined;
  /** State that is filled for later decoding steps. */
  readonly state?: DecoderState | undefined;
  /** The sequences in which a layer attends, if they are parts of the batch's. Default: those of the batch. */
  readonly batchOf?: ((layer: number) => Sequences) | undefined;
  /** If given, hidden states are appended to it; see `StackParts.hiddenStates`. */
  readonly hiddenStates?: Tensor[] | undefined;
}

/** Makes the input of the first layer. */
export interface StackEntry extends Module {
  /**
   * `x`: input of the stack, [N, features]. Returns the rows for the first layer as `x`, and further inputs of each
   * row, which all layers read, as `extraInputs`; null for none.
   */
  forward(x: Tensor): { readonly x: Tensor; readonly extraInputs: Tensor | null };
}

/** Optional parts of a stack, as functions. Default: none. */
export interface StackParts {
  /** Makes the input of the first layer from the stack's input (Gemma 3n). */
  readonly entry?: (() => StackEntry) | null | undefined;
  /** Turns the result of the last layer into the input of the norm (Gemma 3n). */
  readonly exit?: (() => PostNorm) | null | undefined;
  /** Projection of the result to other features (OPT). */
  readonly projection?: (() => Projection) | null | undefined;
  /** Dropout after the last layer and its norm, in training (T5). */
  readonly dropout?: (() => Dropout) | null | undefined;
  /**
   * The hidden states. 'inputs', the default: the input of each layer and the result. 'outputs': the output of each
   * layer and the result (Mamba-2). 'layers': the input of each layer and the output of the last one (Gemma 3n).
   */
  readonly hiddenStates?: 'inputs' | 'outputs' | 'layers' | undefined;
  /** Skips layers at random, in training. */
  readonly layerDrop?: (() => LayerDrop) | null | undefined;
}

const maker = orNull('function');
const kinds = {
  entry: maker,
  exit: maker,
  projection: maker,
  dropout: maker,
  layerDrop: maker,
  hiddenStates: ['inputs', 'outputs', 'layers'],
} as const;

/** Layers in sequence, with an optional norm at the end: an encoder or a decoder. */
export class Stack extends Module {
  readonly layers: readonly TransformerLayer[];
  readonly entry: StackEntry | null;
  readonly exit: PostNorm | null;
  readonly norm: Norm | null;
  readonly projection: Projection | null;
  readonly dropout: Dropout | null;
  /** One for each layer, or an empty list if no layer is skipped. */
  readonly layerDrops: readonly LayerDrop[];
  readonly #shown: NonNullable<StackParts['hiddenStates']>;
  /**
   * If set, receives the input and the result of each layer of a pass over whole sequences. Null as the layer: the
   * result of the last layer, and that of the stack.
   */
  observe: ((layer: TransformerLayer | null, x: Tensor, y: Tensor) => void) | null = null;

  /**
   * `layers`: number of layers, 0 or more. `layer` makes layer i. `norm` makes the norm after the last layer; null for
   * none. Throws ArgumentError.
   */
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
    const { entry, exit, projection, dropout, layerDrop, hiddenStates } = checkOptions('Stack', parts, kinds);
    const make = <Part extends Module>(name: string, maker: (() => Part) | null | undefined, kind: PartKind) =>
      maker ? checkMade('Stack', name, maker(), kind) : null;
    this.entry = make('entry', entry, partKinds.module);
    this.layers = Array.from({ length: layers }, (_, i) =>
      checkMade('Stack', `layer(${i})`, layer(i), partKinds.layer),
    );
    this.exit = make('exit', exit, partKinds.module);
    this.norm = make('norm', norm, partKinds.norm);
    this.projection = make('projection', projection, partKinds.module);
    this.dropout = make('dropout', dropout, partKinds.module);
    this.#shown = hiddenStates ?? 'inputs';
    this.layerDrops = layerDrop
      ? Array.from({ length: layers }, () => checkMade('Stack', 'layerDrop', layerDrop(), partKinds.layerDrop))
      : [];
  }

  /**
   * `x`: float32 [N, dModel], the rows of `batch` end to end. The result has the same shape unless there is a
   * projection.
   */
  forward(x: Tensor, batch: Sequences, context: StackContext = {}): Tensor {
    return atOnce(this.forwardInParts(x, batch, context));
  }

  /** Same as `forward`, but yields the output of each layer. */
  *forwardInParts(x: Tensor, batch: Sequences, context: StackContext = {}): Generator<Tensor, Tensor> {
    const { hiddenStates } = context;
    const isSeen = hiddenStates !== undefined || this.isObserved;
    const y = yield* this.#forwardInParts(x, batch, context, !isSeen);
    if (this.#shown !== 'layers') hiddenStates?.push(y);
    return y;
  }

  #forwardInParts(
    x: Tensor,
    batch: Sequences,
    { memory, state, hiddenStates, batchOf = () => batch }: StackContext,
    frees: boolean,
  ): Generator<Tensor, Tensor> {
    const last = this.layers.length - 1;
    return this.#layerByLayer(x, frees, batch.imageEffects, (layer, before, i, shared) => {
      if (this.#shown !== 'outputs') hiddenStates?.push(before);
      // Added features are not in the hidden states, as in transformers.
      const input = batch.imageEffects?.addTo(before, i) ?? before;
      const y = layer.forward(input, batchOf(i), { memory, state, shared });
      const result = this.layerDrops[i]?.choose(input, y) ?? y;
      this.observe?.(layer, input, result);
      if (this.#shown === 'outputs' || (this.#shown === 'layers' && i === last)) hiddenStates?.push(result);
      return result;
    });
  }

  /** True if an observer receives tensors from inside the layers. */
  get isObserved(): boolean {
    return this.observe !== null || this.layers.some(isObserved);
  }

  /**
   * `x`: float32 [sequences, dModel], the newest token of each sequence. The result has the same shape, as in
   * `forward`.
   */
  step(x: Tensor, state: DecoderState): Tensor {
    return atOnce(this.stepInParts(x, state));
  }

  /**
   * `x`: float32 [N, dModel], new tokens of some sequences, end to end. The result has the same shape, as in `forward`.
   */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    return atOnce(this.extendInParts(x, extension, state));
  }

  /** Same as `step`, but yields the output of each layer. */
  stepInParts(x: Tensor, state: DecoderState): Generator<Tensor, Tensor> {
    return this.#layerByLayer(x, true, null, (layer, before, _, shared) => layer.step(before, state, shared));
  }

  /** Same as `extend`, but yields the output of each layer. */
  extendInParts(x: Tensor, extension: Extension, state: DecoderState): Generator<Tensor, Tensor> {
    const { imageEffects = null } = extension;
    return this.#layerByLayer(x, true, imageEffects, (layer, before, i, shared) => {
      const input = imageEffects?.addTo(before, i) ?? before;
      return layer.extend(input, extension, state, shared);
    });
  }

  /**
   * Runs the layers in sequence. With `frees` and without gradients, a layer's temporary tensors and its input are
   * freed as soon as possible. The pass then needs the memory of one layer.
   */
  *#layerByLayer(
    x: Tensor,
    frees: boolean,
    imageEffects: ImageEffects | null,
    run: (layer: TransformerLayer, x: Tensor, i: number, shared: SharedTensors) => Tensor,
  ): Generator<Tensor, Tensor> {
    const isFree = frees && !x.device.gradientsOn;
    const { x: first, extraInputs } = this.entry?.forward(x) ?? { x, extraInputs: null };
    const shared = new SharedTensors(extraInputs, isFree);
    x = first;
    let result: Tensor | undefined;
    try {
      for (const [i, layer] of this.layers.entries()) {
        const pass = run.bind(null, layer, x, i, shared);
        const y = isFree ? x.device.scope(pass) : pass();
        if (isFree && x !== first && y !== x) x.dispose(); // the caller owns the input of the first layer
        x = y;
        yield x;
      }
      result = this.#end(imageEffects?.addTo(x, this.layers.length) ?? x);
      return result;
    } finally {
      if (isFree && x !== first && x !== result) x.dispose();
      shared.dispose();
    }
  }

  #end(last: Tensor): Tensor {
    const x = this.exit?.forward(last) ?? last;
    const normed = this.norm?.forward(x) ?? x;
    const kept = this.dropout?.forward(normed) ?? normed;
    const y = this.projection?.forward(kept) ?? kept; // [N, features of the projection, or dModel]
    this.observe?.(null, last, y);
    return y;
  }

  /** Projects the encoder's output to keys and values of cross-attention, and writes them to the state's caches. */
  cacheMemory(memory: Memory, state: DecoderState): void {
    const { hidden, batch } = memory;
    state.sourceLengths.write(Int32Array.from(batch.counts));
    for (const { selfAttn, multiheadAttn } of this.layers) {
      selfAttn.cacheMemory?.(memory, state);
      if (!multiheadAttn) continue;
      const format = multiheadAttn.cacheFormat(state.sizes.cacheType);
      cacheFill(state.cacheOf(multiheadAttn), multiheadAttn.keysAndValues(hidden), batch.lengths, format);
    }
  }

  /** Caches of the layers between steps. `type` is that of keys and values. */
  cacheSpecs(type: CacheType = 'float32'): readonly CacheSpec[] {
    return this.layers.flatMap((layer) => layer.cacheSpecs(type));
  }
}

/** True if an observer receives tensors from inside the layer. */
function isObserved({ selfAttentions, multiheadAttn }: TransformerLayer): boolean {
  return [...selfAttentions, multiheadAttn].some((attention) => attention?.observe);
}
