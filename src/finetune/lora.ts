// Adapters: small matrices that are trained beside the frozen weights of a model, with PEFT's names and meaning.

import { checkKnown, checkNumber, describeValue, isCount } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { Tensor } from '../core/tensor.js';
import type { Adapter, PretrainedModel } from '../models/pretrained-model.js';
import { Dropout } from '../nn/dropout.js';
import type { Linear } from '../nn/linear.js';
import { LoraLayer } from '../nn/lora-layer.js';
import { LoraLinear, LoraModule } from '../nn/lora-modules.js';
import type { Module, WeightNames } from '../nn/module.js';
import { isProjection, type PackedLinear } from '../nn/packed-modules.js';
import { type Place, placesIn, substitute } from '../nn/substitution.js';
import { type LoraParts, type LoraSettings, PEFT_PREFIX } from './lora-parts.js';
import { headModules, moduleNames } from './peft-names.js';

export interface LoraOptions {
  /** Rank of the change. Default: 8. */
  r?: number | undefined;
  /** The change is multiplied by alpha / r. Default: 8. */
  alpha?: number | undefined;
  /** Of what a change reads, in training. Default: 0. */
  dropout?: number | undefined;
  /**
   * Which projections change: names as checkpoints have them, or their ends, such as `q_proj`; a regular expression for the
   * whole name; or 'all-linear', all but what predicts. Default: queries and values, as PEFT's.
   */
  targets?: readonly string[] | RegExp | 'all-linear' | undefined;
  /** Whether the change is multiplied by alpha / √r (Kalajdzievski 2023). Default: false. */
  rsLora?: boolean | undefined;
  /** Whether columns have magnitudes of their own (DoRA). Default: false. */
  dora?: boolean | undefined;
  /** Parts that are trained and saved whole. Default: the head of a classifier. */
  modulesToSave?: readonly string[] | undefined;
  /** Default: 'default'. */
  name?: string | undefined;
  /** Draws the matrices. Default: 0. */
  seed?: number | undefined;
}

/** The ends of names of queries and values, or of what has them inside, by which PEFT's defaults choose. */
const QUERIES_AND_VALUES = [
  ...['query', 'value', 'q_proj', 'v_proj', 'q', 'v', 'q_lin', 'v_lin', 'query_proj', 'value_proj'],
  ...['c_attn', 'query_key_value', 'qkv_proj', 'Wqkv', 'in_proj'],
];

/** A projection, or a section of one, that an adapter changes. */
interface Target {
  readonly name: string;
  readonly part: Linear | PackedLinear;
  readonly start: number;
  readonly end: number;
  readonly perHead: number | null;
}

/** One adapter of a model. */
export class Lora implements Adapter, LoraParts {
  readonly name: string;
  readonly options: LoraSettings;
  readonly layers: LoraParts['layers'];
  /** Parameters of the model that are trained and saved whole. */
  readonly saved: readonly Tensor[];
  /** Those that were trained before. */
  readonly #frozen: readonly Tensor[];

