// What a post-processor puts around texts, and between those of a pair.

import type { TokenizerJson } from './json.js';
import type { Part } from './part.js';

/** A token in a sequence. */
export interface Item {
  readonly id: number;
  readonly token: string;
  readonly type: number;
  readonly special: 0 | 1;
  readonly offset: readonly [start: number, end: number];
  readonly word: number | null;
}

export interface Template {
  /** How many tokens it adds. */
  around(isPair: boolean): number;
  /** One sequence of one or two texts. */
  join(parts: readonly (readonly Item[])[], addsSpecial: boolean): Item[];
}

type Piece =
  | { readonly ids: readonly number[]; readonly type: number }
  | { readonly part: 0 | 1; readonly type: number };

/** The template of a post-processor, which gets the tokens of texts with the number of the text as their type. */
export function templateOf({ post_processor: processor }: TokenizerJson): Template {
  const parts = flat(processor);
  const [single, pair] = parts.map(piecesOf).find((pieces) => pieces !== null) ?? [
    [{ part: 0, type: 0 }],
    [text(0, 0), text(1, 1)],
  ];
  const keepsTypes = parts.some(({ type }) => type === 'BertProcessing');
  const pieces = (isPair: boolean) => (isPair ? pair : single) as readonly Piece[];
  return {
    around: (isPair) => pieces(isPair).reduce((sum, piece) => sum + ('ids' in piece ? piece.ids.length : 0), 0),
    join: (texts, addsSpecial) =>
      pieces(texts.length === 2).flatMap((piece) => {
        const { type } = piece;
        if ('part' in piece) {
          const own = texts[piece.part] ?? [];
          return keepsTypes && !addsSpecial ? own : own.map((item) => ({ ...item, type }));
        }
        return addsSpecial
          ? piece.ids.map((id): Item => ({ id, token: '', type, special: 1, offset: [0, 0], word: null }))
          : [];
      }),
  };
}

const text = (part: 0 | 1, type: number): Piece => ({ part, type });

/** The steps of a post-processor. */
export function flat(processor: unknown): Part[] {
  if (typeof processor !== 'object' || processor === null) return [];
  const { type, processors } = processor as Part;
  return type === 'Sequence' && Array.isArray(processors) ? processors.flatMap(flat) : [processor as Part];
}

/** Of one text and of a pair; null for a step that adds nothing. */
function piecesOf(part: Part): readonly [Piece[], Piece[]] | null {
  const special = (pair: unknown, type = 0): Piece => ({ ids: [(pair as [string, number])[1]], type });
  const { cls, sep } = part;
  switch (part.type) {
    case 'BertProcessing': {
      const single = [special(cls), text(0, 0), special(sep)];
      return [single, [...single, text(1, 1), special(sep, 1)]];
    }
    case 'RobertaProcessing': {
      const single = [special(cls), text(0, 0), special(sep)];
      return [single, [...single, special(sep), text(1, 0), special(sep)]];
    }
    case 'TemplateProcessing': {
      const tokens = part.special_tokens as Record<string, { ids: number[] }>;
      const read = (pieces: unknown) =>
        (pieces as Record<string, { id: string; type_id: number }>[]).map(
          ({ SpecialToken: token, Sequence: own }): Piece =>
            token
              ? { ids: tokens[token.id]?.ids ?? [], type: token.type_id }
              : text(own?.id === 'B' ? 1 : 0, own?.type_id ?? 0),
        );
      return [read(part.single), read(part.pair)];
    }
    default:
      return null;
  }
}
