// A grammar as a network of states: bytes lead from one to the next, and rules call each other (Woods 1970).

import { ArgumentError } from '../core/errors.js';
import type { Expression, Grammar } from './expression.js';
import { utf8Ranges } from './utf8.js';

export interface Edge {
  readonly first: number;
  readonly last: number;
  readonly to: number;
}

/** A call of a rule, after which it goes on in `back`. */
export interface Call {
  readonly start: number;
  readonly back: number;
}

export interface State {
  edges: readonly Edge[];
  /** States that are here as well. */
  free: readonly number[];
  calls: readonly Call[];
  /** Whether a rule ends here. */
  isEnd: boolean;
  /** Whether nothing but the rule's end can come. */
  isTail: boolean;
  /** The fewest bytes to the rule's end. */
  distance: number;
}

/** States of all rules; the root begins in `start`. */
export interface Network {
  readonly states: readonly State[];
  readonly start: number;
}

/** More would take too much memory, and time to build. */
const MOST_STATES = 400_000;

/**
 * A network of the bytes that `canWrite`, by their values: what needs others is left out. Throws ArgumentError for a grammar
 * that is too large, that nothing satisfies, or whose rules begin with themselves.
 */
export function networkOf({ rules, root }: Grammar, canWrite: Uint8Array): Network {
  const builder = new Builder();
  const starts = new Map([...rules.keys()].map((name) => [name, builder.add()]));
  for (const [name, expression] of rules) {
    const end = builder.add();
    (builder.states[end] as OpenState).isEnd = true;
    builder.connect(expression, starts.get(name) as number, end, (called) => {
      const start = starts.get(called);
      if (start === undefined) throw new ArgumentError(`responseFormat: the grammar has no rule '${called}'`);
      return start;
    });
  }
  const states: readonly State[] = builder.states;
  const isPossible = ({ first, last }: Edge) => canWrite.subarray(first, last + 1).includes(1);
  for (const state of states) state.edges = state.edges.filter(isPossible);
  measure(states);
  const start = starts.get(root) as number;
  if ((states[start] as State).distance === Number.POSITIVE_INFINITY)
    throw new ArgumentError(
      'responseFormat: nothing that ends, and that the vocabulary can write, satisfies the format',
    );
  const canEnd = (i: number) => Number.isFinite((states[i] as State).distance);
  for (const state of states) {
    state.edges = state.edges.filter(({ to }) => canEnd(to));
    state.free = state.free.filter(canEnd);
    state.calls = state.calls.filter((call) => canEnd(call.start) && canEnd(call.back));
  }
  for (const state of states) state.isTail = isTail(states, state);
  checkLeftRecursion(states, starts);
  return { states, start };
}

/** A state that is being made. */
interface OpenState extends State {
  edges: Edge[];
  free: number[];
  calls: Call[];
}

class Builder {
  readonly states: OpenState[] = [];

  add(): number {
    if (this.states.length === MOST_STATES)
      throw new ArgumentError(
        'responseFormat: the format is too large: lower maxLength, maxItems and other repetitions',
      );
    const nothing = { edges: [], free: [], calls: [], isEnd: false, isTail: false, distance: Number.POSITIVE_INFINITY };
    return this.states.push(nothing) - 1;
  }

