// Encodes batches of texts. Truncation and padding equal those of Hugging Face's tokenizers.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { type Item, type PostProcessor, sequencesOf } from './post-processor.js';

export interface EncodeBatchOptions {
  /** A second text for each row. Both texts form one sequence. Default: none. */
  textPair?: readonly string[] | undefined;
  /** True adds special tokens such as [CLS] and [SEP] around the texts. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** True or 'longest' pads to the longest sequence, 'max_length' to `maxLength`. Default: false. */
  padding?: boolean | 'longest' | 'max_length' | undefined;
  /**
   * How sequences longer than `maxLength` are truncated. True or 'longest_first' cuts the longer text of a pair.
   * Default: false, or true if `maxLength` is given without padding.
   */
  truncation?: boolean | 'longest_first' | 'only_first' | 'only_second' | undefined;
  /** Side at which texts are cut. Default: the config's `truncation_side`, or right. */
  truncationSide?: 'left' | 'right' | undefined;
  /**
   * Maximum length of a sequence in tokens, including special tokens. Default: `model_max_length` of the tokenizer's
   * config.
   */
  maxLength?: number | undefined;
  /** Number of tokens that each overflowing window repeats from the one before it. Default: 0. */
  stride?: number | undefined;
  /** True returns the text that was cut off in further sequences (windows). Default: false. */
  returnOverflowingTokens?: boolean | undefined;
  /** True returns `offsets` and `wordIds`; false leaves both empty. Default: true. */
  returnOffsets?: boolean | undefined;
  /** Lengths are padded to a multiple of this. Default: 1. */
  padToMultipleOf?: number | undefined;
  /** Side of the padding. Default: the config's `padding_side`, or right. */
  paddingSide?: 'left' | 'right' | undefined;
}

/** Encoded texts: one row per sequence, [rows, tokens]. */
export interface BatchEncoding {
  readonly inputIds: number[][];
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: number[][];
  /** Type of each token (`token_type_ids`): usually 0 for the first text of a pair and 1 for the second. */
  readonly tokenTypeIds: number[][];
  /** 1 for special tokens and padding, 0 for tokens of a text. */
  readonly specialTokensMask: number[][];
  /** Start and end of each token in its text, in code points: `[...text].slice(start, end)`. */
  readonly offsets: [start: number, end: number][][];
  /** Index of the word that a token belongs to, counted per text. Null for special tokens. */
  readonly wordIds: (number | null)[][];
  /** Index of the text, or pair, that each sequence comes from. */
  readonly overflowToSampleMapping: number[];
}

/** Parts of a tokenizer that batches need. */
export interface BatchSettings {
  readonly postProcessor: PostProcessor;
  readonly padId: number | undefined;
  readonly padTypeId: number;
  readonly paddingSide: 'left' | 'right';
  readonly truncationSide: 'left' | 'right';
  readonly maxLength: number | undefined;
  /** Tokens of a text: type 0, or 1 for the second text of a pair. */
  items(text: string, type: 0 | 1): Item[];
}

/**
 * Returns the maximum number of tokens of a text that `encodeBatch` uses. Longer texts need not be tokenized to the
 * end.
 */
export function tokensRead(options: EncodeBatchOptions, settings: BatchSettings): number {
  const { textPair, truncation, returnOverflowingTokens = false } = withTruncation(options);
  const cutsRight = (options.truncationSide ?? settings.truncationSide) === 'right';
  const isCut = truncation !== false && cutsRight && textPair === undefined && !returnOverflowingTokens;
  return (isCut ? (options.maxLength ?? settings.maxLength) : undefined) ?? Number.POSITIVE_INFINITY;
}

function withTruncation(options: EncodeBatchOptions): EncodeBatchOptions {
  const { truncation = options.maxLength !== undefined && !(options.padding ?? false) } = options;
  return { ...options, truncation };
}

/** Encodes texts as sequences. Throws ArgumentError for options that contradict each other. */
export function encodeBatch(
  texts: readonly string[],
  options: EncodeBatchOptions,
  settings: BatchSettings,
): BatchEncoding {
  const { textPair, padding = false, padToMultipleOf = 1, returnOffsets = true } = checkedTexts(texts, options);
  const { truncation } = withTruncation(options);
  const maxLength = options.maxLength ?? settings.maxLength;
  if ((padding === 'max_length' || truncation) && maxLength === undefined)
    refuse('maxLength is missing, which padding or truncation needs: the tokenizer has no model_max_length');
  const all = texts.map((text, i) => encoded(text, textPair?.[i], { ...options, truncation, maxLength }, settings));
  const samples = all.flatMap((rows, sample) => rows.map(() => sample));
  const longest = all.reduce((max, rows) => Math.max(max, (rows[0] as Item[]).length), 0);
  const wanted = padding === 'max_length' ? (maxLength as number) : padding ? longest : 0;
  const length = Math.ceil(wanted / padToMultipleOf) * padToMultipleOf;
  const side = options.paddingSide ?? settings.paddingSide;
  const { padId, padTypeId } = settings;
  const sequences = all.flat();
  if (padId === undefined && sequences.some((items) => items.length < length))
    refuse('padding is wanted, but the tokenizer has no token for it: give its config a pad_token');
  const pad: Item = { id: padId as number, token: '', type: padTypeId, special: 1, offset: [0, 0], word: null };
  const rowsOf = <T>(value: (item: Item) => T): T[][] =>
    sequences.map((items) => {
      const missing = new Array<T>(Math.max(0, length - items.length)).fill(value(pad));
      return side === 'left' ? [...missing, ...items.map(value)] : [...items.map(value), ...missing];
    });
  return {
    inputIds: rowsOf(({ id }) => id),
    attentionMask: rowsOf((item) => Number(item !== pad)),
    tokenTypeIds: rowsOf(({ type }) => type),
    specialTokensMask: rowsOf(({ special }) => special),
    offsets: returnOffsets ? rowsOf(({ offset: [start, end] }) => [start, end] as [number, number]) : [],
    wordIds: returnOffsets ? rowsOf(({ word }) => word) : [],
    overflowToSampleMapping: samples,
  };
}

