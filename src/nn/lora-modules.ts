// Projections and embeddings with adapters. `lora` replaces a model's modules by these.

import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { type Activation, activate } from '../ops/activation.js';
import { add, affineInto, scale } from '../ops/binary.js';
import { type EmbeddingOptions, embedding } from '../ops/embedding.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { concat, transpose } from '../ops/move.js';
import type { Dropout } from './dropout.js';
import type { EmbeddingLookup } from './embedding.js';
import { columnsOf, type Projection } from './linear.js';
import type { LoraBase, LoraLayer, LoraReader } from './lora-layer.js';
import { Module } from './module.js';
import { floatModule, isProjection, type WeightModule } from './packed-modules.js';
import { passAdapters, rowsOfChoices } from './row-adapters.js';
import type { Weight } from './weight.js';

/** The change of columns start … end − 1 of a weight, float32 [in, end − start]. */
export interface WeightChange {
  readonly start: number;
  readonly end: number;
  readonly change: Tensor;
}

/**
 * A module with adapters. State dicts contain the parameters of the wrapped module under their old names. Merging an
 * adapter replaces the module by a changed copy, so the original can be restored bit for bit.
 */
export abstract class LoraModule extends Module implements LoraBase {
  /** The module itself, or its copy that contains the merged changes. */
  base: WeightModule;
  readonly adapters: LoraLayer[] = [];
  readonly #original: WeightModule;
  readonly #merged: LoraLayer[] = [];

  constructor(original: WeightModule) {
    super();
    this.base = original;
    this.#original = original;
    this.training = original.training;
  }

  override get named(): Module {
    return this.base;
  }

  get weight(): Weight {
    return this.base.weight;
  }

  get bias(): Tensor | null {
    return biasOf(this.base);
  }

  /** The module without any adapter. */
  get original(): WeightModule {
    return this.#original;
  }

  isMerged(layer: LoraLayer): boolean {
    return this.#merged.includes(layer);
  }

  /** Adds the change of an adapter to the weights, so that it costs no time in later passes. */
  merge(layer: LoraLayer): void {
    if (this.isMerged(layer)) return;
    if (layer.addedBias !== null && this.bias === null)
      throw new ArgumentError(`merge: ${layer.name} adds a bias (lora_bias) to a layer without one: use it unmerged`);
    this.#merged.push(layer);
    this.#mergeAgain();
  }

  /** Removes the change of an adapter from the weights. Changes of other adapters stay. */
  unmerge(layer: LoraLayer): void {
    if (!this.isMerged(layer)) return;
    this.#merged.splice(this.#merged.indexOf(layer), 1);
    this.#mergeAgain();
  }

  /** Returns the adapters that change any of the columns from … to − 1, for each choice of this pass. */
  protected choices(from: number, to: number): readonly (readonly LoraLayer[])[] {
    const here = this.adapters.filter((adapter) => !this.isMerged(adapter) && adapter.start < to && adapter.end > from);
    const chosen = passAdapters()?.choices.map((names) => here.filter(({ adapter }) => names.includes(adapter)));
    return chosen ?? [here.filter(({ isActive }) => isActive)];
  }

  /** Returns an adapter's change of the weight. It belongs to the caller's scope. */
  protected changeOf(layer: LoraLayer): WeightChange {
    const { start, end } = layer;
    return { start, end, change: layer.weightChange(this) };
  }

