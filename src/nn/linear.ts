import { checkSizes } from '../core/check.js';
import { Tensor } from '../core/tensor.js';
import { type Activation, activate } from '../ops/activation.js';
import { add, scale } from '../ops/binary.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { concat } from '../ops/move.js';
import type { Dropout } from './dropout.js';
import { checkInitializer, type Initializer } from './init.js';
import type { LoraLayer } from './lora-layer.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

/** y = activation(x w + b), x [..., in], y [..., out]; b is there unless `bias` is false, as in all modules here. */
export class Linear<W extends Weight = Tensor> extends Module {
  /** [in, out]; state dicts hold PyTorch's [out, in]. */
  readonly weight: W;
  /** [out] */
  readonly bias: Tensor | null;
  /** What changes its columns: see `lora`. */
  readonly adapters: LoraLayer[] = [];
  readonly #sections: readonly number[];

  /**
   * `inputs` and `outputs`: features. Several `outputs` are projections of one input, computed side by side as one
   * product; a state dict can hold them apart. Weights begin as Xavier's (`Initializer.xavierUniform`), biases as 0.
   * Throws ArgumentError, ShapeError for sizes that are not positive integers, OutOfMemoryError.
   */
  constructor(init: Initializer, inputs: number, outputs: number | readonly number[], bias = true) {
    super();
    checkInitializer('Linear', init);
    this.#sections = [outputs].flat();
    checkSizes('Linear', { inputs }, 1);
    for (const width of this.#sections) checkSizes('Linear', { outputs: width }, 1);
    const width = this.#start(this.#sections.length);
    this.weight = init.xavierUniform(inputs, width) as Weight as W;
    this.bias = bias ? init.constant([width], 0) : null;
  }

  override get sections(): readonly number[] {
    return this.#sections;
  }

  protected override get transposed(): readonly string[] {
    return ['weight'];
  }

  /**
   * `x`: float32 [..., inputs]; the result is float32 [..., outputs], after `dropout`, if given. Throws ShapeError,
   * DTypeError, ArgumentError.
   */
  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    const adapters = this.#adaptersOf(0, this.#sections.length);
    if (adapters.length > 0) {
      const y = this.#adapted(x, 0, this.#sections.length, adapters);
      const activated = activation === 'none' ? y : activate('Linear', y, activation);
      return dropout?.forward(activated) ?? activated;
    }
    const options = { activation, dropout: dropout?.options };
    const weight: Weight = this.weight;
    return weight instanceof Tensor ? linear(x, weight, this.bias, options) : weight.linear(x, this.bias, options);
  }

  /** The projections `first` to below `end` alone: float32 [..., their features]. Throws as `forward`. */
  part(x: Tensor, first: number, end: number, activation: Activation = 'none'): Tensor {
    const [from, to] = [this.#start(first), this.#start(end)];
    if (from === 0 && end === this.#sections.length) return this.forward(x, activation);
    const adapters = this.#adaptersOf(first, end);
    if (adapters.length > 0) {
      const y = this.#adapted(x, first, end, adapters);
      return activation === 'none' ? y : activate('Linear', y, activation);
    }
    const weight: Weight = this.weight;
    const bias = this.bias?.columns(from, to) ?? null;
    if (!(weight instanceof Tensor)) return weight.linearPart(x, from, to, bias, { activation });
    return linear(x, weight.columns(from, to), bias, { activation });
  }

  /** Those that change something of these sections beside the weight. */
  #adaptersOf(first: number, end: number): readonly LoraLayer[] {
    if (this.adapters.length === 0) return this.adapters;
    const [from, to] = [this.#start(first), this.#start(end)];
    return this.adapters.filter((each) => each.isActive && !each.isMerged && each.start < to && each.end > from);
  }

  /** Sections of the projection with what adapters change of them. */
  #adapted(x: Tensor, first: number, end: number, adapters: readonly LoraLayer[]): Tensor {
    const [from, to] = [this.#start(first), this.#start(end)];
    const y = this.#plain(x, from, to, true);
    if (this.training && adapters.every(({ isPlain }) => isPlain)) return add(y, together(x, from, to, adapters));
    const changes = adapters.map((each) => {
      const change = each.change(x, (read, start, stop) => this.#plain(read, start, stop, false));
      const cut = [Math.max(from, each.start), Math.min(to, each.end)] as const;
      const isWhole = cut[0] === each.start && cut[1] === each.end;
      return { cut, change: isWhole ? change : change.columns(cut[0] - each.start, cut[1] - each.start) };
    });
    return changes.reduce((sum, { cut: [start, stop], change }) => {
      const zeros = (width: number) => (width > 0 ? [x.device.zeros([...x.shape.slice(0, -1), width])] : []);
      const parts = [...zeros(start - from), change, ...zeros(to - stop)];
      return add(sum, parts.length === 1 ? change : concat(parts, -1));
    }, y);
  }

  /** Columns of the product, with the bias or without. */
  #plain(x: Tensor, from: number, to: number, biased: boolean): Tensor {
    const weight: Weight = this.weight;
    const isWhole = from === 0 && to === this.#start(this.#sections.length);
    const own = biased ? this.bias : null;
    const bias = isWhole ? own : (own?.columns(from, to) ?? null);
    if (weight instanceof Tensor) return linear(x, isWhole ? weight : weight.columns(from, to), bias);
    return isWhole ? weight.linear(x, bias) : weight.linearPart(x, from, to, bias);
  }

  protected override release(): void {
    super.release();
    (this.weight as Weight).dispose();
  }

  /** Features before the projection `section`. */
  #start(section: number): number {
    return this.#sections.slice(0, section).reduce((sum, width) => sum + width, 0);
  }
}

/**
 * What plain adapters add to columns, as one product with their matrices side by side: in training rows are many, and each
 * pass over them that is saved counts, in backward, too.
 */
function together(x: Tensor, from: number, to: number, adapters: readonly LoraLayer[]): Tensor {
  const zeros = (rank: number, width: number) => (width > 0 ? [x.device.zeros([rank, width])] : []);
  const rows = adapters.map(({ start, end, b, scaling }) => {
    const cut = [Math.max(from, start), Math.min(to, end)] as const;
    const rank = b.shape[0] as number;
    const scaled = scale(b, scaling);
    const own = cut[0] === start && cut[1] === end ? scaled : scaled.columns(cut[0] - start, cut[1] - start);
    const parts = [...zeros(rank, cut[0] - from), own, ...zeros(rank, to - cut[1])];
    return parts.length === 1 ? own : concat(parts, -1);
  });
  const [a, b] = [adapters.map((each) => each.a), rows];
  const [first, second] = [
    a.length === 1 ? (a[0] as Tensor) : concat(a, -1),
    b.length === 1 ? (b[0] as Tensor) : concat(b),
  ];
  return matmul(matmul(x, first), second);
}

/** An output projection that shares its matrix [out, in] with an embedding (Press & Wolf 2017). */
export class TiedLinear<W extends Weight = Tensor> extends Module {
  /** [out] */
  readonly bias: Tensor | null;

  constructor(
    init: Initializer,
    readonly weight: W,
    bias = true,
  ) {
    super();
    checkInitializer('TiedLinear', init);
    this.bias = bias ? init.constant([weight.shape[0] as number], 0) : null;
  }

  /** `x`: float32 [..., in]; the result is float32 [..., out]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const weight: Weight = this.weight;
    const y = weight instanceof Tensor ? matmul(x, weight, { transposeB: true }) : weight.linearTransposed(x);
    return this.bias ? add(y, this.bias) : y;
  }
}
