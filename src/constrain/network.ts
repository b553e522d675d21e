// A grammar as a network of states: bytes lead from one state to the next, and rules call each other (Woods 1970).

import type { Parts } from '../core/slices.js';
import type { Expression, Grammar, Ranges } from './expression.js';
import { ResponseFormatError } from './format-error.js';
import { checkLeftRecursion, findTails, setDistances } from './network-passes.js';
import type { Call, Edge, Network, State } from './states.js';
import type { TokenTrie } from './token-trie.js';
import { type ByteRanges, utf8Ranges } from './utf8.js';

/** The maximum number of states: a network of this size takes 100 MB and a second to build. */
export const MAX_STATES = 400_000;

/** The number of small steps between two pauses. */
const STEPS = 256;

/**
 * Builds the network of a grammar for a vocabulary. Bytes that no token has are left out. Throws ResponseFormatError
 * for a grammar that is too large, that nothing satisfies, or whose rules begin with themselves.
 */
export function* networkOf(grammar: Grammar, trie: TokenTrie): Parts<Network> {
  const { rules, root } = grammar;
  yield* checkSize(grammar);
  const builder = new Builder();
  const starts = new Map([...rules.keys()].map((name) => [name, builder.addState()]));
  for (const [name, expression] of rules) {
    const end = builder.addState();
    (builder.states[end] as State).isEnd = true;
    yield* builder.connect(expression, starts.get(name) as number, end, starts);
    yield;
  }
  const states: readonly State[] = builder.states;
  const written = runningCounts(trie.usedBytes);
  const isPossible = ({ first, last }: Edge) => (written[last + 1] as number) > (written[first] as number);
  yield* eachState(states, (state) => {
    state.edges = filtered(state.edges, isPossible);
  });
  yield* setDistances(states, trie);
  const start = starts.get(root) as number;
  if ((states[start] as State).distance === Number.POSITIVE_INFINITY)
    throw new ResponseFormatError('nothing that ends, and that the vocabulary can write, satisfies the format');
  const canEnd = (i: number) => Number.isFinite((states[i] as State).distance);
  yield* eachState(states, (state) => {
    state.edges = filtered(state.edges, ({ to }) => canEnd(to));
    state.epsilon = filtered(state.epsilon, canEnd);
    state.calls = filtered(state.calls, (call) => canEnd(call.start) && canEnd(call.returnTo));
  });
  yield* findTails(states);
  yield* checkLeftRecursion(states, starts);
  return { states, start };
}

/**
 * Returns the list itself if all of its elements are kept, which is usual. Networks are large, so this saves copies.
 */
function filtered<T>(list: readonly T[], isKept: (element: T) => boolean): readonly T[] {
  return list.every(isKept) ? list : list.filter(isKept);
}

/** For each byte, the number of ones before it; the last element counts all. */
function runningCounts(flags: Uint8Array): Int32Array {
  const counts = new Int32Array(flags.length + 1);
  for (const [i, flag] of flags.entries()) counts[i + 1] = (counts[i] as number) + flag;
  return counts;
}

function* eachState(states: readonly State[], change: (state: State) => void): Parts<void> {
  for (const [i, state] of states.entries()) {
    change(state);
    if (i % STEPS === 0) yield;
  }
}

/** Refuses a grammar that is too large before any state is made. */
function* checkSize({ rules }: Grammar): Parts<void> {
  let [size, steps] = [2 * rules.size, 0];
  // An expression with the number of its repetitions.
  const open = [...rules.values()].map((expression): [Expression, number] => [expression, 1]);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [expression, times] = next;
    const parts = partsOf(expression);
    size += times * (ownSize(expression) + parts.length * repetitionsOf(expression));
    if (size > MAX_STATES)
      throw new ResponseFormatError(
        'the format is too large: lower maxLength, maxItems and other repetitions, or use fewer values',
      );
    for (const part of parts) open.push([part, times * repetitionsOf(expression)]);
    if (++steps % STEPS === 0) yield;
  }
}

const encoder = new TextEncoder();

/** An upper bound of the states that `Builder.connect` adds for an expression, without its parts. */
function ownSize(expression: Expression): number {
  if (expression.kind === 'text') return 1 + encoder.encode(expression.text).length;
  return expression.kind === 'set' ? bytesOf(expression.ranges).reduce((sum, { length }) => sum + length - 1, 0) : 0;
}

function partsOf(expression: Expression): readonly Expression[] {
  if (expression.kind === 'sequence') return expression.parts;
  if (expression.kind === 'choice') return expression.options;
  return expression.kind === 'repeat' ? [expression.of] : [];
}

/** The number of copies of its parts that an expression needs. */
function repetitionsOf(expression: Expression): number {
  if (expression.kind !== 'repeat') return 1;
  return expression.max === Number.POSITIVE_INFINITY ? expression.min + 1 : expression.max;
}

const sequences = new WeakMap<Ranges, ByteRanges[]>();

/** The byte sequences of a set. A repeated set is encoded once. */
function bytesOf(ranges: Ranges): ByteRanges[] {
  const found = sequences.get(ranges) ?? utf8Ranges(ranges);
  sequences.set(ranges, found);
  return found;
}

/** The list of a state that has no edges, free edges or calls: most lists stay empty. */
const NONE: readonly never[] = [];

function appended<T>(list: readonly T[], element: T): readonly T[] {
  if (list === NONE) return [element];
  (list as T[]).push(element);
  return list;
}

/** Work that is left: an expression, or texts that share their first `depth` bytes. */
interface Task {
  readonly expression: Expression | Texts;
  readonly from: number;
  readonly to: number;
}

