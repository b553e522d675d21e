// An adapter trains copies of some parameters: those of `modulesToSave`, and biases. The model uses the copies while
// the adapter is active, and otherwise the originals, as with PEFT's `disable_adapter`.

import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { sectionNames } from '../../models/module-names.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import type { LocatedParameter, Module } from '../../nn/module.js';
import { floatModule, isWeightModule } from '../../nn/packed-modules.js';
import { piecesOf, type StatePiece } from '../../nn/state-names.js';
import { moduleSlots } from '../../nn/substitution.js';
import { PackedWeight } from '../../nn/weight.js';
import { affineInto } from '../../ops/binary.js';
import { moduleNames } from './module-names.js';
import { weightPlaces } from './weight-places.js';

/** A property of a module with its original and its trained value. */
interface Exchange {
  readonly owner: Module;
  readonly key: string;
  readonly index: number | null;
  readonly original: Tensor | Module;
  readonly trained: Tensor | Module;
}

/** The copies that belong to one adapter. */
export class TrainedCopies {
  /** Each copy once. */
  readonly tensors: readonly Tensor[];
  /** The name of a copy of a table that the model shares under several names; null if there is none. */
  readonly separatedName: string | null;
  readonly #exchanges: readonly Exchange[];
  readonly #parameters: readonly LocatedParameter[];
  #inPlace = false;

  /**
   * `modules`: names of modules, or endings of names. `isBias`: true for further parameters, by their names in
   * checkpoints. Throws ArgumentError for a name that matches no module, and for a part of a fused linear layer.
   */
  constructor(model: PretrainedModel, modules: readonly string[], isBias: (name: string) => boolean) {
    const nameOf = moduleNames(model);
    const isSaved = (name: string) => modules.some((module) => within(nameOf(name), module)) || isBias(name);
    checkModules(model, modules);
    this.separatedName =
      weightPlaces(model).find(
        ({ names, hasOtherNames }) => hasOtherNames && names.some((name) => name && isSaved(name)),
      )?.names[0] ?? null;
    const exchanges = separated(model, isSaved);
    const trainedTensors = new Set(exchanges.map(({ trained }) => (trained as Module & { weight: Tensor }).weight));
    // With unpacked modules in place, each parameter to copy is a float32 tensor.
    for (const exchange of exchanges) put(exchange, exchange.trained);
    const copies = new Map<Module, Map<string, Tensor>>(); // a parameter under several names has one copy
    const parameters: LocatedParameter[] = [];
    for (const parameter of model.locatedParameters()) {
      const names = parameter.names.filter((name) => name !== null);
      const saved = names.filter(isSaved);
      if (saved.length === 0) continue;
      if (saved.length < names.length) throw besideOthers(names, saved[0] as string);
      const key = `${parameter.key}.${parameter.index}`;
      const ofOwner = copies.get(parameter.owner) ?? new Map<string, Tensor>();
      copies.set(parameter.owner, ofOwner);
      const known = ofOwner.get(key);
      const copy = known ?? (trainedTensors.has(parameter.tensor) ? parameter.tensor : copyOf(parameter.tensor));
      ofOwner.set(key, copy);
      copy.requiresGrad = true;
      parameters.push({ ...parameter, names: inSections(parameter.names, nameOf), tensor: copy });
      if (known === undefined && copy !== parameter.tensor)
        exchanges.push({
          owner: parameter.owner,
          key: parameter.key,
          index: parameter.index,
          original: parameter.tensor,
          trained: copy,
        });
    }
    this.#exchanges = exchanges;
    this.#parameters = parameters;
    this.tensors = [...new Set(parameters.map(({ tensor }) => tensor))];
    for (const exchange of [...exchanges].reverse()) put(exchange, exchange.original);
  }

  /** The copies in the form of PEFT's files. A parameter with several names appears under each of them. */
  pieces(): StatePiece[] {
    const seen = new Set<string>();
    return this.#parameters.flatMap(piecesOf).filter(({ name }) => !seen.has(name) && seen.add(name));
  }

