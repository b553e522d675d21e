import { checkKnown } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { LogitsProcessor } from '../generate/logits-processor.js';
import type { FormatConstraint, ResponseFormat } from '../generate/response-format.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { AllowedTokens, applyMask } from './allowed-tokens.js';
import type { Grammar } from './expression.js';
import { networkOf } from './network.js';
import { NOWHERE, type Places, Recognizer } from './recognizer.js';
import { grammarOf } from './response-format.js';
import { tokenBytes } from './token-bytes.js';
import { TokenTrie } from './token-trie.js';

export interface ConstrainOptions {
  /** Tokens that end a text. Default: the tokenizer's end. */
  stopTokens?: Iterable<number> | undefined;
}

/** Made once for a tokenizer and the special tokens that are written: that of a large vocabulary takes a while. */
const tries = new WeakMap<PretrainedTokenizer, Map<string, TokenTrie>>();

/**
 * Options of `generate` by which only texts of a format come out, whatever the model would rather write: tokens after which
 * no text of the format can follow, or none that ends within `maxNewTokens`, have probability 0.
 *
 * ```ts
 * const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
 * const options = await constrain(model.tokenizer, { type: 'json_schema', schema });
 * const { sequences } = await model.generate([prompt], { ...options, maxNewTokens: 100 });
 * JSON.parse(model.tokenizer.decode(sequences[0]));
 * ```
 *
 * Throws ArgumentError for a format that is not supported, or that nothing satisfies, FormatError for a grammar that
 * cannot be read. Generation throws ArgumentError if `maxNewTokens` is too small for any text of the format.
 */
export async function constrain(
  tokenizer: PretrainedTokenizer,
  format: ResponseFormat,
  options: ConstrainOptions = {},
): Promise<FormatConstraint> {
  const { stopTokens = tokenizer.eosId === undefined ? [] : [tokenizer.eosId] } = checkKnown('constrain', options, [
    'stopTokens',
  ]);
  const grammar = grammarOf(format);
  const trie = trieOf(tokenizer, specialsIn(format, tokenizer));
  const constraint = new Constraint(followerOf(grammar, trie), trie, new Set(stopTokens));
  return {
    logitsProcessors: [constraint.process],
    stop: (tokens) => constraint.isComplete(tokens),
  };
}

function trieOf(tokenizer: PretrainedTokenizer, written: readonly string[]): TokenTrie {
  const own = tries.get(tokenizer) ?? new Map<string, TokenTrie>();
  tries.set(tokenizer, own);
  const key = written.join('\n');
  const trie = own.get(key) ?? new TokenTrie(tokenBytes(tokenizer, written));
  own.set(key, trie);
  return trie;
}

/** A grammar's texts as they are followed, and what was found of them. */
interface Follower {
  readonly recognizer: Recognizer;
  /** By how many scores there are. */
  readonly allowed: Map<number, AllowedTokens>;
}

/** Formats that are known: many requests have the same, and what one finds serves the next. */
const MOST_FORMATS = 8;
const followers = new WeakMap<TokenTrie, Map<string, Follower>>();

function followerOf(grammar: Grammar, trie: TokenTrie): Follower {
  const own = followers.get(trie) ?? new Map<string, Follower>();
  followers.set(trie, own);
  const key = JSON.stringify([grammar.root, ...grammar.rules]);
  let found = own.get(key);
  if (!found) {
    found = { recognizer: new Recognizer(networkOf(grammar, trie.usedBytes)), allowed: new Map() };
  }
  own.delete(key);
  own.set(key, found); // the latest is the last
  if (own.size > MOST_FORMATS) own.delete(own.keys().next().value as string);
  return found;
}

/** The special tokens with which calls are marked. */
function specialsIn(format: ResponseFormat, tokenizer: PretrainedTokenizer): string[] {
  if (!('type' in format) || format.type !== 'tool_calls') return [];
  const marks =
    Object.values(format.syntax)
      .join('\n')
      .match(/<[^<>\s]+>|\[[A-Z_]+\]/g) ?? [];
  return [...new Set(marks)].filter((mark) => tokenizer.tokenToId(mark) !== undefined).sort();
}

/** Where texts are that grow by tokens. */
class Constraint {
  #allowed: AllowedTokens | null = null;
  readonly #recognizer: Recognizer;
  /** New tokens that there can be, once it is known. */
  #most = Number.POSITIVE_INFINITY;

  constructor(
    private readonly follower: Follower,
    private readonly trie: TokenTrie,
    private readonly stopTokens: ReadonlySet<number>,
  ) {
    this.#recognizer = follower.recognizer;
  }

  /** Whether nothing can follow but the end, as the format says, or as there is no room for more. */
  isComplete(tokens: readonly number[]): boolean {
    const places = this.#follow(tokens);
    if (places === NOWHERE || !this.#recognizer.isEnd(places)) return false;
    if (!this.#recognizer.goesOn(places)) return true;
    const left = this.#most - tokens.length;
    return this.stopTokens.size === 0 && left > 0 && !this.#allowed?.mask(places, left - 1).isPossible;
  }

  readonly process: LogitsProcessor = (scores, tokens, { begin, maxLength }) => {
    const recognizer = this.#recognizer;
    const places = this.#follow(tokens.slice(begin));
    const left = maxLength - tokens.length; // with the one that is chosen now
    this.#most = maxLength - begin;
    this.#allowed ??= this.#allowedOf(scores.length);
    const mask = this.#allowed.mask(places, left - 1); // a token may be a byte of text; the end itself needs none
    const canEnd = places !== NOWHERE && recognizer.isEnd(places);
    applyMask(scores, mask, canEnd ? [...this.stopTokens] : []);
    if (mask.isPossible || (canEnd && this.stopTokens.size > 0)) return;
    throw new ArgumentError(
      `responseFormat: no token can follow after ${tokens.length - begin}: raise maxNewTokens, of which ${left} are left`,
    );
  };

  #allowedOf(vocabulary: number): AllowedTokens {
    const { allowed, recognizer } = this.follower;
    const found = allowed.get(vocabulary) ?? new AllowedTokens(recognizer, this.trie, vocabulary);
    allowed.set(vocabulary, found);
    return found;
  }

  /** Where a text is; stop tokens are no part of it. */
  #follow(tokens: readonly number[]): Places {
    let places = this.#recognizer.start();
    for (const token of tokens) {
      if (this.stopTokens.has(token)) break;
      for (const byte of this.trie.bytes[token] ?? []) places = this.#recognizer.step(places, byte);
    }
    return places;
  }
}
