import { checkOptions } from '../core/check.js';
import { pausable } from '../core/slices.js';
import type { LogitsProcessor, TokenPlace } from '../generate/logits-processor.js';
import type { FormatConstraint, ResponseFormat } from '../generate/response-format.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { AllowedTokens, applyMask } from './allowed-tokens.js';
import { CALL_SYNTAXES, callSyntaxOf } from './call-syntax.js';
import type { CheckedFormat } from './checked-format.js';
import { NoRoomError } from './format-error.js';
import { MemberNames } from './member-names.js';
import { MAX_STATES, networkOf } from './network.js';
import { NOWHERE, type Places, Recognizer } from './recognizer.js';
import { checkFormat, grammarOf } from './response-format.js';
import { inSlices, type Sliced } from './slices.js';
import { tokenBytes } from './token-bytes.js';
import { type TokenTrie, tokenTrie } from './token-trie.js';

export interface ConstrainOptions {
  /** The tokens that end a text. Default: the tokenizer's end token. */
  stopTokens?: Iterable<number> | undefined;
}

/**
 * Options of `generate` that restrict the text to a format. A token has probability 0 if no text of the format can
 * begin with it here, or if no such text ends within `maxNewTokens`.
 *
 * ```ts
 * const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
 * const options = await constrain(model.tokenizer, { type: 'json_schema', schema });
 * const { sequences } = await model.generate([prompt], { ...options, maxNewTokens: 100 });
 * JSON.parse(model.tokenizer.decode(sequences[0]));
 * ```
 *
 * Formats are compiled in slices of a few milliseconds, and the latest ones are kept. Rejects with ResponseFormatError for a
 * format that is wrong, too large, unsatisfiable or not supported. Rejects with FormatError for a grammar that cannot be
 * read. Generation throws NoRoomError if `maxNewTokens` is too small for any text of the format.
 */
export async function constrain(
  tokenizer: PretrainedTokenizer,
  format: ResponseFormat,
  options: ConstrainOptions = {},
): Promise<FormatConstraint> {
  const { stopTokens = tokenizer.eosId === undefined ? [] : [tokenizer.eosId] } = checkOptions('constrain', options, {
    stopTokens: { accepts: areTokens, expected: 'an iterable of tokens' },
  });
  const checked = checkFormat(format, defaultSyntaxOf(tokenizer));
  const compiled = await compiledOf(tokenizer, checked);
  const constraint = new Constraint(compiled, new Set(stopTokens));
  return {
    logitsProcessors: [constraint.process],
    stop: (tokens) => constraint.isComplete(tokens),
  };
}

const areTokens = (value: unknown) =>
  typeof value === 'object' &&
  typeof Object(value)[Symbol.iterator] === 'function' &&
  [...(value as Iterable<unknown>)].every(Number.isInteger);

function defaultSyntaxOf({ chatTemplate: template }: PretrainedTokenizer) {
  if (template === null) return CALL_SYNTAXES.json;
  return callSyntaxOf(typeof template === 'string' ? template : Object.values(template).join());
}

/** A format for a vocabulary, and everything that was found about its texts. */
interface Compiled {
  readonly trie: TokenTrie;
  readonly recognizer: Recognizer;
  readonly states: number;
  /** The masks, by the number of scores. */
  readonly allowed: Map<number, AllowedTokens>;
  /** Null if members cannot repeat a name, or if the text is not JSON. */
  readonly names: { readonly isWhole: boolean } | null;
}

interface Entry {
  readonly compiled: Promise<Compiled>;
  /** 0 while the format is being compiled. */
  states: number;
}

/** Many requests have the same format. The latest ones are kept, with at most MAX_STATES states together. */
const MAX_FORMATS = 8;
const entries = new WeakMap<PretrainedTokenizer, Map<string, Entry>>();

async function compiledOf(tokenizer: PretrainedTokenizer, format: CheckedFormat): Promise<Compiled> {
  const own = entries.get(tokenizer) ?? new Map<string, Entry>();
  entries.set(tokenizer, own);
  const key = JSON.stringify(format);
  const entry = own.get(key) ?? { compiled: compile(tokenizer, format), states: 0 };
  own.delete(key);
  own.set(key, entry); // the latest format is the last one
  try {
    const compiled = await entry.compiled;
    entry.states = compiled.states;
    return compiled;
  } catch (error) {
    if (own.get(key) === entry) own.delete(key);
    throw error;
  } finally {
    forgetOldest(own);
  }
}

function forgetOldest(own: Map<string, Entry>): void {
  const total = () => [...own.values()].reduce((sum, { states }) => sum + states, 0);
  for (const key of own.keys()) {
    if (own.size === 1 || (own.size <= MAX_FORMATS && total() <= MAX_STATES)) return;
    own.delete(key);
  }
}

async function compile(tokenizer: PretrainedTokenizer, format: CheckedFormat): Promise<Compiled> {
  const trie = await trieOf(tokenizer, specialsIn(format, tokenizer));
  return inSlices(compileWith(trie, format));
}

function* compileWith(trie: TokenTrie, format: CheckedFormat): Sliced<Compiled> {
  const grammar = yield* grammarOf(format);
  const network = yield* networkOf(grammar, trie.usedBytes);
  const isJson = format.type === 'json_schema' || (format.type === 'tool_calls' && !format.optional);
  return {
    trie,
    recognizer: new Recognizer(network),
    states: network.states.length,
    allowed: new Map(),
    names: grammar.hasFreeNames && isJson ? { isWhole: format.type === 'json_schema' } : null,
  };
}

