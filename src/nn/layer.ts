import { recompute } from '../core/autograd.js';
import { anyOf, checkOptions, isObject, isWhole, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { frozen } from '../ops/backward.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { MultiHeadAttention } from './attention.js';
import type { DecoderState, Memory, MemoryNeed } from './decoder-state.js';
import type { Dropout, Randomness } from './dropout.js';
import type { Exchange, MixerContext } from './exchange.js';
import type { Extension } from './extension.js';
import { checkMade, checkMaker, type PartKind, partKinds } from './made-parts.js';
import type { Mixer } from './mixer.js';
import { inModes, Module } from './module.js';
import { IdentityNorm, type Norm } from './norm.js';
import { type SubLayer, type Wiring, type WiringPart, wirings } from './residual.js';
import type { Sequences } from './sequences.js';
import type { StateNames } from './state-names.js';

/** Changes the output of a sub-layer before it is added: a norm, or a scale. */
export interface PostNorm extends Module {
  forward(x: Tensor): Tensor;
}

/** The second sub-layer: a `FeedForward`, or a `MixtureOfExperts`. */
export interface Network extends Module {
  /** float32 [N, dModel] → [N, dModel]. */
  forward(x: Tensor): Tensor;
  /** Same as `forward`, for a network whose rows see their neighbours in the sequences of `batch`. */
  forwardIn?(x: Tensor, batch: Sequences): Tensor;
}

/**
 * The parts of a layer, as functions that make them. Parameters are thus drawn in the order of their definition, which
 * the results of a seed depend on.
 */
export interface LayerParts {
  readonly selfAttn: () => Mixer;
  /** Attention to an encoder's output. Default null: none. */
  readonly multiheadAttn?: (() => MultiHeadAttention) | null | undefined;
  /** Default null: none, and no second norm (Mamba). */
  readonly feedForward?: (() => Network) | null | undefined;
  /** One for each sub-layer, by its number from 0 on; where it stands, `wiring` says. */
  readonly norm: (subLayer: number) => Norm;
  /** A further norm between each sub-layer and the addition (Gemma 2's sandwich). Default null: none. */
  readonly postNorm?: (() => PostNorm) | null | undefined;
  /** Dropout of each sub-layer's output, by its number, in training. Default null: none. */
  readonly dropout?: ((subLayer: number) => Dropout | null) | null | undefined;
  /**
   * The wiring of sub-layers and residual connections, or a function that makes one with parameters; see residual.ts.
   * Default: `post`.
   */
  readonly wiring?: Wiring | (() => WiringPart) | undefined;
  /** The random numbers that the dropouts share. Needed for gradient checkpointing with dropout. */
  readonly randomness?: Randomness | undefined;
}

const maker = orNull('function');

const kinds = {
  ...({ selfAttn: 'any', feedForward: 'any', norm: 'any' } as const), // see checkMaker
  ...{ multiheadAttn: maker, postNorm: maker, dropout: maker },
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
  /** True if backward computes the layer's inner results again instead of keeping them (gradient checkpointing). */
  recomputes = false;
  /** Self-attention, or another part that mixes tokens. */
  readonly selfAttn: Mixer;
  readonly feedForward: Network | null;
  readonly norm1: Norm;
  readonly norm2: Norm;
  readonly dropout1: Dropout | null;
  readonly dropout2: Dropout | null;
  readonly multiheadAttn: MultiHeadAttention | null;
  readonly norm3: Norm | null;
  readonly dropout3: Dropout | null;
  /** Applied between a sub-layer and the addition, one for each sub-layer, or none. */
  readonly postNorms: readonly PostNorm[];
  readonly wiring: Wiring | WiringPart;
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
    const { memory, exchange } = context;
    if (this.multiheadAttn && !memory)
      throw new ArgumentError('TransformerLayer: memory is null, expected what encode() gave');
    const { keySource } = this.selfAttn;
    const keys = keySource && exchange?.of(keySource);
    const inputs = [x, memory?.hidden, exchange?.aside, keys].filter((input) => input != null);
    return this.pass(inputs, () =>
      this.#run(
        x,
        (y) => this.selfAttn.forward(y, batch, context),
        (y, cross) => cross.cross(y, batch, memory as Memory),
        exchange,
        batch,
      ),
    );
  }

  /** Memory of the layer between steps. `type` is that of keys and values. */
  memories(type?: CacheType): readonly MemoryNeed[] {
    return [...this.selfAttn.memories(type), ...(this.multiheadAttn?.memories(type, 'source') ?? [])];
  }

  /** The attentions whose maps can be observed, of self-attention. */
  get selfAttentions(): readonly MultiHeadAttention[] {
    return this.selfAttn.attentions;
  }

  /** Changes the sub-layers' result `y` for the input `x`; a subclass may override it. */
  after(_x: Tensor, y: Tensor, _batch: Sequences): Tensor {
    return y;
  }

  /** `x`: float32 [sequences, dModel], the newest token of each sequence; so is the result. */
  step(x: Tensor, state: DecoderState, exchange?: Exchange): Tensor {
    return this.#run(
      x,
      (y) => this.selfAttn.step(y, state),
      (y, cross) => cross.crossStep(y, state),
      exchange,
    );
  }

  /** `x`: float32 [N, dModel], new tokens of some sequences, end to end; so is the result. Without cross-attention. */
  extend(x: Tensor, extension: Extension, state: DecoderState, exchange?: Exchange): Tensor {
    return this.#run(
      x,
      (y) => this.selfAttn.extend(y, extension, state),
      () => {
        throw new ArgumentError('TransformerLayer: extend is for decoders without an encoder');
      },
      exchange,
    );
  }

  #run(
    x: Tensor,
    self: SubLayer['run'],
    cross: (x: Tensor, attention: MultiHeadAttention) => Tensor,
    exchange?: Exchange,
    batch?: Sequences,
  ): Tensor {
    const { multiheadAttn, norm1, norm2, norm3, dropout1, dropout2, dropout3, postNorms, feedForward } = this;
    const post = (i: number, dropout: Dropout | null) => (branch: Tensor) => {
      const normed = postNorms[i]?.forward(branch) ?? branch;
      return dropout?.forward(normed, batch) ?? normed;
    };
    const network = (y: Tensor) => (batch && feedForward?.forwardIn?.(y, batch)) ?? feedForward?.forward(y) ?? y;
    const wire = (subLayers: readonly SubLayer[]) =>
      typeof this.wiring === 'string'
        ? wirings[this.wiring](x, subLayers)
        : this.wiring.forward(x, subLayers, exchange?.aside ?? null);
    const attend = { run: self, norm: norm1, post: post(0, dropout1) };
    if (!feedForward && !multiheadAttn) return wire([attend]);
    if (!multiheadAttn || !norm3) return wire([attend, { run: network, norm: norm2, post: post(1, dropout2) }]);
    return wire([
      attend,
      { run: (y) => cross(y, multiheadAttn), norm: norm2, post: post(1, dropout2) },
      { run: network, norm: norm3, post: post(2, dropout3) },
    ]);
  }

  /**
   * Runs the layer's pass over `inputs`. If the layer recomputes, its inner results are dropped and computed again in
   * backward. A layer whose keys are read by later layers keeps its results, because those need gradients, too.
   */
  protected pass(inputs: readonly Tensor[], forward: () => Tensor): Tensor {
    if (!this.recomputes || !this.training || this.selfAttn.isKeySource) return forward();
    const randomness = this.#randomness;
    const seed = frozen((inputs[0] as Tensor).device, randomness.seed);
    const training = new Set(this.modules().filter((part) => part.training));
    return recompute([...inputs, ...this.parameters()], () => {
      const { seed: current } = randomness;
      randomness.seed = seed; // another pass may have changed the seed since
      try {
        return inModes(this, training, forward);
      } finally {
        randomness.seed = current;
      }
    });
  }
}
