// The linear layers and embeddings of a model that an adapter can change.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import { sectionNames } from '../../models/module-names.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import { isTableOfPositions } from '../../models/quantize.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import type { Module } from '../../nn/module.js';
import { isEmbedding, isProjection, isWeightModule, type WeightModule } from '../../nn/packed-modules.js';
import { isTexts, type LoraOptions } from './lora-options.js';
import { moduleNames } from './module-names.js';
import { weightPlaces } from './weight-places.js';

/** A linear layer, a section of a fused one, or an embedding. */
export interface LoraTarget {
  /** The module's name in PEFT. */
  readonly name: string;
  /** The module's name in the checkpoint. Options accept it, too. */
  readonly stored: string;
  readonly path: string;
  readonly module: WeightModule;
  /** Paths of the properties that hold the module under this name. */
  readonly places: readonly string[];
  /** Range of columns in the module's weight. */
  readonly start: number;
  readonly end: number;
  readonly perHead: number | null;
  /** True if 'all-linear' includes it. */
  readonly isLinear: boolean;
  /** Null, unless the target is a tensor with a matrix for each expert of a mixture. */
  readonly experts: LoraExperts | null;
}

/** A tensor with a matrix for each expert. */
export interface LoraExperts {
  readonly count: number;
  /** The tensor's name in PEFT. */
  readonly parameter: string;
  /** The module with the further columns of the matrices, if the target's module has only the first ones. */
  readonly further: Pick<LoraTarget, 'module' | 'places'> | null;
}

/** Endings of the names of query and value projections, or of fused layers that contain them: PEFT's defaults. */
const QUERIES_AND_VALUES = [
  'query',
  'value',
  'q_proj',
  'v_proj',
  'q',
  'v',
  'q_lin',
  'v_lin',
  'query_proj',
  'value_proj',
  'c_attn',
  'query_key_value',
  'qkv_proj',
  'Wqkv',
  'in_proj',
];

/** Types of models whose state-space layers are adapted except for `out_proj`, because PEFT refuses to load that. */
const WITHOUT_OUT_PROJ = ['falcon_h1', 'mamba2'];

/** All targets of a model. Position tables are left out: they are added to embeddings as a whole, without a look-up. */
export function loraTargets(model: PretrainedModel): LoraTarget[] {
  const names = moduleNames(model);
  const grouped = expertModules(model);
  const routers = new Set<unknown>(
    model.modules().flatMap((part) => (part instanceof MixtureOfExperts ? [part.router.named] : [])),
  );
  const hasOutProj = !WITHOUT_OUT_PROJ.includes(String(model.config.model_type));
  return weightPlaces(model).flatMap(({ part: module, path, names: weightNames, perHead, places }) => {
    if (!isWeightModule(module) || grouped.has(module) || isTableOfPositions(path.replace(/\.weight$/, ''))) return [];
    const sections = isProjection(module) ? module.sections : [outputsOf(module)];
    const isOfBody = !isEmbedding(module) && !path.startsWith('head.') && !routers.has(module);
    // PEFT adapts modules. XLNet's projections are parameters without a module.
    const isLinear = isOfBody && weightNames.every((name) => name === null || name.endsWith('weight'));
    // Modules in memory, and their names in checkpoints, which are alike if a fused projection is several modules.
    const inMemory = weightNames.flatMap((name) =>
      name === null
        ? [null]
        : sectionNames(names(name)).map((section) => ({ name: section, stored: storedModule(name) })),
    );
    const widths = inMemory.length > 1 ? sections : [sections.reduce((sum, width) => sum + width, 0)];
    let end = 0;
    return widths.flatMap((width, i) => {
      const start = end;
      end += width;
      const found = inMemory[i];
      if (!found) return [];
      const isIncluded = isLinear && (hasOutProj || lastOf(found.name) !== 'out_proj');
      return [{ ...found, path, module, places, start, end, perHead, isLinear: isIncluded, experts: null }];
    });
  });
}

/** The modules of a model that hold a matrix for each expert. */
export function expertModules(model: PretrainedModel): Set<Module> {
  const parts = model
    .modules()
    .flatMap((mixture) => mixture.groupedParts.map((key) => (mixture as unknown as Json)[key]));
  return new Set((parts as (Module | null)[]).flatMap((part) => (part === null ? [] : [part.named])));
}

/** True if a name is one of `ends`, or ends with the components of one. */
export const isNamedBy = (ends: readonly string[], name: string): boolean =>
  ends.some((end) => name === end || name.endsWith(`.${end}`));

const storedModule = (name: string) => name.replace(/\.(weight|bias)$/, '');

/** Number of features that a module returns. */
function outputsOf(module: WeightModule): number {
  const [rows, cols] = module.weight.shape as [number, number];
  return isEmbedding(module) ? cols : rows;
}

/** The targets that an option selects. Throws an ArgumentError that lists the known names if a name matches none. */
export function chosenTargets(all: readonly LoraTarget[], targets: LoraOptions['targets']): readonly LoraTarget[] {
  if (targets === undefined) return found(all, endsWith(QUERIES_AND_VALUES), 'queries and values');
  if (targets === 'all-linear') return found(all, ({ isLinear }) => isLinear, 'linears');
  if (targets instanceof RegExp) {
    const isWhole = (name: string) => targets.exec(name)?.[0] === name;
    return found(all, ({ name, stored }) => isWhole(name) || isWhole(stored), String(targets));
  }
  const names = typeof targets === 'string' ? [targets] : targets;
  if (!isTexts(names) || names.length === 0) {
    const expected = "a list of names, a regular expression or 'all-linear'";
    throw new ArgumentError(`lora: targets is ${describeValue(targets)}, expected ${expected}`);
  }
  for (const name of names) found(all, endsWith([name]), `"${name}"`);
  return found(all, endsWith(names), '');
}

const endsWith =
  (ends: readonly string[]) =>
  ({ name, stored }: LoraTarget) =>
    isNamedBy(ends, name) || isNamedBy(ends, stored);

function found(
  all: readonly LoraTarget[],
  isWanted: (target: LoraTarget) => boolean,
  what: string,
): readonly LoraTarget[] {
  const wanted = all.filter(isWanted);
  if (wanted.length > 0) return wanted;
  const known = (embeddings: boolean) => [
    ...new Set(all.filter(({ module }) => isEmbedding(module) === embeddings).map(({ name }) => lastOf(name))),
  ];
  throw new ArgumentError(
    `lora: targets names ${what}, which the model does not have: its linears are ${known(false).join(', ')}, ` +
      `its embeddings ${known(true).join(', ') || 'none'}`,
  );
}

/** The last component of a name. */
const lastOf = (name: string) => name.slice(name.lastIndexOf('.') + 1);

/** The last component of a name. A number, which other lists of modules have too, follows the name of its list. */
const endOf = (name: string) => /[^.]+(\.\d+)*$/.exec(name)?.[0] ?? name;

/** The shortest list of name endings that selects exactly `targets`: last components, or else whole names. */
export function targetNames(all: readonly LoraTarget[], targets: readonly LoraTarget[]): string[] {
  const ends = [...new Set(targets.map(({ name }) => endOf(name)))];
  return all.filter(endsWith(ends)).length === targets.length ? ends : targets.map(({ name }) => name);
}
