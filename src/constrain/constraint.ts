import { checkMethod, checkOptions } from '../core/check.js';
import { inSlices, type Parts, withParts } from '../core/slices.js';
import type { LogitsProcessor, SequenceBounds } from '../generate/logits-processor.js';
import type { FormatConstraint, ResponseFormat } from '../generate/response-format.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { AllowedTokens, applyMask } from './allowed-tokens.js';
import { CALL_SYNTAXES, callSyntaxOf } from './call-syntax.js';
import type { CheckedFormat } from './checked-format.js';
import { NoRoomError } from './format-error.js';
import { MemberNames } from './member-names.js';
import { MAX_STATES, networkOf } from './network.js';
import { type ConfigurationSet, EMPTY_SET, Recognizer } from './recognizer.js';
import { checkFormat, grammarOf } from './response-format.js';
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
 * Formats are compiled in slices of a few milliseconds, and the latest ones are kept. Rejects with ResponseFormatError
 * for a format that is wrong, too large, unsatisfiable or not supported. Rejects with FormatError for a grammar that
 * cannot be read. Generation throws NoRoomError if `maxNewTokens` is too small for any text of the format.
 */
export async function constrain(
  tokenizer: PretrainedTokenizer,
  format: ResponseFormat,
  options: ConstrainOptions = {},
): Promise<FormatConstraint> {
  checkMethod('constrain', 'tokenizer', tokenizer, 'encode', 'that of a model');
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
  readonly stateCount: number;
  /** The masks, by the number of scores. */
  readonly allowed: Map<number, AllowedTokens>;
  /** Null if members cannot repeat a name, or if the text is not JSON. */
  readonly names: { readonly isWhole: boolean } | null;
}

interface Entry {
  readonly compiled: Promise<Compiled>;
  /** 0 while the format is being compiled. */
  stateCount: number;
}

/** Many requests have the same format. The latest ones are kept, with at most MAX_STATES states together. */
const MAX_FORMATS = 8;
const entries = new WeakMap<PretrainedTokenizer, Map<string, Entry>>();

async function compiledOf(tokenizer: PretrainedTokenizer, format: CheckedFormat): Promise<Compiled> {
  const ofTokenizer = entries.get(tokenizer) ?? new Map<string, Entry>();
  entries.set(tokenizer, ofTokenizer);
  const key = JSON.stringify(format);
  const entry = ofTokenizer.get(key) ?? { compiled: compile(tokenizer, format), stateCount: 0 };
  ofTokenizer.delete(key);
  ofTokenizer.set(key, entry); // the latest format is the last one
  try {
    const compiled = await entry.compiled;
    entry.stateCount = compiled.stateCount;
    return compiled;
  } catch (error) {
    if (ofTokenizer.get(key) === entry) ofTokenizer.delete(key);
    throw error;
  } finally {
    forgetOldest(ofTokenizer);
  }
}

function forgetOldest(ofTokenizer: Map<string, Entry>): void {
  const total = () => [...ofTokenizer.values()].reduce((sum, { stateCount }) => sum + stateCount, 0);
  for (const key of ofTokenizer.keys()) {
    if (ofTokenizer.size === 1 || (ofTokenizer.size <= MAX_FORMATS && total() <= MAX_STATES)) return;
    ofTokenizer.delete(key);
  }
}

async function compile(tokenizer: PretrainedTokenizer, format: CheckedFormat): Promise<Compiled> {
  const trie = await trieOf(tokenizer, specialsIn(format, tokenizer));
  return inSlices(compileWith(trie, format));
}

function* compileWith(trie: TokenTrie, format: CheckedFormat): Parts<Compiled> {
  const grammar = yield* grammarOf(format);
  const network = yield* networkOf(grammar, trie);
  const isJson = format.type === 'json_schema' || (format.type === 'tool_calls' && !format.optional);
  return {
    trie,
    recognizer: new Recognizer(network),
    stateCount: network.states.length,
    allowed: new Map(),
    names: grammar.hasFreeNames && isJson ? { isWhole: format.type === 'json_schema' } : null,
  };
}

/** The tree of a vocabulary is made once for each list of special tokens that are written. */
const tries = new WeakMap<PretrainedTokenizer, Map<string, Promise<TokenTrie>>>();

