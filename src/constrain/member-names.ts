// Names of members in JSON that is being written. A grammar cannot say that the names of an object differ.

import { type ConfigurationSet, EMPTY_SET, type Recognizer } from './recognizer.js';
import type { TokenTrie } from './token-trie.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, COMMA] = [0x7b, 0x7d, 0x5b, 0x5d, 0x2c];

interface Names {
  readonly name: string;
  readonly rest: Names | null;
}

/** An array or object that is not closed yet. */
interface Container {
  readonly isObject: boolean;
  readonly names: Names | null;
  readonly parent: Container | null;
}

/** The state after a text. States are immutable, so that a token can be tried. */
interface TextState {
  readonly container: Container | null;
  readonly string: 'none' | 'name' | 'text';
  /** The open name so far, in JSON, a character for each byte. */
  readonly name: string;
  readonly isEscaped: boolean;
  /** True if a string that begins now is a member's name. */
  readonly expectsName: boolean;
}

const START: TextState = { container: null, string: 'none', name: '', isEscaped: false, expectsName: false };

/** Keeps members of one object from having the same name. */
export class MemberNames {
  #tokens: readonly number[] = [];
  #state = START;

  constructor(
    private readonly trie: TokenTrie,
    private readonly recognizer: Recognizer,
    /** True if the whole text is JSON. Otherwise, text outside of objects and arrays is ignored. */
    private readonly isWhole: boolean,
  ) {}

  /** Reads a text as its tokens. */
  read(tokens: readonly number[]): void {
    const isLonger = this.#tokens.every((token, i) => tokens[i] === token);
    let state = isLonger ? this.#state : START;
    for (let i = isLonger ? this.#tokens.length : 0; i < tokens.length; i++)
      state = this.#after(state, this.trie.bytes.of(tokens[i] as number)) ?? state;
    this.#tokens = [...tokens];
    this.#state = state;
  }

  /** True within a name that another member has, so that it must become longer. */
  get isRepeated(): boolean {
    return this.#isOpenRepetition(this.#state);
  }

  /**
   * Forbids tokens that repeat a name, and returns whether there were any. A token may end within a repeated name if
   * `mayContinue` is true and the format allows a longer name.
   */
  forbid(scores: Float32Array, set: ConfigurationSet, mayContinue: boolean): boolean {
    const state = this.#state;
    let hasForbidden = false;
    const forbid = (token: number) => {
      scores[token] = Number.NEGATIVE_INFINITY;
      hasForbidden = true;
    };
    const isPossible = (token: number) => token < scores.length && scores[token] !== Number.NEGATIVE_INFINITY;
    const isDeadEnd = (token: number) => !mayContinue || !this.#canContinue(set, token);
    for (const token of this.trie.quoting[minQuotes(state)] ?? []) {
      if (!isPossible(token)) continue;
      const next = this.#after(state, this.trie.bytes.of(token));
      if (next === null || (this.#isOpenRepetition(next) && isDeadEnd(token))) forbid(token);
    }
    if (state.string !== 'name') return hasForbidden;
    for (let names = state.container?.names ?? null; names !== null; names = names.rest) {
      const whole = jsonName(names.name);
      if (whole.length <= state.name.length || !whole.startsWith(state.name)) continue;
      for (const token of this.#tokensOf(whole.slice(state.name.length)))
        if (isPossible(token) && isDeadEnd(token)) forbid(token);
    }
    return hasForbidden;
  }

  /** The state after more bytes, or null if they complete a repeated name. */
  #after(from: TextState, bytes: Iterable<number>): TextState | null {
    let state: TextState | null = from;
    for (const byte of bytes) {
      state = this.#step(state, byte);
      if (state === null) return null;
    }
    return state;
  }

  #step(state: TextState, byte: number): TextState | null {
    const { container, string, name, isEscaped } = state;
    if (string === 'none') return this.#outside(state, byte);
    const longer = string === 'name' ? name + String.fromCharCode(byte) : '';
    if (isEscaped || byte !== QUOTE) return { ...state, name: longer, isEscaped: !isEscaped && byte === BACKSLASH };
    const closed = { ...state, string: 'none', name: '', expectsName: false } as const;
    if (string === 'text' || container === null) return closed;
    if (hasName(container, parsedName(name))) return null;
    const names = { name: parsedName(name), rest: container.names };
    return { ...closed, container: { ...container, names } };
  }

  #outside(state: TextState, byte: number): TextState {
    const { container, expectsName } = state;
    switch (byte) {
      case QUOTE:
        if (container === null && !this.isWhole) return state;
        return { ...state, string: expectsName ? 'name' : 'text', name: '' };
      case OPEN_OBJECT:
      case OPEN_ARRAY: {
        const isObject = byte === OPEN_OBJECT;
        return { ...state, container: { isObject, names: null, parent: container }, expectsName: isObject };
      }
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        return { ...state, container: container?.parent ?? null, expectsName: false };
      case COMMA:
        return { ...state, expectsName: container?.isObject ?? false };
      default:
        return state;
    }
  }

  #isOpenRepetition({ container, string, name, isEscaped }: TextState): boolean {
    if (string !== 'name' || container?.names == null || isEscaped) return false;
    for (let names: Names | null = container.names; names !== null; names = names.rest)
      if (jsonName(names.name) === name) return true;
    return false;
  }

  /** True if a byte other than the closing quote can follow a token. */
  #canContinue(set: ConfigurationSet, token: number): boolean {
    let configurations = set;
    for (const byte of this.trie.bytes.of(token)) configurations = this.recognizer.step(configurations, byte);
    for (let byte = 0; byte < 256; byte++)
      if (byte !== QUOTE && this.recognizer.step(configurations, byte) !== EMPTY_SET) return true;
    return false;
  }

  /** The tokens of exactly these bytes. */
  #tokensOf(bytes: string): Int32Array {
    const { first, count, byte, tokenStart, tokens } = this.trie;
    let node = 0;
    for (const character of bytes) {
      const from = first[node] as number;
      const children = byte.subarray(from, from + (count[node] as number));
      const child = children.indexOf(character.charCodeAt(0));
      if (child < 0) return new Int32Array(0);
      node = from + child;
    }
    return tokens.subarray(tokenStart[node] as number, tokenStart[node + 1] as number);
  }
}

function hasName({ names }: Container, name: string): boolean {
  for (let entry = names; entry !== null; entry = entry.rest) if (entry.name === name) return true;
  return false;
}

/** The number of quotes that a token needs to complete a name that repeats another one. */
function minQuotes({ string }: TextState): number {
  return string === 'name' ? 1 : string === 'none' ? 2 : 3;
}

/** The name that JSON writes. */
function parsedName(name: string): string {
  const json = new TextDecoder().decode(Uint8Array.from(name, (character) => character.charCodeAt(0)));
  try {
    return JSON.parse(`"${json}"`) as string;
  } catch {
    return json;
  }
}

/** A name in JSON, a character for each byte. */
function jsonName(name: string): string {
  return String.fromCharCode(...new TextEncoder().encode(JSON.stringify(name).slice(1, -1)));
}
