// Checks of parts that are given as functions. Functions let parameters be drawn in the order of their definition, so a
// seed always gives the same model.

import { describeValue, type OptionRule } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Module } from './module.js';

/** Kind of part that a function must make: its name in messages, and its methods. */
export interface PartKind {
  readonly kind: string;
  readonly methods: readonly string[];
}

/** Parts of layers and stacks. Users' own modules fit if they have the methods. */
export const partKinds = {
  positionBias: { kind: 'a module with a method table', methods: ['table'] },
  attention: { kind: 'a MultiHeadAttention', methods: ['forward', 'step', 'cross'] },
  mixer: { kind: 'a MultiHeadAttention', methods: ['forward', 'step', 'extend'] },
  feedForward: { kind: 'a FeedForward', methods: ['forward'] },
  norm: { kind: 'a norm such as LayerNorm', methods: ['forward', 'add'] },
  module: { kind: 'a module with a method forward', methods: ['forward'] },
  layer: { kind: 'a TransformerLayer', methods: ['forward', 'step'] },
  layerDrop: { kind: 'a LayerDrop', methods: ['choose'] },
} as const satisfies Record<string, PartKind>;

/** Returns the rule of an option whose value is a part. */
export function partRule({ kind, methods }: PartKind): OptionRule {
  const fits = (value: unknown) =>
    value instanceof Module && methods.every((name) => typeof Reflect.get(value, name) === 'function');
  return { accepts: fits, expected: kind };
}

/** Throws ArgumentError, in the name of `op`, unless `maker` is a function, or null for an `optional` part. */
export function checkMaker(op: string, name: string, maker: unknown, optional = false): void {
  if (typeof maker === 'function' || (optional && (maker === null || maker === undefined))) return;
  const nothing = optional || maker === null ? 'null or ' : '';
  throw new ArgumentError(`${op}: ${name} is ${describePart(maker)}, expected ${nothing}a function that makes it`);
}

/** Returns `part` if it is of the kind. Throws ArgumentError, in the name of `op`, otherwise. */
export function checkMade<Part extends Module>(op: string, name: string, part: Part, kind: PartKind): Part {
  const { accepts, expected } = partRule(kind);
  if (accepts(part)) return part;
  throw new ArgumentError(`${op}: ${name} made ${describePart(part)}, expected ${expected}`);
}

/** Describes a value without the name of its class, because bundlers rename classes. */
const describePart = (value: unknown) => (value instanceof Module ? 'a module' : describeValue(value));
