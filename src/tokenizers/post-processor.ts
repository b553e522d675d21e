// Post-processors of a tokenizer.json: special tokens around and between texts, and corrections of offsets.

import { type Part, partsOf, refuseTokenizer } from './part.js';

/** A token in a sequence. */
export interface Item {
  readonly id: number;
  readonly token: string;
  readonly type: number;
  readonly special: 0 | 1;
  readonly offset: readonly [start: number, end: number];
  readonly word: number | null;
}

/** A part of a sequence: a text or special tokens. A truncated text has several windows. */
export type Windows = readonly (readonly Item[])[];

export interface PostProcessor {
  /** Returns the number of tokens that are added. */
  around(isPair: boolean): number;
  /** Adds special tokens to one or two texts, which get types 0 and 1. */
  process(parts: readonly Windows[], addsSpecial: boolean): readonly Windows[];
}

/** Makes the post-processor of a tokenizer.json. Throws FormatError if it is unknown. */
export function postProcessorOf(part: unknown): PostProcessor {
  const steps = partsOf(part, 'processors').map(stepOf);
  return {
    around: (isPair) => steps.reduce((sum, step) => sum + step.around(isPair), 0),
    process: (parts, addsSpecial) => steps.reduce((all, step) => step.process(all, addsSpecial), parts),
  };
}

function stepOf(part: Part): PostProcessor {
  switch (part.type) {
    case 'BertProcessing':
      return bert(part);
    case 'ByteLevel':
      return { around: () => 0, process: part.trim_offsets === false ? (parts) => parts : trimmer(part) };
    case 'RobertaProcessing':
      return roberta(part);
    case 'TemplateProcessing':
      return template(part);
    default:
      return refuseTokenizer(`a post_processor of type ${JSON.stringify(part.type)}`);
  }
}

const specialItem = (id: number, type: number): Item => ({
  id,
  type,
  token: '',
  special: 1,
  offset: [0, 0],
  word: null,
});

const ofType = (items: readonly Item[], type: number) =>
  items.map((item) => (item.type === type ? item : { ...item, type }));

/** Windows after the first keep the type of their text. */
const firstOfType = ([items = [], ...rests]: Windows, type: number): Windows => [ofType(items, type), ...rests];

function bert({ cls, sep }: Part): PostProcessor {
  const [first, last] = [cls, sep].map((pair) => (pair as [string, number])[1]) as [number, number];
  return {
    around: (isPair) => (isPair ? 3 : 2),
    process: (parts, addsSpecial) =>
      !addsSpecial
        ? parts
        : parts.map((windows, i) => {
            const before = i === 0 ? [specialItem(first, 0)] : [];
            return windows.map((items) => [...before, ...items, specialItem(last, Math.min(i, 1))]);
          }),
  };
}

function roberta(part: Part): PostProcessor {
  const [first, last] = [part.cls, part.sep].map((pair) => (pair as [string, number])[1]) as [number, number];
  const trim = part.trim_offsets === false ? (parts: readonly Windows[]) => parts : trimmer(part);
  return {
    around: (isPair) => (isPair ? 4 : 2),
    process: (parts, addsSpecial) =>
      trim(parts).map((windows, i) => {
        if (!addsSpecial) return firstOfType(windows, 0);
        const [before, after] = [specialItem(i === 0 ? first : last, 0), specialItem(last, 0)];
        return windows.map((items) => [before, ...ofType(items, 0), after]);
      }),
  };
}

type Piece =
  | { readonly ids: readonly number[]; readonly type: number }
  | { readonly part: 0 | 1; readonly type: number };

function template(part: Part): PostProcessor {
  const tokens = part.special_tokens as Readonly<Record<string, { readonly ids: readonly number[] }>> | undefined;
  const read = (pieces: unknown): Piece[] =>
    (pieces as Record<string, { id: string; type_id?: number }>[]).map(
      ({ SpecialToken: token, Sequence: sequence }) => {
        if (token === undefined) return { part: sequence?.id === 'B' ? 1 : 0, type: sequence?.type_id ?? 0 };
        const ids =
          tokens?.[token.id]?.ids ?? refuseTokenizer(`no ids for ${JSON.stringify(token.id)} of its template`);
        return { ids, type: token.type_id ?? 0 };
      },
    );
  const [single, pair] = [read(part.single), read(part.pair ?? [])];
  return {
    around: (isPair) =>
      (isPair ? pair : single).reduce((sum, piece) => sum + ('ids' in piece ? piece.ids.length : 0), 0),
    process: (parts, addsSpecial) => {
      if (parts.length > 2) return refuseTokenizer('a template after another in its post_processor');
      return (parts.length === 2 ? pair : single).flatMap((piece) => {
        const { type } = piece;
        if ('ids' in piece) return addsSpecial ? [[piece.ids.map((id) => specialItem(id, type))]] : [];
        const windows = parts[piece.part];
        return windows === undefined ? [] : [firstOfType(windows, type)];
      });
    },
  };
}

const LEADING = /^[Ġ\p{White_Space}]*/u;
const TRAILING = /[Ġ\p{White_Space}]*$/u;

/** Removes leading and trailing spaces from the offsets of tokens. */
function trimmer({ add_prefix_space: prefixed = true }: Part) {
  const trimmed = (item: Item, i: number): Item => {
    const [start, end] = item.offset;
    let before = (LEADING.exec(item.token) as RegExpExecArray)[0].length;
    const after = (TRAILING.exec(item.token) as RegExpExecArray)[0].length;
    if (before === 1 && (i === 0 || start === 0) && prefixed) before = 0; // a single space was added by the pre-tokenizer
    const from = Math.min(start + before, end);
    return { ...item, offset: [from, after > 0 && end >= after ? Math.max(end - after, from) : end] };
  };
  return (parts: readonly Windows[]): readonly Windows[] =>
    parts.map((windows) => windows.map((items) => items.map(trimmed)));
}

/** Combines the parts to sequences: first that of the first windows, then those of the overflowing windows. */
export function sequencesOf(parts: readonly Windows[]): Item[][] {
  return parts.reduce<Item[][]>(
    ([before = [], ...laterWindows], [next = [], ...nexts]) => [
      [...before, ...next],
      ...laterWindows.flatMap((other) => [next, ...nexts].map((window) => [...other, ...window])),
      ...nexts.map((window) => [...before, ...window]),
    ],
    [[]],
  );
}
