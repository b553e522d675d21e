// What texts a grammar allows, as expressions over characters.

/** Code points from the first to the last of each range. */
export type Ranges = readonly (readonly [first: number, last: number])[];

export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly of: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string };

/** Expressions by name, which may contain each other; a text is right if `root` allows it. */
export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly root: string;
}

export const text = (value: string): Expression => ({ kind: 'text', text: value });
export const set = (...ranges: Ranges): Expression => ({ kind: 'set', ranges });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: 'sequence', parts });
export const choice = (...options: readonly Expression[]): Expression => ({ kind: 'choice', options });
export const repeat = (of: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression => {
  return { kind: 'repeat', of, min, max };
};
export const optional = (of: Expression): Expression => repeat(of, 0, 1);
export const rule = (name: string): Expression => ({ kind: 'rule', name });

export const LAST = 0x10ffff;

/** The characters that are in none of the ranges. */
export function complement(ranges: Ranges): [number, number][] {
  const result: [number, number][] = [];
  let next = 0;
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > next) result.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  if (next <= LAST) result.push([next, LAST]);
  return result;
}

/** The characters that are in both. */
export function intersection(a: Ranges, b: Ranges): [number, number][] {
  return complement([...complement(a), ...complement(b)]);
}

/** The characters of the first that are not in the second. */
export function difference(a: Ranges, b: Ranges): [number, number][] {
  return intersection(a, complement(b));
}
