// Names, sections and layouts of parameters in state dicts, where they differ from those in memory. Projections of one
// input are one matrix here and several in most checkpoints. A family's table of names says so, and nothing else knows.

import type { Shape, Tensor } from '../core/tensor.js';

/** A layout that differs from PyTorch's nn.Linear: `[in, out]` as in GPT-2's Conv1D, or sections head by head. */
export interface StoredAs {
  readonly name: string | readonly (string | null)[];
  /** The matrix is stored [in, out]. */
  readonly inOut?: boolean | undefined;
  /** Sections are stored head by head, for this number of heads, as in GPT-NeoX. */
  readonly perHead?: number | undefined;
  /**
   * Dimensions that come first in the stored shape. Their product divides the first dimension: `[1]` stores a table of
   * positions as [1, positions, features], `[heads]` stores a vector as [heads, headSize].
   */
  readonly leading?: readonly number[] | undefined;
}

/**
 * Names in a state dict by paths of properties, a path being of a parameter or of a part with all that is in it. `*`
 * stands for the number of a layer, in the path and in the name; '' leaves a part's name out. An array names the sections
 * of a `Linear` one by one; null leaves one out, of a bias that only some of them have. The first path that fits counts.
 */
export type StateNames = Readonly<Record<string, string | readonly (string | null)[] | StoredAs>>;

/** A parameter, and what state dicts say of it. */
export interface StateParameter {
  /** The path of properties. */
  readonly path: string;
  /** Its name, or those of its sections. */
  readonly names: readonly (string | null)[];
  readonly tensor: Tensor;
  /** Stored as the transpose. */
  readonly transposed: boolean;
  /** Widths of the last dimension, if it is made of sections. */
  readonly sections: readonly number[] | null;
  readonly perHead: number | null;
  /** Dimensions that come first in the stored shape; see `StoredAs`. */
  readonly leading: readonly number[];
}

/** A part of a parameter that a state dict has under one name. */
export interface StatePiece {
  /** The path of properties of the whole parameter. */
  readonly path: string;
  readonly name: string;
  readonly tensor: Tensor;
  readonly transposed: boolean;
  /** The columns, or elements of a vector, from `start` to below `end`. */
  readonly start: number;
  readonly end: number;
  /** The column that each stored row is, where that is not its own number. */
  readonly order: Int32Array | null;
  /** Dimensions that come first in the stored shape; see `StoredAs`. */
  readonly leading: readonly number[];
}

/** The name or names of a path by `names`, and the layout; null if no pattern fits. */
export function namesFor(names: StateNames, path: string): (StoredAs & { name: readonly (string | null)[] }) | null {
  for (const pattern in names) {
    const rest = matchPrefix(pattern, path);
    if (rest === null) continue;
    const target = names[pattern] as StateNames[string];
    const stored = typeof target === 'object' && 'name' in target ? target : { name: target };
    const complete = (name: string | null) => name && joinPath(fill(name, rest.numbers), rest.path);
    return { ...stored, name: [stored.name].flat().map((name) => (name === '' ? rest.path : complete(name))) };
  }
  return null;
}

/** 'a' and 'b' as 'a.b'; either may be empty. */
export function joinPath(a: string, b: string): string {
  return a === '' || b === '' ? a + b : `${a}.${b}`;
}

/**
 * The rest of a path after a pattern that fits its beginning, and the values of the stars. Loading a model calls it a
 * hundred thousand times.
 */
function matchPrefix(pattern: string, path: string): { path: string; numbers: string[] } | null {
  const numbers: string[] = [];
  let at = 0;
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] !== '*') {
      if (pattern.charCodeAt(i) !== path.charCodeAt(at++)) return null;
      continue;
    }
    const dot = path.indexOf('.', at);
    const end = dot < 0 ? path.length : dot;
    numbers.push(path.slice(at, end));
    at = end;
  }
  if (at < path.length && path[at] !== '.') return null;
  return { path: path.slice(at + 1), numbers };
}

function fill(name: string, numbers: readonly string[]): string {
  let next = 0;
  return name.replaceAll('*', () => numbers[next++] ?? '*');
}

/** The pieces of a parameter in a state dict, in the order of its sections. */
export function piecesOf({
  path,
  names,
  tensor,
  transposed,
  sections,
  perHead,
  leading,
}: StateParameter): StatePiece[] {
  const width = tensor.shape.at(-1) ?? 1;
  const order = perHead && sections ? perHeadOrder(sections, perHead) : null;
  if (names.length === 1)
    return names.flatMap((name) =>
      name === null ? [] : [{ path, name, tensor, transposed, start: 0, end: width, order, leading }],
    );
  let end = 0;
  return names.flatMap((name, i) => {
    const start = end;
    end += sections?.[i] ?? 0;
    return name === null ? [] : [{ path, name, tensor, transposed, start, end, order: null, leading }];
  });
}

/** The column of each stored row, for sections that are stored head by head. */
export function perHeadOrder(sections: readonly number[], heads: number): Int32Array {
  const order: number[] = [];
  for (let head = 0; head < heads; head++) {
    let start = 0;
    for (const width of sections) {
      for (let i = 0; i < width / heads; i++) order.push(start + (head * width) / heads + i);
      start += width;
    }
  }
  return Int32Array.from(order);
}

/** The shape that a state dict tells. */
export function shapeOf({ tensor, transposed, start, end, leading }: StatePiece): Shape {
  const shape = tensor.shape.length === 0 ? [] : [...tensor.shape.slice(0, -1), end - start];
  const [first = 1, ...rest] = transposed ? shape.reverse() : shape;
  if (leading.length === 0) return shape.length === 0 ? [] : [first, ...rest];
  return [...leading, first / leading.reduce((product, size) => product * size, 1), ...rest];
}