  /** @internal See `lora`. */
  constructor(
    readonly model: PretrainedModel,
    options: LoraOptions,
    /** Ranks of single targets, by name. */
    ranks: ReadonlyMap<string, number> = new Map(),
  ) {
    const names = ['r', 'alpha', 'dropout', 'targets', 'rsLora', 'dora', 'modulesToSave', 'name', 'seed'] as const;
    const given = checkKnown('lora', options, names);
    const { r = 8, alpha = 8, dropout = 0, rsLora = false, dora = false, name = 'default', seed = 0 } = given;
    checkNumber('lora', 'r', r, isCount, 'a positive integer');
    checkNumber('lora', 'alpha', alpha, (value) => value > 0, 'a positive number');
    checkNumber('lora', 'dropout', dropout, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
    if (typeof name !== 'string' || !/^[\w-]+$/.test(name))
      throw new ArgumentError(`lora: name is ${describeValue(name)}, expected letters, digits, _ and -`);
    if (model.adapters.has(name)) throw new ArgumentError(`lora: the model has an adapter ${name} already`);
    const targets = chosen(model, given.targets, ranks);
    const modulesToSave = given.modulesToSave ?? headModules(model);
    this.name = name;
    this.saved = savedTensors(model, modulesToSave);
    if (this.saved.length > 0) checkOnlyOne(model);
    this.options = {
      ...{ r, alpha, dropout, rsLora, dora, modulesToSave },
      targets: [...new Set(targets.map((each) => each.name.slice(each.name.lastIndexOf('.') + 1)))],
    };
    const { device } = model;
    const wrapperOf = wrappers(model);
    this.layers = targets.map(({ name: path, part, start, end, perHead }, i) => {
      const rank = ranks.get(path) ?? r;
      const module = wrapperOf(part);
      const layer = new LoraLayer(module, {
        ...{ device, start, end, rank, dora, isEmbedding: false, trainsBias: false },
        name: `${PEFT_PREFIX}${path}`,
        inputs: inputsOf(part),
        scaling: alpha / (rsLora ? Math.sqrt(rank) : rank),
        dropout: dropout > 0 ? new Dropout(dropout, model.dropoutSource) : null,
        random: new Random(seed, i),
      });
      layer.train(model.training);
      module.adapters.push(layer);
      return { layer, module, perHead };
    });
    this.#frozen = freeze(model, this.saved);
    model.addAdapter(this);
    model.setAdapter([...model.activeAdapters, name]);
  }

  get isActive(): boolean {
    return this.layers.some(({ layer }) => layer.isActive);
  }

  set isActive(active: boolean) {
    for (const { layer } of this.layers) layer.isActive = active;
  }

  /** What is trained: its matrices, and the parts that are saved whole. */
  parameters(): Tensor[] {
    return [...this.layers.flatMap(({ layer }) => layer.tensors().map(([, tensor]) => tensor)), ...this.saved];
  }

  /**
   * Adds what it changes to the model's weights, which then cost no more than without it. Packed weights are unpacked for
   * that: rounded once more, they would forget small changes; `quantize` packs them again. Throws OutOfMemoryError.
   */
  merge(): this {
    for (const { layer, module } of this.layers) module.merge(layer);
    this.model.partsChanged();
    return this;
  }

  /** Takes the change out of the model's weights, which are then the same to the bit as before `merge`. */
  unmerge(): this {
    for (const { layer, module } of this.layers) module.unmerge(layer);
    this.model.partsChanged();
    return this;
  }

  get isMerged(): boolean {
    return this.layers.some(({ layer, module }) => module.isMerged(layer));
  }

  /**
   * Writes `adapter_config.json` and `adapter_model.safetensors`, and the tokenizer's files, to a folder, as PEFT does:
   * `loadLora` reads it, and so does Python's `PeftModel.from_pretrained`. `baseModel`: the folder or id of the model that it
   * belongs to, for who loads it. Default: what the model was loaded from.
   */
  async save(folder: string | URL, options: { baseModel?: string | undefined } = {}): Promise<void> {
    const { saveLora } = await import('./save-lora.js');
    await saveLora(this, folder, options);
  }

  /** What `save` writes, in memory, by name: for pages, which have no folders. */
  async toFiles(options: { baseModel?: string | undefined } = {}): Promise<Record<string, Uint8Array>> {
    const { loraFiles } = await import('./save-lora.js');
    return loraFiles(this, options);
  }

  /** Takes it off the model, whose weights are as they were; what was frozen is trained again. */
  dispose(): void {
    this.unmerge();
    for (const { layer, module } of this.layers) {
      module.adapters.splice(module.adapters.indexOf(layer), 1);
      layer.dispose();
    }
    unwrap(this.model);
    this.model.removeAdapter(this);
    if (this.model.adapters.size === 0) for (const tensor of this.#frozen) tensor.requiresGrad = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Puts an adapter on a model (LoRA): its projections x·W become x·W + x·a·b·alpha/r, of which a and b alone are trained, and
 * the head of a classifier; all else is frozen. Weights may be packed. A model can have several adapters, by name, which `model.setAdapter` or the option `adapter` of a call switch.
 *
 *     const adapter = lora(model, { r: 8, alpha: 16, targets: ['q_proj', 'v_proj'] });
 *     await fit(new CausalLanguageModel(model), rows, { epochs: 3 });
 *     await adapter.save('adapter');
 *
 * Throws ArgumentError for options that make no sense and targets that the model has not.
 */
export function lora(model: PretrainedModel, options: LoraOptions = {}): Lora {
  return new Lora(model, options);
}

/** The projections that options choose. Throws ArgumentError if there is none. */
function chosen(
  model: PretrainedModel,
  targets: LoraOptions['targets'],
  ranks: ReadonlyMap<string, number>,
): readonly Target[] {
  const all = linearTargets(model);
  const isWanted = (name: string, path: string): boolean => {
    if (ranks.size > 0) return ranks.has(name);
    if (targets === 'all-linear') return !path.startsWith('head.');
    if (targets instanceof RegExp) return targets.exec(name)?.[0] === name;
    const ends = targets ?? QUERIES_AND_VALUES;
    return ends.some((end) => name === end || name.endsWith(`.${end}`));
  };
  const wanted = all.filter(({ name, path }) => isWanted(name, path));
  const missing = ranks.size > 0 ? [...ranks.keys()].filter((name) => !all.some((each) => each.name === name)) : [];
  if (wanted.length > 0 && missing.length === 0) return wanted;
  const known = [...new Set(all.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))].join(', ');
  const what = missing[0] ?? (targets instanceof RegExp ? String(targets) : describeValue(targets ?? 'queries'));
  throw new ArgumentError(`lora: the model has no target ${what}: its projections are called ${known}`);
}

function linearTargets(model: PretrainedModel): (Target & { readonly path: string })[] {
  const names = moduleNames(model);
  return model.weightNames().flatMap(({ part, path, names: own, perHead }: WeightNames) => {
    if (!isProjection(part)) return [];
    const widths = own.length > 1 ? part.sections : [part.sections.reduce((sum, width) => sum + width, 0)];
    let end = 0;
    return widths.flatMap((width, i) => {
      const start = end;
      end += width;
      const name = own[i];
      return name == null ? [] : [{ name: names(name), path, part, start, end, perHead }];
    });
  });
}

/** Gives the module with adapters that stands in place of a projection, and puts it there if there is none yet. */
function wrappers(model: PretrainedModel): (part: Target['part']) => LoraLinear {
  const places = [...placesIn(model)];
  const found = new Map<Module, LoraLinear>();
  for (const { module } of places) if (module instanceof LoraLinear) found.set(module.base, module);
  return (part) => {
    const module = found.get(part) ?? new LoraLinear(part);
    if (!found.has(part)) replace(places, part, module);
    found.set(part, module);
    return module;
  };
}

/** Puts the original modules back where no adapter is left. */
function unwrap(model: PretrainedModel): void {
  const places = [...placesIn(model)];
  for (const { module } of places)
    if (module instanceof LoraModule && module.adapters.length === 0) replace(places, module, module.original);
}

function replace(places: readonly Place[], module: Module, other: Module): void {
  for (const place of places) if (place.module === module) substitute(place, other);
}

/** The number of features that a projection reads. */
function inputsOf(part: Target['part']): number {
  return (part.weight instanceof Tensor ? part.weight.shape[0] : part.weight.shape[1]) as number;
}

function savedTensors(model: PretrainedModel, modules: readonly string[]): Tensor[] {
  const names = moduleNames(model);
  const isSaved = (name: string) => modules.some((module) => `.${name}.`.includes(`.${module}.`));
  return [
    ...new Set(
      model
        .statePieces()
        .filter(({ name }) => isSaved(names(name)))
        .map(({ tensor }) => tensor),
    ),
  ];
}

/** What is saved whole is in the model itself, which has it once. */
function checkOnlyOne(model: PretrainedModel): void {
  for (const adapter of model.adapters.values()) {
    if (!(adapter instanceof Lora && adapter.saved.length > 0)) continue;
    throw new ArgumentError(
      `lora: the adapter ${adapter.name} trains the head of this model, as another one would: give modulesToSave: []`,
    );
  }
}

/** Freezes all but adapters and `kept`; returns what was trained before. */
function freeze(model: PretrainedModel, kept: readonly Tensor[]): Tensor[] {
  const own = new Set(model.statePieces().map(({ tensor }) => tensor));
  const frozen = [...own].filter((tensor) => tensor.requiresGrad && !kept.includes(tensor));
  for (const tensor of frozen) tensor.requiresGrad = false;
  return frozen;
}
