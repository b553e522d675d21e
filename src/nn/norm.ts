import { checkDevice, checkNumber, checkShape, checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { add, mul } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { addLayerNorm, layerNorm } from '../ops/layer-norm.js';
import { rmsNorm } from '../ops/rms-norm.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';

/** Receives what a norm reads, and the result. */
export type NormObserver = (x: Tensor, y: Tensor) => void;

/** Normalization over the last dimension. */
export interface Norm extends Module {
  /** `weight` and `bias`: float32 [features], or null if the norm has none. */
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
  /** norm(x + residual). `x`, `residual` and the result are float32 [..., features]. Throws ShapeError, DTypeError. */
  forward(x: Tensor, residual?: Tensor | null): Tensor;
  /** Returns x + residual and its norm, both with the shape of `x`. Throws as `forward`. */
  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor };
  /** If set, receives what each pass normalizes, the sum with a residual, and the result. */
  observe?: NormObserver | null;
}

/** Layer normalization (Ba, Kiros, Hinton 2016). It can add a residual in the same pass over memory. */
export class LayerNorm extends Module implements Norm {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  observe: NormObserver | null = null;

  /** `features`: size of the last dimension. `eps`: added to the variance, default 1e-5. `bias`: default true. */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps = 1e-5,
    bias = true,
  ) {
    super();
    checkInitializer('LayerNorm', init);
    checkSizes('LayerNorm', { features }, 1);
    this.weight = init.constant([features], 1);
    this.bias = bias ? init.constant([features], 0) : null;
  }

  /** norm(x + residual) over the last dimension. `x`, `residual` and the result are float32 [..., features]. */
  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    if (this.observe && residual) return this.add(x, residual).normed; // only `add` returns the sum
    const y = layerNorm(x, this.weight, this.bias, { eps: this.eps, residual });
    this.observe?.(x, y);
    return y;
  }

  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor } {
    const result = addLayerNorm(x, residual, this.weight, this.bias, { eps: this.eps });
    this.observe?.(result.sum, result.normed);
    return result;
  }
}

/** A norm that has no fused kernel, so the residual is added by a separate op. */
abstract class UnfusedNorm extends Module implements Norm {
  abstract readonly weight: Tensor | null;
  readonly bias: Tensor | null = null;
  observe: NormObserver | null = null;

  /** norm(x). `x` and the result: float32 [..., features]. */
  protected abstract normalize(x: Tensor): Tensor;

  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    return residual ? this.add(x, residual).normed : this.#seen(x);
  }

  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor } {
    checkDevice('norm', { x, residual });
    checkShape('norm', 'residual', residual, x.shape); // add would broadcast it
    const sum = add(x, residual);
    return { sum, normed: this.#seen(sum) };
  }

  #seen(x: Tensor): Tensor {
    const y = this.normalize(x);
    this.observe?.(x, y);
    return y;
  }
}

/** Layer normalization without weight and bias (OPT). */
export class PlainLayerNorm extends UnfusedNorm {
  readonly weight = null;
  /** float32 [features]: the weight that the kernel expects. */
  readonly #ones: Tensor;

  /** `features`: size of the last dimension. `eps`: added to the variance, default 1e-5. */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps = 1e-5,
  ) {
    super();
    checkInitializer('PlainLayerNorm', init);
    checkSizes('PlainLayerNorm', { features }, 1);
    this.#ones = init.table(1, features, () => new Float32Array(features).fill(1)).reshape(features);
  }

  protected override normalize(x: Tensor): Tensor {
    return layerNorm(x, this.#ones, null, { eps: this.eps });
  }

  protected override release(): void {
    super.release();
    this.#ones.dispose();
  }
}

/**
 * Layer normalization of each head separately, with its own weight (StableLM, Command R+). It has no bias. A state dict
 * can store the heads' weights under one name each.
 */
export class HeadNorm extends UnfusedNorm {
  /** [heads · headSize] */
  readonly weight: Tensor;
  /** Each head has its own weight, which is multiplied afterwards. */
  readonly #plain: PlainLayerNorm;

  /** `eps`: added to the variance; default 1e-5. Throws ArgumentError, OutOfMemoryError. */
  constructor(
    init: Initializer,
    private readonly heads: number,
    private readonly headSize: number,
    eps = 1e-5,
  ) {
    super();
    checkInitializer('HeadNorm', init);
    checkSizes('HeadNorm', { heads, headSize }, 1);
    this.weight = init.constant([heads * headSize], 1);
    this.#plain = new PlainLayerNorm(init, headSize, eps);
  }

  override get sections(): readonly number[] {
    return Array.from({ length: this.heads }, () => this.headSize);
  }

