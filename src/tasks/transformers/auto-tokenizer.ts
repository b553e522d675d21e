// AutoTokenizer of transformers.js.

import { checkOptions, describeValue, isObject, orNull } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { HubOptions } from '../../pretrained/hub-options.js';
import { loadTokenizer } from '../../pretrained/load-later.js';
import type { ModelLocation } from '../../pretrained/open-source.js';
import type { ApplyChatTemplateOptions, ChatMessage } from '../../tokenizers/chat-template.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { HostTensor } from '../host-tensor.js';
import { textsOf } from '../text-inputs.js';
import { env, localOr } from './env.js';

export interface FromPretrainedOptions {
  /** A branch, a tag or a commit. Default: `main`. */
  revision?: string | undefined;
  /** The folder of downloads. Default: `env.cacheDir`. */
  cache_dir?: string | undefined;
  /** True to use only local folders, as with `env.allowRemoteModels = false`. Default: false. */
  local_files_only?: boolean | undefined;
}

export interface TokenizerCallOptions {
  text_pair?: string | readonly string[] | null | undefined;
  /** True pads to the longest text, 'max_length' to `max_length`. Default: false. */
  padding?: boolean | 'max_length' | undefined;
  /**
   * True cuts texts that are longer than `max_length`. Default: false, or true if `max_length` is given without padding.
   */
  truncation?: boolean | undefined;
  /** Maximum number of tokens. Default: the model's limit. */
  max_length?: number | undefined;
  /** Default: true. */
  add_special_tokens?: boolean | undefined;
  /** If false, ids are lists of numbers instead of tensors. Default: true. */
  return_tensor?: boolean | undefined;
  /** If true, `token_type_ids` are returned. Default: if the model reads them. */
  return_token_type_ids?: boolean | null | undefined;
}

/** Ids of texts: int64 [B, T], or lists. */
export interface TokenizedTexts<Ids = HostTensor<BigInt64Array>> {
  readonly input_ids: Ids;
  readonly attention_mask: Ids;
  readonly token_type_ids?: Ids;
}

/** Ids of a text. */
export type TextIds = Iterable<number | bigint> | HostTensor<BigInt64Array>;

/** Options of `decode` and `batch_decode`. */
export interface DecodeOptions {
  /** If true, special tokens are left out. Default: false. */
  skip_special_tokens?: boolean | undefined;
}

/** Options of `apply_chat_template`. Other names must be variables of the template, such as `enable_thinking`. */
export interface ChatTemplateOptions
  extends Pick<TokenizerCallOptions, 'padding' | 'truncation' | 'max_length' | 'return_tensor'> {
  /** If true, ids are returned, otherwise text. Default: true. */
  tokenize?: boolean | undefined;
  /** Default: false. */
  add_generation_prompt?: boolean | undefined;
  tools?: ApplyChatTemplateOptions['tools'];
  documents?: ApplyChatTemplateOptions['documents'];
  chat_template?: string | undefined;
  /** If true, the result is that of a call of the tokenizer, otherwise its `input_ids`. Default: true. */
  return_dict?: boolean | undefined;
  readonly [variable: string]: unknown;
}

const SPECIAL = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const;

/** The special tokens of tokenizer_config.json, and their ids; undefined if there is none. */
type SpecialTokens = { readonly [Name in (typeof SPECIAL)[number] as `${Name}_token`]: string | undefined } & {
  readonly [Name in (typeof SPECIAL)[number] as `${Name}_token_id`]: number | undefined;
};

/** A tokenizer with the interface of transformers.js: call it with texts. */
export interface TransformersTokenizer extends SpecialTokens {
  (texts: string, options: TokenizerCallOptions & { return_tensor: false }): TokenizedTexts<number[]>;
  (texts: readonly string[], options: TokenizerCallOptions & { return_tensor: false }): TokenizedTexts<number[][]>;
  (texts: string | readonly string[], options?: TokenizerCallOptions): TokenizedTexts;
  /** This tokenizer with simdformer's own interface. */
  readonly tokenizer: PretrainedTokenizer;
  /** Content of tokenizer_config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Maximum number of tokens by tokenizer_config.json, or Infinity. */
  readonly model_max_length: number;
  /** Side of the padding. Default: that of tokenizer_config.json, or right. */
  padding_side: 'left' | 'right';
  readonly chat_template: PretrainedTokenizer['chatTemplate'];
  readonly all_special_ids: readonly number[];
  readonly all_special_tokens: readonly string[];
  get_vocab(): Map<string, number>;
  /** The id of a token, or ids of several. A token that the vocabulary lacks has the id undefined. */
  convert_tokens_to_ids(tokens: string): number | undefined;
  convert_tokens_to_ids(tokens: readonly string[]): (number | undefined)[];
  encode(text: string, options?: Pick<TokenizerCallOptions, 'text_pair' | 'add_special_tokens'>): number[];
  decode(ids: TextIds, options?: DecodeOptions): string;
  batch_decode(batch: Iterable<TextIds>, options?: DecodeOptions): string[];
  /** The tokens of a text. Default: without special tokens. */
  tokenize(
    text: string,
    options?: { pair?: string | null | undefined; add_special_tokens?: boolean | undefined },
  ): string[];
  apply_chat_template(messages: readonly ChatMessage[], options: ChatTemplateOptions & { tokenize: false }): string;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { return_tensor: false; return_dict: false },
  ): number[];
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { return_tensor: false },
  ): TokenizedTexts<number[]>;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { return_dict: false },
  ): HostTensor<BigInt64Array>;
  apply_chat_template(messages: readonly ChatMessage[], options?: ChatTemplateOptions): TokenizedTexts;
}

