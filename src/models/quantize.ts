import { checkOneOf, checkOptions, describeValue, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Generative } from '../generate/generative.js';
import { forgetDecoders } from '../generate/model-decoders.js';
import { Module } from '../nn/module.js';
import { isProjection, isWeightModule, packedModule, type WeightModule } from '../nn/packed-modules.js';
import { type ModuleSlot, moduleSlots, substitute } from '../nn/substitution.js';
import { ACTIVATION_FORMATS, type ActivationFormat, PackedWeight, type Weight } from '../nn/weight.js';
import type { PackedFormat } from '../ops/packed.js';

/** Types that weights can be packed in here; docs/packed-weights.md describes each. */
export type WeightFormat = 'float16' | 'bfloat16' | 'int8' | 'int4';
export const WEIGHT_FORMATS: readonly WeightFormat[] = ['float16', 'bfloat16', 'int8', 'int4'];

export interface QuantizeOptions {
  /** Default: 'int8'. */
  weights?: WeightFormat | undefined;
  /**
   * Number of inputs that share a scale: 32, or null for all inputs of an output feature, which only int8 allows.
   * Default: null for int8, 32 for int4.
   */
  groupSize?: number | null | undefined;
  /**
   * Modules that stay unpacked: paths of properties, as in `namedTensors`, of modules or their parents; or a function
   * of the path. Default: none.
   */
  skip?: readonly string[] | ((path: string, module: Module) => boolean) | undefined;
  /**
   * Type of activations in products with int8 and int4 weights. 'int8' rounds them and multiplies integers, which is
   * fastest; 'float32' multiplies with the unpacked weights. Default: 'int8'.
   */
  activations?: ActivationFormat | undefined;
}

/** A module with a weight, and where the model holds it. */
export interface Owner extends ModuleSlot {
  readonly module: WeightModule;
}

/** A weight, the references to all modules that share it, and the path of the first. */
export interface Packable {
  readonly path: string;
  readonly weight: Weight;
  readonly owners: readonly Owner[];
  /** True if the weight is [in, out], as in a `Linear`. */
  readonly transposed: boolean;
}

/**
 * Packs the weights of every `Linear` and `Embedding` of a model, or of your own module, and frees the floats. Shared
 * weights stay shared. Weights of norms and tables of positions stay float32. Do not call it during a generation.
 * Programs recorded before continue with the old weights.
 *
 * ```ts
 * quantize(model, { weights: 'int4', skip: ['head'] });
 * ```
 *
 * Throws ArgumentError for invalid options, a packed model, and a model without weights to pack.
 */
export function quantize<M extends Module>(model: M, options: QuantizeOptions = {}): M {
  if (!(model instanceof Module))
    throw new ArgumentError(`quantize: model is ${describeValue(model)}, expected a Module`);
  const names = listOf('string', 'an array of names, or a function');
  checkOptions('quantize', options, {
    weights: 'any',
    groupSize: 'any',
    activations: 'any', // `packing` checks them
    skip: { ...names, accepts: (value: unknown) => typeof value === 'function' || names.accepts(value) },
  });
  const format = packing('quantize', options);
  const found = packables(model).filter(
    ({ path, owners }) => !isSkipped(options.skip, path, (owners[0] as Owner).module),
  );
  const packed = found.find(({ weight }) => !(weight instanceof Tensor));
  if (packed) throw new ArgumentError(`quantize: ${packed.path} is packed already`);
  if (found.length === 0)
    throw new ArgumentError('quantize: the model has no weight of a Linear or an Embedding to pack');
  forgetDecoders(model as unknown as Generative); // other modules have none
  for (const { owners, weight, transposed } of found) {
    const floats = weight as Tensor;
    const replaced = PackedWeight.fromTensor(floats, format, transposed);
    replaced.activations = options.activations ?? 'int8';
    replaceWeight(owners, replaced);
    floats.dispose();
  }
  return model;
}

/** @internal The format that the options select. Throws ArgumentError, in the name of `op`. */
export function packing(op: string, options: QuantizeOptions): PackedFormat {
  const { weights = 'int8', groupSize = weights === 'int4' ? 32 : null, activations = 'int8' } = options;
  checkOneOf(op, 'weights', weights, WEIGHT_FORMATS);
  checkOneOf(op, 'activations', activations, ACTIVATION_FORMATS);
  const sizes = weights === 'int8' ? [null, 32] : weights === 'int4' ? [32] : [null];
  if (!sizes.includes(groupSize)) {
    throw new ArgumentError(
      `${op}: groupSize is ${describeValue(groupSize)}, expected ${sizes.map(String).join(' or ')} for ${weights}`,
    );
  }
  return weights === 'int4' ? 'q4_1' : weights === 'int8' && groupSize === 32 ? 'q8_0' : weights;
}

/** @internal All weights that can be packed. Tables of positions are excluded, because they are added as float32. */
export function packables(model: Module): Packable[] {
  const byWeight = new Map<Weight, Owner[]>();
  for (const slot of moduleSlots(model)) {
    const { module, path } = slot;
    if (!isWeightModule(module) || isTableOfPositions(path)) continue;
    const owners = byWeight.get(module.weight);
    if (owners) owners.push({ ...slot, module });
    else byWeight.set(module.weight, [{ ...slot, module }]);
  }
  return Array.from(byWeight, ([weight, owners]) => {
    const { path, module } = owners[0] as Owner;
    return { path, weight, owners, transposed: isProjection(module) };
  });
}

/** @internal True for the path of a table of positions, which is added to other embeddings unchanged. */
export function isTableOfPositions(path: string): boolean {
  return /positions(\.\d+)?$/i.test(path);
}

/** @internal True if any weight of a model is packed. */
export function hasPackedWeights(model: Module): boolean {
  return packables(model).some(({ weight }) => weight instanceof PackedWeight);
}

/** @internal Substitutes modules with a packed weight for all modules that share a weight. */
export function replaceWeight(owners: readonly Owner[], weight: PackedWeight): void {
  const packed = new Map<Module, Module>(); // a module that is used several times has one substitute
  for (const owner of owners) {
    const module = packed.get(owner.module) ?? packedModule(owner.module, weight);
    packed.set(owner.module, module);
    substitute(owner, module);
  }
}

function isSkipped(skip: QuantizeOptions['skip'], path: string, module: Module): boolean {
  if (skip === undefined) return false;
  if (typeof skip === 'function') return skip(path, module);
  return skip.some((name) => `.${path}.`.includes(`.${name}.`));
}
