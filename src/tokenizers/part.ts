import { FormatError } from '../core/errors.js';

/** One step of a tokenizer.json, such as its pre-tokenizer. */
export interface Part {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/**
 * Returns the steps of a part, with nested sequences flattened. `list` is the field that has the steps of a sequence.
 */
export function partsOf(part: unknown, list: string): Part[] {
  if (part === null || part === undefined) return [];
  if (typeof part !== 'object') return refuseTokenizer(`${JSON.stringify(part)} among its ${list}, expected an object`);
  const { type, [list]: parts } = part as Part;
  if (type !== 'Sequence') return [checkedFields(part as Part)];
  if (!Array.isArray(parts)) return refuseTokenizer(`a sequence without ${list}, expected a list`);
  const odd = parts.find((item) => typeof item !== 'object' || item === null);
  if (odd !== undefined) return refuseTokenizer(`${JSON.stringify(odd)} among its ${list}, expected an object`);
  return parts.flatMap((item) => partsOf(item, list));
}

/** Types of fields by name. A field has the same type in every part, model and added token. */
const FIELDS = {
  string: [
    'content',
    'continuing_subword_prefix',
    'delimiter',
    'end_of_word_suffix',
    'pad_token',
    'precompiled_charsmap',
    'prefix',
    'prepend',
    'prepend_scheme',
    'replacement',
    'suffix',
    'unk_token',
    'word_delimiter_token',
  ],
  boolean: [
    'add_prefix_space',
    'byte_fallback',
    'clean_text',
    'cleanup',
    'fuse_unk',
    'handle_chinese_chars',
    'ignore_merges',
    'individual_digits',
    'invert',
    'lowercase',
    'lstrip',
    'normalized',
    'rstrip',
    'single_word',
    'special',
    'split',
    'strip_accents',
    'strip_left',
    'strip_right',
    'trim_offsets',
    'use_regex',
  ],
  'whole number': ['length', 'max_input_chars_per_word', 'start', 'stop', 'unk_id'],
};

const KINDS = new Map(Object.entries(FIELDS).flatMap(([kind, fields]) => fields.map((field) => [field, kind])));

/** Removes null fields, because they mean the same as absent ones. Throws FormatError for fields of a wrong type. */
export function checkedFields<T extends object>(part: T): T {
  const fields = Object.entries(part).filter(([, value]) => value !== null);
  for (const [name, value] of fields) {
    const kind = KINDS.get(name) ?? typeof value;
    const isRight = kind === 'whole number' ? Number.isInteger(value) && value >= 0 : typeof value === kind;
    if (!isRight) refuseTokenizer(`${JSON.stringify(value)} for ${name}, expected a ${kind}`);
  }
  return Object.fromEntries(fields) as T;
}

/** Returns a required text field of a part. */
export function textOf(part: Part, field: string): string {
  const text = part[field];
  return typeof text === 'string'
    ? text
    : refuseTokenizer(`no ${field} in a part of type ${JSON.stringify(part.type)}`);
}

export function refuseTokenizer(what: string): never {
  throw new FormatError(`this tokenizer.json has ${what}`);
}
