// Identifies the parameters behind folded constants, which an exporter has transposed, sliced, concatenated or
// reshaped. The operator that reads a constant, and the order of a module's constants, tell which parameter it is.

import type { WeightEntry } from '../../models/weight-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { ComputedWeight, reshaped, transposed } from '../computed-weight.js';
import { rowsOf } from './rows.js';

/** A constant that a module reads, and the operator that reads it. */
export interface Term {
  readonly op: string;
  /** Index of the node among the module's nodes with this operator. */
  readonly order: number;
  readonly weight: WeightEntry;
}

type Named = readonly (readonly [suffix: string, weight: WeightEntry | null | undefined])[];

/** Names below the module's path by operator. `terms` are the constants that these operators read, in their order. */
const RULES: Readonly<Record<string, (terms: readonly WeightEntry[]) => Named>> = {
  // The inverse of VITS' affine flow multiplies by exp(−log_scale).
  Exp: ([scale]) => [['log_scale', scale && negated(scale)]],
  Mul: ([weight]) => [['weight', weight && squeezed(weight)]],
  Add: (terms) => {
    const vectors = terms.filter(({ shape }) => shape.length === 4 && shape[0] === 1 && shape[2] === 1);
    const [first, second] = vectors.map(flat);
    const [up, down] = terms.filter(({ shape }) => shape.length === 3 && shape[1] === 1).map(withoutMiddle);
    const table = terms.map(biasTable).find((weight) => weight !== null);
    const ofPositions = terms.map(withoutFirst).find((weight) => weight !== null);
    return [
      ['bias', terms[0] && squeezed(terms[0])],
      ['position_embedding.weight', ofPositions],
      ['position_embeddings.weight', ofPositions],
      ['relative_position_bias_table', table],
      ['relative_position_bias.relative_position_bias_table', table],
      ['q_bias', first],
      ['v_bias', second], // DeBERTa's
      ['point_embed.0.weight', asRow(first)],
      ['point_embed.1.weight', asRow(second)], // SAM's
      ['gate_up_proj_bias', up],
      ['down_proj_bias', down], // gpt-oss'
    ];
  },
  // LayoutLMv3 gathers rows of its transposed projections.
  Gather: (terms) =>
    ['rel_pos_bias', 'rel_pos_x_bias', 'rel_pos_y_bias'].map((name, i) => [
      `${name}.weight`,
      terms[i]?.shape.length === 2 ? transposed(terms[i]) : null,
    ]),
  Expand: ([term]) => {
    const vector = term?.shape.length === 4 ? flat(term) : undefined;
    return [
      ['no_mask_embed.weight', asRow(vector)],
      ['sinks', vector], // SAM's, and gpt-oss'
      ['iou_token.weight', rowsFrom(term, 0, 1)],
      ['mask_tokens.weight', rowsFrom(term, 1)], // SAM's
      ['query_position_embeddings.weight', withoutFirst(term)], // DETR's
    ];
  },
  // SAM resizes its tables of relative positions, [1, width, positions]. BEiT's is a map, [1, heads, rows, columns].
  Resize: ([first, second]) => [
    ['rel_pos_h', columnsAsRows(first)],
    ['rel_pos_w', columnsAsRows(second)],
  ],
};

/** Returns the probable parameters of a module's constants, by their names below the module's path. */
export function namedTerms(terms: readonly Term[]): Map<string, WeightEntry> {
  const found = new Map<string, WeightEntry>();
  const add = ([name, weight]: Named[number]) => void (weight && !found.has(name) && found.set(name, weight));
  const byOp = (op: string) => terms.filter((term) => term.op === op).map(({ weight }) => weight);
  for (const [op, rule] of Object.entries(RULES)) for (const weight of rule(byOp(op))) add(weight);
  const [map, ofClass] = [byOp('Resize')[0], byOp('Concat')[0]];
  add(['relative_position_bias_table', resizedTable(map, ofClass)]);
  const table = positions(ofClass, byOp('Reshape')[0] ?? map);
  add(['position_embeddings', table]);
  add(['position_embedding.weight', withoutFirst(table ?? undefined)]); // CLIPSeg's
  return found;
}

const flat = (weight: WeightEntry) => reshaped(weight, [weight.size]);
const asRow = (weight: WeightEntry | undefined) => weight && reshaped(weight, [1, weight.size]);
const withoutMiddle = (weight: WeightEntry) => reshaped(weight, [weight.shape[0] as number, weight.shape[2] as number]);