  /** True if both adapters replace the same parameter. */
  clashWith(other: TrainedCopies): boolean {
    return this.#exchanges.some(({ owner, key, index }) =>
      other.#exchanges.some((exchange) => exchange.owner === owner && exchange.key === key && exchange.index === index),
    );
  }

  /** Puts the copies or the originals into the model. */
  set inPlace(inPlace: boolean) {
    if (inPlace === this.#inPlace) return;
    this.#inPlace = inPlace;
    const ordered = inPlace ? this.#exchanges : [...this.#exchanges].reverse();
    for (const exchange of ordered) put(exchange, inPlace ? exchange.trained : exchange.original);
  }

  get inPlace(): boolean {
    return this.#inPlace;
  }

  /** Puts the originals back, and frees the copies. */
  dispose(): void {
    this.inPlace = false;
    for (const tensor of this.tensors) tensor.dispose();
  }
}

/** Names of a parameter's sections, if it is fused in checkpoints and belongs to several modules in memory. */
function inSections(names: LocatedParameter['names'], nameOf: (name: string) => string): LocatedParameter['names'] {
  const [name] = names;
  const sections = names.length === 1 && name ? sectionNames(nameOf(name)) : [];
  const kind = name && /(weight|bias)$/.exec(name)?.[0];
  return sections.length > 1 ? sections.map((section) => `${section}.${kind}`) : names;
}

/**
 * True if the name of a module, or of one around it, ends with `wanted`. PEFT compares characters, so `classifier` also
 * names `pre_classifier` of DistilBERT.
 */
export function within(name: string, wanted: string): boolean {
  return `${name}.`.includes(`${wanted}.`);
}

function checkModules(model: PretrainedModel, modules: readonly string[]): void {
  const nameOf = moduleNames(model);
  const names = [...model.locatedParameters(), ...model.weightNames()].flatMap((entry) => entry.names);
  const known = [...new Set(names.flatMap((name) => (name === null ? [] : [nameOf(name)])))];
  for (const module of modules) {
    if (known.some((name) => within(name, module))) continue;
    const ends = [...new Set(known.map((name) => name.slice(name.lastIndexOf('.') + 1)))].join(', ');
    throw new ArgumentError(`lora: modulesToSave names "${module}", which the model does not have: it has ${ends}`);
  }
}

function besideOthers(names: readonly string[], saved: string): ArgumentError {
  return new ArgumentError(
    `lora: modulesToSave names a part of what is computed as one, ${saved}: name all of ${names.join(', ')}, or make it a target`,
  );
}

/**
 * Replaces modules that are to be trained. Packed ones become float32 modules, because packed weights cannot be trained.
 * An embedding with several names becomes one copy for each name, as in PEFT.
 */
function separated(model: PretrainedModel, isSaved: (name: string) => boolean): Exchange[] {
  const wanted = new Map<string, Module>();
  for (const { part, names, places, hasOtherNames } of weightPlaces(model)) {
    if (!isWeightModule(part) || !(part.weight instanceof PackedWeight || hasOtherNames)) continue;
    const presentNames = names.filter((name) => name !== null);
    const saved = presentNames.filter(isSaved);
    if (saved.length === 0) continue;
    if (saved.length < presentNames.length) throw besideOthers(presentNames, saved[0] as string);
    const copy = floatModule(part);
    for (const place of places) wanted.set(place, copy);
  }
  return [...moduleSlots(model)].flatMap(({ module, parent, key, index, path }) => {
    const trained = isWeightModule(module) ? wanted.get(path) : undefined;
    return trained ? [{ owner: parent, key, index, original: module, trained }] : [];
  });
}

function put({ owner, key, index }: Exchange, value: Tensor | Module): void {
  if (index === null) Object.assign(owner, { [key]: value });
  else (owner as unknown as Record<string, (Tensor | Module)[]>)[key]?.splice(index, 1, value);
}

function copyOf(tensor: Tensor): Tensor {
  const { device } = tensor;
  const copy = device.unscoped(() => device.empty(tensor.shape));
  device.noGrad(() => affineInto(tensor, copy, 1, false));
  return copy;
}
