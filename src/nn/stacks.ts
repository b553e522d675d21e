// The encoder and the decoder: layers of attention and feed-forward networks, each with a residual connection around it
// and a layer normalisation, after the addition (post-norm, Vaswani et al. 2017) or before the sub-layer (pre-norm,
// which trains without warm-up; Xiong et al. 2020). Names and structure are those of PyTorch's nn.Transformer.

import { recompute } from '../core/autograd.js';
import { checkNumber, checkOneOf, checkSizes, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Activation, checkActivation } from '../ops/activation.js';
import { frozen } from '../ops/backward.js';
import { add, mul } from '../ops/binary.js';
import { cacheFill } from '../ops/kv-cache.js';
import { checkMultiHead, MultiHeadAttention, type MultiHeadOptions } from './attention.js';
import type { Initializer } from './init.js';
import type { DecoderState, LayerCache, Memory } from './kv-cache.js';
import { Dropout, LayerNorm, Linear, type Norm, type Randomness, RMSNorm } from './layers.js';
import { inModes, Module } from './module.js';
import type { Positions } from './positions.js';
import type { TokenBatch } from './token-batch.js';

/** What all layers of a model have in common. Names are those of `TransformerOptions`, and so are defaults unless said. */
export interface LayerOptions extends MultiHeadOptions {
  /** Hidden features of the position-wise feed-forward network. Default 4·dModel. */
  readonly dFF?: number | undefined;
  /** Of the hidden features. Default `relu`. */
  readonly activation?: Activation | undefined;
  /**
   * Whether the hidden features are multiplied by a second projection of the input: activation(x w₁) ⊙ (x w₃) (Shazeer
   * 2020). Default false.
   */
  readonly gated?: boolean | undefined;
  /** Whether a sub-layer's norm comes before it, or after the addition of its residual. Default `post`. */
  readonly norm?: 'pre' | 'post' | undefined;
  /** `layer`: LayerNorm. `rms`: RMSNorm. Default `layer`. */
  readonly normalization?: 'layer' | 'rms' | undefined;
  /** Whether a stack ends with a norm. Default true. */
  readonly finalNorm?: boolean | undefined;
  /** Added under the root of every norm. Default: that of LayerNorm or RMSNorm. */
  readonly layerNormEps?: number | undefined;
  /** The probability that an element of a sub-layer's output, or of the hidden features, becomes 0. Default 0. */
  readonly dropout?: number | undefined;
  /**
   * What `resolvePositions` gives: `relativeBias`, `shaw` and `rotary` are the layers' own, others are nothing to them.
   * Default null: none.
   */
  readonly positions?: Complete<Positions> | null | undefined;
  /**
   * Of positions `rotary`: what `rotations` gives for all positions, float32 [positions, 2·dModel/heads], which all
   * layers share. Default null: nothing turns.
   */
  readonly angles?: Tensor | null | undefined;
}

/** Throws ArgumentError for options that make no layer; `dropout` is left to `Dropout`. */
export function checkLayer(op: string, options: LayerOptions): void {
  checkMultiHead(op, options);
  const { dModel, dFF = dModel, activation = 'relu', norm = 'post', normalization = 'layer' } = options;
  const { gated = false, finalNorm = true, layerNormEps = 0 } = options;
  checkSizes(op, { dFF }, 1);
  checkActivation(op, activation);
  checkOneOf(op, 'norm', norm, ['pre', 'post']);
  checkOneOf(op, 'normalization', normalization, ['layer', 'rms']);
  checkOneOf(op, 'gated', gated, [true, false]);
  checkOneOf(op, 'finalNorm', finalNorm, [true, false]);
  checkNumber(op, 'layerNormEps', layerNormEps, isNotNegative, 'a number, 0 or more');
}

type SubLayer = (x: Tensor) => Tensor;

/** What encoder and decoder layers share. */
abstract class Layer extends Module {
  /** Whether backward computes the layer's inner results once more instead of keeping them (gradient checkpointing). */
  recomputes = false;
  readonly selfAttn: MultiHeadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  /** What multiplies the hidden features, if they are `gated`. */
  readonly linear3: Linear | null;
  readonly norm1: Norm;
  readonly norm2: Norm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;

