// The places of a model's weights. An encoder–decoder may use one table of tokens under several names.

import type { PretrainedModel } from '../../models/pretrained-model.js';
import type { WeightNames } from '../../nn/module.js';

/** A part under one of its names. */
export interface WeightPlaces extends WeightNames {
  /** Paths of the properties that hold the part under this name. */
  readonly places: readonly string[];
  /** True if the model has the same part under further names. */
  readonly hasOtherNames: boolean;
}

/** The weights of all parts. A part with several names is listed once for each. */
export function weightPlaces(model: PretrainedModel): WeightPlaces[] {
  const places = new Map<string, string[]>();
  const numberOf = new Map<object, number>();
  const found = new Map<string, WeightNames>();
  const keysOf = new Map<object, Set<string>>();
  for (const weight of model.weightNames(true)) {
    const number = numberOf.get(weight.part) ?? numberOf.size;
    numberOf.set(weight.part, number);
    const key = `${number} ${weight.names}`;
    if (!found.has(key)) found.set(key, weight);
    places.set(key, [...(places.get(key) ?? []), weight.path.replace(/\.?weight$/, '')]);
    keysOf.set(weight.part, (keysOf.get(weight.part) ?? new Set()).add(key));
  }
  return [...found].map(([key, weight]) => ({
    ...weight,
    places: places.get(key) as string[],
    hasOtherNames: (keysOf.get(weight.part)?.size ?? 1) > 1,
  }));
}