/** Flattens a weight with one dimension other than 1. A matrix of one row stays: the norm of a single head. */
const squeezed = (weight: WeightEntry) =>
  weight.shape.filter((n) => n > 1).length === 1 && (weight.shape.length !== 2 || weight.shape[1] === 1)
    ? flat(weight)
    : weight;

function rowsFrom(weight: WeightEntry | undefined, first: number, end?: number): WeightEntry | null {
  const [rows = 0] = weight?.shape ?? [];
  return weight?.shape.length === 2 && rows > first + 1 ? rowsOf(weight, first, end ?? rows) : null;
}

function withoutFirst(weight: WeightEntry | undefined): WeightEntry | null {
  return weight?.shape.length === 3 && weight.shape[0] === 1 ? reshaped(weight, weight.shape.slice(1)) : null;
}

function columnsAsRows(weight: WeightEntry | undefined): WeightEntry | null {
  const rows = withoutFirst(weight);
  return rows && transposed(rows);
}

/** Negates each element. */
function negated(weight: WeightEntry): WeightEntry {
  return new ComputedWeight(weight.shape, async () => Float32Array.from(await weight.data(), (value) => -value));
}

/**
 * Joins DINOv2's position embeddings: that of the class token, [1, 1, width], and those of the patches. The latter are
 * [1, count, width], or [1, width, rows, columns] if they are resized, or [count, width] in DPT.
 */
function positions(ofClass: WeightEntry | undefined, patches: WeightEntry | undefined): WeightEntry | null {
  const width = ofClass?.size ?? 0;
  const isMap = patches?.shape.length === 4;
  const count = (patches?.size ?? 0) / width;
  const shapes = isMap
    ? [[1, width, ...patches.shape.slice(2)]]
    : [
        [1, count, width],
        [count, width],
      ];
  if (`${ofClass?.shape}` !== `1,1,${width}` || !shapes.map(String).includes(`${patches?.shape}`)) return null;
  return new ComputedWeight([1, count + 1, width], async () => {
    const values = (await (patches as WeightEntry).data()) as Float32Array;
    const all = new Float32Array((count + 1) * width);
    all.set((await (ofClass as WeightEntry).data()) as Float32Array);
    all.set(isMap ? transpose(values, [width, count]) : values, width);
    return all;
  });
}

/** Joins BEiT's table of biases: a map, [1, heads, rows, columns], and the biases of the class token, [3, heads]. */
function resizedTable(map: WeightEntry | undefined, ofClass: WeightEntry | undefined): WeightEntry | null {
  const [batch, heads = 0, rows = 0, columns = 0] = map?.shape ?? [];
  if (map?.shape.length !== 4 || batch !== 1 || `${ofClass?.shape}` !== `3,${heads}`) return null;
  const count = rows * columns;
  return new ComputedWeight([count + 3, heads], async () => {
    const table = new Float32Array((count + 3) * heads);
    table.set(transpose((await map.data()) as Float32Array, [heads, count]));
    table.set((await (ofClass as WeightEntry).data()) as Float32Array, count * heads);
    return table;
  });
}

/**
 * Returns the table of biases, [entries, heads], from the biases of all pairs of positions in a window of w · w
 * positions, [1, heads, n, n]. Swin's has (2w − 1)² entries. BEiT has a class token before the window, and three more
 * entries: from the class, to it, and of the class itself. Null for other shapes.
 */
function biasTable(biases: WeightEntry): WeightEntry | null {
  const [batch, heads, rows, columns] = biases.shape as [number, number, number, number];
  if (biases.shape.length !== 4 || batch !== 1 || rows !== columns) return null;
  const hasClass = !Number.isInteger(Math.sqrt(rows));
  const width = Math.sqrt(hasClass ? rows - 1 : rows);
  if (!Number.isInteger(width) || width === 0) return null;
  const span = 2 * width - 1;
  const offset = hasClass ? 1 : 0;
  const entryOf = (i: number, j: number) => {
    if (i < 0 || j < 0) return span * span + (j >= 0 ? 0 : i >= 0 ? 1 : 2);
    const down = Math.floor(i / width) - Math.floor(j / width) + width - 1;
    return down * span + (i % width) - (j % width) + width - 1;
  };
  return new ComputedWeight([span * span + 3 * offset, heads], async () => {
    const values = (await biases.data()) as Float32Array;
    const table = new Float32Array((span * span + 3 * offset) * heads);
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < rows; j++)
          table[entryOf(i - offset, j - offset) * heads + head] = values[(head * rows + i) * rows + j] as number;
    return table;
  });
}
