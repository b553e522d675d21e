// Names, sections and layouts of parameters in state dicts, where they differ from memory. Projections of one input are
// one matrix here and several in most checkpoints. Only a family's table of names describes this.

import type { Shape, Tensor } from '../core/tensor.js';

/** A layout that differs from PyTorch's nn.Linear: `[in, out]` as in GPT-2's Conv1D, or interleaved by head. */
export interface StoredAs {
  readonly name: string | readonly (string | null)[];
  /** True if the matrix is stored as [in, out]. */
  readonly inOut?: boolean | undefined;
  /** Number of heads, if the sections are stored head by head, as in GPT-NeoX. */
  readonly perHead?: number | undefined;
  /**
   * Leading dimensions of the stored shape. Their product divides the first dimension: `[1]` stores a table of
   * positions as [1, positions, features], `[heads]` stores a vector as [heads, headSize].
   */
  readonly leading?: readonly number[] | undefined;
  /**
   * Dimensions into which the last one of the stored shape is split: `[heads, headSize]` stores a matrix as [rows,
   * heads, headSize].
   */
  readonly split?: readonly number[] | undefined;
  /**
   * Number of dimensions of size 1 at the end of the stored shape: 1 for a convolution of kernel size 1. Default: 0.
   */
  readonly trailing?: number | undefined;
  /**
   * Number of groups whose matrices lie side by side here, but are stored one after the other: [groups, in, out].
   * Requires `inOut`.
   */
  readonly stacked?: number | undefined;
  /** True if the stacked matrices are stored as one matrix [groups · in, out]. Default: false. */
  readonly flat?: boolean | undefined;
}

/**
 * Names in a state dict by paths of properties, of a parameter or of a part with its content. `*` stands for the index
 * of a layer, in the path and in the name. '' omits a part's name. An array names the sections of a `Linear` one by
 * one; null omits one, for a bias that only some sections have. The first matching path counts.
 */
export type StateNames = Readonly<Record<string, string | readonly (string | null)[] | StoredAs>>;

/** The names with the prefix `to.` in place of `from.`. */
export function withBody(names: StateNames, from: string, to: string): StateNames {
  const renamed = <T extends string | null>(name: T) =>
    (name?.startsWith(`${from}.`) ? `${to}${name.slice(from.length)}` : name) as T;
  const all = (name: StoredAs['name']) => (typeof name === 'string' ? renamed(name) : name.map(renamed));
  const isPlain = (name: StateNames[string]): name is StoredAs['name'] =>
    typeof name === 'string' || Array.isArray(name);
  const entries = Object.entries(names).map(([path, name]) => [
    path,
    isPlain(name) ? all(name) : { ...name, name: all(name.name) },
  ]);
  return Object.fromEntries(entries);
}

/** A parameter, with its names and layout in state dicts. */
export interface StateParameter {
  /** The path of properties. */
  readonly path: string;
  /** The name, or the names of the sections, in state dicts. */
  readonly names: readonly (string | null)[];
  readonly tensor: Tensor;
  /** True if it is stored as the transpose. */
  readonly transposed: boolean;
  /** Widths of the sections of the last dimension, or null. */
  readonly sections: readonly number[] | null;
  readonly perHead: number | null;
  /** Leading dimensions of the stored shape; see `StoredAs`. */
  readonly leading: readonly number[];
  /** See `StoredAs`. */
  readonly split?: readonly number[] | undefined;
  /** See `StoredAs`; 1 if nothing is stacked. */
  readonly stacked?: number | undefined;
  /** See `StoredAs`. */
  readonly flat?: boolean | undefined;
  /** See `StoredAs`. */
  readonly trailing?: number | undefined;
}