/** Returns the sequence of one text or pair, followed by its overflowing windows if they were requested. */
function encoded(
  first: string,
  second: string | undefined,
  options: EncodeBatchOptions,
  { postProcessor, items, truncationSide }: BatchSettings,
): Item[][] {
  const { addSpecialTokens: addsSpecial = true, truncation, maxLength, stride = 0, returnOverflowingTokens } = options;
  const texts = [items(first, 0), ...(second === undefined ? [] : [items(second, 1)])];
  const around = addsSpecial ? postProcessor.around(texts.length === 2) : 0;
  const side = options.truncationSide ?? truncationSide;
  const room = (maxLength as number) - around;
  const parts = truncation
    ? lengthsIn(texts, room, truncation).map((length, i) => windows(texts[i] as Item[], length, stride, side))
    : texts.map((all) => [all]);
  const sequences = sequencesOf(postProcessor.process(parts, addsSpecial));
  return returnOverflowingTokens ? sequences : sequences.slice(0, 1);
}

/** Checks texts and options. Throws ArgumentError for invalid ones. */
export function checkedTexts(texts: readonly string[], options: EncodeBatchOptions): EncodeBatchOptions {
  const isList = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === 'string');
  const { textPair } = checkOptions('encodeBatch', options, {
    textPair: 'array',
    addSpecialTokens: 'boolean',
    padding: [true, false, 'longest', 'max_length'],
    truncation: [true, false, 'longest_first', 'only_first', 'only_second'],
    truncationSide: ['left', 'right'],
    maxLength: 'count',
    stride: 'whole',
    returnOverflowingTokens: 'boolean',
    returnOffsets: 'boolean',
    padToMultipleOf: 'count',
    paddingSide: ['left', 'right'],
  });
  if (!isList(texts)) refuse(`the texts are ${describeValue(texts)}, expected an array of strings`);
  if (textPair && (!isList(textPair) || textPair.length !== texts.length))
    refuse(`textPair is ${describeValue(textPair)}, expected a string for each of ${texts.length} texts`);
  return options;
}

function refuse(message: string): never {
  throw new ArgumentError(`encodeBatch: ${message}`);
}

/** Returns the number of tokens that each text keeps when both together are cut to `room` tokens. */
function lengthsIn(texts: readonly Item[][], room: number, how: EncodeBatchOptions['truncation']): number[] {
  const [first, second = 0] = texts.map(({ length }) => length) as [number, number?];
  if (first + second <= room) return [first, second].slice(0, texts.length);
  if (room < 0) refuse(`maxLength leaves no room beside the special tokens: ${-room} too few`);
  return (room === 0 ? [0, 0] : lengthsOf(first, second, room, how)).slice(0, texts.length);
}

/** Like `lengthsIn`, for texts that exceed `room`. */
function lengthsOf(first: number, second: number, room: number, how: EncodeBatchOptions['truncation']) {
  if (how === 'only_first' || how === 'only_second') {
    const kept = room - (how === 'only_first' ? second : first);
    if (kept <= 0) refuse(`truncation is ${how}, but the other text alone is too long; cut 'longest_first'`);
    return how === 'only_first' ? [kept, second] : [first, kept];
  }
  let [shorter, longer] = [Math.min(first, second), Math.max(first, second)] as [number, number];
  longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (shorter + longer > room) [shorter, longer] = [Math.floor(room / 2), Math.floor(room / 2) + (room % 2)];
  return first > second ? [longer, shorter] : [shorter, longer];
}

/**
 * Windows of `length` tokens that overlap by `stride`. If texts are cut at the left side, the last window comes first.
 */
function windows(items: Item[], length: number, stride: number, side: 'left' | 'right'): Item[][] {
  if (items.length <= length) return [items];
  if (length === 0) return [[], items];
  if (stride >= length) refuse(`stride is ${stride}, expected less than the ${length} tokens of a part`);
  const found: Item[][] = [];
  for (let done = 0; ; done += length - stride) {
    const end = items.length - done;
    found.push(side === 'left' ? items.slice(Math.max(0, end - length), end) : items.slice(done, done + length));
    if (done + length >= items.length) return found;
  }
}