  /** Makes what `expression` allows lead from one state to another. */
  connect(expression: Expression, from: number, to: number, startOf: (rule: string) => number): void {
    const at = (state: number) => this.states[state] as OpenState;
    switch (expression.kind) {
      case 'text': {
        const bytes = Array.from(new TextEncoder().encode(expression.text), (byte) => [byte, byte] as const);
        at(this.#chain(bytes, from)).free.push(to);
        return;
      }
      case 'set':
        for (const bytes of utf8Ranges(expression.ranges)) this.#chain(bytes, from, to);
        return;
      case 'sequence':
        at(expression.parts.reduce((last, part) => this.#append(part, last, startOf), from)).free.push(to);
        return;
      case 'choice':
        for (const option of expression.options) {
          const begin = this.add(); // an option may come back to its beginning, and not to those of others
          at(from).free.push(begin);
          this.connect(option, begin, to, startOf);
        }
        return;
      case 'repeat':
        this.#repeat(expression, from, to, startOf);
        return;
      case 'rule':
        at(from).calls.push({ start: startOf(expression.name), back: to });
    }
  }

  /** Bytes one after another, each in its range, by new states, the last of which may be given; gives that. */
  #chain(bytes: readonly (readonly [low: number, high: number])[], from: number, end?: number): number {
    let last = from;
    for (const [i, [low, high]] of bytes.entries()) {
      const to = end !== undefined && i + 1 === bytes.length ? end : this.add();
      (this.states[last] as OpenState).edges.push({ first: low, last: high, to });
      last = to;
    }
    return last;
  }

  /** A new state, to which `expression` leads. */
  #append(expression: Expression, from: number, startOf: (rule: string) => number): number {
    const to = this.add();
    this.connect(expression, from, to, startOf);
    return to;
  }

  #repeat(
    { of, min, max }: Extract<Expression, { kind: 'repeat' }>,
    from: number,
    to: number,
    startOf: (rule: string) => number,
  ): void {
    const at = (state: number) => this.states[state] as OpenState;
    let last = from;
    for (let i = 0; i < min; i++) last = this.#append(of, last, startOf);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.add();
      at(last).free.push(loop);
      this.connect(of, loop, loop, startOf);
      at(loop).free.push(to);
      return;
    }
    for (let i = min; i < max; i++) {
      at(last).free.push(to);
      last = this.#append(of, last, startOf);
    }
    at(last).free.push(to);
  }
}

/** The shortest way from each state to its rule's end, by relaxing until nothing becomes shorter. */
function measure(states: readonly State[]): void {
  const before: number[][] = states.map(() => []);
  for (const [i, { edges, free, calls }] of states.entries()) {
    for (const { to } of edges) before[to]?.push(i);
    for (const to of free) before[to]?.push(i);
    for (const { start, back } of calls) {
      before[start]?.push(i);
      before[back]?.push(i);
    }
  }
  const distanceOf = (i: number) => (states[i] as State).distance;
  const changed = states.flatMap(({ isEnd }, i) => (isEnd ? [i] : []));
  for (const i of changed) (states[i] as State).distance = 0;
  for (let next = changed.pop(); next !== undefined; next = changed.pop())
    for (const i of before[next] as number[]) {
      const state = states[i] as State;
      const ways = [
        ...state.edges.map(({ to }) => 1 + distanceOf(to)),
        ...state.free.map(distanceOf),
        ...state.calls.map(({ start, back }) => distanceOf(start) + distanceOf(back)),
      ];
      const shortest = ways.reduce((least, way) => Math.min(least, way), Number.POSITIVE_INFINITY);
      if (shortest >= state.distance) continue;
      state.distance = shortest;
      changed.push(i);
    }
}

function isTail(states: readonly State[], state: State): boolean {
  const seen = new Set([state]);
  for (const { edges, calls, free } of seen) {
    if (edges.length > 0 || calls.length > 0) return false;
    for (const to of free) seen.add(states[to] as State);
  }
  return true;
}

/** A rule that begins with itself would be called for ever. */
function checkLeftRecursion(states: readonly State[], starts: ReadonlyMap<string, number>): void {
  const names = new Map([...starts].map(([name, start]) => [start, name]));
  const canBeEmpty = (start: number) => (states[start] as State).distance === 0;
  const begins = (start: number): Set<number> => {
    const called = new Set<number>();
    const seen = new Set([start]);
    for (const i of seen) {
      const { free, calls } = states[i] as State;
      for (const to of free) seen.add(to);
      for (const call of calls) {
        called.add(call.start);
        if (canBeEmpty(call.start)) seen.add(call.back);
      }
    }
    return called;
  };
  const direct = new Map([...names.keys()].map((start) => [start, begins(start)]));
  for (const [start, name] of names) {
    const reached = new Set(direct.get(start));
    for (const each of reached) for (const next of direct.get(each) ?? []) reached.add(next);
    if (reached.has(start))
      throw new ArgumentError(`responseFormat: the rule '${name}' begins with itself; write what it repeats after it`);
  }
}