/** Renders a conversation as text. */
type Renderer = Awaited<ReturnType<PretrainedTokenizer['chatRenderer']>>;

/** Loads tokenizers by the name that transformers.js has for it. */
export const AutoTokenizer = {
  /**
   * Loads the tokenizer of a folder or of a model on the hub. Calls with texts of different lengths need `padding:
   * true`. Rejects as `loadTokenizer`.
   */
  async from_pretrained(name: ModelLocation, options: FromPretrainedOptions = {}): Promise<TransformersTokenizer> {
    return asTransformersTokenizer(await loadTokenizer(...(await located('AutoTokenizer', name, options))));
  },
};

/** Location and options of the hub for the arguments of `from_pretrained`. */
export async function located(
  className: string,
  name: ModelLocation,
  options: FromPretrainedOptions,
): Promise<[location: ModelLocation, hub: HubOptions]> {
  const {
    revision,
    cache_dir = env.cacheDir ?? undefined,
    local_files_only: isLocal,
  } = checkOptions(`${className}.from_pretrained`, options, {
    revision: 'string',
    cache_dir: 'string',
    local_files_only: 'boolean',
  });
  return [await localOr(name, isLocal), { revision, cacheDir: cache_dir }];
}

/** A tokenizer with the interface of transformers.js. */
export async function asTransformersTokenizer(tokenizer: PretrainedTokenizer): Promise<TransformersTokenizer> {
  return callable(tokenizer, await tokenizer.chatRenderer());
}

/** Returns an int64 tensor [B, T]. Throws ArgumentError for rows of different lengths. */
export function int64(rows: readonly (readonly number[])[]): HostTensor<BigInt64Array> {
  const length = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== length))
    throw new ArgumentError('tokenizer: the texts have different numbers of tokens: use { padding: true }');
  return new HostTensor(BigInt64Array.from(rows.flat(), BigInt), [rows.length, length]);
}

function callable(tokenizer: PretrainedTokenizer, render: Renderer): TransformersTokenizer {
  const config: Readonly<Record<string, unknown>> = tokenizer.config ?? {};
  const decode = (ids: TextIds, options: DecodeOptions = {}) => {
    const { skip_special_tokens: skipSpecial = false } = checkOptions('decode', options, {
      skip_special_tokens: 'boolean',
    });
    const list = ids instanceof HostTensor ? ids.data : ids;
    return tokenizer.decode(Array.from(list as Iterable<number | bigint>, Number), { skipSpecial });
  };
  const special = (tokenizer.toJSON().added_tokens ?? []).filter((token) => token.special);
  const toId = (token: string) => tokenizer.tokenToId(token);
  const call = (texts: string | readonly string[], options: TokenizerCallOptions = {}) =>
    tokenized(tokenizer, texts, options, result.padding_side);
  const members = {
    tokenizer,
    config,
    model_max_length: typeof config.model_max_length === 'number' ? config.model_max_length : Number.POSITIVE_INFINITY,
    padding_side: config.padding_side === 'left' ? 'left' : 'right',
    chat_template: tokenizer.chatTemplate,
    all_special_ids: special.map(({ id }) => id),
    all_special_tokens: special.map(({ content }) => content),
    get_vocab: () =>
      new Map(
        Array.from({ length: tokenizer.vocabSize }, (_, id) => [tokenizer.idToToken(id), id] as const).filter(
          ([token]) => token !== undefined,
        ),
      ),
    convert_tokens_to_ids: (tokens: string | readonly string[]) =>
      typeof tokens === 'string' ? toId(tokens) : textsOf('convert_tokens_to_ids', tokens, 'tokens').map(toId),
    encode: (text: string, options: TokenizerCallOptions = {}) =>
      encoded(tokenizer, text, options).inputIds[0] as number[],
    decode,
    batch_decode: (batch: Iterable<TextIds>, options?: DecodeOptions) =>
      Array.from(batch, (ids) => decode(ids, options)),
    tokenize(text: string, options: { pair?: string | null; add_special_tokens?: boolean } = {}) {
      const { pair, add_special_tokens = false } = checkOptions('tokenize', options, {
        pair: orNull('string'),
        add_special_tokens: 'boolean',
      });
      const { inputIds } = encoded(tokenizer, text, { text_pair: pair, add_special_tokens });
      return (inputIds[0] as number[]).map((id) => tokenizer.idToToken(id) as string);
    },
    apply_chat_template: (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}) =>
      rendered(call, render, tokenizer.chatTemplate, messages, options),
  };
  const result = Object.assign(call, members, specialTokens(tokenizer)) as TransformersTokenizer;
  return result;
}

