// AutoTokenizer of transformers.js.

import { checkOptions, describeValue, isObject, orNull } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { loadTokenizer } from '../../pretrained/load-later.js';
import type { ModelLocation } from '../../pretrained/open-source.js';
import type { ApplyChatTemplateOptions, ChatMessage } from '../../tokenizers/chat-template.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { HostTensor } from '../host-tensor.js';
import { textsOf } from '../text-inputs.js';
import { env, localOr } from './env.js';

export interface FromPretrainedOptions {
  /** A branch, a tag or a commit. Default `main`. */
  revision?: string | undefined;
  /** The folder of downloads. Default: `env.cacheDir`. */
  cache_dir?: string | undefined;
  /** True to use only local folders, as with `env.allowRemoteModels = false`. Default: false. */
  local_files_only?: boolean | undefined;
}

export interface TokenizerCallOptions {
  text_pair?: string | readonly string[] | null | undefined;
  /** True pads to the longest text, 'max_length' to `max_length`. Default false. */
  padding?: boolean | 'max_length' | undefined;
  /** True cuts texts that are longer than `max_length`. Default false. */
  truncation?: boolean | undefined;
  /** Maximum number of tokens. Default: the model's limit. */
  max_length?: number | undefined;
  /** Default true. */
  add_special_tokens?: boolean | undefined;
}

/** Ids of texts, int64 [B, T]. */
export interface TokenizedTexts {
  readonly input_ids: HostTensor<BigInt64Array>;
  readonly attention_mask: HostTensor<BigInt64Array>;
  readonly token_type_ids?: HostTensor<BigInt64Array>;
}

type Ids = Iterable<number | bigint> | HostTensor<BigInt64Array>;

interface DecodeOptions {
  /** If true, special tokens are left out. Default false. */
  skip_special_tokens?: boolean | undefined;
}

export interface ChatTemplateOptions {
  /** If true, ids are returned, otherwise text. Default true. */
  tokenize?: boolean | undefined;
  /** Default false. */
  add_generation_prompt?: boolean | undefined;
  tools?: ApplyChatTemplateOptions['tools'];
  documents?: ApplyChatTemplateOptions['documents'];
  chat_template?: string | undefined;
  /** If true, the ids are returned as `{ input_ids, attention_mask }`. Default false. */
  return_dict?: boolean | undefined;
}

const SPECIAL = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'] as const;

/** The special tokens of tokenizer_config.json, and their ids; undefined if there is none. */
type SpecialTokens = { readonly [Name in (typeof SPECIAL)[number] as `${Name}_token`]: string | undefined } & {
  readonly [Name in (typeof SPECIAL)[number] as `${Name}_token_id`]: number | undefined;
};

/** A tokenizer with the interface of transformers.js: call it with texts. */
export interface TransformersTokenizer extends SpecialTokens {
  (texts: string | readonly string[], options?: TokenizerCallOptions): TokenizedTexts;
  /** This tokenizer with simdformer's own interface. */
  readonly tokenizer: PretrainedTokenizer;
  encode(text: string, options?: Pick<TokenizerCallOptions, 'text_pair' | 'add_special_tokens'>): number[];
  decode(ids: Ids, options?: DecodeOptions): string;
  batch_decode(batch: Iterable<Ids>, options?: DecodeOptions): string[];
  /** The tokens of a text. Default: without special tokens. */
  tokenize(
    text: string,
    options?: { pair?: string | null | undefined; add_special_tokens?: boolean | undefined },
  ): string[];
  apply_chat_template(messages: readonly ChatMessage[], options: ChatTemplateOptions & { tokenize: false }): string;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions & { return_dict: true },
  ): Omit<TokenizedTexts, 'token_type_ids'>;
  apply_chat_template(messages: readonly ChatMessage[], options?: ChatTemplateOptions): HostTensor<BigInt64Array>;
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
    const op = 'AutoTokenizer.from_pretrained';
    const {
      revision,
      cache_dir = env.cacheDir ?? undefined,
      local_files_only: isLocal,
    } = checkOptions(op, options, { revision: 'string', cache_dir: 'string', local_files_only: 'boolean' });
    const tokenizer = await loadTokenizer(await localOr(name, isLocal), { revision, cacheDir: cache_dir });
    return callable(tokenizer, await tokenizer.chatRenderer());
  },
};

