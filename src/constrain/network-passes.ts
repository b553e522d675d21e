// Computations over all states of a network. Each takes linear time, except for sorting distances.

import TinyQueue from 'tinyqueue';
import type { Parts } from '../core/slices.js';
import { ResponseFormatError } from './format-error.js';
import type { State } from './states.js';
import { childOf, type TokenTrie } from './token-trie.js';

/** The number of small steps between two pauses. */
const STEPS = 256;

/** An edge from `from`, whose distance is at most `tokens`, plus the distances of the states that the edge leads to. */
interface IncomingEdge {
  readonly from: number;
  readonly tokens: number;
  /** The other state of a call, which leads to the rule's start and to the state after the rule; otherwise null. */
  readonly other: number | null;
}

/**
 * Sets the distance of each state: a number of tokens that lead to its rule's end. A token is a byte or the longest one
 * along a fixed text. Knuth's generalization of Dijkstra's algorithm settles states in the order of their distances,
 * each once ("A generalization of Dijkstra's algorithm", 1977).
 */
export function* setDistances(states: readonly State[], trie: TokenTrie): Parts<void> {
  const stateAt = (i: number) => states[i] as State;
  const incoming = yield* incomingEdges(states);
  for (const from of states.keys()) {
    for (const to of longestTokens(states, from, trie)) incoming[to]?.push({ from, tokens: 1, other: null });
    if (from % STEPS === 0) yield;
  }
  const queue = new TinyQueue<{ readonly state: number; readonly distance: number }>(
    [],
    (a, b) => a.distance - b.distance,
  );
  for (const [state, { isEnd }] of states.entries()) if (isEnd) queue.push({ state, distance: 0 });
  let steps = 0;
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { state, distance } = next;
    if (stateAt(state).distance <= distance) continue;
    stateAt(state).distance = distance;
    for (const { from, tokens, other } of incoming[state] as IncomingEdge[]) {
      if (++steps % STEPS === 0) yield;
      const total = distance + tokens + (other === null ? 0 : stateAt(other).distance);
      if (total < stateAt(from).distance) queue.push({ state: from, distance: total });
    }
  }
}

/** Maximum number of steps that are visited for a state. Other tokens are not found: their bytes count as tokens. */
const MAX_PLACES = 64;

/**
 * The states that the longest tokens of several bytes lead to along edges of one byte. Calls are not entered, and rules
 * are not left.
 */
function longestTokens(states: readonly State[], from: number, trie: TokenTrie): Set<number> {
  const found = new Set<number>();
  const todo = [{ state: from, node: 0, depth: 0, reached: null as number | null }];
  for (let index = 0; index < todo.length; index++) {
    const { state, node, depth, reached } = todo[index] as (typeof todo)[number];
    const { edges, epsilon } = states[state] as State;
    if (todo.length + epsilon.length + edges.length > MAX_PLACES) break;
    for (const next of epsilon) todo.push({ state: next, node, depth, reached });
    let isLongest = epsilon.length === 0;
    for (const { first, last, to } of edges) {
      const child = first === last ? childOf(trie, node, first) : null;
      if (child === null) continue;
      const isToken = depth > 0 && (trie.tokenStart[child + 1] as number) > (trie.tokenStart[child] as number);
      todo.push({ state: to, node: child, depth: depth + 1, reached: isToken ? to : reached });
      isLongest = false;
    }
    if (isLongest && reached !== null) found.add(reached);
  }
  return found;
}

/** Lists the edges that lead to each state. */
function* incomingEdges(states: readonly State[]): Parts<IncomingEdge[][]> {
  const incoming = yield* emptyLists<IncomingEdge>(states.length);
  for (const [from, { edges, epsilon, calls }] of states.entries()) {
    for (const { to } of edges) incoming[to]?.push({ from, tokens: 1, other: null });
    for (const to of epsilon) incoming[to]?.push({ from, tokens: 0, other: null });
    for (const { start, returnTo } of calls) {
      incoming[start]?.push({ from, tokens: 0, other: returnTo });
      incoming[returnTo]?.push({ from, tokens: 0, other: start });
    }
    if (from % STEPS === 0) yield;
  }
  return incoming;
}

/** Sets `isTail`: a state is a tail if no byte and no call is reached without a byte. */
export function* findTails(states: readonly State[]): Parts<void> {
  const before = yield* emptyLists<number>(states.length);
  const others: number[] = [];
  for (const [i, { edges, epsilon, calls }] of states.entries()) {
    if (edges.length > 0 || calls.length > 0) others.push(i);
    for (const to of epsilon) before[to]?.push(i);
    (states[i] as State).isTail = true;
    if (i % STEPS === 0) yield;
  }
  let steps = 0;
  for (let i = others.pop(); i !== undefined; i = others.pop()) {
    if (++steps % STEPS === 0) yield;
    const state = states[i] as State;
    if (!state.isTail) continue;
    state.isTail = false;
    others.push(...(before[i] as number[]).filter((predecessor) => states[predecessor]?.isTail));
  }
}

/** Refuses a rule that begins with itself: it would be called without end. */
export function* checkLeftRecursion(states: readonly State[], starts: ReadonlyMap<string, number>): Parts<void> {
  const callsFirst = new Map<number, number[]>();
  for (const start of starts.values()) {
    callsFirst.set(start, yield* firstCalls(states, start));
    yield;
  }
  const names = new Map([...starts].map(([name, start]) => [start, name]));
  const isDone = new Map<number, boolean>(); // false while a rule is on the current path
  for (const root of callsFirst.keys()) {
    if (isDone.has(root)) continue;
    isDone.set(root, false);
    const path = [{ start: root, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      yield;
      const called = callsFirst.get(top.start)?.[top.next++];
      if (called === undefined) {
        isDone.set(top.start, true);
        path.pop();
      } else if (isDone.get(called) === false)
        throw new ResponseFormatError(
          `the rule '${names.get(called)}' begins with itself: put the part that it repeats behind another part`,
        );
      else if (!isDone.has(called)) {
        isDone.set(called, false);
        path.push({ start: called, next: 0 });
      }
    }
  }
}

/** The rules that a rule may call before its first byte. */
function* firstCalls(states: readonly State[], start: number): Parts<number[]> {
  const called = new Set<number>();
  const reached = new Set([start]);
  let steps = 0;
  for (const i of reached) {
    if (++steps % STEPS === 0) yield;
    const { epsilon, calls } = states[i] as State;
    for (const to of epsilon) reached.add(to);
    for (const call of calls) {
      called.add(call.start);
      if ((states[call.start] as State).distance === 0) reached.add(call.returnTo);
    }
  }
  return [...called];
}

function* emptyLists<T>(count: number): Parts<T[][]> {
  const lists: T[][] = [];
  for (let i = 0; i < count; i++) {
    lists.push([]);
    if (i % STEPS === 0) yield;
  }
  return lists;
}
