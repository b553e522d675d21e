// Opens the ONNX files of a model, and maps the names of their weights to the names that the model expects.

import { FormatError } from '../../core/errors.js';
import type { OpenFile } from '../../io/file.js';
import { type OnnxTensor, readOnnx } from '../../io/onnx.js';
import type { WeightEntry, Weights } from '../../models/weight-entry.js';
import type { ModelSource } from '../source.js';
import { type GraphWeights, graphWeights } from './graph-weights.js';

/** Opens all files. Throws a FormatError that names the file if it is damaged or missing. */
export async function openOnnx(source: ModelSource, names: readonly string[]): Promise<Weights> {
  const open: OpenFile[] = [];
  const close = () => {
    for (const file of open) file.close();
  };
  try {
    const graphs: GraphWeights[] = [];
    for (const name of names) graphs.push(await openGraph(source, name, open));
    const tensors = new Map(graphs.toReversed().flatMap(({ named }) => [...named]));
    const unnamed = graphs.flatMap((graph) => graph.unnamed);
    return { tensors, metadata: new Map(), unnamed, named: (wanted) => namedFor(graphs, wanted), close };
  } catch (error) {
    close();
    throw error;
  }
}

async function openGraph(source: ModelSource, name: string, open: OpenFile[]): Promise<GraphWeights> {
  const file = await source.open(name);
  open.push(file);
  try {
    const graph = await readOnnx(file);
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    const beside = new Map<string, OpenFile>();
    for (const tensor of graph.tensors.values()) {
      if (!('file' in tensor.source)) continue;
      const other = tensor.source.file;
      if (!beside.has(other)) {
        const opened = await source.open(folder + other);
        open.push(opened);
        beside.set(other, opened);
      }
      checkInside(tensor, beside.get(other) as OpenFile, other);
    }
    return graphWeights(graph, ({ source: from }) => ('file' in from ? beside.get(from.file) : undefined));
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new FormatError(`${source.name}: ${name}: ${cause.message}`, { cause });
  }
}

function checkInside({ name, position, byteLength }: OnnxTensor, { size }: OpenFile, file: string): void {
  if (position + byteLength > size)
    throw new FormatError(
      `tensor ${JSON.stringify(name)} ends at byte ${position + byteLength} of ${file}, which has ${size}`,
    );
}

/** Changes of names: exporters drop the prefix of the exported module, or add the name of a wrapper. */
const PREFIXES: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.slice(name.indexOf('.') + 1),
  (name) => `encoder.${name}`,
  (name) => `model.encoder.${name}`,
  (name) => `decoder.${name}`,
  (name) => `model.decoder.${name}`,
  (name) => `text_model.${name}`,
  (name) => `vision_model.${name}`,
];

/** The weights of all files. Each file's names are changed in the way that matches the most wanted names. */
function namedFor(graphs: readonly GraphWeights[], wanted: ReadonlySet<string>): Map<string, WeightEntry> {
  const all = new Map<string, WeightEntry>();
  for (const { named } of graphs) {
    const names = [...named.keys()];
    const hits = PREFIXES.map((prefix) => names.filter((name) => wanted.has(prefix(name))).length);
    const prefix = PREFIXES[hits.indexOf(Math.max(...hits))] as (typeof PREFIXES)[number];
    for (const [name, weight] of named) if (!all.has(prefix(name))) all.set(prefix(name), weight);
  }
  return all;
}