/** The tree of a vocabulary is made once for each list of special tokens that are written. */
const tries = new WeakMap<PretrainedTokenizer, Map<string, Promise<TokenTrie>>>();

function trieOf(tokenizer: PretrainedTokenizer, written: readonly string[]): Promise<TokenTrie> {
  const own = tries.get(tokenizer) ?? new Map<string, Promise<TokenTrie>>();
  tries.set(tokenizer, own);
  const key = written.join('\n');
  const trie = own.get(key) ?? inSlices(readTrie(tokenizer, written));
  own.set(key, trie);
  return trie;
}

function* readTrie(tokenizer: PretrainedTokenizer, written: readonly string[]): Sliced<TokenTrie> {
  return yield* tokenTrie(yield* tokenBytes(tokenizer, written));
}

/** The special tokens that mark calls. */
function specialsIn(format: CheckedFormat, tokenizer: PretrainedTokenizer): string[] {
  if (format.type !== 'tool_calls') return [];
  const marks =
    Object.values(format.syntax)
      .join('\n')
      .match(/<[^<>\s]+>|\[[A-Z_]+\]/g) ?? [];
  return [...new Set(marks)].filter((mark) => tokenizer.tokenToId(mark) !== undefined).sort();
}

/** Restricts texts that grow token by token. */
class Constraint {
  #allowed: AllowedTokens | null = null;
  readonly #recognizer: Recognizer;
  readonly #names: MemberNames | null;
  /** The maximum number of new tokens, once it is known. */
  #maxTokens = Number.POSITIVE_INFINITY;

  constructor(
    private readonly compiled: Compiled,
    private readonly stopTokens: ReadonlySet<number>,
  ) {
    const { names, recognizer, trie } = compiled;
    this.#recognizer = recognizer;
    this.#names = names && new MemberNames(trie, recognizer, names.isWhole);
  }

  /** True if only the end can follow: the format allows no more text, or there is no room for more. */
  isComplete(tokens: readonly number[]): boolean {
    const places = this.#follow(tokens);
    if (places === NOWHERE || !this.#recognizer.isEnd(places)) return false;
    if (!this.#recognizer.goesOn(places)) return true;
    const left = this.#maxTokens - tokens.length;
    return this.stopTokens.size === 0 && left > 0 && !this.#allowed?.mask(places, left - 1).isPossible;
  }

  /** Restricts the next token's scores. */
  get process(): LogitsProcessor {
    return pausable((scores: Float32Array, tokens: readonly number[], place: TokenPlace) =>
      this.#restrict(scores, tokens, place),
    );
  }

  *#restrict(
    scores: Float32Array,
    tokens: readonly number[],
    { begin, maxLength }: TokenPlace,
  ): Generator<undefined, void> {
    const allowed = this.#allowedOf(scores.length);
    const written = tokens.slice(begin);
    let places = this.#follow(written);
    const { era } = this.#recognizer;
    yield* allowed.prepare(places);
    // No pause from here on: other texts of the same format may be restricted during pauses.
    if (this.#recognizer.era !== era) places = this.#follow(written);
    const left = maxLength - tokens.length; // including the token that is chosen now
    this.#maxTokens = maxLength - begin;
    this.#allowed = allowed;
    const canEnd = places !== NOWHERE && this.#recognizer.isEnd(places) && this.stopTokens.size > 0;
    const ends = canEnd ? [...this.stopTokens] : [];
    const isPossible = this.#names
      ? this.#maskWithNames(this.#names, allowed, scores, written, places, left, ends)
      : this.#mask(allowed, scores, places, left - 1, ends);
    if (!isPossible && !canEnd) throw new NoRoomError(written.length, left);
  }

  /** A token is at least one byte of text. The end itself needs no byte. Returns true if a token is left. */
  #mask(allowed: AllowedTokens, scores: Float32Array, places: Places, bytes: number, ends: readonly number[]): boolean {
    const mask = allowed.mask(places, bytes);
    applyMask(scores, mask, ends);
    return mask.isPossible;
  }

  /** Keeps room for one more byte, because a name that repeats another one must become longer. */
  #maskWithNames(
    names: MemberNames,
    allowed: AllowedTokens,
    scores: Float32Array,
    written: readonly number[],
    places: Places,
    left: number,
    ends: readonly number[],
  ): boolean {
    names.read(written);
    const hasRoom = !names.isRepeated && allowed.mask(places, left - 2).isPossible;
    const isPossible = this.#mask(allowed, scores, places, hasRoom ? left - 2 : left - 1, ends);
    if (!isPossible || !names.forbid(scores, places, hasRoom)) return isPossible;
    return scores.some((score) => score !== Number.NEGATIVE_INFINITY);
  }

  #allowedOf(vocabulary: number): AllowedTokens {
    const { allowed, recognizer, trie } = this.compiled;
    const found = allowed.get(vocabulary) ?? new AllowedTokens(recognizer, trie, vocabulary);
    allowed.set(vocabulary, found);
    return found;
  }

  /** The places in the network behind a text. Stop tokens are no part of it. */
  #follow(tokens: readonly number[]): Places {
    let places = this.#recognizer.start();
    for (const token of tokens) {
      if (this.stopTokens.has(token)) break;
      for (const byte of this.compiled.trie.bytes.of(token)) places = this.#recognizer.step(places, byte);
    }
    return places;
  }
}