  /** `init` draws the parameters; `randomness` is what all dropouts of the model share. Throws ArgumentError. */
  constructor(
    init: Initializer,
    private readonly randomness: Randomness,
    protected readonly options: LayerOptions,
  ) {
    super();
    checkLayer('layer options', options);
    const { dModel, dFF = 4 * dModel, dropout = 0, positions = null, angles, bias } = options;
    this.dropout = new Dropout(dropout, randomness); // first, as it may refuse: no memory is taken yet
    this.selfAttn = new MultiHeadAttention(init, options, positions, angles);
    this.linear1 = new Linear(init, dModel, dFF, bias);
    this.linear2 = new Linear(init, dFF, dModel, bias);
    this.linear3 = options.gated ? new Linear(init, dModel, dFF, bias) : null;
    this.norm1 = newNorm(init, options);
    this.norm2 = newNorm(init, options);
    this.dropout1 = new Dropout(dropout, randomness);
    this.dropout2 = new Dropout(dropout, randomness);
  }

  /** The position-wise network. */
  protected readonly feedForward: SubLayer = (x) => {
    const { linear1, linear2, linear3, dropout } = this;
    const { activation = 'relu' } = this.options;
    if (linear3 === null) return linear2.forward(linear1.forward(x, activation, dropout));
    return linear2.forward(dropout.forward(mul(linear1.forward(x, activation), linear3.forward(x))));
  };

  /** The layer's pass over `inputs`, or, if it recomputes, one that forgets its inner results and draws them again. */
  protected pass(inputs: readonly Tensor[], forward: () => Tensor): Tensor {
    if (!this.recomputes || !this.training) return forward();
    const { randomness } = this;
    const seed = frozen((inputs[0] as Tensor).device, randomness.seed);
    const training = new Set(this.modules().filter((part) => part.training));
    return recompute([...inputs, ...this.parameters()], () => {
      const { seed: current } = randomness;
      randomness.seed = seed; // another pass may have begun since, or inference
      try {
        return inModes(this, training, forward);
      } finally {
        randomness.seed = current;
      }
    });
  }

  /** x through one sub-layer after the other, each with its norm and the dropout of its output. */
  protected residual(x: Tensor, ...steps: readonly (readonly [SubLayer, Norm, Dropout])[]): Tensor {
    if (this.options.norm !== 'pre') {
      for (const [subLayer, norm, dropout] of steps) x = norm.forward(dropout.forward(subLayer(x)), x);
      return x;
    }
    // x + subLayer(norm(x)), where each addition shares a pass over memory with the norm that comes next.
    let branch: Tensor | null = null;
    for (const [subLayer, norm, dropout] of steps) {
      const { sum, normed }: { sum: Tensor; normed: Tensor } = branch
        ? norm.add(branch, x)
        : { sum: x, normed: norm.forward(x) };
      x = sum;
      branch = dropout.forward(subLayer(normed));
    }
    return add(x, branch as Tensor);
  }
}

/** Self-attention and feed-forward, each with its residual and norm ("Attention Is All You Need", §3.1). */
export class EncoderLayer extends Layer {
  /**
   * `x`: float32 [N, dModel], the tokens of `batch` end to end; so is the result. Throws ShapeError, DTypeError,
   * ArgumentError if `batch` is none.
   */
  forward(x: Tensor, batch: TokenBatch): Tensor {
    return this.pass([x], () =>
      this.residual(
        x,
        [(y) => this.selfAttn.self(y, batch, false), this.norm1, this.dropout1],
        [this.feedForward, this.norm2, this.dropout2],
      ),
    );
  }
}

/**
 * Masked self-attention, attention to the encoder's memory (`multiheadAttn`) and feed-forward, each with its residual
 * and norm. A decoder-only model has no memory, and so neither `multiheadAttn` nor `norm3`.
 */
export class DecoderLayer extends Layer {
  readonly multiheadAttn: MultiHeadAttention | null = null;
  readonly norm3: Norm | null = null;
  readonly dropout3: Dropout | null = null;

  /** As the encoder's layers; `hasMemory` says whether there is an encoder, whose output `forward` gets as `memory`. */
  constructor(init: Initializer, randomness: Randomness, options: LayerOptions, hasMemory: boolean) {
    super(init, randomness, options);
    if (!hasMemory) return;
    this.multiheadAttn = new MultiHeadAttention(init, options, null);
    this.norm3 = newNorm(init, options);
    this.dropout3 = new Dropout(options.dropout ?? 0, randomness);
  }