  columns(start: number, end: number): Tensor {
    const { weight } = this.#original;
    const isOutIn = this.isTied || (!(weight instanceof Tensor) && isProjection(this.#original));
    const matrix = weight instanceof Tensor ? weight : weight.unpack();
    return isOutIn ? transpose(matrix.rows(start, end)) : matrix.columns(start, end);
  }

  biasColumns(start: number, end: number): Tensor | null {
    return biasOf(this.#original)?.columns(start, end) ?? null;
  }

  /** True for an output projection that shares the table of an embedding, [out, in]. */
  protected get isTied(): boolean {
    return 'bias' in this.#original && !isProjection(this.#original);
  }

  /** Recomputes the base from the original and all merged adapters, so that they can be removed in any order. */
  #mergeAgain(): void {
    const original = this.#original;
    if (this.base !== original) this.#releaseMerged();
    this.base = original;
    if (this.#merged.length === 0) return;
    this.base = floatModule(original);
    const { weight } = this.base;
    const { device } = weight;
    device.noGrad(() => {
      for (const layer of this.#merged)
        device.scope(() => {
          const { start, end, change } = this.changeOf(layer);
          const columns = this.isTied ? weight.rows(start, end) : weight.columns(start, end);
          affineInto(add(columns, this.isTied ? transpose(change) : change), columns, 1, false);
          const bias = layer.biasChange(this);
          if (bias) this.#mergeBias(bias, start, end);
        });
    });
  }

  #mergeBias(change: Tensor, start: number, end: number): void {
    const bias = biasOf(this.base) as Tensor;
    const { device } = bias;
    if (bias === biasOf(this.#original)) {
      const copy = device.unscoped(() => device.empty(bias.shape));
      affineInto(bias, copy, 1, false);
      Object.assign(this.base, { bias: copy });
    }
    const columns = (biasOf(this.base) as Tensor).columns(start, end);
    affineInto(add(columns, change), columns, 1, false);
  }

  /** Frees the merged copy, but not the tensors that it shares with the original. */
  #releaseMerged(): void {
    this.base.weight.dispose();
    const bias = biasOf(this.base);
    if (bias !== biasOf(this.#original)) bias?.dispose();
  }

  protected override release(): void {
    super.release();
    this.#original.dispose();
  }
}

function biasOf(module: WeightModule): Tensor | null {
  return 'bias' in module ? module.bias : null;
}

/** A projection with adapters. */
export class LoraLinear extends LoraModule implements Projection, LoraReader {
  override get sections(): readonly number[] {
    return this.base.sections ?? [this.base.weight.shape[0] as number];
  }

  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    return this.#adapted(x, 0, this.sections.length, activation, dropout);
  }

  part(x: Tensor, first: number, end: number, activation: Activation = 'none'): Tensor {
    return this.#adapted(x, first, end, activation, null);
  }

  #adapted(x: Tensor, first: number, end: number, activation: Activation, dropout: Dropout | null): Tensor {
    const { sections } = this;
    const isWhole = first === 0 && end === sections.length;
    // A tied projection is always computed as a whole, without activation and dropout.
    const base = this.base as Projection;
    const { from, to } = columnsOf(sections, first, end);
    const choices = this.choices(from, to);
    if (choices.every(({ length }) => length === 0))
      return isWhole ? base.forward(x, activation, dropout) : base.part(x, first, end, activation);
    const output = isWhole ? base.forward(x) : base.part(x, first, end);
    const y = rowsOfChoices(choices.map((adapters) => this.#changed(x, output, from, to, adapters)));
    const activated = activation === 'none' ? y : activate('Linear', y, activation);
    return dropout?.forward(activated) ?? activated;
  }

  /** Adds the changes of adapters to `y`, the columns from … to − 1 of the output. */
  #changed(x: Tensor, y: Tensor, from: number, to: number, adapters: readonly LoraLayer[]): Tensor {
    if (this.training && adapters.length > 0 && adapters.every(({ isPlain }) => isPlain))
      return add(y, together(x, from, to, adapters));
    return adapters.reduce((sum, adapter) => {
      const change = within(adapter, from, to, adapter.change(x, this));
      return add(sum, padded(adapter, from, to, change));
    }, y);
  }

  enter(x: Tensor, a: Tensor): Tensor {
    return matmul(x, a);
  }

  product(x: Tensor, start: number, end: number): Tensor {
    const { weight } = this.original;
    if (!(weight instanceof Tensor)) return weight.linearPart(x, start, end, null);
    if (this.isTied) return matmul(x, weight.rows(start, end), { transposeB: true });
    return linear(x, weight.columns(start, end));
  }
}

/** An embedding with adapters. The adapters' dropout is not applied, as in PEFT. */
export class LoraEmbedding extends LoraModule implements EmbeddingLookup {
  forward(ids: Tensor, options: EmbeddingOptions = {}): Tensor {
    const y = (this.base as EmbeddingLookup).forward(ids, options); // [...ids.shape, features]
    const { scale: factor = 1, paddingId } = options;
    const reader: LoraReader = {
      columns: (start, end) => this.columns(start, end),
      biasColumns: () => null,
      enter: (_, a) => embedding(a, ids, { paddingId }),
      product: () => (this.original as EmbeddingLookup).forward(ids, { paddingId }),
    };
    const changed = (adapters: readonly LoraLayer[]) =>
      adapters.reduce((sum, adapter) => {
        const change = adapter.change(ids, reader);
        return add(sum, factor === 1 ? change : scale(change, factor));
      }, y);
    return rowsOfChoices(this.choices(0, y.shape.at(-1) as number).map(changed));
  }
}

/** Returns the columns from … to − 1 of an adapter's change. */
function within({ start, end }: LoraLayer, from: number, to: number, change: Tensor): Tensor {
  const overlap = [Math.max(from, start), Math.min(to, end)] as const;
  return overlap[0] === start && overlap[1] === end ? change : change.columns(overlap[0] - start, overlap[1] - start);
}

/** Pads an adapter's change with zeros to the columns from … to − 1. */
function padded({ start, end }: LoraLayer, from: number, to: number, change: Tensor): Tensor {
  const zeros = (width: number) => (width > 0 ? [change.device.zeros([...change.shape.slice(0, -1), width])] : []);
  const parts = [...zeros(start - from), change, ...zeros(to - end)];
  return parts.length === 1 ? change : concat(parts, -1);
}

/**
 * Returns the sum of plain changes. The matrices of the adapters are concatenated, so there is one product for all.
 * Training has many rows, and this saves passes over them, forward and backward.
 */
function together(x: Tensor, from: number, to: number, adapters: readonly LoraLayer[]): Tensor {
  const rows = adapters.map((adapter) =>
    padded(adapter, from, to, within(adapter, from, to, scale(adapter.b, adapter.scaling))),
  );
  const [a, b] = [adapters.map((adapter) => adapter.a), rows];
  const first = a.length === 1 ? (a[0] as Tensor) : concat(a, -1); // [in, sum of ranks]
  const second = b.length === 1 ? (b[0] as Tensor) : concat(b); // [sum of ranks, out]
  return matmul(matmul(x, first), second);
}
