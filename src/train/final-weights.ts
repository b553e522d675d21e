import type { Tensor } from '../core/tensor.js';
import { affineInto } from '../ops/binary.js';
import type { FitOptions, WeightsKind } from './fit-options.js';

/** Determines the weights that a run ends with: those of the last step, an average, or the best ones. */
export interface FinalWeights {
  /** Called after step number `step` is queued. It only queues commands. */
  update(step: number): void;
  /** Called after validation number `count`; `best` is true if no earlier one was better. */
  validated(count: number, best: boolean): void;
  /** Returns the kind of weights that `finish` puts into the model after `count` validations. */
  kind(count: number): WeightsKind;
  /** Puts the weights into the model; there were `count` validations. */
  finish(count: number): void;
  /** Returns the tensors that a checkpoint must contain for this, by name. */
  tensors(): [string, Tensor][];
  dispose(): void;
}

/**
 * Makes the FinalWeights that the options of `fit` require: an average, the weights of the best validation, or the last
 * ones.
 */
export function finalWeightsOf(
  params: readonly Tensor[],
  { averageLast, emaDecay, earlyStopping }: Pick<FitOptions, 'averageLast' | 'emaDecay' | 'earlyStopping'>,
): FinalWeights {
  if (emaDecay !== undefined) return new MovingAverage(params, emaDecay);
  if (averageLast !== undefined) return new MeanOfLast(params, averageLast);
  return earlyStopping === undefined ? new Last() : new BestSeen(params);
}

class Last implements FinalWeights {
  update(): void {}
  validated(): void {}
  kind(): WeightsKind {
    return 'last';
  }
  finish(): void {}
  tensors(): [string, Tensor][] {
    return [];
  }
  dispose(): void {}
}

/** A copy of all parameters that outlives scopes. Its values are zero at first. */
export class WeightsCopy {
  readonly tensors: readonly Tensor[];

  constructor(private readonly params: readonly Tensor[]) {
    this.tensors = params.map((param) => param.device.unscoped(() => param.device.zeros(param.shape)));
  }

  /** copy = decay · copy + share · parameters. */
  blend(decay: number, share: number): void {
    this.tensors.forEach((copy, i) => {
      if (decay !== 0) affineInto(copy, copy, decay, false);
      affineInto(this.params[i] as Tensor, copy, share, decay !== 0);
    });
  }

  /** parameters = share · copy, or += with `add`. */
  restore(share = 1, add = false): void {
    this.tensors.forEach((copy, i) => {
      affineInto(copy, this.params[i] as Tensor, share, add);
    });
  }

  named(name: string): [string, Tensor][] {
    return this.tensors.map((tensor, i) => [`${name}.${i}`, tensor]);
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }
}

/**
 * Exponential moving average with decay min(d, (t − 1) / (t + 9)) at step t. The small decay of early steps quickly
 * forgets the initial weights.
 */
class MovingAverage implements FinalWeights {
  readonly #copy: WeightsCopy;

  constructor(
    params: readonly Tensor[],
    private readonly decay: number,
  ) {
    this.#copy = new WeightsCopy(params);
  }

  update(step: number): void {
    const decay = Math.min(this.decay, (step - 1) / (step + 9));
    this.#copy.blend(decay, 1 - decay);
  }

  validated(): void {}

  kind(): WeightsKind {
    return 'average';
  }

  finish(): void {
    this.#copy.restore();
  }

  tensors(): [string, Tensor][] {
    return this.#copy.named('ema');
  }

  dispose(): void {
    this.#copy.dispose();
  }
}

/** The mean of the weights at the last validations (checkpoint averaging, as in the paper's §6.1). */
class MeanOfLast implements FinalWeights {
  /** A ring buffer: validation n is at index n modulo the length. */
  readonly #copies: readonly WeightsCopy[];

  constructor(params: readonly Tensor[], number: number) {
    this.#copies = Array.from({ length: number }, () => new WeightsCopy(params));
  }

  update(): void {}

  validated(count: number): void {
    (this.#copies[count % this.#copies.length] as WeightsCopy).blend(0, 1);
  }

  kind(count: number): WeightsKind {
    return Math.min(count, this.#copies.length) > 1 ? 'average' : 'last';
  }

  finish(count: number): void {
    const used = Math.min(count, this.#copies.length);
    for (let i = 0; i < used; i++) {
      (this.#copies[(count - i) % this.#copies.length] as WeightsCopy).restore(1 / used, i > 0);
    }
  }

  tensors(): [string, Tensor][] {
    return this.#copies.flatMap((copy, i) => copy.named(`average.${i}`));
  }

  dispose(): void {
    for (const copy of this.#copies) copy.dispose();
  }
}

/** The weights at the best validation. */
class BestSeen implements FinalWeights {
  readonly #copy: WeightsCopy;

  constructor(params: readonly Tensor[]) {
    this.#copy = new WeightsCopy(params);
  }

  update(): void {}

  validated(_count: number, best: boolean): void {
    if (best) this.#copy.blend(0, 1);
  }

  kind(count: number): WeightsKind {
    return count > 0 ? 'best' : 'last';
  }

  finish(count: number): void {
    if (count > 0) this.#copy.restore();
  }

  tensors(): [string, Tensor][] {
    return this.#copy.named('best');
  }

  dispose(): void {
    this.#copy.dispose();
  }
}
