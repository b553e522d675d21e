// The tensors of a model that hold a matrix for each expert of a mixture. PEFT calls them target parameters.

import type { PretrainedModel } from '../../models/pretrained-model.js';
import { isProjection } from '../../nn/packed-modules.js';
import { expertModules, isNamedBy, type LoraTarget } from './lora-targets.js';
import { moduleNames } from './module-names.js';
import { weightPlaces } from './weight-places.js';

/** PEFT's name of a target's weight. */
export function parameterOf({ name, experts }: LoraTarget): string {
  return experts?.parameter ?? `${name}.weight`;
}

/**
 * The targets among the experts' tensors, by the option `targetParameters`. PEFT nests them if a module has several:
 * all but the last get the name of an inner layer.
 */
export function expertTargets(model: PretrainedModel, chosen: readonly string[]): LoraTarget[] {
  const targets = allExpertTargets(model).filter((target) => isNamedBy(chosen, parameterOf(target)));
  return targets.map((target, i) => {
    const isInner = targets.slice(i + 1).some(({ name }) => name === target.name);
    return isInner ? { ...target, name: `${target.name}.base_layer` } : target;
  });
}

function allExpertTargets(model: PretrainedModel): LoraTarget[] {
  const nameOf = moduleNames(model);
  const modules = expertModules(model);
  const found = new Map<string, LoraTarget>();
  for (const { part: module, path, names, places, leading, stacked, flat } of weightPlaces(model)) {
    const isFused = leading.length > 0 || (stacked > 1 && !flat);
    const [first] = names;
    if (!modules.has(module) || !isProjection(module) || first == null || (names.length === 1 && !isFused)) continue;
    const stored = names.length === 1 ? first : fusedName(first, path);
    const parameter = /\.weight$/.test(stored) ? `${nameOf(stored)}.weight` : nameOf(stored);
    const before = found.get(parameter);
    const count = module.sections.length;
    const end = module.sections[0] as number;
    const name = parameter.slice(0, parameter.lastIndexOf('.'));
    const experts = { count, parameter, further: null };
    if (before === undefined)
      found.set(parameter, {
        name,
        stored,
        path,
        module,
        places,
        start: 0,
        end,
        perHead: null,
        isLinear: false,
        experts,
      });
    else
      found.set(parameter, {
        ...before,
        end: before.end + end,
        experts: { ...experts, further: { module, places } },
      });
  }
  return [...found.values()];
}

/** The name in transformers' memory of a tensor that checkpoints store in parts, one for each expert. */
function fusedName(name: string, path: string): string {
  const kind = /\bdowns\.weight$/.test(path) ? 'down_proj' : 'gate_up_proj';
  return name.replace(/\.0\.[^.]+\.weight$/, `.${kind}`);
}
