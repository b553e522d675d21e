// Adapters (LoRA): small matrices that are trained while a model's own weights are frozen, with PEFT's names and
// meaning.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { Random } from '../../core/random.js';
import type { Tensor } from '../../core/tensor.js';
import { type Adapter, PretrainedModel } from '../../models/pretrained-model.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { Dropout } from '../../nn/dropout.js';
import type { Linear } from '../../nn/linear.js';
import { LoraGrouped } from '../../nn/lora-grouped.js';
import { LoraLayer } from '../../nn/lora-layer.js';
import { LoraEmbedding, LoraLinear, LoraModule } from '../../nn/lora-modules.js';
import { isEmbedding, isProjection, type PackedLinear, type WeightModule } from '../../nn/packed-modules.js';
import { moduleSlots, substitute } from '../../nn/substitution.js';
import { PackedWeight } from '../../nn/weight.js';
import { expertTargets, parameterOf } from './expert-targets.js';
import {
  type LoraOptions,
  type LoraSettings,
  loraSettings,
  patternValue,
  type SaveLoraOptions,
} from './lora-options.js';
import { type LoraPart, PEFT_PREFIX, savedName } from './lora-parts.js';
import { chosenTargets, isNamedBy, type LoraTarget, loraTargets } from './lora-targets.js';
import { headModules, moduleNames } from './module-names.js';
import { TrainedCopies, within } from './trained-copies.js';
import { weightPlaces } from './weight-places.js';

/** Parameters that were trainable before a model got its first adapter. */
const frozen = new WeakMap<PretrainedModel, Tensor[]>();

/** One adapter of a model. */
export class Lora implements Adapter {
  readonly name: string;
  readonly settings: LoraSettings;
  readonly modulesToSave: readonly string[];
  readonly parts: readonly LoraPart[];
  /** @internal */
  readonly copies: TrainedCopies;
  #isActive = false;
  #isMerged = false;

  /** @internal See `lora`. */
  constructor(
    readonly model: PretrainedModel,
    options: LoraOptions,
    /** Ranks of all targets by name, and the names of all tensors, if a file gives them. */
    file: { readonly ranks: ReadonlyMap<string, number>; readonly names: ReadonlySet<string> } | null = null,
  ) {
    this.settings = loraSettings(options);
    const { name } = this.settings;
    const ranks = file?.ranks ?? null;
    if (model.adapters.has(name)) throw new ArgumentError(`lora: the model has an adapter ${name} already`);
    this.name = name;
    this.modulesToSave = options.modulesToSave ?? headModules(model);
    const isSaved = (target: LoraTarget) => this.modulesToSave.some((module) => within(target.name, module));
    // PEFT's order: a module that is saved as a whole is not a target.
    const experts = expertTargets(model, this.settings.targetParameters);
    const all = [...loraTargets(model), ...experts].filter((target) => !isSaved(target));
    const targets = ranks === null ? optionTargets(all, options) : namedTargets(all, ranks);
    const copies = new TrainedCopies(model, this.modulesToSave, biasesOf(model, this.settings, file?.names));
    this.copies = copies;
    freeze(model);
    const wrapperOf = wrappers(model);
    this.parts = targets.map((target, i) => {
      const modules = wrapperOf(target);
      const layer = this.#layerOf(target, modules[0], ranks?.get(target.name), new Random(this.settings.seed, i));
      layer.train(model.training);
      for (const module of modules) module.adapters.push(layer);
      return { target, layer, modules };
    });
    model.addAdapter(this);
    const beside = [...model.adapters.values()].filter(
      (adapter) => adapter.isActive && !(adapter instanceof Lora && adapter.copies.clashWith(copies)),
    );
    model.setAdapter([...beside.map((adapter) => adapter.name), name]);
  }

