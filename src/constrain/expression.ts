// The texts that a grammar allows, as expressions over characters.

/** Sorted or unsorted ranges of code points; both ends are included. */
export type Ranges = readonly (readonly [first: number, last: number])[];

export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'set'; readonly ranges: Ranges }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  /** One of the options. Without options, nothing matches. */
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly of: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }
  /** A condition on the rest of the text. Only `automaton.ts` understands it. */
  | { readonly kind: 'lookahead'; readonly of: Expression; readonly isNegated: boolean };

/** Expressions by name, which may refer to each other. A text is right if `root` allows it. */
export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly root: string;
  /** True if the text is JSON with members whose names the grammar does not list. */
  readonly hasFreeNames?: boolean;
}

export const text = (value: string): Expression => ({ kind: 'text', text: value });
export const set = (...ranges: Ranges): Expression => ({ kind: 'set', ranges });
export const sequence = (...parts: readonly Expression[]): Expression => ({ kind: 'sequence', parts });
/** A choice of a few options. Lists from users go into `oneOf`: a call has room for some 100,000 arguments only. */
export const choice = (...options: readonly Expression[]): Expression => oneOf(options);
export const oneOf = (options: readonly Expression[]): Expression => ({ kind: 'choice', options });
export const repeat = (of: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression => {
  return { kind: 'repeat', of, min, max };
};
export const optional = (of: Expression): Expression => repeat(of, 0, 1);
export const rule = (name: string): Expression => ({ kind: 'rule', name });

/** The expression that no text matches. */
export const NOTHING: Expression = oneOf([]);

/** The greatest code point. */
export const LAST = 0x10ffff;
export const ANY: Ranges = [[0, LAST]];

/** The range of one character. */
export function rangeOf(character: string): readonly [number, number] {
  const point = character.codePointAt(0) as number;
  return [point, point];
}

/** The characters outside of all ranges, in order. */
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

/** The characters that both have. */
export function intersection(a: Ranges, b: Ranges): [number, number][] {
  return complement([...complement(a), ...complement(b)]);
}

/** The characters of `a` that `b` does not have. */
export function difference(a: Ranges, b: Ranges): [number, number][] {
  return intersection(a, complement(b));
}

/** An upper bound of the number of texts that an expression without rules allows; Infinity if it may be unlimited. */
export function countTexts(expression: Expression): number {
  switch (expression.kind) {
    case 'text':
      return 1;
    case 'set':
      return expression.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    case 'sequence':
      return expression.parts.reduce((product, part) => product * countTexts(part), 1);
    case 'choice':
      return expression.options.reduce((sum, option) => sum + countTexts(option), 0);
    case 'repeat':
      return expression.max === Number.POSITIVE_INFINITY
        ? Number.POSITIVE_INFINITY
        : (expression.max + 1) * Math.max(1, countTexts(expression.of)) ** expression.max;
    case 'lookahead':
      return 1;
    case 'rule':
      return Number.POSITIVE_INFINITY;
  }
}

/** Applies `change` to each text, set and rule inside an expression. */
export function mapLeaves(expression: Expression, change: (leaf: Expression) => Expression): Expression {
  switch (expression.kind) {
    case 'sequence':
      return { kind: 'sequence', parts: expression.parts.map((part) => mapLeaves(part, change)) };
    case 'choice':
      return oneOf(expression.options.map((option) => mapLeaves(option, change)));
    case 'repeat':
      return { ...expression, of: mapLeaves(expression.of, change) };
    default:
      return change(expression);
  }
}
