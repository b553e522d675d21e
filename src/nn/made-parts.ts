// Parts that are given as functions, so that parameters are drawn in the order of their definition. The results of a
// seed depend on this order.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Module } from './module.js';

/** Kind of part that a function must make: its name in messages, and its methods. */
export interface PartKind {
  readonly kind: string;
  readonly methods: readonly string[];
}

/** Parts of layers and stacks. Users' own modules fit if they have the methods. */
export const partKinds = {
  attention: { kind: 'a MultiHeadAttention', methods: ['forward', 'step', 'cross'] },
  feedForward: { kind: 'a FeedForward', methods: ['forward'] },
  norm: { kind: 'a norm such as LayerNorm', methods: ['forward', 'add'] },
  module: { kind: 'a module with a method forward', methods: ['forward'] },
  layer: { kind: 'a TransformerLayer', methods: ['forward', 'step'] },
  layerDrop: { kind: 'a LayerDrop', methods: ['choose'] },
} as const satisfies Record<string, PartKind>;

/** Throws ArgumentError, in the name of `op`, unless `maker` is a function, or null for an `optional` part. */
export function checkMaker(op: string, name: string, maker: unknown, optional = false): void {
  if (typeof maker === 'function' || (optional && (maker === null || maker === undefined))) return;
  const nothing = optional || maker === null ? 'null or ' : '';
  throw new ArgumentError(`${op}: ${name} is ${describePart(maker)}, expected ${nothing}a function that makes it`);
}

/** The part, if it is of the kind. Throws ArgumentError, in the name of `op`, for another value. */
export function checkMade<Part extends Module>(
  op: string,
  name: string,
  part: Part,
  { kind, methods }: PartKind,
): Part {
  const fits = part instanceof Module && methods.every((method) => typeof Reflect.get(part, method) === 'function');
  if (fits) return part;
  throw new ArgumentError(`${op}: ${name} made ${describePart(part)}, expected ${kind}`);
}

function describePart(value: unknown): string {
  if (!(value instanceof Module)) return describeValue(value);
  const { name } = value.constructor;
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}
