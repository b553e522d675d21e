import { FormatError } from '../core/errors.js';
import { type SpecialTokens, specialList } from './special.js';

/** A Hugging Face `tokenizer.json`, as far as this package looks into it. */
export interface TokenizerJson {
  readonly version: string;
  readonly truncation: unknown;
  readonly padding: { readonly pad_token: string; readonly pad_id: number } | null;
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: TokenizerModel;
}

export interface TokenizerModel {
  readonly type?: string;
  /** Token to id; Unigram models list theirs otherwise. */
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges?: readonly (readonly string[])[];
  readonly unk_token?: string | null;
}

/** What differs between the tokenizers made here. */
export type TokenizerParts = Pick<TokenizerJson, 'pre_tokenizer' | 'decoder' | 'model'>;

type TemplatePiece = { SpecialToken: { id: string; type_id: number } } | { Sequence: { id: string; type_id: number } };

/** Writes a `tokenizer.json`. The roles of special tokens are kept where the format has a place for them. */
export function writeTokenizer(
  special: SpecialTokens,
  ids: ReadonlyMap<string, number>,
  parts: TokenizerParts,
): TokenizerJson {
  const { pad } = special;
  const idOf = (token: string) => ids.get(token) as number;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: '1.0',
    truncation: null,
    padding: pad === undefined ? null : paddingWith(pad, idOf(pad)),
    added_tokens: specialList(special)
      .map((content) => ({ id: idOf(content), content, ...flags }))
      .sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: parts.pre_tokenizer,
    post_processor: templateOf(special, idOf),
    decoder: parts.decoder,
    model: parts.model,
  };
}

function paddingWith(pad_token: string, pad_id: number) {
  return { strategy: 'BatchLongest', direction: 'Right', pad_to_multiple_of: null, pad_id, pad_type_id: 0, pad_token };
}

function templateOf({ bos, eos }: SpecialTokens, idOf: (token: string) => number): unknown {
  const around = [bos, eos].filter((token) => token !== undefined);
  if (around.length === 0) return null;
  const surrounded = (sequence: string): TemplatePiece[] => [
    ...(bos === undefined ? [] : [{ SpecialToken: { id: bos, type_id: 0 } }]),
    { Sequence: { id: sequence, type_id: 0 } },
    ...(eos === undefined ? [] : [{ SpecialToken: { id: eos, type_id: 0 } }]),
  ];
  return {
    type: 'TemplateProcessing',
    single: surrounded('A'),
    pair: [...surrounded('A'), ...surrounded('B')],
    special_tokens: Object.fromEntries(around.map((id) => [id, { id, ids: [idOf(id)], tokens: [id] }])),
  };
}

/** Checks the outline of what was parsed from a `tokenizer.json`. */
export function checkTokenizerJson(json: unknown): TokenizerJson {
  const candidate = json as Partial<TokenizerJson> | null;
  if (typeof candidate !== 'object' || candidate === null || typeof candidate.model?.vocab !== 'object') {
    throw new FormatError('this is no tokenizer.json: it has no model with a vocabulary');
  }
  if (!Array.isArray(candidate.added_tokens)) throw new FormatError('this tokenizer.json has no list of added_tokens');
  return candidate as TokenizerJson;
}

/** The roles of special tokens, read from where `writeTokenizer` and Hugging Face's own tools put them. */
export function specialTokensOf(json: TokenizerJson): SpecialTokens {
  const special = json.added_tokens.filter((token) => token.special).map((token) => token.content);
  const template = (json.post_processor ?? {}) as { single?: TemplatePiece[] };
  const pieces = template.single ?? [];
  const text = pieces.findIndex((piece) => 'Sequence' in piece);
  const [before, after] = [pieces[text - 1], pieces[text + 1]];
  const unk = json.model.unk_token ?? undefined;
  const roles = {
    pad: json.padding?.pad_token,
    bos: before && 'SpecialToken' in before ? before.SpecialToken.id : undefined,
    eos: after && 'SpecialToken' in after ? after.SpecialToken.id : undefined,
    unk: unk !== undefined && (special.includes(unk) || unk in json.model.vocab) ? unk : undefined,
  };
  const named: (string | undefined)[] = Object.values(roles);
  return { ...roles, additional: special.filter((token) => !named.includes(token)) };
}

/**
 * Restores a tokenizer made here from its `tokenizer.json`: `make` gets the tokens by id and the special ones. Throws
 * FormatError if `json` is not what that tokenizer writes.
 */
export function restoreTokenizer<T extends { toJSON(): TokenizerJson }>(
  json: unknown,
  make: (tokens: string[], special: SpecialTokens, json: TokenizerJson) => T,
): T {
  const read = checkTokenizerJson(json);
  const byId = Object.entries(read.model.vocab).sort(([, a], [, b]) => a - b);
  let tokenizer: T;
  try {
    tokenizer = make(
      byId.map(([token]) => token),
      specialTokensOf(read),
      read,
    );
  } catch (cause) {
    throw new FormatError(`this tokenizer.json does not hold such a tokenizer; loadTokenizer reads others`, { cause });
  }
  const written = tokenizer.toJSON();
  for (const part of ['model', 'normalizer', 'pre_tokenizer', 'decoder'] as const) {
    if (!sameJson(written[part], read[part])) {
      throw new FormatError(
        `the ${part} of this tokenizer.json is another than such a tokenizer's; loadTokenizer reads others`,
      );
    }
  }
  return tokenizer;
}

function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key as never], b[key as never]));
}