  /**
   * `x`: float32 [N, dModel], the target tokens of `batch` end to end; so is the result. `memory`: what the encoder
   * gave, null without one. `cache`, if given, is filled for the steps that come after. Throws ArgumentError without a
   * memory that it needs.
   */
  forward(x: Tensor, batch: TokenBatch, memory: Memory | null, cache?: LayerCache): Tensor {
    if (this.multiheadAttn && !memory)
      throw new ArgumentError('DecoderLayer: memory is null, expected what encode() gave');
    return this.pass(memory ? [x, memory.hidden] : [x], () =>
      this.#run(
        x,
        (y) => this.selfAttn.self(y, batch, true, cache),
        (y, cross) => cross.cross(y, batch, (memory as Memory).hidden, (memory as Memory).batch),
      ),
    );
  }

  /** `x`: float32 [sequences, dModel], the newest token of each sequence; so is the result. */
  step(x: Tensor, cache: LayerCache, state: DecoderState): Tensor {
    return this.#run(
      x,
      (y) => this.selfAttn.selfStep(y, cache, state),
      (y, cross) => cross.crossStep(y, cache, state),
    );
  }

  #run(x: Tensor, self: SubLayer, cross: (x: Tensor, attention: MultiHeadAttention) => Tensor): Tensor {
    const { multiheadAttn, norm1, norm2, norm3, dropout1, dropout2, dropout3 } = this;
    if (!multiheadAttn || !norm3 || !dropout3) {
      return this.residual(x, [self, norm1, dropout1], [this.feedForward, norm2, dropout2]);
    }
    return this.residual(
      x,
      [self, norm1, dropout1],
      [(y) => cross(y, multiheadAttn), norm2, dropout2],
      [this.feedForward, norm3, dropout3],
    );
  }
}

/** Encoder layers one after the other, and a norm at the end unless `finalNorm` is false. */
export class Encoder extends Module {
  readonly layers: readonly EncoderLayer[];
  readonly norm: Norm | null;

  /**
   * `layers`: how many, 0 or more. `init` draws the parameters; `randomness` is what all dropouts of the model share.
   * Throws ArgumentError.
   */
  constructor(init: Initializer, randomness: Randomness, options: LayerOptions, layers: number) {
    super();
    checkSizes('Encoder', { layers }, 0);
    this.layers = Array.from({ length: layers }, () => new EncoderLayer(init, randomness, options));
    this.norm = finalNorm(init, options);
  }

  /** `x`: float32 [N, dModel], the tokens of `batch` end to end; so is the result. */
  forward(x: Tensor, batch: TokenBatch): Tensor {
    for (const layer of this.layers) x = layer.forward(x, batch);
    return this.norm?.forward(x) ?? x;
  }
}

/** Decoder layers one after the other, and a norm at the end unless `finalNorm` is false. */
export class Decoder extends Module {
  readonly layers: readonly DecoderLayer[];
  readonly norm: Norm | null;

  /** As the encoder's; `hasMemory` says whether there is an encoder. */
  constructor(init: Initializer, randomness: Randomness, options: LayerOptions, layers: number, hasMemory: boolean) {
    super();
    checkSizes('Decoder', { layers }, 0);
    this.layers = Array.from({ length: layers }, () => new DecoderLayer(init, randomness, options, hasMemory));
    this.norm = finalNorm(init, options);
  }

  /** As the encoder's; `memory` is null without one. `state`, if given, is filled for the steps that come after. */
  forward(x: Tensor, batch: TokenBatch, memory: Memory | null, state?: DecoderState): Tensor {
    for (const [i, layer] of this.layers.entries()) x = layer.forward(x, batch, memory, state?.layers[i]);
    return this.norm?.forward(x) ?? x;
  }

  /** Puts the memory's keys and values into the state, where every step will find them. */
  remember({ hidden, batch }: Memory, state: DecoderState): void {
    state.sourceLengths.write(Int32Array.from(batch.counts));
    for (const [i, { multiheadAttn }] of this.layers.entries()) {
      const cache = state.layers[i]?.cross;
      if (multiheadAttn && cache) cacheFill(cache, multiheadAttn.keysAndValues(hidden), batch.lengths);
    }
  }

  /** `x`: float32 [sequences, dModel], the newest token of each sequence; so is the result. */
  step(x: Tensor, state: DecoderState): Tensor {
    for (const [i, layer] of this.layers.entries()) x = layer.step(x, state.layers[i] as LayerCache, state);
    return this.norm?.forward(x) ?? x;
  }
}

/** The stacks of a model, as PyTorch's nn.Transformer names them. */
export class Stacks extends Module {
  constructor(
    readonly encoder: Encoder | null,
    readonly decoder: Decoder | null,
  ) {
    super();
  }
}

function newNorm(init: Initializer, { normalization, dModel, layerNormEps, bias }: LayerOptions): Norm {
  return normalization === 'rms'
    ? new RMSNorm(init, dModel, layerNormEps)
    : new LayerNorm(init, dModel, layerNormEps, bias);
}

function finalNorm(init: Initializer, options: LayerOptions): Norm | null {
  return options.finalNorm === false ? null : newNorm(init, options);
}
