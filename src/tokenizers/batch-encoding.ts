// Batches of texts as a model reads them, cut and padded as Hugging Face's tokenizers do it.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Item, Template } from './template.js';

export interface EncodeBatchOptions {
  /** A second text for each: a pair is read as one sequence. */
  textPair?: readonly string[] | undefined;
  /** Whether tokens such as [CLS] and [SEP] are put around the texts. Default true. */
  addSpecialTokens?: boolean | undefined;
  /** true or 'longest': to the longest sequence; 'max_length': to `maxLength`. Default false. */
  padding?: boolean | 'longest' | 'max_length' | undefined;
  /**
   * What is cut where a sequence is longer than `maxLength`: true or 'longest_first' cuts the longer of a pair. Default
   * false; true if `maxLength` is given without padding to it.
   */
  truncation?: boolean | 'longest_first' | 'only_first' | 'only_second' | undefined;
  /** Tokens of a sequence, special ones included. Default: the `model_max_length` of the tokenizer's config. */
  maxLength?: number | undefined;
  /** Tokens that a part that was cut off has in common with the one before it. Default 0. */
  stride?: number | undefined;
  /** Whether parts that were cut off follow as sequences of their own. Default false. */
  returnOverflowingTokens?: boolean | undefined;
  /**
   * Whether `offsets` and `wordIds` are found, which takes several times as long as the ids; both are empty otherwise.
   * Default true.
   */
  returnOffsets?: boolean | undefined;
  /** Lengths are padded to a multiple of this. Default 1. */
  padToMultipleOf?: number | undefined;
  /** Default: the config's `padding_side`, or right. */
  paddingSide?: 'left' | 'right' | undefined;
}

/** A row for each sequence. */
export interface BatchEncoding {
  readonly inputIds: number[][];
  /** 1 for tokens, 0 for padding. */
  readonly attentionMask: number[][];
  /** Which text of a pair a token belongs to, as the model was trained. */
  readonly tokenTypeIds: number[][];
  /** 1 for tokens that are in no text. */
  readonly specialTokensMask: number[][];
  /** Where tokens begin and end in their text, in characters (code points): `[...text].slice(start, end)`. */
  readonly offsets: [start: number, end: number][][];
  /** The number of the word that a token is part of, of its text; null for tokens that are in none. */
  readonly wordIds: (number | null)[][];
  /** Which text, or pair, a sequence is of. */
  readonly overflowToSampleMapping: number[];
}

/** What a batch needs of a tokenizer. */
export interface BatchSettings {
  readonly template: Template;
  readonly padId: number | undefined;
  readonly padTypeId: number;
  readonly paddingSide: 'left' | 'right';
  readonly maxLength: number | undefined;
  /** What the post-processor leaves of the offsets of a token, the `i`th of its part. */
  trim(token: string, offset: Item['offset'], i: number): [number, number];
  /** The tokens of the first or second text. */
  items(text: string, isSecond: boolean): Item[];
}