  /** `x`: [..., heads · headSize]. */
  protected override normalize(x: Tensor): Tensor {
    const heads = this.#plain.forward(x.reshape(-1, this.headSize)); // [N · heads, headSize]
    return mul(heads.reshape(x.shape), this.weight);
  }

  protected override release(): void {
    super.release();
    this.#plain.dispose();
  }
}

/** Layer normalization without a bias, whose factor is 1 + weight (Moonshine Streaming). */
export class OffsetLayerNorm extends UnfusedNorm {
  /** [features] */
  readonly weight: Tensor;

  /** `features`: size of the last dimension. `eps`: added to the variance, default 1e-5. */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps = 1e-5,
  ) {
    super();
    checkInitializer('OffsetLayerNorm', init);
    checkSizes('OffsetLayerNorm', { features }, 1);
    this.weight = init.constant([features], 0);
  }

  protected override normalize(x: Tensor): Tensor {
    return layerNorm(x, add(this.weight, 1), null, { eps: this.eps });
  }
}

/** Root mean square normalization (Zhang, Sennrich 2019). It does not subtract the mean and has no bias. */
export class RMSNorm extends UnfusedNorm {
  readonly weight: Tensor;

  /**
   * `features`: size of the last dimension. `eps`: added to the mean square, default 2⁻²³, float32's epsilon. `offset`:
   * added to the weight, default 0. Gemma's offset is 1, so that a weight of 0 means a factor of 1. The weight starts
   * as 1 - offset.
   */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps?: number,
    readonly offset = 0,
  ) {
    super();
    checkInitializer('RMSNorm', init);
    checkSizes('RMSNorm', { features }, 1);
    checkNumber('RMSNorm', 'offset', offset, Number.isFinite, 'a number');
    this.weight = init.constant([features], 1 - offset);
  }

  protected override normalize(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps, offset: this.offset });
  }
}

/** Root mean square normalization without a weight (Gemma 4's values). */
export class PlainRMSNorm extends UnfusedNorm {
  readonly weight = null;

  /** `eps`: added to the mean square, default 2⁻²³. */
  constructor(private readonly eps?: number) {
    super();
  }

  protected override normalize(x: Tensor): Tensor {
    return rmsNorm(x, null, { eps: this.eps });
  }
}

/** weight ⊙ x + bias, without statistics: a fast substitute for layer normalization (MobileBERT's NoNorm). */
export class AffineNorm extends UnfusedNorm {
  /** `weight` and `bias`: float32 [features]. */
  readonly weight: Tensor;
  override readonly bias: Tensor;

  constructor(init: Initializer, features: number) {
    super();
    checkInitializer('AffineNorm', init);
    checkSizes('AffineNorm', { features }, 1);
    this.weight = init.constant([features], 1);
    this.bias = init.constant([features], 0);
  }

  protected override normalize(x: Tensor): Tensor {
    return add(mul(x, this.weight), this.bias);
  }
}

/** Returns its input unchanged, for inputs that are normalized already (ModernBERT's first layer). */
export class IdentityNorm extends UnfusedNorm {
  readonly weight = null;

  protected override normalize(x: Tensor): Tensor {
    return x;
  }
}

/**
 * Normalization of groups of channels over all positions (Wu & He 2018, arXiv 1803.08494). With one channel per group
 * it is instance normalization. Names are those of PyTorch's nn.GroupNorm.
 */
export class GroupNorm extends Module {
  /** [channels] */
  readonly weight: Tensor;
  /** [channels] */
  readonly bias: Tensor;

  /** `groups`: a divisor of `channels`. `eps`: added to the variance; default 1e-5. Throws ArgumentError. */
  constructor(
    init: Initializer,
    private readonly groups: number,
    channels: number,
    private readonly eps = 1e-5,
  ) {
    super();
    checkInitializer('GroupNorm', init);
    checkSizes('GroupNorm', { groups, channels }, 1);
    checkNumber('GroupNorm', 'groups', groups, (count) => channels % count === 0, `a divisor of ${channels} channels`);
    this.weight = init.constant([channels], 1);
    this.bias = init.constant([channels], 0);
  }

  /** `x` and the result: float32 [B, channels, ...]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const [batch, channels, ...spatial] = x.shape as [number, number, ...number[]];
    checkShape('GroupNorm', 'x', x, [batch, this.weight.size, ...spatial]);
    const normed = layerNorm(contiguous(x).reshape(batch * this.groups, -1), null, null, { eps: this.eps });
    const perChannel = (factors: Tensor) => factors.reshape(channels, 1);
    const scaled = mul(normed.reshape(batch, channels, -1), perChannel(this.weight)); // [B, channels, positions]
    return add(scaled, perChannel(this.bias)).reshape(x.shape);
  }
}
