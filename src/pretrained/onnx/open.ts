// Opens the ONNX files of a model, and maps the names of their weights to the names that the model expects.

import { FormatError } from '../../core/errors.js';
import type { OpenFile } from '../../io/file.js';
import { type OnnxTensor, readOnnx } from '../../io/onnx.js';
import type { Family } from '../../models/family.js';
import type { WeightEntry, Weights } from '../../models/weight-entry.js';
import { ComputedWeight } from '../computed-weight.js';
import { EMBEDDINGS, OUTPUT } from '../own-output.js';
import { inPresentForm } from '../present-form.js';
import type { ModelSource } from '../source.js';
import { addFolded } from './add-folded.js';
import { familyName, partsOf } from './builder-names.js';
import { type GraphWeights, graphWeights } from './graph-weights.js';
import { olderNames } from './older-names.js';
import { joinedRows, rowsOf } from './rows.js';

/** Opens the files of a family's model. Throws FormatError, naming the file, if one is damaged or missing. */
export async function openOnnx(source: ModelSource, names: readonly string[], family?: Family): Promise<Weights> {
  const open: OpenFile[] = [];
  const close = () => {
    for (const file of open) file.close();
  };
  try {
    const graphs: GraphWeights[] = [];
    for (const name of names) graphs.push(await openGraph(source, name, open));
    const tensors = new Map(graphs.toReversed().flatMap((graph) => [...graph.named, ...withStandardNames(graph)]));
    const unnamed = graphs.flatMap((graph, file) => graph.unnamed.map((weight) => ({ ...weight, file })));
    const named = (wanted: ReadonlySet<string>) => namedFor(graphs, wanted, family);
    const notes = graphs.flatMap((graph, i) => graph.notes.map((note) => `${names[i]}: ${note}`));
    const foldedNames = graphs.flatMap(({ folded }) => [...folded.single.keys()]);
    return { tensors, metadata: new Map(), unnamed, named, foldedNames, notes, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The token table and the output that have lost their names, by names that many models use for them. */
function withStandardNames({ table, output }: GraphWeights): [string, WeightEntry][] {
  const lost = { 'embed_tokens.weight': table, 'lm_head.weight': output };
  return Object.entries(lost).flatMap(([name, weight]) => (weight === null ? [] : [[name, weight]]));
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
    return await graphWeights(graph, ({ source: from }) => ('file' in from ? beside.get(from.file) : undefined));
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

const withoutFirst = (name: string) => name.slice(name.indexOf('.') + 1);

/** Changes of names that exporters make: they drop the prefix of the exported module, or add the name of a wrapper. */
const PREFIXES: readonly ((name: string) => string)[] = [
  (name) => name,
  withoutFirst,
  (name) => `encoder.${name}`,
  (name) => `model.encoder.${name}`,
  (name) => `decoder.${name}`,
  (name) => `model.decoder.${name}`,
  (name) => `language_model.${name}`,
  (name) => `language_model.${withoutFirst(name)}`,
  (name) => `language_model.encoder.${name}`,
  (name) => `language_model.decoder.${name}`,
  (name) => `text_model.${name}`,
  (name) => `vision_model.${name}`,
  (name) => `speech_decoder_postnet.${name}`,
];

/** Returns the change after which most names are those of the model; null if there is none. */
function prefixOf(names: Iterable<string>, wanted: ReadonlySet<string>): (typeof PREFIXES)[number] | null {
  const all = [...names];
  const changes = [...PREFIXES, ...PREFIXES.map((prefix) => (name: string) => older(prefix(name), wanted))];
  const isWanted = (name: string) => wanted.has(name) && !/^(weight|bias)$/.test(name);
  const counts = changes.map((change) => all.filter((name) => isWanted(change(name))).length);
  const max = Math.max(...counts);
  return max === 0 ? null : (changes[counts.indexOf(max)] ?? null);
}

const older = (name: string, wanted: ReadonlySet<string>) =>
  wanted.has(name) ? name : (olderNames(name).find((candidate) => wanted.has(candidate)) ?? name);

/** Returns the weights of all files, each with the change of names that fits most of the model's weights. */
function namedFor(
  graphs: readonly GraphWeights[],
  wanted: ReadonlySet<string>,
  family: Family | undefined,
): Map<string, WeightEntry> {
  const all = new Map<string, WeightEntry>();
  for (const graph of graphs)
    for (const [name, weight] of fitNames(graph, wanted, family)) if (!all.has(name)) all.set(name, weight);
  for (const name of wanted) {
    const lost = all.has(name) ? null : lostWeight(name, graphs);
    if (lost) all.set(name, lost);
  }
  for (const name of wanted) {
    const shared = all.get(name) ?? sharedTable(name, all);
    if (shared !== undefined) all.set(name, shared);
  }
  return all;
}

/** Returns the weight of the first file that has it without its name: the table of tokens, or the output. */
function lostWeight(name: string, graphs: readonly GraphWeights[]): WeightEntry | null {
  const kind = EMBEDDINGS.some((regex) => regex.test(name)) ? 'table' : OUTPUT.test(name) ? 'output' : null;
  return kind && (graphs.map((graph) => graph[kind]).find(Boolean) ?? null);
}

/** Returns the table of tokens under another name: a decoder's file names it as the model's, its own file by its module. */
function sharedTable(name: string, all: ReadonlyMap<string, WeightEntry>): WeightEntry | undefined {
  const named = name.replace(/decoder\.embed_tokens\.weight$/, 'shared.weight');
  return all.get(named) ?? (named.endsWith('shared.weight') ? all.get('embed_tokens.weight') : undefined);
}

/** Fits the weights of a file to the model: renames, splits and concatenates them, and adds folded constants. */
function fitNames(
  { named: fileWeights, folded, isBuilt, heads }: GraphWeights,
  wanted: ReadonlySet<string>,
  family: Family | undefined,
): Map<string, WeightEntry> {
  const named = family?.fileName ? inPresentForm(fileWeights, family) : fileWeights;
  const plusOne = family?.gguf?.plusOne === true;
  const change = prefixOf(named.keys(), wanted) ?? prefixOf(folded.single.keys(), wanted) ?? ((name) => name);
  const prefix = (name: string) => (name.startsWith('lm_head.') && wanted.has(name) ? name : change(name));
  const renamed = <T>(map: ReadonlyMap<string, T>) => new Map([...map].map(([name, value]) => [prefix(name), value]));
  const lowered = (name: string, weight: WeightEntry) =>
    plusOne && name.endsWith('norm.weight') ? minusOne(weight) : weight;
  const ggufNames = family?.gguf?.names ?? {};
  const own = (name: string) => (isBuilt && !wanted.has(name) ? familyName(name, ggufNames) : name);
  const found = new Map<string, WeightEntry>();
  for (const [name, stored] of named) {
    const weight = isBuilt ? lowered(name, stored) : stored;
    const parts = wanted.has(prefix(name)) ? [] : split(name, weight, heads);
    for (const [part, rows] of parts.length > 0 ? parts : [[name, weight] as const]) found.set(own(prefix(part)), rows);
  }
  for (const name of wanted) if (!found.has(name)) join(found, name);
  const single = new Map([...renamed(folded.single)].map(([name, weight]) => [name, lowered(name, weight)]));
  addFolded(found, { single, attention: renamed(folded.attention) }, wanted);
  return found;
}

/** Splits a projection into its parts: queries, keys and values, or the two inputs of a gate. */
function split(name: string, weight: WeightEntry, heads: GraphWeights['heads']): [string, WeightEntry][] {
  const parts = partsOf(name);
  const half = (weight.shape[0] as number) / 2;
  if (parts?.length === 2 && Number.isInteger(half))
    return parts.map((part, i) => [part, rowsOf(weight, i * half, (i + 1) * half)]);
  const counts = heads.get(name.slice(0, name.lastIndexOf('.', name.lastIndexOf('.') - 1)));
  if (parts?.length !== 3 || counts === undefined) return [];
  const size = (weight.shape[0] as number) / (counts.queries + 2 * counts.keys);
  if (!Number.isInteger(size)) return [];
  const ends = [counts.queries, counts.queries + counts.keys, counts.queries + 2 * counts.keys];
  return parts.map((part, i) => [part, rowsOf(weight, size * (ends[i - 1] ?? 0), size * (ends[i] as number))]);
}

/** Adds the projection `name` if the projections exist whose rows it concatenates. */
function join(weights: Map<string, WeightEntry>, name: string): void {
  const parts = partsOf(name);
  const found = parts?.flatMap((part) => weights.get(part) ?? []) ?? [];
  if (parts === null || found.length !== parts.length) return;
  for (const part of parts) weights.delete(part);
  weights.set(name, joinedRows(found));
}

function minusOne(weight: WeightEntry): WeightEntry {
  return new ComputedWeight(weight.shape, async () =>
    ((await weight.data()) as Float32Array).map((value) => value - 1),
  );
}
