// Intersections of regular languages, and lookaheads: a deterministic automaton over characters, written as rules.
//
// A thread is one way to read the text so far. It has a state of a Thompson automaton, and the conditions on the rest
// of the text. A condition is a set of states of the same automaton. A positive condition must accept the rest, a
// negated one must not. The states of the deterministic automaton are sets of threads (the subset construction for
// alternating automata).

import type { Parts } from '../core/slices.js';
import { type Expression, LAST, oneOf, type Ranges, rule, sequence, set, text } from './expression.js';
import { ResponseFormatError } from './format-error.js';

interface Edge {
  readonly first: number;
  readonly last: number;
  readonly to: number;
}

interface State {
  readonly edges: Edge[];
  readonly epsilon: number[];
  readonly conditions: Condition[];
}

/** From here on, the rest of the text must satisfy, or with `isNegated` must not satisfy, what begins at `start`. */
interface Condition {
  readonly start: number;
  readonly isNegated: boolean;
  readonly to: number;
}

/** The conditions of a thread: sorted sets of states. */
interface Pending {
  readonly states: readonly number[];
  readonly isNegated: boolean;
}

interface Thread {
  readonly state: number;
  readonly pending: readonly Pending[];
}

/** Limits of both automata. */
const MAX_STATES = 20_000;
const MAX_SUBSETS = 5_000;
const MAX_THREADS = 500;

/**
 * Rules for the texts that all expressions allow. The expressions contain no rules, and only the first one may contain
 * lookaheads. Texts start in the first rule of the result. `newName` names a rule. Throws ResponseFormatError if the
 * automaton becomes too large.
 */
export function* intersectionRules(
  expressions: readonly Expression[],
  newName: () => string,
): Parts<Map<string, Expression>> {
  const automaton = new Automaton();
  const [first, ...others] = expressions.map((expression) => automaton.read(expression)) as [number, ...number[]];
  const pending = others.map((start) => ({ states: automaton.closure([start]), isNegated: false }));
  const start = automaton.threads([{ state: first, pending }]);
  const numbers = new Map<string, number>([[keyOf(start), 0]]);
  const found = [start];
  const rules = new Map<string, Expression>();
  const names: string[] = [];
  const nameOf = (state: number) => {
    while (names.length <= state) names.push(newName());
    return names[state] as string;
  };
  for (const [number, threads] of found.entries()) {
    if (found.length > MAX_SUBSETS) throw tooLarge();
    const targets = new Map<number, [number, number][]>();
    for (const [from, to] of automaton.intervals(threads)) {
      const next = automaton.step(threads, from);
      if (next.length === 0) continue;
      const key = keyOf(next);
      const known = numbers.get(key) ?? found.push(next) - 1;
      numbers.set(key, known);
      const ranges = targets.get(known) ?? [];
      targets.set(known, ranges);
      ranges.push([from, to]);
      yield;
    }
    const options = [...targets].map(([to, ranges]) => sequence(set(...(ranges as Ranges)), rule(nameOf(to))));
    if (threads.some((thread) => automaton.accepts(thread))) options.push(text(''));
    rules.set(nameOf(number), oneOf(options));
  }
  return rules;
}

function tooLarge(): ResponseFormatError {
  return new ResponseFormatError(
    'a string has too many rules at once: simplify its pattern, or leave out its format or its length',
  );
}

function keyOf(threads: readonly Thread[]): string {
  return threads.map(threadKey).join(';');
}

function threadKey({ state, pending }: Thread): string {
  return `${state}${pending.map(pendingKey).join('')}`;
}

const pendingKey = ({ states, isNegated }: Pending) => `${isNegated ? '!' : '&'}${states.join()}`;

class Automaton {
  readonly #states: State[] = [];
  readonly #ends = new Set<number>();

  /** Adds an expression and returns its first state. */
  read(expression: Expression): number {
    const start = this.#add();
    const end = this.#connect(expression, start);
    this.#ends.add(end);
    return start;
  }

  /** All states that are reached without a character, sorted. Conditions inside of conditions are refused. */
  closure(from: readonly number[]): number[] {
    const reached = new Set(from);
    for (const state of reached) {
      const { epsilon, conditions } = this.#stateAt(state);
      if (conditions.length > 0)
        throw new ResponseFormatError(
          'a string has a lookahead inside another one, or in two patterns, which is not supported',
        );
      for (const to of epsilon) reached.add(to);
    }
    return [...reached].sort((a, b) => a - b);
  }