/** A part of a parameter with one name in a state dict. */
export interface StatePiece {
  /** The path of properties of the whole parameter. */
  readonly path: string;
  readonly name: string;
  readonly tensor: Tensor;
  readonly transposed: boolean;
  /** Range of columns, or of elements of a vector: start … end − 1. */
  readonly start: number;
  readonly end: number;
  /** Column of each stored row; null if the order is the same. */
  readonly order: Int32Array | null;
  /** Leading dimensions of the stored shape; see `StoredAs`. */
  readonly leading: readonly number[];
  /** See `StoredAs`. */
  readonly split?: readonly number[] | undefined;
  /** See `StoredAs`. */
  readonly stacked?: number | undefined;
  /** See `StoredAs`. */
  readonly flat?: boolean | undefined;
  /** See `StoredAs`. */
  readonly trailing?: number | undefined;
}

/** Returns the names and the layout of the path in `names`; null if no pattern matches. */
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

/** Joins 'a' and 'b' as 'a.b'; either may be empty. */
export function joinPath(a: string, b: string): string {
  return a === '' || b === '' ? a + b : `${a}.${b}`;
}

/**
 * Returns the rest of a path after a pattern that matches its beginning, and the values of the stars; null if it does
 * not match. This code is written for speed, because loading a model calls it a hundred thousand times.
 */
function matchPrefix(pattern: string, path: string): { path: string; numbers: string[] } | null {
  const numbers: string[] = [];
  let position = 0;
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] !== '*') {
      if (pattern.charCodeAt(i) !== path.charCodeAt(position++)) return null;
      continue;
    }
    const dot = path.indexOf('.', position);
    const end = dot < 0 ? path.length : dot;
    numbers.push(path.slice(position, end));
    position = end;
  }
  if (position < path.length && path[position] !== '.') return null;
  return { path: path.slice(position + 1), numbers };
}

function fill(name: string, numbers: readonly string[]): string {
  let next = 0;
  return name.replaceAll('*', () => numbers[next++] ?? '*');
}

/** Returns the pieces of a parameter in a state dict, in the order of its sections. */
export function piecesOf({
  path,
  names,
  tensor,
  transposed,
  sections,
  perHead,
  leading,
  split,
  stacked,
  flat,
  trailing,
}: StateParameter): StatePiece[] {
  const width = tensor.shape.at(-1) ?? 1;
  const order = perHead && sections ? perHeadOrder(sections, perHead) : null;
  if (names.length === 1)
    return names.flatMap((name) =>
      name === null
        ? []
        : [{ path, name, tensor, transposed, start: 0, end: width, order, leading, split, stacked, flat, trailing }],
    );
  let end = 0;
  return names.flatMap((name, i) => {
    const start = end;
    end += sections?.[i] ?? 0;
    return name === null ? [] : [{ path, name, tensor, transposed, start, end, order: null, leading, split, trailing }];
  });
}

/** The stored shape of matrices [rows, columns in all] that lie side by side in memory; see `StoredAs.stacked`. */
export function stackedShape(
  rows: number,
  columns: number,
  { stacked, flat }: { readonly stacked: number; readonly flat: boolean },
): Shape {
  return flat ? [stacked * rows, columns / stacked] : [stacked, rows, columns / stacked];
}

/** Returns the column of each stored row, for sections that are stored head by head. */
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

/** Returns the shape of a piece in a state dict. */
export function shapeOf(piece: StatePiece): Shape {
  const { split, trailing = 0 } = piece;
  const layout = layoutOf(piece);
  return [...(split ? [...layout.slice(0, -1), ...split] : layout), ...Array<number>(trailing).fill(1)];
}

/** Returns the stored shape without trailing dimensions of size 1, and with its last dimension not split. */
export function layoutOf({ tensor, transposed, start, end, leading, stacked = 1, flat = false }: StatePiece): Shape {
  if (stacked > 1) return stackedShape(tensor.shape[0] as number, end - start, { stacked, flat });
  const shape = tensor.shape.length === 0 ? [] : [...tensor.shape.slice(0, -1), end - start];
  const [first = 1, ...rest] = transposed ? shape.reverse() : shape;
  if (leading.length === 0) return shape.length === 0 ? [] : [first, ...rest];
  return [...leading, first / leading.reduce((product, size) => product * size, 1), ...rest];
}
