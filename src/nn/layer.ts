import { recompute } from '../core/autograd.js';
import { anyOf, checkOptions, isObject, isWhole, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { currentValue } from '../ops/backward.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { MultiHeadAttention } from './attention.js';
import type { CacheSpec, DecoderState, Memory } from './decoder-state.js';
import type { Dropout, Randomness } from './dropout.js';
import type { Extension } from './extension.js';
import { checkMade, checkMaker, type PartKind, partKinds } from './made-parts.js';
import type { Mixer } from './mixer.js';
import { inModes, Module } from './module.js';
import { IdentityNorm, type Norm } from './norm.js';
import { type SubLayer, type Wiring, type WiringPart, wirings } from './residual.js';
import { passAdapters, withAdapters } from './row-adapters.js';
import type { Sequences } from './sequences.js';
import type { MixerContext, SharedTensors } from './shared-tensors.js';
import type { StateNames } from './state-names.js';

/** Changes the output of a sub-layer before the residual addition: a norm, or a scale. */
export interface PostNorm extends Module {
  forward(x: Tensor): Tensor;
}

/** The second sub-layer: a `FeedForward`, or a `MixtureOfExperts`. */
export interface FeedForwardNetwork extends Module {
  /** float32 [N, dModel] → [N, dModel]. */
  forward(x: Tensor): Tensor;
  /** Same as `forward`, for networks that also read neighbouring rows of the same sequence in `batch`. */
  forwardIn?(x: Tensor, batch: Sequences): Tensor;
}

/**
 * The parts of a layer, as functions that make them. Parameters are thus drawn in the order of their definition, so a
 * seed always gives the same model.
 */
export interface LayerParts {
  readonly selfAttn: () => Mixer;
  /** Attention to an encoder's output. Default: null, none. */
  readonly multiheadAttn?: (() => MultiHeadAttention) | null | undefined;
  /** The second sub-layer. Default: null, none, and no second norm (Mamba). */
  readonly feedForward?: (() => FeedForwardNetwork) | null | undefined;
  /** Makes the norm of a sub-layer, given its index from 0. `wiring` decides where the norm is applied. */
  readonly norm: (subLayer: number) => Norm;
  /**
   * Makes a further norm between each sub-layer and the residual addition (Gemma 2's sandwich norm). Default: null,
   * none.
   */
  readonly postNorm?: (() => PostNorm) | null | undefined;
  /** Makes the dropout of a sub-layer's output in training, given the sub-layer's index. Default: null, none. */
  readonly dropout?: ((subLayer: number) => Dropout | null) | null | undefined;
  /**
   * Order of norms, sub-layers and residual additions, or a function that makes a wiring with parameters; see
   * residual.ts. Default: `post`.
   */
  readonly wiring?: Wiring | (() => WiringPart) | undefined;
  /** Source of random numbers that the dropouts share. Gradient checkpointing with dropout requires it. */
  readonly randomness?: Randomness | undefined;
}

const maker = orNull('function');

const kinds = {
  selfAttn: 'any',
  feedForward: 'any',
  norm: 'any', // see checkMaker
  multiheadAttn: maker,
  postNorm: maker,
  dropout: maker,
  wiring: anyOf(Object.keys(wirings), 'function'),
  randomness: {
    accepts: (value: unknown) => isObject(value) && value.seed !== undefined && isWhole(value.streams as number),
    expected: 'an object { seed, streams } of integers, 0 or more',
  },
} as const;

/** The inputs of a layer's pass besides `x`. */
export type LayerContext = MixerContext;

/**
 * Self-attention, attention to an encoder's output if there is one, and a feed-forward network, each with its residual
 * connection and norm. Names are those of PyTorch's nn.TransformerEncoderLayer and nn.TransformerDecoderLayer.
 */
export class TransformerLayer extends Module {
  /**
   * True for gradient checkpointing: the backward pass recomputes the layer's intermediate results instead of keeping
   * them.
   */
  recomputes = false;
  /** Self-attention, or another part that mixes tokens. */
  readonly selfAttn: Mixer;
  readonly feedForward: FeedForwardNetwork | null;
  readonly norm1: Norm;
  readonly norm2: Norm;
  readonly dropout1: Dropout | null;
  readonly dropout2: Dropout | null;
  readonly multiheadAttn: MultiHeadAttention | null;
  readonly norm3: Norm | null;
  readonly dropout3: Dropout | null;
  /** Norms or scales between each sub-layer and the residual addition. Empty if there are none. */
  readonly postNorms: readonly PostNorm[];
  readonly wiring: Wiring | WiringPart;
  /** If set, receives each sub-layer of a pass, by its index; see `SubLayer.observe`. */
  observe: ((subLayer: number, ...rows: Parameters<NonNullable<SubLayer['observe']>>) => void) | null = null;
  readonly #randomness: Randomness;

  /** Throws ArgumentError for invalid parts. */
  constructor(parts: LayerParts) {
    super();
    const { dropout, postNorm, multiheadAttn = null, wiring = 'post' } = checkOptions('TransformerLayer', parts, kinds);
    for (const name of ['selfAttn', 'norm'] as const) checkMaker('TransformerLayer', name, parts[name]);
    checkMaker('TransformerLayer', 'feedForward', parts.feedForward, true);
    const made = <Part extends Module>(name: string, part: Part, kind: PartKind): Part =>
      checkMade('TransformerLayer', name, part, kind);
    const norm = (subLayer: number) => made('norm', parts.norm(subLayer), partKinds.norm);
    const dropoutOf = (subLayer: number) => {
      const part = dropout?.(subLayer) ?? null;
      return part && made('dropout', part, partKinds.module);
    };
    this.wiring = typeof wiring === 'function' ? made('wiring', wiring(), partKinds.module) : wiring;
    this.#randomness = parts.randomness ?? { seed: 0, streams: 0 };
    this.selfAttn = made('selfAttn', parts.selfAttn(), partKinds.mixer);
    const network = parts.feedForward?.();
    this.feedForward = network ? made('feedForward', network, partKinds.feedForward) : null;
    this.norm1 = norm(0);
    this.norm2 = network || multiheadAttn ? norm(1) : new IdentityNorm();
    this.dropout1 = dropoutOf(0);
    this.dropout2 = dropoutOf(1);
    this.multiheadAttn = multiheadAttn && made('multiheadAttn', multiheadAttn(), partKinds.attention);
    this.norm3 = multiheadAttn && norm(2);
    this.dropout3 = multiheadAttn && dropoutOf(2);
    this.postNorms = postNorm
      ? Array.from({ length: multiheadAttn ? 3 : 2 }, () => made('postNorm', postNorm(), partKinds.module))
      : [];
  }

  protected override get stateNames(): StateNames {
    return { feed_forward: '' };
  }

  /**
   * `x` and the result: float32 [N, dModel], the rows of `batch` end to end. Throws ShapeError and DTypeError. Throws
   * ArgumentError if `batch` is not a `Sequences`, or a memory is missing.
   */
  forward(x: Tensor, batch: Sequences, context: LayerContext = {}): Tensor {
    const { memory, shared } = context;
    if (this.multiheadAttn && !memory)
      throw new ArgumentError('TransformerLayer: memory is null, expected the result of encode()');
    const { keySource } = this.selfAttn;
    const keys = keySource && shared?.get(keySource);
    const inputs = [x, memory?.hidden, shared?.extraInputs, keys].filter((input) => input != null);
    return this.pass(inputs, () =>
      this.#run(
        x,
        (y) => this.selfAttn.forward(y, batch, context),
        (y, cross) => cross.cross(y, batch, memory as Memory),
        shared,
        batch,
      ),
    );
  }

  /** Caches of the layer between steps. `type` is that of keys and values. */
  cacheSpecs(type?: CacheType): readonly CacheSpec[] {
    return [...this.selfAttn.cacheSpecs(type), ...(this.multiheadAttn?.cacheSpecs(type, 'source') ?? [])];
  }

  /** The attention parts of self-attention whose maps can be observed. */
  get selfAttentions(): readonly MultiHeadAttention[] {
    return this.selfAttn.attentions;
  }

  /** One decoding step. `x` and the result: float32 [sequences, dModel], the newest token of each sequence. */
  step(x: Tensor, state: DecoderState, shared?: SharedTensors): Tensor {
    return this.#run(
      x,
      (y) => this.selfAttn.step(y, state),
      (y, cross) => cross.crossStep(y, state),
      shared,
    );
  }

  /**
   * Appends new tokens of some sequences. `x` and the result: float32 [N, dModel], end to end. Throws ArgumentError for
   * a layer with cross-attention.
   */
  extend(x: Tensor, extension: Extension, state: DecoderState, shared?: SharedTensors): Tensor {
    return this.#run(
      x,
      (y) => this.selfAttn.extend(y, extension, state),
      () => {
        throw new ArgumentError('TransformerLayer: extend is not supported by layers with cross-attention');
      },
      shared,
    );
  }

  #run(
    x: Tensor,
    self: SubLayer['run'],
    cross: (x: Tensor, attention: MultiHeadAttention) => Tensor,
    shared?: SharedTensors,
    batch?: Sequences,
  ): Tensor {
    const { multiheadAttn, feedForward, norm2, norm3, dropout2, dropout3, wiring } = this;
    const subLayers: SubLayer[] = [];
    const push = (pass: SubLayer['run'], norm: Norm, dropout: Dropout | null) => {
      const i = subLayers.length;
      const run: SubLayer['run'] = shared?.frees ? (y) => y.device.scope(() => pass(y)) : pass;
      const post = (branch: Tensor) => {
        const normed = this.postNorms[i]?.forward(branch) ?? branch;
        return dropout?.forward(normed, batch) ?? normed;
      };
      subLayers.push({ run, norm, post, observe: this.observe?.bind(null, i) });
    };
    const network = (y: Tensor) => (batch && feedForward?.forwardIn?.(y, batch)) ?? feedForward?.forward(y) ?? y;
    push(self, this.norm1, this.dropout1);
    if (multiheadAttn) push((y) => cross(y, multiheadAttn), norm2, dropout2);
    if (multiheadAttn || feedForward) push(network, norm3 ?? norm2, norm3 ? dropout3 : dropout2);
    return typeof wiring === 'string'
      ? wirings[wiring](x, subLayers)
      : wiring.forward(x, subLayers, shared?.extraInputs ?? null);
  }

  /**
   * Runs the layer's pass. With gradient checkpointing, intermediate results are dropped and recomputed in the backward
   * pass. A layer whose keys later layers reuse keeps its results, because the keys need gradients, too.
   */
  protected pass(inputs: readonly Tensor[], forward: () => Tensor): Tensor {
    if (!this.recomputes || !this.training || this.selfAttn.isKeySource) return forward();
    const randomness = this.#randomness;
    const seed = currentValue((inputs[0] as Tensor).device, randomness.seed);
    const training = new Set(this.modules().filter((part) => part.training));
    const adapters = passAdapters(); // the backward pass is not part of the call that chose them
    return recompute([...inputs, ...this.parameters()], () => {
      const { seed: current } = randomness;
      randomness.seed = seed; // another pass may have changed the seed since
      try {
        return withAdapters(adapters, () => inModes(training, forward));
      } finally {
        randomness.seed = current;
      }
    });
  }
}
