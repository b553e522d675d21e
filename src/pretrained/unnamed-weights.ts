// Matches weights that have lost their names with pieces of a model: by shape, by their order, and by their roles.

import { FormatError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { quote } from '../io/dtypes.js';
import type { UnnamedWeight, WeightEntry } from '../models/weight-entry.js';
import { type StatePiece, shapeOf } from '../nn/state-names.js';
import { ComputedWeight, reshaped } from './computed-weight.js';

/** Names of projections, by what an attention reads from them. */
const ROLES = {
  query: /(^|[._])q(uery|_proj|_lin|uery_proj)?\.weight$/,
  key: /(^|[._])k(ey|_proj|_lin|ey_proj)?\.weight$/,
  value: /(^|[._])v(alue|_proj|_lin|alue_proj)?\.weight$/,
};

/**
 * Returns the weights of pieces. The weights of a shape match if there are as many pieces of this shape, which are in the
 * order of the model. If there are several, the file must tell the order of the weights. A product whose role in the
 * attention differs from its piece's refuses all of this shape. Several weights of one piece must be copies of it.
 */
export function matchUnnamed(missing: readonly StatePiece[], unnamed: readonly UnnamedWeight[]) {
  const found = new Map<string, WeightEntry>();
  for (const [shape, pieces] of byShape(missing, shapeOf)) {
    const alike = byShape(unnamed, ({ entry }) => entry.shape).get(shape) ?? [];
    const isCopied = pieces.length === 1 && alike.length > 1;
    const weights = isCopied ? [oneOf(alike)] : inOrder(alike);
    if (weights?.length !== pieces.length || !pieces.every((piece, i) => fits(piece, weights[i] as UnnamedWeight)))
      continue;
    for (const [i, piece] of pieces.entries()) {
      const { entry } = weights[i] as UnnamedWeight;
      found.set(piece.name, sameShape(entry.shape, shapeOf(piece)) ? entry : reshaped(entry, shapeOf(piece)));
    }
  }
  return found;
}

/** Groups items by their shapes without dimensions of 1, which exporters add. A row of each head is one vector. */
function byShape<T>(items: readonly T[], of: (item: T) => readonly number[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const shape = of(item);
    const isRowOfHeads = shape.length === 4 && shape[0] === 1 && shape[2] === 1;
    const key = isRowOfHeads ? `${(shape[1] as number) * (shape[3] as number)}` : `${shape.filter((n) => n !== 1)}`;
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
}

/** Sorts weights by the numbers that torch's exporter gives constants; null if the names do not tell an order. */
function inOrder(weights: readonly UnnamedWeight[]): readonly UnnamedWeight[] | null {
  if (weights.length < 2) return weights;
  const places = weights.map(({ name }) => /^([a-z]+)(?:_(\d+))?$/.exec(name));
  const isCounted = places.every((place) => place !== null && place[1] === places[0]?.[1]);
  const numberOf = ({ name }: UnnamedWeight) => Number(/\d+$/.exec(name)?.[0] ?? 0);
  return isCounted ? weights.toSorted((a, b) => a.file - b.file || numberOf(a) - numberOf(b)) : null;
}

/** A weight that exporters copy for each use. Reading throws FormatError if the copies differ. */
function oneOf(copies: readonly UnnamedWeight[]): UnnamedWeight {
  const [first, ...others] = copies as [UnnamedWeight, ...UnnamedWeight[]];
  const values = async () => {
    const of = Float32Array.from(await first.entry.data());
    for (const { name, entry } of others)
      if ((await entry.data()).some((value, i) => value !== of[i]))
        throw new FormatError(
          `constants ${quote(first.name)} and ${quote(name)} [${entry.shape.join(', ')}] have no module and differ: load the export without optimization, or model.safetensors`,
        );
    return of;
  };
  return { ...first, entry: new ComputedWeight(first.entry.shape, values, undefined, first.entry.dtype) };
}

/** False if the graph shows that the weight is not the piece. */
function fits({ name }: StatePiece, { roles }: UnnamedWeight): boolean {
  const named = Object.entries(ROLES).find(([, regex]) => regex.test(name))?.[0];
  return named === undefined || roles.size === 0 || (roles as ReadonlySet<string>).has(named);
}