type Called = TokenizedTexts | TokenizedTexts<number[]> | TokenizedTexts<number[][]>;

function tokenized(
  tokenizer: PretrainedTokenizer,
  texts: string | readonly string[],
  options: TokenizerCallOptions,
  side: 'left' | 'right',
): Called {
  const { return_tensor, return_token_type_ids, ...others } = checkOptions('tokenizer', options);
  checkOptions(
    'tokenizer',
    { return_tensor, return_token_type_ids },
    { return_tensor: 'boolean', return_token_type_ids: orNull('boolean') },
  );
  const { inputIds, attentionMask, tokenTypeIds } = encoded(tokenizer, texts, others, side);
  const name = tokenizer.config?.tokenizer_class;
  const hasTypes = return_token_type_ids ?? (name === undefined || /Bert/.test(`${name}`));
  const rows = {
    input_ids: inputIds,
    attention_mask: attentionMask,
    ...(hasTypes && { token_type_ids: tokenTypeIds }),
  };
  const converted = <To>(to: (rows: number[][]) => To) =>
    Object.fromEntries(
      Object.entries(rows).map(([name, values]) => [name, to(values)]),
    ) as unknown as TokenizedTexts<To>;
  if (return_tensor ?? true) return converted(int64);
  return typeof texts === 'string' ? converted(([row]) => row as number[]) : rows;
}

function specialTokens(tokenizer: PretrainedTokenizer): SpecialTokens {
  const entries = SPECIAL.flatMap((name): [string, unknown][] => {
    const setting: unknown = tokenizer.config?.[`${name}_token`];
    const token = isObject(setting) ? setting.content : setting;
    if (typeof token !== 'string') return [];
    return [
      [`${name}_token`, token],
      [`${name}_token_id`, tokenizer.tokenToId(token)],
    ];
  });
  return Object.fromEntries(entries) as unknown as SpecialTokens;
}

function encoded(
  tokenizer: PretrainedTokenizer,
  texts: string | readonly string[],
  options: Omit<TokenizerCallOptions, 'return_tensor' | 'return_token_type_ids'>,
  paddingSide?: 'left' | 'right',
) {
  const { text_pair, padding, truncation, max_length, add_special_tokens } = checkOptions('tokenizer', options, {
    text_pair: 'any',
    padding: [true, false, 'max_length'],
    truncation: 'boolean',
    max_length: 'count',
    add_special_tokens: 'boolean',
  });
  const list = textsOf('tokenizer', texts);
  const pairs = text_pair == null ? undefined : textsOf('tokenizer', text_pair, 'text_pair');
  if (pairs !== undefined && pairs.length !== list.length)
    throw new ArgumentError(`tokenizer: text_pair is ${describeValue(text_pair)}, expected ${list.length} texts`);
  return tokenizer.encodeBatch(list, {
    textPair: pairs,
    padding,
    truncation,
    maxLength: max_length,
    paddingSide,
    addSpecialTokens: add_special_tokens,
    returnOffsets: false,
  });
}

const CHAT = {
  tokenize: 'boolean',
  add_generation_prompt: 'boolean',
  tools: 'any',
  documents: 'any',
  chat_template: 'string',
  return_dict: 'boolean',
  padding: 'any',
  truncation: 'any',
  max_length: 'any',
  return_tensor: 'any',
} as const;

function rendered(
  call: (text: string, options: TokenizerCallOptions) => Called,
  render: Renderer,
  modelTemplate: PretrainedTokenizer['chatTemplate'],
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions,
) {
  const entries = Object.entries(checkOptions('apply_chat_template', options));
  const template = JSON.stringify(options.chat_template ?? modelTemplate);
  const isVariable = ([name]: [string, unknown]) => !(name in CHAT) && template.includes(name);
  const named: ChatTemplateOptions = Object.fromEntries(entries.filter((entry) => !isVariable(entry)));
  const { tokenize, add_generation_prompt, tools, documents, chat_template, return_dict, ...others } = checkOptions(
    'apply_chat_template',
    named,
    CHAT,
  );
  const text = render(messages, {
    addGenerationPrompt: add_generation_prompt,
    tools,
    documents,
    chatTemplate: chat_template,
    variables: Object.fromEntries(entries.filter(isVariable)),
  });
  if (tokenize === false) return text;
  const result = call(text, { ...others, add_special_tokens: false });
  return (return_dict ?? true) ? result : result.input_ids;
}
