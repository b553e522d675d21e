// Finds DeBERTa's keys and queries of distances, which an optimizer has computed from the vectors of distances. The graph
// repeats them for each text. They are multiplied with queries and keys of tokens, whose projection tells the attention.

import type { OnnxNode } from '../../io/onnx.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { transpose, transposedEach } from '../../nn/stored-layout.js';
import { ComputedWeight } from '../computed-weight.js';
import { PRODUCT } from './output-product.js';

/** Access to the nodes of a graph. */
export interface ModulesView {
  consumers(output: string): readonly OnnxNode[];
  producer(output: string): OnnxNode | undefined;
  /** Returns the path of the module whose matrix a node multiplies with; null if the graph does not tell. */
  moduleOf(node: OnnxNode): string | null;
}

/** Nodes between a projection and its product with a table. */
const MAX_STEPS = 8;

/** Returns the name and the value of a table that `node` repeats, [heads, rows, width]; null if it is none. */
export function distanceTable(node: OnnxNode, table: WeightEntry | null, view: ModulesView) {
  if (node.op !== 'Tile' || table?.shape.length !== 3) return null;
  const name = tableName(node, view);
  return name === null ? null : { name, weight: headsAsColumns(table) };
}

function tableName(node: OnnxNode, view: ModulesView): string | null {
  let last = node;
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const output = last.outputs[0] ?? '';
    const [next] = view.consumers(output);
    if (next === undefined) return null;
    last = next;
    if (!PRODUCT.test(next.op)) continue;
    const module = projectionBefore(next.inputs.find((input) => input !== output) ?? '', view);
    const [, attention, kind] = /^(.*)\.(query|key)\w*$/.exec(module ?? '') ?? [];
    return kind === undefined ? null : `${attention}.${kind === 'query' ? 'distance_keys' : 'distance_queries'}`;
  }
  return null;
}

/** Returns the module of the projection from which a value is computed. */
function projectionBefore(value: string, view: ModulesView): string | null {
  let [node, module] = [view.producer(value), null as string | null];
  for (let steps = 0; node !== undefined && module === null && steps < MAX_STEPS; steps++) {
    if (PRODUCT.test(node.op)) module = view.moduleOf(node);
    node = node.inputs.map((input) => view.producer(input)).find((producer) => producer !== undefined);
  }
  return module;
}

/** Converts rows of each head, [heads, rows, width], to rows of all heads, [rows, heads · width]. */
function headsAsColumns(weight: WeightEntry): WeightEntry {
  const [heads, rows, width] = weight.shape as [number, number, number];
  const byRow = async () => {
    const ofHeads = transposedEach((await weight.data()) as Float32Array, [rows, width]);
    return transpose(ofHeads, [heads * width, rows]);
  };
  return new ComputedWeight([rows, heads * width], byRow);
}
