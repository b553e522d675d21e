// Linear, Embedding and TiedLinear with packed weights. `quantize` and loaders replace the float32 modules by these.

import type { Tensor } from '../core/tensor.js';
import type { Activation } from '../ops/activation.js';
import { add, affineInto } from '../ops/binary.js';
import type { EmbeddingOptions } from '../ops/embedding.js';
import { transpose } from '../ops/move.js';
import type { Dropout } from './dropout.js';
import { Embedding, type EmbeddingLookup } from './embedding.js';
import { Initializer } from './init.js';
import { columnsOf, Linear, type OutputProjection, type Projection, TiedLinear } from './linear.js';
import { Module } from './module.js';
import { PackedWeight } from './weight.js';

/** A module whose weight is packed. It frees the weight. */
abstract class PackedModule extends Module {
  constructor(readonly weight: PackedWeight) {
    super();
  }

  protected override release(): void {
    super.release();
    this.weight.dispose();
  }
}

/** A `Linear` with a packed weight [out, in]. The bias stays float32. */
export class PackedLinear extends PackedModule implements Projection {
  readonly #sections: readonly number[];

  constructor(
    weight: PackedWeight,
    readonly bias: Tensor | null,
    sections: readonly number[],
  ) {
    super(weight);
    this.#sections = sections;
  }

  override get sections(): readonly number[] {
    return this.#sections;
  }

  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    return this.weight.linear(x, this.bias, { activation, dropout: dropout?.options });
  }

  part(x: Tensor, first: number, end: number, activation: Activation = 'none'): Tensor {
    const { from, to } = columnsOf(this.#sections, first, end);
    return this.weight.linearPart(x, from, to, this.bias?.columns(from, to) ?? null, { activation });
  }
}

/** An `Embedding` with a packed table [rows, features]. */
export class PackedEmbedding extends PackedModule implements EmbeddingLookup {
  forward(ids: Tensor, options: EmbeddingOptions = {}): Tensor {
    return this.weight.embedding(ids, options);
  }
}

/** A `TiedLinear` whose matrix is the packed table of an embedding. */
export class PackedTiedLinear extends PackedModule implements OutputProjection {
  constructor(
    weight: PackedWeight,
    readonly bias: Tensor | null,
  ) {
    super(weight);
  }

  forward(x: Tensor): Tensor {
    const y = this.weight.linearTransposed(x);
    return this.bias ? add(y, this.bias) : y;
  }
}

/** The modules that multiply with a weight, or read rows of it. */
export type WeightModule = Linear | Embedding | TiedLinear | PackedLinear | PackedEmbedding | PackedTiedLinear;

export function isWeightModule(module: Module): module is WeightModule {
  return WEIGHT_MODULES.some((type) => module instanceof type);
}

const WEIGHT_MODULES = [Linear, Embedding, TiedLinear, PackedLinear, PackedEmbedding, PackedTiedLinear];

/** True for modules whose float32 weight is [in, out], the transpose of a packed weight. */
export function isProjection(module: Module): module is Linear | PackedLinear {
  return module instanceof Linear || module instanceof PackedLinear;
}

/** True for modules that read rows of a table. */
export function isEmbedding(module: Module): module is Embedding | PackedEmbedding {
  return module instanceof Embedding || module instanceof PackedEmbedding;
}

/** Makes the module that replaces `module`, with the packed `weight` and the same bias. */
export function packedModule(module: WeightModule, weight: PackedWeight): WeightModule {
  const packed = isProjection(module)
    ? new PackedLinear(weight, module.bias, module.sections)
    : 'bias' in module
      ? new PackedTiedLinear(weight, module.bias)
      : new PackedEmbedding(weight);
  return packed.train(module.training);
}

/**
 * Returns a copy of `module` with its own float32 weight, unpacked if necessary, which is not trained. The bias is
 * shared.
 */
export function floatModule(module: WeightModule): Linear | Embedding | TiedLinear {
  const { weight } = module;
  const { device } = weight;
  const blank = new Initializer(device, 0, true); // takes no memory
  const [rows, cols] = weight.shape as [number, number];
  const isOutIn = isProjection(module) && weight instanceof PackedWeight;
  const floats = device.unscoped(() => device.empty(isOutIn ? [cols, rows] : [rows, cols]));
  device.noGrad(() =>
    device.scope(() => {
      const values = weight instanceof PackedWeight ? weight.unpack() : weight;
      affineInto(isOutIn ? transpose(values) : values, floats, 1, false);
    }),
  );
  const copy = isProjection(module)
    ? new Linear(blank, floats.shape[0] as number, module.sections, false)
    : 'bias' in module
      ? new TiedLinear(blank, floats, false)
      : new Embedding(blank, rows, cols);
  Object.assign(copy, { weight: floats }, 'bias' in module ? { bias: module.bias } : {});
  return copy.train(module.training);
}
