import { checkKnown } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { LogitsProcessor } from '../generate/logits-processor.js';
import type { FormatConstraint, ResponseFormat } from '../generate/response-format.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { AllowedTokens } from './allowed-tokens.js';
import { networkOf } from './network.js';
import { NOWHERE, type Places, Recognizer } from './recognizer.js';
import { grammarOf } from './response-format.js';
import { tokenBytes } from './token-bytes.js';
import { TokenTrie } from './token-trie.js';

const NEVER = Number.NEGATIVE_INFINITY;

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
  const network = networkOf(grammar, trie.usedBytes);
  const constraint = new Constraint(new Recognizer(network), trie, new Set(stopTokens), network.depth);
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
  /** New tokens that there can be, once it is known. */
  #most = Number.POSITIVE_INFINITY;
  readonly #longest: number;

  constructor(
    private readonly recognizer: Recognizer,
    private readonly trie: TokenTrie,
    private readonly stopTokens: ReadonlySet<number>,
    private readonly depth: number,
  ) {
    this.#longest = trie.bytes.reduce((most, bytes) => Math.max(most, bytes?.length ?? 0), 0);
  }

  /** Whether nothing can follow but the end, as the format says, or as there is no room for more. */
  isComplete(tokens: readonly number[]): boolean {
    const places = this.#follow(tokens);
    if (places === NOWHERE || !this.recognizer.isEnd(places)) return false;
    if (!this.recognizer.goesOn(places)) return true;
    const left = this.#most - tokens.length;
    return this.stopTokens.size === 0 && left > 0 && !this.#allowed?.mask(places, left - 1).includes(1);
  }

  readonly process: LogitsProcessor = (scores, tokens, { begin, maxLength }) => {
    const { recognizer } = this;
    const places = this.#follow(tokens.slice(begin));
    const left = maxLength - tokens.length; // with the one that is chosen now
    this.#most = maxLength - begin;
    // A token may be a byte of text; the end itself needs none.
    const isTight = recognizer.distance(places) + this.depth * this.#longest >= left;
    this.#allowed ??= new AllowedTokens(recognizer, this.trie, scores.length);
    const mask = this.#allowed.mask(places, isTight ? left - 1 : Number.POSITIVE_INFINITY);
    const canEnd = places !== NOWHERE && recognizer.isEnd(places);
    let isPossible = false;
    for (let token = 0; token < scores.length; token++) {
      if (mask[token] === 1) isPossible = true;
      else if (!(canEnd && this.stopTokens.has(token))) scores[token] = NEVER;
    }
    if (isPossible || (canEnd && this.stopTokens.size > 0)) return;
    throw new ArgumentError(
      `responseFormat: no token can follow after ${tokens.length - begin}: raise maxNewTokens, of which ${left} are left`,
    );
  };

  /** Where a text is; stop tokens are no part of it. */
  #follow(tokens: readonly number[]): Places {
    let places = this.recognizer.start();
    for (const token of tokens) {
      if (this.stopTokens.has(token)) break;
      for (const byte of this.trie.bytes[token] ?? []) places = this.recognizer.step(places, byte);
    }
    return places;
  }
}