/** The sequences of texts. Throws ArgumentError for options that make no sense together. */
export function encodeBatch(
  texts: readonly string[],
  options: EncodeBatchOptions,
  settings: BatchSettings,
): BatchEncoding {
  const { textPair, addSpecialTokens = true, padding = false, stride = 0, padToMultipleOf = 1 } = checked(options);
  const { returnOffsets = true } = options;
  const isList = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === 'string');
  if (!isList(texts)) refuse(`the texts are ${describeValue(texts)}, expected an array of strings`);
  if (textPair && (!isList(textPair) || textPair.length !== texts.length))
    refuse(`textPair is ${describeValue(textPair)}, expected a string for each of ${texts.length} texts`);
  const { truncation = options.maxLength !== undefined && padding !== 'max_length' } = options;
  const maxLength = options.maxLength ?? settings.maxLength;
  if ((padding === 'max_length' || truncation) && maxLength === undefined)
    refuse('maxLength is missing, which padding or truncation needs: the tokenizer has no model_max_length');
  const { template } = settings;
  const trimmed = (items: Item[]) =>
    !returnOffsets ? items : items.map((item, i) => ({ ...item, offset: settings.trim(item.token, item.offset, i) }));
  const sequences: { items: Item[]; sample: number }[] = [];
  for (const [sample, text] of texts.entries()) {
    const second = textPair?.[sample];
    const parts = [settings.items(text, false), ...(second === undefined ? [] : [settings.items(second, true)])];
    const around = addSpecialTokens ? template.around(parts.length === 2) : 0;
    const cut = truncation ? cutParts(parts, (maxLength as number) - around, truncation, stride) : [parts];
    for (const each of options.returnOverflowingTokens ? cut : cut.slice(0, 1))
      sequences.push({ items: template.join(each.map(trimmed), addSpecialTokens), sample });
  }
  const longest = sequences.reduce((most, { items }) => Math.max(most, items.length), 0);
  const wanted = padding === 'max_length' ? (maxLength as number) : padding ? longest : 0;
  const length = Math.ceil(wanted / padToMultipleOf) * padToMultipleOf;
  const side = options.paddingSide ?? settings.paddingSide;
  const { padId, padTypeId } = settings;
  if (padId === undefined && sequences.some(({ items }) => items.length < length))
    refuse('padding is wanted, but the tokenizer has no token for it: give its config a pad_token');
  const pad: Item = { id: padId as number, token: '', type: padTypeId, special: 1, offset: [0, 0], word: null };
  const rowsOf = <T>(value: (item: Item) => T): T[][] =>
    sequences.map(({ items }) => {
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
    overflowToSampleMapping: sequences.map(({ sample }) => sample),
  };
}

function checked(options: EncodeBatchOptions): EncodeBatchOptions {
  return checkOptions('encodeBatch', options, {
    textPair: 'array',
    addSpecialTokens: 'boolean',
    padding: [true, false, 'longest', 'max_length'],
    truncation: [true, false, 'longest_first', 'only_first', 'only_second'],
    maxLength: 'count',
    stride: 'whole',
    returnOverflowingTokens: 'boolean',
    returnOffsets: 'boolean',
    padToMultipleOf: 'count',
    paddingSide: ['left', 'right'],
  });
}

function refuse(message: string): never {
  throw new ArgumentError(`encodeBatch: ${message}`);
}

/** The texts of a sequence cut to `room` tokens, and what was cut off, each beside the begin of the other text. */
function cutParts(parts: Item[][], room: number, how: EncodeBatchOptions['truncation'], stride: number): Item[][][] {
  const first = parts[0] as Item[];
  const second = parts[1];
  const total = first.length + (second?.length ?? 0);
  if (total <= room) return [parts];
  if (room < 0) refuse(`maxLength leaves no room beside the special tokens: ${-room} too few`);
  const lengths = room === 0 ? [0, 0] : lengthsOf(first.length, second?.length ?? 0, room, how);
  const [a, b] = lengths as [number, number];
  const firsts = windows(first, a, stride);
  if (second === undefined) return firsts.map((each) => [each]);
  const seconds = windows(second, b, stride);
  const cut: Item[][][] = [];
  for (const each of firsts) for (const other of seconds) cut.push([each, other]);
  return cut;
}

/** How many tokens of each text stay. */
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

/** Parts of `length` tokens, each of which repeats the last `stride` of the one before. */
function windows(items: Item[], length: number, stride: number): Item[][] {
  if (items.length <= length) return [items];
  if (length === 0) return [[], items];
  if (stride >= length) refuse(`stride is ${stride}, expected less than the ${length} tokens of a part`);
  const found: Item[][] = [];
  for (let start = 0; ; start += length - stride) {
    found.push(items.slice(start, start + length));
    if (start + length >= items.length) return found;
  }
}
