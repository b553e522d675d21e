// Follows a network byte by byte, in all ways at once, and remembers where each byte led.

import type { Network, State } from './network.js';

/** Places in a network at once, each a state and the calls to return to; numbered as they are met. */
export type Places = number;

/** No way leads here. */
export const NOWHERE: Places = 0;

/** Kept at most; then what was remembered is forgotten. */
const MOST_PLACES = 20_000;

interface Known {
  /** State and stack, in order. */
  readonly states: Int32Array;
  readonly stacks: Int32Array;
  /** By the next byte; -1 where it is not known yet. */
  readonly next: Int32Array;
  /** Whether the outermost rule may end here. */
  readonly isEnd: boolean;
  /** The fewest bytes to its end. */
  readonly distance: number;
}

/** Places of one stack: their states, and the same places as if that were the bottom. */
export interface Group {
  readonly stack: number;
  readonly places: Places;
}

export class Recognizer {
  readonly #states: readonly State[];
  #places: Known[] = [];
  #numbers = new Map<string, Places>();
  #groups = new Map<Places, Group[]>();
  /** Of a stack: where its last call returns to, the rest of it, the fewest bytes to the end of all of it. */
  #backs: number[] = [-1];
  #rests: number[] = [0];
  #distances: number[] = [0];
  #stacks = new Map<number, number>();
  /** Changes when what was remembered is forgotten, and numbers begin anew. */
  era = 0;

  constructor(private readonly network: Network) {
    this.#states = network.states;
    this.#forget();
  }

  /** Where a text begins. Forgets what was remembered if that is too much: numbers from before mean nothing then. */
  start(): Places {
    if (this.#places.length > MOST_PLACES) this.#forget();
    return this.#intern([[this.network.start, 0]]);
  }

  step(from: Places, byte: number): Places {
    const known = this.#places[from] as Known;
    const found = known.next[byte] as number;
    if (found >= 0) return found;
    const reached: [number, number][] = [];
    for (const [i, state] of known.states.entries())
      for (const { first, last, to } of (this.#states[state] as State).edges)
        if (byte >= first && byte <= last) reached.push([to, known.stacks[i] as number]);
    const next = reached.length === 0 ? NOWHERE : this.#intern(reached);
    known.next[byte] = next;
    return next;
  }

  /** Where each byte leads that was tried; -1 for others, which `step` finds. */
  nextOf(places: Places): Int32Array {
    return (this.#places[places] as Known).next;
  }

  isEnd(places: Places): boolean {
    return (this.#places[places] as Known).isEnd;
  }

  /** Whether a byte can follow. */
  goesOn(places: Places): boolean {
    const { states } = this.#places[places] as Known;
    return states.some((state) => (this.#states[state] as State).edges.length > 0);
  }

  distance(places: Places): number {
    return (this.#places[places] as Known).distance;
  }

  /** Places by their stacks. What can follow inside a group depends on its states alone, until its rule ends. */
  groups(places: Places): readonly Group[] {
    const found = this.#groups.get(places);
    if (found) return found;
    const { states, stacks } = this.#places[places] as Known;
    const byStack = new Map<number, [number, number][]>();
    for (const [i, stack] of stacks.entries()) {
      const state = states[i] as number;
      if ((this.#states[state] as State).edges.length === 0) continue;
      byStack.set(stack, [...(byStack.get(stack) ?? []), [state, 0]]);
    }
    const groups = [...byStack].map(([stack, members]) => ({ stack, places: this.#intern(members) }));
    this.#groups.set(places, groups);
    return groups;
  }

  /** The fewest bytes that follow a group's rule. */
  stackDistance(stack: number): number {
    return this.#distances[stack] as number;
  }

  /** Where a group is once its rule has ended; NOWHERE at the bottom. */
  after(stack: number): Places {
    return stack === 0 ? NOWHERE : this.#intern([[this.#backs[stack] as number, this.#rests[stack] as number]]);
  }

  #forget(): void {
    this.era++;
    this.#places = [];
    this.#numbers = new Map();
    this.#groups = new Map();
    [this.#backs, this.#rests, this.#distances, this.#stacks] = [[-1], [0], [0], new Map()];
    this.#intern([]);
  }

  /** The places that are reached without a byte from these, as a number. */
  #intern(from: readonly (readonly [state: number, stack: number])[]): Places {
    const size = this.#states.length;
    const reached = new Set<number>();
    const todo = from.map(([state, stack]) => stack * size + state);
    for (let code = todo.pop(); code !== undefined; code = todo.pop()) {
      if (reached.has(code)) continue;
      reached.add(code);
      const [state, stack] = [this.#states[code % size] as State, Math.floor(code / size)];
      for (const to of state.free) todo.push(stack * size + to);
      for (const { start, back } of state.calls) todo.push(this.#push(back, stack) * size + start);
      if (state.isEnd && stack !== 0) todo.push((this.#rests[stack] as number) * size + (this.#backs[stack] as number));
    }
    const isKept = (code: number) => {
      const { edges, isEnd } = this.#states[code % size] as State;
      return edges.length > 0 || (isEnd && code < size);
    };
    const codes = [...reached].filter(isKept).sort((a, b) => a - b);
    const key = codes.join();
    const found = this.#numbers.get(key);
    if (found !== undefined) return found;
    const states = Int32Array.from(codes, (code) => code % size);
    const stacks = Int32Array.from(codes, (code) => Math.floor(code / size));
    const isEnd = states.some((state, i) => stacks[i] === 0 && (this.#states[state] as State).isEnd);
    const distance = states.reduce(
      (least, state, i) =>
        Math.min(least, (this.#states[state] as State).distance + (this.#distances[stacks[i] as number] as number)),
      Number.POSITIVE_INFINITY,
    );
    const number = this.#places.push({ states, stacks, next: new Int32Array(256).fill(-1), isEnd, distance }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  /** A call at the end of a rule returns to where that returns to, so that lists make no deep stacks. */
  #push(back: number, rest: number): number {
    const { isTail, distance } = this.#states[back] as State;
    if (isTail) return rest;
    const key = rest * this.#states.length + back;
    const found = this.#stacks.get(key);
    if (found !== undefined) return found;
    const stack = this.#backs.push(back) - 1;
    this.#rests.push(rest);
    this.#distances.push((this.#distances[rest] as number) + distance);
    this.#stacks.set(key, stack);
    return stack;
  }
}
