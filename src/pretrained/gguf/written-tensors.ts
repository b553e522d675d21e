// The tensors of a GGUF file that hold a model's weights: weights.ts in reverse, by the same names and joins.

import { ArgumentError } from '../../core/errors.js';
import type { GgufTensor } from '../../io/gguf.js';
import type { GgufFamily, GgufJoin, GgufSettings } from '../../models/family.js';
import { type PackedPiece, packedPieces } from '../../models/packed-state.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';
import { entryOf } from '../../nn/state-entry.js';
import { type Composition, rowsOfSource, valuesOfSource } from './composed.js';
import { joinedRows } from './weights.js';

/** A tensor as the checkpoint stores it; `packed` if it consists of blocks. */
interface Stored {
  /** The name in the checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly floats: () => Promise<Float32Array>;
  readonly packed?: PackedPiece | undefined;
}

/** A tensor with its names in the file. */
export interface Written extends Stored {
  /** The name in the file, with a star in place of the layer. It can lack `.weight` or `.bias`. */
  readonly pattern: string;
  /** True if its values and its shape are those of the file already. */
  readonly isFinal?: boolean;
}

/** The tensors of a file with this layout. Experts of a layer are one tensor, [experts, out, in]. */
export function writtenTensors(model: PretrainedModel, layout: GgufFamily, settings: GgufSettings): Written[] {
  const names = new Map(Object.entries(layout.names).map(([fileName, modulePath]) => [modulePath, fileName]));
  const tensors = model.statePieces().map((piece): Stored => {
    const { shape, data } = entryOf(piece);
    return { name: piece.name, shape, floats: data };
  });
  const packed = packedPieces(model).map((piece): Stored => ({ ...piece, packed: piece }));
  const written = [...tensors, ...packed].flatMap((tensor): Written[] => {
    const found = nameOf(names, tensor.name);
    if (found !== null) return [{ ...tensor, ...found }];
    const join = layout.joined?.find(({ name }) => name === starred(tensor.name));
    if (join === undefined) throw new ArgumentError(`saveGguf: GGUF files have no name for ${tensor.name}`);
    return partsOf(tensor, join, layout, settings);
  });
  const table = written.find(({ pattern }) => pattern === 'token_embd');
  if (table && layout.needsOutput && !written.some(({ name }) => name === 'output.weight'))
    written.push({ ...table, name: 'output.weight', pattern: 'output' });
  return withStackedExperts(written);
}

const LAYER = /(?<=\.(?:layers|h|blocks?)\.)\d+/;
/** A name with a star in place of the layer's number. */
const starred = (name: string) => name.replace(LAYER, '*');
/** The number of a tensor's layer. */
const layerOf = (name: string) => LAYER.exec(name)?.[0] ?? '';

/** The name in a file. All experts of a layer have the same name. Null if files have no tensor of this name. */
function nameOf(names: ReadonlyMap<string, string>, tensorName: string): Pick<Written, 'name' | 'pattern'> | null {
  const own = starred(tensorName);
  for (const name of [own, own.replace(/(?<=\.)\d+(?=\.)/, '#')]) {
    const end = name.lastIndexOf('.');
    const [whole, stem] = [names.get(name), names.get(name.slice(0, end))];
    const [pattern, suffix] = whole === undefined ? [stem, name.slice(end)] : [whole, ''];
    if (pattern !== undefined) return { name: pattern.replace('*', layerOf(tensorName)) + suffix, pattern };
  }
  return null;
}

/** The tensors of a file that are together one tensor of the checkpoint. */
function partsOf(tensor: Stored, join: GgufJoin, layout: GgufFamily, settings: GgufSettings): Written[] {
  const stored = layout.stored?.[join.of[0] as string] ?? null;
  const shape = partShape(tensor.shape, join, stored === 'taps');
  const parts = join.of.map((pattern) => described(pattern.replace('*', layerOf(tensor.name)), shape));
  const tensors = new Map(parts.map((part) => [part.name, part]));
  const composition = joinedRows((parts[0] as GgufTensor).name, tensors, join, stored, settings);
  return parts.map((part, i) => ({
    name: part.name,
    pattern: join.of[i] as string,
    shape,
    isFinal: true,
    floats: async () => valuesOfSource(await tensor.floats(), composition, part),
    packed: tensor.packed && packedPart(tensor.packed, composition, part),
  }));
}

/** A tensor of a file that is not written yet. */
const described = (name: string, shape: readonly number[]): GgufTensor => ({
  name,
  shape,
  type: 'F32',
  byteLength: 0,
  position: 0,
});

/** The shape of each of the equal parts of a tensor. */
function partShape(whole: readonly number[], { of, inOut = false }: GgufJoin, isTaps: boolean): readonly number[] {
  const shape = isTaps ? whole.toSpliced(1, 1) : [...whole];
  const isVector = shape.length === 1 || (of[0] as string).endsWith('.bias');
  if (inOut && !isVector) shape.push(...shape.splice(-2).reverse());
  const rows = isVector ? shape.length - 1 : shape.length - 2;
  shape[rows] = (shape[rows] as number) / of.length;
  return shape;
}

/** The rows of blocks of a part. Undefined if the part has other values or other columns. */
function packedPart(whole: PackedPiece, composition: Composition, part: GgufTensor): PackedPiece | undefined {
  if (composition.columnOrder !== undefined || composition.isLogarithm) return undefined;
  const { size: count } = new Set(composition.sources.map(({ tensor }) => tensor));
  return {
    ...whole,
    inOut: false,
    rows: whole.rows / count,
    blocks: async () => rowsOfSource(await whole.blocks(), composition, part, whole.rowBytes),
  };
}

/** Tensors in which the matrices of a layer's experts are one tensor. */
function withStackedExperts(tensors: readonly Written[]): Written[] {
  const groups = new Map<string, Written[]>();
  for (const tensor of tensors) groups.set(tensor.name, [...(groups.get(tensor.name) ?? []), tensor]);
  return [...groups.values()].map((experts) => {
    const [first] = experts as [Written];
    if (experts.length === 1) return first;
    const pieces = experts.flatMap(({ packed }) => packed ?? []);
    const { format, inOut } = pieces[0] ?? {};
    const isPacked = pieces.length === experts.length && !inOut && pieces.every((piece) => piece.format === format);
    return {
      ...first,
      shape: [experts.length, ...first.shape],
      floats: async () => joined(await eachOf(experts, ({ floats }) => floats())),
      packed: isPacked ? stackedPiece(pieces) : undefined,
    };
  });
}

/** The blocks of experts, one after the other. */
function stackedPiece(pieces: readonly PackedPiece[]): PackedPiece {
  const [first] = pieces as [PackedPiece];
  return {
    ...first,
    rows: pieces.length * first.rows,
    blocks: async () => joined(await eachOf(pieces, (piece) => piece.blocks())),
  };
}

/** Calls `read` for one element after the other, so that only one is unpacked at a time. */
async function eachOf<Item, Result>(items: readonly Item[], read: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await read(item));
  return results;
}

function joined<Values extends Float32Array | Uint8Array>(parts: readonly Values[]): Values {
  const [first] = parts as [Values];
  const all = new (first.constructor as new (size: number) => Values)(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