/** Returns an int64 tensor [B, T]. Throws ArgumentError for rows of different lengths. */
export function int64(rows: readonly (readonly number[])[]): HostTensor<BigInt64Array> {
  const length = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== length))
    throw new ArgumentError('tokenizer: the texts have different numbers of tokens: use { padding: true }');
  return new HostTensor(BigInt64Array.from(rows.flat(), BigInt), [rows.length, length]);
}

function callable(tokenizer: PretrainedTokenizer, render: Renderer): TransformersTokenizer {
  const decode = (ids: Ids, options: DecodeOptions = {}) => {
    const { skip_special_tokens: skipSpecial = false } = checkOptions('decode', options, {
      skip_special_tokens: 'boolean',
    });
    const list = ids instanceof HostTensor ? ids.data : ids;
    return tokenizer.decode(Array.from(list as Iterable<number | bigint>, Number), { skipSpecial });
  };
  const members = {
    tokenizer,
    encode: (text: string, options: TokenizerCallOptions = {}) =>
      encoded(tokenizer, text, options).inputIds[0] as number[],
    decode,
    batch_decode: (batch: Iterable<Ids>, options?: DecodeOptions) => Array.from(batch, (ids) => decode(ids, options)),
    tokenize(text: string, options: { pair?: string | null; add_special_tokens?: boolean } = {}) {
      const { pair, add_special_tokens = false } = checkOptions('tokenize', options, {
        pair: orNull('string'),
        add_special_tokens: 'boolean',
      });
      const { inputIds } = encoded(tokenizer, text, { text_pair: pair, add_special_tokens });
      return (inputIds[0] as number[]).map((id) => tokenizer.idToToken(id) as string);
    },
    apply_chat_template: (messages: readonly ChatMessage[], options: ChatTemplateOptions = {}) =>
      rendered(tokenizer, render, messages, options),
  };
  const call = (texts: string | readonly string[], options: TokenizerCallOptions = {}): TokenizedTexts => {
    const { inputIds, attentionMask, tokenTypeIds } = encoded(tokenizer, texts, options);
    const hasTypes =
      tokenizer.config?.tokenizer_class === undefined || /Bert/.test(`${tokenizer.config.tokenizer_class}`);
    return {
      input_ids: int64(inputIds),
      attention_mask: int64(attentionMask),
      ...(hasTypes && { token_type_ids: int64(tokenTypeIds) }),
    };
  };
  return Object.assign(call, members, specialTokens(tokenizer)) as TransformersTokenizer;
}

function specialTokens(tokenizer: PretrainedTokenizer): SpecialTokens {
  const entries = SPECIAL.flatMap((name): [string, unknown][] => {
    const given: unknown = tokenizer.config?.[`${name}_token`];
    const token = isObject(given) ? given.content : given;
    if (typeof token !== 'string') return [];
    return [
      [`${name}_token`, token],
      [`${name}_token_id`, tokenizer.tokenToId(token)],
    ];
  });
  return Object.fromEntries(entries) as unknown as SpecialTokens;
}

function encoded(tokenizer: PretrainedTokenizer, texts: string | readonly string[], options: TokenizerCallOptions) {
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
    truncation: truncation ?? false,
    maxLength: max_length,
    addSpecialTokens: add_special_tokens,
    returnOffsets: false,
  });
}

function rendered(
  tokenizer: PretrainedTokenizer,
  render: Renderer,
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions,
) {
  const given = checkOptions('apply_chat_template', options, {
    tokenize: 'boolean',
    add_generation_prompt: 'boolean',
    tools: 'any',
    documents: 'any',
    chat_template: 'string',
    return_dict: 'boolean',
  });
  const own = {
    addGenerationPrompt: given.add_generation_prompt,
    tools: given.tools,
    documents: given.documents,
    chatTemplate: given.chat_template,
  };
  const text = render(messages, own);
  if (given.tokenize === false) return text;
  const ids = tokenizer.encode(text);
  const input_ids = int64([ids]);
  return given.return_dict ? { input_ids, attention_mask: int64([ids.map(() => 1)]) } : input_ids;
}