  #layerOf(target: LoraTarget, module: LoraModule, known: number | undefined, random: Random): LoraLayer {
    const { model, settings } = this;
    const { name, start, end, experts } = target;
    const { dropout, rsLora, dora, bias, loraBias } = settings;
    if (experts !== null && (dora || loraBias || dropout > 0))
      throw new ArgumentError(
        `lora: ${experts.parameter} has an adapter, expected no dora, loraBias or dropout with it`,
      );
    if (loraBias && isEmbedding(target.module))
      throw new ArgumentError(`lora: loraBias is true, expected false for the embedding ${name}`);
    const count = experts?.count ?? 1;
    const key = isNamedBy(settings.targetParameters, parameterOf(target)) ? parameterOf(target) : name;
    const ownRank = patternValue('rankPattern', settings.rankPattern, key) ?? settings.r;
    const rank = known === undefined ? ownRank : Math.ceil(known / count);
    const alpha = patternValue('alphaPattern', settings.alphaPattern, key) ?? settings.alpha;
    return new LoraLayer(module, {
      device: model.device,
      name: `${PEFT_PREFIX}${name}`,
      adapter: this.name,
      start,
      end,
      rank: count * rank,
      dora,
      random,
      isEmbedding: isEmbedding(target.module),
      inputs: inputsOf(target.module),
      scaling: alpha / (rsLora ? Math.sqrt(rank) : rank),
      trainsBias: bias === 'lora_only' && experts === null,
      addsBias: loraBias,
      dropout: dropout > 0 && !isEmbedding(target.module) ? new Dropout(dropout, model.dropoutSource) : null,
    });
  }

  /** True while the model computes with this adapter. `model.setAdapter` switches adapters. */
  get isActive(): boolean {
    return this.#isActive;
  }

  set isActive(active: boolean) {
    if (active === this.#isActive) return;
    if (active) this.#checkAlone();
    this.#isActive = active;
    for (const { layer } of this.parts) layer.isActive = active;
    this.copies.inPlace = active || this.isMerged;
    this.model.partsChanged();
  }

  /** Throws ArgumentError if an active adapter replaces the same modules. */
  #checkAlone(): void {
    for (const other of this.model.adapters.values()) {
      if (other === this || !(other instanceof Lora && other.copies.inPlace && other.copies.clashWith(this.copies)))
        continue;
      throw new ArgumentError(
        `setAdapter: the adapters ${other.name} and ${this.name} replace the same modules: switch one of them off`,
      );
    }
  }

  get isAdded(): boolean {
    return this.saved.length === 0;
  }

  /** The adapter's copies of modules and biases. */
  get saved(): readonly Tensor[] {
    return this.copies.tensors;
  }

  /** All trained tensors: the adapter's matrices, and the copies of modules that are saved as a whole. */
  parameters(): Tensor[] {
    return [...this.parts.flatMap(({ layer }) => layer.tensors().map(([, tensor]) => tensor)), ...this.saved];
  }

  /**
   * Adds the adapter to the model's weights, so that it costs no time. The sum stays until `unmerge`, whichever
   * adapters are active. Packed weights are unpacked for this, because rounding them again would lose small changes.
   * `quantize` packs them again. Throws OutOfMemoryError, and ArgumentError if the adapter changes a table that the model
   * shares under several names, because files store it once.
   */
  merge(): this {
    const shared = weightPlaces(this.model).filter(({ part }) => isEmbedding(part as WeightModule));
    const changed = this.parts.flatMap(({ target }) => target.places);
    const split = shared.find(
      ({ hasOtherNames, places }) => hasOtherNames && places.some((at) => changed.includes(at)),
    );
    const name = split?.names[0] ?? this.copies.separatedName;
    if (name !== null)
      throw new ArgumentError(`merge: ${this.name} changes ${name}, a table that has several names: use it unmerged`);
    this.#isMerged = true;
    this.copies.inPlace = true;
    for (const { layer, modules } of this.parts) for (const module of modules) module.merge(layer);
    this.model.partsChanged();
    return this;
  }

  /** Removes the adapter from the weights, which then have the same bits as before `merge`. */
  unmerge(): this {
    this.#isMerged = false;
    for (const { layer, modules } of this.parts) for (const module of modules) module.unmerge(layer);
    this.copies.inPlace = this.#isActive;
    this.model.partsChanged();
    return this;
  }

  get isMerged(): boolean {
    return this.#isMerged;
  }

  /**
   * Writes the adapter to a folder as PEFT does: `adapter_config.json`, `adapter_model.safetensors` and the tokenizer's
   * files. If the adapter includes a classifier's head, `head.json` has its labels. `loadModel`, `loadLora` and
   * Python's `PeftModel.from_pretrained` read the folder.
   */
  async save(folder: string | URL, options: SaveLoraOptions = {}): Promise<void> {
    const { saveLora } = await import('./save-lora.js');
    await saveLora(this, folder, options);
  }

  /** The files of `save` by name, in memory. Use it in pages, which have no folders. */
  async toFiles(options: SaveLoraOptions = {}): Promise<Record<string, Uint8Array>> {
    const { loraFiles } = await import('./save-lora.js');
    return loraFiles(this, options);
  }

  /** Removes the adapter from the model. Removing the last adapter makes the model's own parameters trainable again. */
  dispose(): void {
    this.unmerge();
    this.isActive = false;
    for (const { layer, modules } of this.parts) {
      for (const module of modules) module.adapters.splice(module.adapters.indexOf(layer), 1);
      layer.dispose();
    }
    this.copies.dispose();
    unwrap(this.model);
    this.model.removeAdapter(this);
    if (this.model.adapters.size > 0) return;
    for (const tensor of frozen.get(this.model) ?? []) tensor.requiresGrad = true;
    fixStatistics(this.model, false);
    frozen.delete(this.model);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Adds an adapter to a model (LoRA, Hu et al. 2021): a linear layer x·W becomes x·W + x·a·b·alpha/r. Only a, b and a
 * copy of a classifier's head are trained. All other parameters are frozen, and may be packed. A model can have several
 * adapters by name. `model.setAdapter`, or the option `adapter` of a call, selects one.
 *
 *     const adapter = lora(model, { r: 8, alpha: 16, targets: ['q_proj', 'v_proj'] });
 *     await fit(new CausalLanguageModel(model), rows, { epochs: 3 });
 *     await adapter.save('adapter');
 *
 * Throws ArgumentError for invalid options, and for targets and modules that the model lacks.
 */
export function lora(model: PretrainedModel, options: LoraOptions = {}): Lora {
  if (!(model instanceof PretrainedModel))
    throw new ArgumentError(`lora: the model is ${describeValue(model)}, expected the result of loadModel`);
  return new Lora(model, options);
}

/**
 * Returns a function that is true for the biases that an adapter trains beside its targets, by their names. PEFT trains
 * what ends with `.bias`. Older versions trained and saved all names that contain `bias`.
 */
function biasesOf(
  model: PretrainedModel,
  { bias }: LoraSettings,
  names: ReadonlySet<string> = new Set(),
): (name: string) => boolean {
  if (bias !== 'all') return () => false;
  const nameOf = moduleNames(model);
  return (name) => /\.bias$/.test(name) || (/bias/.test(name) && names.has(PEFT_PREFIX + savedName(nameOf, name)));
}

/** The targets that the options select. */
function optionTargets(all: readonly LoraTarget[], { targets, targetParameters = [] }: LoraOptions) {
  const byName = all.filter((target) => isNamedBy(targetParameters, parameterOf(target)));
  for (const parameter of targetParameters)
    if (!byName.some((target) => isNamedBy([parameter], parameterOf(target))))
      throw new ArgumentError(`lora: targetParameters names "${parameter}", which the model does not have`);
  const modules = all.filter((target) => target.experts === null && !byName.includes(target));
  const none = Array.isArray(targets) && targets.length === 0 && byName.length > 0;
  return none ? byName : [...chosenTargets(modules, targets), ...byName];
}

/** The targets that a file names. Throws ArgumentError if the model lacks one of them. */
function namedTargets(all: readonly LoraTarget[], ranks: ReadonlyMap<string, number>): readonly LoraTarget[] {
  const known = [...all, ...fusedTargets(all)];
  const missing = [...ranks.keys()].find((name) => !known.some((target) => target.name === name));
  if (missing !== undefined) chosenTargets(all, [missing]); // throws
  return known.filter(({ name }) => ranks.has(name));
}

/**
 * Fused projections of checkpoints, which are several modules in transformers 5. Older adapters change them as a whole.
 */
function fusedTargets(all: readonly LoraTarget[]): LoraTarget[] {
  return all.flatMap((first) => {
    const { module, stored, start } = first;
    const sections = all.filter((target) => target.module === module && target.stored === stored);
    return sections.length > 1 && start === 0 ? [{ ...first, name: stored, end: sections.at(-1)?.end ?? 0 }] : [];
  });
}

/** Returns the wrappers that hold a target's adapters. Replaces modules by new wrappers where there are none yet. */
function wrappers(model: PretrainedModel): (target: LoraTarget) => readonly [LoraModule, ...LoraModule[]] {
  const slots = [...moduleSlots(model)];
  const found = new Map<string, LoraModule>();
  for (const { module, path } of slots) if (module instanceof LoraModule) found.set(path, module);
  const wrapperOf = ({ module, places }: Pick<LoraTarget, 'module' | 'places'>, make: () => LoraModule) => {
    const known = found.get(places[0] as string);
    if (known !== undefined) return known;
    const wrapper = make();
    for (const slot of slots) if (slot.module === module && places.includes(slot.path)) substitute(slot, wrapper);
    for (const place of places) found.set(place, wrapper);
    return wrapper;
  };
  return (target) => {
    const { module, experts } = target;
    if (experts === null)
      return [wrapperOf(target, () => (isEmbedding(module) ? new LoraEmbedding(module) : new LoraLinear(module)))];
    const { count, further } = experts;
    const groupedAt = (at: Pick<LoraTarget, 'module' | 'places'>, first: number) =>
      wrapperOf(at, () => new LoraGrouped(at.module as Linear | PackedLinear, count, first));
    const first = groupedAt(target, 0);
    return further === null ? [first] : [first, groupedAt(further, (first as LoraGrouped).width)];
  };
}

/** Puts the original modules back where no adapter is left. */
function unwrap(model: PretrainedModel): void {
  for (const slot of [...moduleSlots(model)]) {
    const { module } = slot;
    if (module instanceof LoraModule && module.adapters.length === 0) substitute(slot, module.original);
  }
}

/** Number of features that a module reads, or number of rows of a table. Packed weights are [out, in]. */
function inputsOf(module: WeightModule): number {
  const [rows, cols] = module.weight.shape as [number, number];
  if (isEmbedding(module)) return rows;
  return isProjection(module) && !(module.weight instanceof PackedWeight) ? rows : cols;
}

/** Freezes all parameters except those of adapters. */
function freeze(model: PretrainedModel): void {
  const adapters = [...model.adapters.values()].flatMap((adapter) => (adapter instanceof Lora ? adapter.saved : []));
  const before = frozen.get(model) ?? [];
  for (const { tensor } of model.statePieces()) {
    if (!tensor.requiresGrad || adapters.includes(tensor)) continue;
    before.push(tensor);
    tensor.requiresGrad = false;
  }
  frozen.set(model, before);
  fixStatistics(model, true);
}

/** Batch normalization uses its running statistics while a model is frozen, also in training mode. */
function fixStatistics(model: PretrainedModel, isFixed: boolean): void {
  for (const module of model.modules()) if (module instanceof BatchNorm) module.isFixed = isFixed;
}