function trieOf(tokenizer: PretrainedTokenizer, written: readonly string[]): Promise<TokenTrie> {
  const ofTokenizer = tries.get(tokenizer) ?? new Map<string, Promise<TokenTrie>>();
  tries.set(tokenizer, ofTokenizer);
  const key = written.join('\n');
  const trie = ofTokenizer.get(key) ?? inSlices(readTrie(tokenizer, written));
  ofTokenizer.set(key, trie);
  return trie;
}

function* readTrie(tokenizer: PretrainedTokenizer, written: readonly string[]): Parts<TokenTrie> {
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

/** The choice of the next token. */
interface Choice {
  readonly allowed: AllowedTokens;
  readonly scores: Float32Array;
  /** The configurations after the text so far. */
  readonly set: ConfigurationSet;
  /** The number of tokens that the text may still get, including this one. */
  readonly tokensLeft: number;
  /** The tokens that may end the text now. */
  readonly endTokens: readonly number[];
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
    const set = this.#setAfter(tokens);
    if (set === EMPTY_SET || !this.#recognizer.isEnd(set)) return false;
    if (!this.#recognizer.canContinue(set)) return true;
    const tokensLeft = this.#maxTokens - tokens.length;
    return this.stopTokens.size === 0 && tokensLeft > 0 && !this.#allowed?.mask(set, tokensLeft - 1).isPossible;
  }

  /** Restricts the next token's scores. */
  get process(): LogitsProcessor {
    return withParts((scores: Float32Array, tokens: readonly number[], bounds: SequenceBounds) =>
      this.#restrict(scores, tokens, bounds),
    );
  }

  *#restrict(
    scores: Float32Array,
    tokens: readonly number[],
    { begin, maxLength }: SequenceBounds,
  ): Generator<undefined, void> {
    const allowed = this.#allowedOf(scores.length);
    const written = tokens.slice(begin);
    let set = this.#setAfter(written);
    const { epoch } = this.#recognizer;
    yield* allowed.prepare(set);
    // No pause from here on: other texts of the same format may be restricted during pauses.
    if (this.#recognizer.epoch !== epoch) set = this.#setAfter(written);
    const tokensLeft = maxLength - tokens.length; // including the token that is chosen now
    this.#maxTokens = maxLength - begin;
    this.#allowed = allowed;
    const canEnd = set !== EMPTY_SET && this.#recognizer.isEnd(set) && this.stopTokens.size > 0;
    const endTokens = canEnd ? [...this.stopTokens] : [];
    const choice = { allowed, scores, set, tokensLeft, endTokens };
    const isPossible = this.#names ? this.#maskWithNames(this.#names, written, choice) : this.#mask(choice);
    if (!isPossible && !canEnd) throw new NoRoomError(written.length, tokensLeft);
  }

  /**
   * Masks the scores of tokens after which `laterTokens` tokens are too few to end the text. The end needs no token.
   * Returns true if a token is left.
   */
  #mask({ allowed, scores, set, tokensLeft, endTokens }: Choice, laterTokens = tokensLeft - 1): boolean {
    const mask = allowed.mask(set, laterTokens);
    applyMask(scores, mask, endTokens);
    return mask.isPossible;
  }

  /** Like `#mask`. Leaves room for one more token, because a name that repeats another one must become longer. */
  #maskWithNames(names: MemberNames, written: readonly number[], choice: Choice): boolean {
    const { allowed, scores, set, tokensLeft } = choice;
    names.read(written);
    const hasRoom = !names.isRepeated && allowed.mask(set, tokensLeft - 2).isPossible;
    const isPossible = this.#mask(choice, hasRoom ? tokensLeft - 2 : tokensLeft - 1);
    if (!isPossible || !names.forbid(scores, set, hasRoom)) return isPossible;
    return scores.some((score) => score !== Number.NEGATIVE_INFINITY);
  }

  #allowedOf(vocabulary: number): AllowedTokens {
    const { allowed, recognizer, trie } = this.compiled;
    const found = allowed.get(vocabulary) ?? new AllowedTokens(recognizer, trie, vocabulary);
    allowed.set(vocabulary, found);
    return found;
  }

  /** The configurations of the network after a text. Stop tokens do not belong to the text. */
  #setAfter(tokens: readonly number[]): ConfigurationSet {
    let set = this.#recognizer.start();
    for (const token of tokens) {
      if (this.stopTokens.has(token)) break;
      for (const byte of this.compiled.trie.bytes.of(token)) set = this.#recognizer.step(set, byte);
    }
    return set;
  }
}