interface Texts {
  readonly kind: 'texts';
  readonly texts: readonly Uint8Array[];
  readonly depth: number;
}

class Builder {
  readonly states: State[] = [];
  readonly #tasks: Task[] = [];

  addState(): number {
    const distance = Number.POSITIVE_INFINITY;
    return this.states.push({ edges: NONE, epsilon: NONE, calls: NONE, isEnd: false, isTail: false, distance }) - 1;
  }

  /** Makes the texts of `expression` lead from one state to another. Nested expressions become tasks, not recursion. */
  *connect(expression: Expression, from: number, to: number, starts: ReadonlyMap<string, number>): Parts<void> {
    this.#tasks.push({ expression, from, to });
    let steps = 0;
    for (let task = this.#tasks.pop(); task !== undefined; task = this.#tasks.pop()) {
      const { expression, from: first, to: last } = task;
      if (expression.kind === 'choice') yield* this.#choice(expression.options, first, last);
      else this.#connect(task, starts);
      if (++steps % STEPS === 0) yield;
    }
  }

  #connect({ expression, from, to }: Task, starts: ReadonlyMap<string, number>): void {
    switch (expression.kind) {
      case 'text':
        this.#text(encoder.encode(expression.text), from, to);
        return;
      case 'set':
        for (const bytes of bytesOf(expression.ranges)) this.#chain(bytes, from, to);
        return;
      case 'sequence':
        this.#sequence(expression.parts, from, to);
        return;
      case 'choice':
        throw new Error('`connect` handles choices');
      case 'repeat':
        this.#repeat(expression, from, to);
        return;
      case 'texts':
        this.#texts(expression, from, to);
        return;
      case 'rule': {
        const start = starts.get(expression.name);
        if (start === undefined) throw new ResponseFormatError(`the grammar has no rule '${expression.name}'`);
        this.#addCall(from, { start, returnTo: to });
        return;
      }
      case 'lookahead':
        throw new Error('a network has no lookaheads');
    }
  }

  #addEdge(from: number, edge: Edge): void {
    const state = this.states[from] as State;
    state.edges = appended(state.edges, edge);
  }

  #addEpsilon(from: number, to: number): void {
    const state = this.states[from] as State;
    state.epsilon = appended(state.epsilon, to);
  }

  #addCall(from: number, call: Call): void {
    const state = this.states[from] as State;
    state.calls = appended(state.calls, call);
  }

  #text(bytes: Uint8Array, from: number, to: number): void {
    if (bytes.length === 0) this.#addEpsilon(from, to);
    else
      this.#chain(
        Array.from(bytes, (byte) => [byte, byte] as const),
        from,
        to,
      );
  }

  /** Bytes one after another, each in its range, by new states. */
  #chain(bytes: ByteRanges, from: number, end: number): void {
    let last = from;
    for (const [i, [low, high]] of bytes.entries()) {
      const to = i + 1 === bytes.length ? end : this.addState();
      this.#addEdge(last, { first: low, last: high, to });
      last = to;
    }
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    if (parts.length === 0) this.#addEpsilon(from, to);
    let last = from;
    for (const [i, expression] of parts.entries()) {
      const next = i + 1 === parts.length ? to : this.addState();
      this.#tasks.push({ expression, from: last, to: next });
      last = next;
    }
  }

  /** Texts share their beginnings, as in a trie. Each other option has its own first state, to which it may return. */
  *#choice(options: readonly Expression[], from: number, to: number): Parts<void> {
    const texts: Uint8Array[] = [];
    for (const [i, option] of options.entries()) {
      if (option.kind === 'text') texts.push(encoder.encode(option.text));
      if (i % STEPS === STEPS - 1) yield;
    }
    if (texts.length > 0) {
      const begin = this.addState();
      this.#addEpsilon(from, begin);
      this.#tasks.push({ expression: { kind: 'texts', texts, depth: 0 }, from: begin, to });
    }
    for (const expression of options) {
      if (expression.kind === 'text') continue;
      const begin = this.addState();
      this.#addEpsilon(from, begin);
      this.#tasks.push({ expression, from: begin, to });
    }
  }

  /** One level of a trie. */
  #texts({ texts, depth }: Texts, from: number, to: number): void {
    const children = new Map<number, Uint8Array[]>();
    for (const text of texts) {
      const byte = text[depth];
      if (byte === undefined) {
        this.#addEpsilon(from, to);
        continue;
      }
      const sameByte = children.get(byte) ?? [];
      children.set(byte, sameByte);
      sameByte.push(text);
    }
    for (const [byte, group] of children) {
      const next = this.addState();
      this.#addEdge(from, { first: byte, last: byte, to: next });
      this.#tasks.push({ expression: { kind: 'texts', texts: group, depth: depth + 1 }, from: next, to });
    }
  }

  /** Writes out one repetition. The others become a task. */
  #repeat({ of, min, max }: Extract<Expression, { kind: 'repeat' }>, from: number, to: number): void {
    const remaining = { kind: 'repeat', of, min: Math.max(0, min - 1), max: max - 1 } as const;
    if (min === 0 && max === Number.POSITIVE_INFINITY) {
      const loop = this.addState();
      this.#addEpsilon(from, loop);
      this.#tasks.push({ expression: of, from: loop, to: loop });
      this.#addEpsilon(loop, to);
      return;
    }
    if (min === 0) this.#addEpsilon(from, to);
    if (max === 0) return;
    const next = this.addState();
    this.#tasks.push({ expression: remaining, from: next, to }, { expression: of, from, to: next });
  }
}
