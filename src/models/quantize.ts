import { checkKnown, checkOneOf, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Generative } from '../generate/generative.js';
import { forgetSessions } from '../generate/sessions.js';
import { Embedding } from '../nn/embedding.js';
import { Linear, TiedLinear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { type ActivationFormat, PackedWeight, type Weight } from '../nn/weight.js';
import type { PackedFormat } from '../ops/packed.js';

/** What weights can be packed as here; docs/packed-weights.md says what each is. */
export type WeightFormat = 'float16' | 'bfloat16' | 'int8' | 'int4';

export interface QuantizeOptions {
  /** Default: 'int8'. */
  weights?: WeightFormat | undefined;
  /**
   * Inputs that share a scale: 32, or null for all of an output feature's, which is for int8 alone. Default: null for int8,
   * 32 for int4.
   */
  groupSize?: number | null | undefined;
  /**
   * Modules to leave as they are: paths of properties, as `namedTensors` has them, of modules or of what they are in; or
   * what decides by path. Default: none.
   */
  skip?: readonly string[] | ((path: string, module: Module) => boolean) | undefined;
  /**
   * What activations are when they meet int8 and int4: 'int8' rounds them, so that integers are multiplied, which is fastest;
   * 'float32' multiplies with the unpacked weights. Default: 'int8'.
   */
  activations?: ActivationFormat | undefined;
}

/** A weight, all modules that have it, and the path of the first. */
export interface Packable {
  readonly path: string;
  readonly weight: Weight;
  readonly owners: readonly (Linear | Embedding | TiedLinear)[];
  /** Whether the weight lies as [in, out], as those of `Linear` do. */
  readonly transposed: boolean;
}

/**
 * Packs the weights of every `Linear` and `Embedding` of a model, of a module of one's own, too, and frees the floats. What
 * several share stays shared. Weights that are not multiplied, as those of norms and tables of positions, stay float32. Call it
 * when nothing is being generated; programs that were recorded before go on with the old weights.
 *
 * ```ts
 * quantize(model, { weights: 'int4', skip: ['head'] });
 * ```
 *
 * Throws ArgumentError for options that make no sense, for a model that is packed already, or that has nothing to pack.
 */
export function quantize<M extends Module>(model: M, options: QuantizeOptions = {}): M {
  if (!(model instanceof Module))
    throw new ArgumentError(`quantize: model is ${describeValue(model)}, expected a Module`);
  checkKnown('quantize', options, ['weights', 'groupSize', 'skip', 'activations']);
  const format = packing('quantize', options);
  const found = packables(model).filter(({ path, owners }) => !isSkipped(options.skip, path, owners[0] as Module));
  const packed = found.find(({ weight }) => !(weight instanceof Tensor));
  if (packed) throw new ArgumentError(`quantize: ${packed.path} is packed already`);
  if (found.length === 0)
    throw new ArgumentError('quantize: the model has no weight of a Linear or an Embedding to pack');
  forgetSessions(model as unknown as Generative); // of any other module there are none
  for (const { owners, weight, transposed } of found) {
    const floats = weight as Tensor;
    const replaced = PackedWeight.fromTensor(floats, format, transposed);
    replaced.activations = options.activations ?? 'int8';
    replaceWeight(owners, replaced);
    floats.dispose();
  }
  return model;
}

/** @internal The format that options mean. Throws ArgumentError, in the name of `op`. */
export function packing(op: string, options: QuantizeOptions): PackedFormat {
  const { weights = 'int8', groupSize = weights === 'int4' ? 32 : null } = options;
  checkOneOf(op, 'weights', weights, ['float16', 'bfloat16', 'int8', 'int4']);
  checkOneOf(op, 'activations', options.activations ?? 'int8', ['int8', 'float32']);
  const sizes = weights === 'int8' ? [null, 32] : weights === 'int4' ? [32] : [null];
  if (!sizes.includes(groupSize)) {
    throw new ArgumentError(
      `${op}: groupSize is ${describeValue(groupSize)}, expected ${sizes.map(String).join(' or ')} for ${weights}`,
    );
  }
  return weights === 'int4' ? 'q4_1' : weights === 'int8' && groupSize === 32 ? 'q8_0' : weights;
}

/** @internal All weights of a model that can be packed. Tables of positions are added to others as they are. */
export function packables(model: Module): Packable[] {
  const byWeight = new Map<Weight, { path: string; owners: (Linear | Embedding | TiedLinear)[] }>();
  for (const [path, module] of withPaths(model, '')) {
    const isOne = module instanceof Linear || module instanceof Embedding || module instanceof TiedLinear;
    if (!isOne || (module instanceof Embedding && /positions(\.\d+)?$/i.test(path))) continue;
    const known = byWeight.get(module.weight);
    if (known) known.owners.push(module);
    else byWeight.set(module.weight, { path, owners: [module] });
  }
  return Array.from(byWeight, ([weight, { path, owners }]) => {
    return { path, weight, owners, transposed: owners[0] instanceof Linear };
  });
}

/** @internal Whether any weight of a model is packed. */
export function hasPackedWeights(model: Module): boolean {
  return packables(model).some(({ weight }) => weight instanceof PackedWeight);
}

/** @internal Gives all modules that share a weight another one. */
export function replaceWeight(owners: Packable['owners'], weight: Weight): void {
  for (const owner of owners) Object.assign(owner, { weight });
}

function* withPaths(module: Module, path: string): Generator<[path: string, module: Module]> {
  yield [path, module];
  for (const [key, value] of Object.entries(module)) {
    if (!(value instanceof Module || Array.isArray(value))) continue;
    for (const [i, part] of [value].flat().entries()) {
      if (!(part instanceof Module)) continue;
      const name =
        key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) + (Array.isArray(value) ? `.${i}` : '');
      yield* withPaths(part, path === '' ? name : `${path}.${name}`);
    }
  }
}

function isSkipped(skip: QuantizeOptions['skip'], path: string, module: Module): boolean {
  if (skip === undefined) return false;
  if (typeof skip === 'function') return skip(path, module);
  return skip.some((one) => `.${path}.`.includes(`.${one}.`));
}