  /** Follows free edges and conditions; sorted, without duplicates. */
  threads(from: readonly Thread[]): Thread[] {
    const reached = new Map<string, Thread>();
    const todo = [...from];
    for (let thread = todo.pop(); thread !== undefined; thread = todo.pop()) {
      const key = threadKey(thread);
      if (reached.has(key)) continue;
      reached.set(key, thread);
      if (reached.size > MAX_THREADS) throw tooLarge();
      const { epsilon, conditions } = this.#stateAt(thread.state);
      for (const to of epsilon) todo.push({ ...thread, state: to });
      for (const { start, isNegated, to } of conditions) {
        const added = { states: this.closure([start]), isNegated };
        todo.push({ state: to, pending: unique([...thread.pending, added]) });
      }
    }
    const isUseful = ({ state }: Thread) => this.#stateAt(state).edges.length > 0 || this.#ends.has(state);
    return [...reached]
      .filter(([, thread]) => isUseful(thread))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, thread]) => thread);
  }

  /** The ranges of characters within which all edges of the threads are alike. */
  intervals(threads: readonly Thread[]): [number, number][] {
    const cuts = new Set([0]);
    const states = new Set(
      threads.flatMap(({ state, pending }) => [state, ...pending.flatMap((condition) => condition.states)]),
    );
    for (const state of states) for (const { first, last } of this.#stateAt(state).edges) cuts.add(first).add(last + 1);
    const sorted = [...cuts].filter((boundary) => boundary <= LAST).sort((a, b) => a - b);
    return sorted.map((boundary, i) => [boundary, (sorted[i + 1] ?? LAST + 1) - 1]);
  }

  step(threads: readonly Thread[], point: number): Thread[] {
    const next = threads.flatMap(({ state, pending }) => {
      const targets = this.#targets([state], point);
      if (targets.length === 0) return [];
      const conditions = pending.map((condition) => ({
        ...condition,
        states: this.closure(this.#targets(condition.states, point)),
      }));
      // An empty set accepts nothing: a positive condition has failed, and a negated one is satisfied.
      if (conditions.some(({ states, isNegated }) => states.length === 0 && !isNegated)) return [];
      const open = unique(conditions.filter(({ states }) => states.length > 0));
      return targets.map((to) => ({ state: to, pending: open }));
    });
    return this.threads(next);
  }

  accepts({ state, pending }: Thread): boolean {
    const isEnd = (target: number) => this.#ends.has(target);
    return isEnd(state) && pending.every(({ states, isNegated }) => states.some(isEnd) !== isNegated);
  }

  #stateAt(state: number): State {
    return this.#states[state] as State;
  }

  #targets(states: readonly number[], point: number): number[] {
    const found = new Set<number>();
    for (const state of states)
      for (const { first, last, to } of this.#stateAt(state).edges) if (point >= first && point <= last) found.add(to);
    return [...found];
  }

  #add(): number {
    if (this.#states.length === MAX_STATES) throw tooLarge();
    return this.#states.push({ edges: [], epsilon: [], conditions: [] }) - 1;
  }

  /** Adds states for an expression after `from` and returns the last one. */
  #connect(expression: Expression, from: number): number {
    switch (expression.kind) {
      case 'text':
        return [...expression.text].reduce((last, character) => {
          const point = character.codePointAt(0) as number;
          return this.#edge(last, [[point, point]]);
        }, from);
      case 'set':
        return this.#edge(from, expression.ranges);
      case 'sequence':
        return expression.parts.reduce((last, part) => this.#connect(part, last), from);
      case 'choice': {
        const end = this.#add();
        for (const option of expression.options) {
          const begin = this.#add();
          this.#stateAt(from).epsilon.push(begin);
          this.#stateAt(this.#connect(option, begin)).epsilon.push(end);
        }
        return end;
      }
      case 'repeat':
        return this.#repeat(expression, from);
      case 'lookahead': {
        const to = this.#add();
        this.#stateAt(from).conditions.push({ start: this.read(expression.of), isNegated: expression.isNegated, to });
        return to;
      }
      case 'rule':
        throw new Error(`an automaton has no rules, found ${expression.name}`);
    }
  }

  #edge(from: number, ranges: Ranges): number {
    const to = this.#add();
    for (const [first, last] of ranges) this.#stateAt(from).edges.push({ first, last, to });
    return to;
  }

  #repeat({ of, min, max }: Extract<Expression, { kind: 'repeat' }>, from: number): number {
    let last = from;
    for (let i = 0; i < min; i++) last = this.#connect(of, last);
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#add();
      this.#stateAt(last).epsilon.push(loop);
      this.#stateAt(this.#connect(of, loop)).epsilon.push(loop);
      return loop;
    }
    const end = this.#add();
    for (let i = min; i < max; i++) {
      this.#stateAt(last).epsilon.push(end);
      last = this.#connect(of, last);
    }
    this.#stateAt(last).epsilon.push(end);
    return end;
  }
}

/** Sorted, without duplicates. */
function unique(pending: readonly Pending[]): Pending[] {
  const byKey = new Map(pending.map((condition) => [pendingKey(condition), condition]));
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, condition]) => condition);
}
