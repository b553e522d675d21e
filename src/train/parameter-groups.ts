// Groups parameters by their names, to set which are trained, their rates and their weight decay.

import {
  checkArray,
  checkKnown,
  checkMethod,
  checkNumber,
  isNotNegative,
  isPositiveShare,
  POSITIVE_SHARE,
} from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** Parameters with settings of their own: usually biases and norms without weight decay. */
export interface ParameterGroup {
  params: readonly Tensor[];
  /** A fixed rate, which `step({ lr })` does not change. Default: the optimizer's. */
  lr?: number | undefined;
  weightDecay?: number | undefined;
}

/** A model or an objective, whose tensors have names. */
export interface NamedTensors {
  namedTensors(): [name: string, tensor: Tensor][];
  /** @internal Names in state dicts. A fused tensor has several, for example those of queries, keys and values. */
  statePieces?(): readonly { readonly name: string; readonly tensor: Tensor }[];
}

/** Returns the tensors of a model with all of their names: those in the model and those in its checkpoint. */
function allNames(model: NamedTensors): (readonly [names: readonly string[], tensor: Tensor])[] {
  const stored = new Map<Tensor, string[]>();
  for (const { name, tensor } of model.statePieces?.() ?? []) stored.set(tensor, [...(stored.get(tensor) ?? []), name]);
  return model.namedTensors().map(([name, tensor]) => [[name, ...(stored.get(tensor) ?? [])], tensor] as const);
}

/**
 * A name of a parameter, a prefix of names that ends before a point, or a regular expression that is searched in names.
 */
export type NamePattern = string | RegExp;

/** Settings of the parameters whose names match. */
export interface GroupRule {
  pattern: NamePattern | readonly NamePattern[];
  /** A fixed learning rate. Default: the rate of the optimizer's steps. */
  lr?: number | undefined;
  /** Weight decay. Default: the optimizer's. */
  weightDecay?: number | undefined;
}

/**
 * Groups the parameters that require gradients, for an optimizer. Each parameter belongs to the first rule whose
 * pattern matches its name. The other parameters form a group without settings.
 *
 *     new AdamW(parameterGroups(model, [
 *       { pattern: /bias$|LayerNorm/, weightDecay: 0 },
 *       { pattern: 'classifier', lr: 1e-3 },
 *     ]), { weightDecay: 0.01 });
 *
 * Throws ArgumentError for a pattern that matches no parameter.
 */
export function parameterGroups(model: NamedTensors, rules: readonly GroupRule[]): ParameterGroup[] {
  const groups = rules.map(({ pattern, ...settings }) => ({ pattern, group: { ...settings, params: [] as Tensor[] } }));
  const ungrouped: Tensor[] = [];
  for (const [names, tensor] of allNames(model)) {
    if (!tensor.requiresGrad) continue;
    const group = groups.find(({ pattern }) => fits(names, pattern));
    (group?.group.params ?? ungrouped).push(tensor);
  }
  const unused = groups.find(({ group }) => group.params.length === 0);
  if (unused !== undefined)
    throw new ArgumentError(
      `parameterGroups: ${String(unused.pattern)} matches no parameter that earlier patterns leave`,
    );
  const defaultGroup = ungrouped.length > 0 ? [{ params: ungrouped }] : [];
  return [...groups.map(({ group }) => group), ...defaultGroup];
}

/**
 * Makes groups whose rates decrease from the last layer to the first (Howard & Ruder 2018). The rate is `lr` for
 * modules after the layers, `lr·decay` for the last layer, `lr·decay²` for the layer before it, and so on. The first
 * number in a parameter's name is the index of its layer. Parameters without a number that come before all layers are
 * embeddings, which have the lowest rate. Weight decay is that of the optimizer.
 */
export function layerwiseGroups(model: NamedTensors, options: { lr: number; decay: number }): ParameterGroup[] {
  const { lr, decay } = checkKnown('layerwiseGroups', options, ['lr', 'decay']);
  checkNumber('layerwiseGroups', 'lr', lr, isNotNegative, 'a number, 0 or more');
  checkNumber('layerwiseGroups', 'decay', decay, isPositiveShare, POSITIVE_SHARE);
  const named = model.namedTensors();
  const layers = named.map(([name]) => /\.(\d+)\./.exec(name)?.[1]).map((n) => (n === undefined ? null : Number(n)));
  const first = layers.findIndex((layer) => layer !== null);
  const depth = 1 + layers.reduce<number>((max, layer) => Math.max(max, layer ?? -1), -1);
  const byDistance = new Map<number, Tensor[]>();
  named.forEach(([, tensor], i) => {
    if (!tensor.requiresGrad) return;
    const layer = layers[i] ?? (i < first ? -1 : depth);
    const distance = depth - layer;
    byDistance.set(distance, [...(byDistance.get(distance) ?? []), tensor]);
  });
  return [...byDistance].map(([distance, params]) => ({ params, lr: lr * decay ** distance }));
}

/**
 * Freezes the parameters whose names match, so that no optimizer changes them; returns their number. `unfreeze`
 * reverses this. Throws ArgumentError if no name matches.
 */
export function freeze(model: NamedTensors, patterns: NamePattern | readonly NamePattern[]): number {
  return setTrained('freeze', model, patterns, false);
}

/** See `freeze`. */
export function unfreeze(model: NamedTensors, patterns: NamePattern | readonly NamePattern[]): number {
  return setTrained('unfreeze', model, patterns, true);
}

function setTrained(
  op: string,
  model: NamedTensors,
  patterns: NamePattern | readonly NamePattern[],
  trained: boolean,
): number {
  checkMethod(op, 'model', model, 'namedTensors', 'a module or a model');
  const chosen = allNames(model).filter(([names]) => fits(names, patterns));
  if (chosen.length === 0) throw new ArgumentError(`${op}: ${String(patterns)} matches no parameter`);
  for (const [, tensor] of chosen) tensor.requiresGrad = trained;
  return chosen.length;
}

function fits(names: readonly string[], patterns: NamePattern | readonly NamePattern[]): boolean {
  return [patterns].flat().some((pattern) =>
    names.some((name) => {
      if (typeof pattern !== 'string') return (pattern as RegExp).test(name);
      return name === pattern || name.startsWith(`${pattern}.`);
    }),
  );
}

/** @internal Checks the first argument of an optimizer and returns its groups. */
export function groupsOf(op: string, params: readonly Tensor[] | readonly ParameterGroup[]): readonly ParameterGroup[] {
  checkArray(op, 'params', params, 'an array of tensors');
  const isGroups = params.length > 0 && params.every((group) => Array.isArray((group as ParameterGroup)?.params));
  const groups = isGroups ? (params as readonly ParameterGroup[]) : [{ params: params as readonly Tensor[] }];
  for (const group of groups) {
    const { lr = 0, weightDecay = 0 } = checkKnown(`${op}: a group`, group, ['params', 'lr', 'weightDecay']);
    for (const [name, value] of Object.entries({ lr, weightDecay }))
      checkNumber(op, name, value, isNotNegative, 'a number, 0 or more');
  }
  return groups;
}
