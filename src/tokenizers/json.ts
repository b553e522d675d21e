import { FormatError } from '../core/errors.js';
import { type SpecialTokens, specialList } from './special.js';

/** A Hugging Face `tokenizer.json`: the fields that this package reads. */
export interface TokenizerJson {
  readonly version: string;
  readonly truncation: unknown;
  readonly padding: { readonly pad_token: string; readonly pad_id: number } | null;
  readonly added_tokens: readonly {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
    readonly single_word?: boolean;
    readonly lstrip?: boolean;
    readonly rstrip?: boolean;
    /** True if the token is searched in normalized text. Default: the opposite of `special`. */
    readonly normalized?: boolean;
  }[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: TokenizerModel;
}

export interface TokenizerModel {
  readonly type?: string;
  /** Token to id. Unigram models have a list ordered by id. */
  readonly vocab: Readonly<Record<string, number>> | ScoredTokens;
  readonly merges?: readonly (readonly string[])[] | undefined;
  readonly continuing_subword_prefix?: string | null;
  /** True if characters without a token are encoded as tokens of their bytes. */
  readonly byte_fallback?: boolean;
  readonly unk_token?: string | null;
  /** Unigram models have this instead of `unk_token`. */
  readonly unk_id?: number | null;
}

/** Returns the type of a model. It is derived from the fields, because old files do not name it. */
export function typeOf(model: TokenizerModel): string {
  if (model.type !== undefined) return model.type;
  if (Array.isArray(model.vocab)) return 'Unigram';
  return model.merges !== undefined ? 'BPE' : 'max_input_chars_per_word' in model ? 'WordPiece' : 'WordLevel';
}

/** Tokens of a Unigram model by id. Null for other models, whose vocabularies are not read. */
function scoredTokensOf(model: TokenizerModel): ScoredTokens | null {
  return typeOf(model) === 'Unigram' ? (model.vocab as ScoredTokens) : null;
}

/** A Unigram vocabulary by id. Scores are log-probabilities. */
export type ScoredTokens = readonly (readonly [token: string, score: number])[];

export type ConfiguredToken = string | { readonly content: string } | null;

export function contentOf(token: ConfiguredToken | undefined): string | undefined {
  return (typeof token === 'object' ? token?.content : token) ?? undefined;
}

/** The part of Hugging Face's `tokenizer_config.json` that gives special tokens their roles. Other keys are kept. */
export interface TokenizerConfig {
  readonly pad_token?: ConfiguredToken;
  readonly bos_token?: ConfiguredToken;
  readonly eos_token?: ConfiguredToken;
  readonly unk_token?: ConfiguredToken;
  readonly [key: string]: unknown;
}

/** The parts that differ between the tokenizers of this package. */
export type TokenizerParts = Pick<TokenizerJson, 'pre_tokenizer' | 'decoder' | 'model'>;

type TemplatePiece = { SpecialToken: { id: string; type_id: number } } | { Sequence: { id: string; type_id: number } };

type NamedToken = readonly [token: string, id: number];

/** The step that adds special tokens around text: the fields that this package reads. */
type PostProcessor =
  | { readonly type: 'TemplateProcessing'; readonly single: readonly TemplatePiece[]; readonly [key: string]: unknown }
  | { readonly type: 'BertProcessing' | 'RobertaProcessing'; readonly cls: NamedToken; readonly sep: NamedToken }
  | { readonly type: 'Sequence'; readonly processors: readonly PostProcessor[] }
  | { readonly type: 'ByteLevel' };

/** Makes a `tokenizer.json`. Roles of special tokens are stored if the format has a field for them. */
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

function templateOf({ bos, eos }: SpecialTokens, idOf: (token: string) => number): PostProcessor | null {
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

/** Reads the roles of special tokens from the fields in which `writeTokenizer` and Hugging Face's tools store them. */
export function specialTokensOf({ added_tokens, padding, post_processor, model }: TokenizerJson): SpecialTokens {
  const special = added_tokens.filter((token) => token.special).map((token) => token.content);
  const roles = {
    pad: padding?.pad_token,
    ...tokensAround(post_processor as PostProcessor | null),
    unk: unknownOf(model, special),
  };
  const named: (string | undefined)[] = Object.values(roles);
  return { ...roles, additional: special.filter((token) => !named.includes(token)) };
}

/** Tokens directly before and after the text. */
function tokensAround(processor: PostProcessor | null | undefined): {
  bos?: string | undefined;
  eos?: string | undefined;
} {
  switch (processor?.type) {
    case 'TemplateProcessing': {
      const text = processor.single.findIndex((piece) => 'Sequence' in piece);
      const [before, after] = text < 0 ? [] : [processor.single[text - 1], processor.single[text + 1]];
      const nameOf = (piece?: TemplatePiece) => (piece && 'SpecialToken' in piece ? piece.SpecialToken.id : undefined);
      return { bos: nameOf(before), eos: nameOf(after) };
    }
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { bos: processor.cls[0], eos: processor.sep[0] };
    case 'Sequence':
      return processor.processors.map(tokensAround).find(({ bos, eos }) => bos ?? eos) ?? {};
    default:
      return {};
  }
}

/** The token for unknown text. If no token has that name, there is none. */
function unknownOf(model: TokenizerModel, special: readonly string[]): string | undefined {
  const { unk_token, unk_id } = model;
  const scored = scoredTokensOf(model);
  if (scored !== null) return scored[unk_id ?? -1]?.[0];
  if (typeof unk_token !== 'string') return undefined;
  return special.includes(unk_token) || Object.hasOwn(model.vocab, unk_token) ? unk_token : undefined;
}

/**
 * Restores a tokenizer of this package from its `tokenizer.json`. `make` gets the tokens by id and the special ones.
 * Throws FormatError if `json` differs from the output of the restored tokenizer.
 */
export function restoreTokenizer<T extends { toJSON(): TokenizerJson }>(
  json: unknown,
  make: (tokens: string[], special: SpecialTokens, json: TokenizerJson) => T,
): T {
  const read = json as TokenizerJson; // invalid content is found by comparing the result
  let tokenizer: T;
  try {
    const byId = Object.entries(read.model.vocab).sort(([, a], [, b]) => a - b);
    tokenizer = make(
      byId.map(([token]) => token),
      specialTokensOf(read),
      read,
    );
  } catch (cause) {
    throw new FormatError('this tokenizer.json has a tokenizer of another kind: read it with parseTokenizer', {
      cause,
    });
  }
  const written = tokenizer.toJSON();
  const parts = ['model', 'added_tokens', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const;
  for (const part of parts) {
    if (!sameJson(written[part], read[part])) {
      throw new FormatError(
        `this tokenizer.json has another ${part} than a tokenizer of this kind: read it with parseTokenizer`,
      );
    }
  }
  return tokenizer;
}

export function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key as never], b[key as never]));
}
