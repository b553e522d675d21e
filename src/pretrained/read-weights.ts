// Reads the tensors of a file into the parameters of a model: matches names and shapes, and initializes a head that the
// file lacks.

import { FormatError, ShapeError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { sameShape } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { SafetensorsEntry } from '../io/safetensors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { packables } from '../models/quantize.js';
import { type Packing, readPacked } from '../models/read-packed.js';
import type { UnnamedWeight, WeightEntry, Weights } from '../models/weight-entry.js';
import { type StatePiece, shapeOf } from '../nn/state-names.js';
import { headOf } from './architectures.js';
import type { HubOptions } from './hub-options.js';
import type { OnWarning } from './warnings.js';

/**
 * Names of tensors that may be unused without a warning. These are buffers that follow from the config, a duplicate
 * bias of a head, and a shared embedding if encoder and decoder have their own.
 */
const BUFFERS =
  /(position_ids|predictions\.(decoder\.)?bias|lm_head\.(decoder\.)?bias|rotary_emb\.(\w+_)?inv_freq|embed_tokens\.embed_scale|att(entio)?n\.(masked_)?bias|relative_position_index|embed_positions\.weights?|^(model\.|transformer\.|led\.)?shared\.weight)$/;

interface ReadOptions extends Pick<HubOptions, 'signal'> {
  readonly pack: Packing | null;
  /** True if the file may have packed weights of simdformer. */
  readonly isPacked: boolean;
  readonly onWarning: OnWarning;
}

async function withoutSuffixes(source: string, tensors: Weights['tensors'], model: PretrainedModel) {
  const { withPacked } = await import('../models/packed-entry.js');
  try {
    return withPacked(tensors as ReadonlyMap<string, SafetensorsEntry>, model, namesOf);
  } catch (cause) {
    throw cause instanceof FormatError ? new FormatError(`${source}: ${cause.message}`, { cause }) : cause;
  }
}

/** The tensors of a file, matched with the pieces of a model's parameters. */
export interface WeightMatch {
  /** Entries by the names of pieces. */
  readonly found: Map<string, WeightEntry>;
  /** Parameters that the file lacks. */
  readonly missing: readonly StatePiece[];
  /** Names of optional parameters that a graph for inference lacks. */
  readonly absent: readonly string[];
  /** Pieces whose entries have another shape than config.json requires. */
  readonly misshapen: readonly { readonly piece: StatePiece; readonly shape: readonly number[] }[];
  /** Names of tensors that belong to no piece. */
  readonly unused: readonly string[];
  /** The file's names of pieces, if they differ from the model's. */
  readonly renamed: Map<string, string>;
}

/** The tensors, where experts that lie in one tensor are separate, as in checkpoints. */
async function asInCheckpoints(tensors: Weights['tensors'], model: PretrainedModel): Promise<Weights['tensors']> {
  const isFused = [...tensors.keys()].some((name) => /\.experts\.(gate_up|down)_proj$/.test(name));
  if (!isFused) return tensors;
  const { withSplitExperts } = await import('./fused-experts.js');
  return withSplitExperts(tensors, wantedNames(model));
}

/** Matches the tensors of a file with a model by their names and shapes. No data are read. */
export async function matchWeights(
  model: PretrainedModel,
  source: string,
  weights: Weights,
  isPacked: boolean,
): Promise<WeightMatch> {
  const tensors = await asInCheckpoints(weights.named?.(wantedNames(model)) ?? weights.tensors, model);
  const matrices = new Set(packables(model).flatMap(({ weight, transposed }) => (transposed ? [weight] : [])));
  const byName = isPacked ? await withoutSuffixes(source, tensors, model) : new Map(tensors);
  const unnamed = await unnamedPieces(model, byName, weights.unnamed ?? []);
  const found = new Map<string, WeightEntry>();
  const missing: StatePiece[] = [];
  const absent: string[] = [];
  const misshapen: { piece: StatePiece; shape: readonly number[] }[] = [];
  const renamed = new Map<string, string>();
  await yieldToEventLoop();
  const shared = model.pieceNames();
  await yieldToEventLoop();
  const pieces = model.statePieces();
  await yieldToEventLoop();
  /** The file's name of a piece, and its entry. Files store a shared tensor under any of its names. */
  const entryOf = (piece: StatePiece) => {
    const names = (shared.get(piece.name) ?? [piece.name]).flatMap(namesOf);
    const name = names.find((candidate) => byName.has(candidate));
    const stored = name === undefined ? unnamed.get(piece.name) : byName.get(name);
    const isInOut = !piece.transposed && matrices.has(piece.tensor);
    return { name, entry: (isInOut && stored?.inOut?.()) || stored };
  };
  for (const piece of pieces) {
    const { name, entry } = entryOf(piece);
    if (entry === undefined) {
      // Parameters that are not learned keep their initial values, and graphs for inference lack those for training.
      if (weights.named && model.isOptional(piece.name)) absent.push(piece.name);
      else if (piece.tensor.requiresGrad) missing.push(piece);
      continue;
    }
    if (!sameShape(entry.shape, shapeOf(piece))) misshapen.push({ piece, shape: entry.shape });
    found.set(piece.name, entry);
    if (name === undefined) continue;
    if (isOwnName(model, piece.name, name)) renamed.set(piece.name, name);
    byName.delete(name);
  }
  if (model.lacksBodyName && renamed.size > 0)
    for (const { name } of missing) renamed.set(name, name.slice(name.indexOf('.') + 1));
  const aliases = new Set([...shared.values()].flatMap((names) => names.flatMap(namesOf)));
  const unused = unusedNames(model, weights, byName).filter((name) => !aliases.has(name));
  return { found, missing, absent, misshapen, unused, renamed };
}

/** Names of the tensors in `unread`, which no piece took, that a model should have used. */
function unusedNames(model: PretrainedModel, weights: Weights, unread: ReadonlyMap<string, WeightEntry>): string[] {
  // ONNX graphs have other tensors, too. Only tensors of modules have a path as their name.
  const isWeight = (name: string) =>
    (!weights.named || name.includes('.')) && !weights.unneeded?.has(name) && !model.ignores(name);
  const isEmpty = ({ shape }: WeightEntry) => shape.includes(0); // register tokens may be empty, for example
  const unused = [...unread].filter(([name, entry]) => isWeight(name) && !BUFFERS.test(name) && !isEmpty(entry));
  return unused.map(([name]) => name);
}

/** Reads the weights of a model. Returns the file's names that differ from the model's. */
export async function readWeights(
  model: PretrainedModel,
  source: string,
  weights: Weights,
  { pack, isPacked, onWarning, signal }: ReadOptions,
): Promise<Map<string, string>> {
  const match = await matchWeights(model, source, weights, isPacked);
  const { found, missing, misshapen, unused, renamed } = match;
  model.absent = new Set(match.absent);
  checkShapes(source, misshapen);
  if (weights.named) checkHead(model, source, missing);
  model.lacksPooler = weights.named !== undefined && missing.some(isOfPooler);
  const drawn = model.lacksPooler ? missing.filter((piece) => !isOfPooler(piece)) : missing;
  drawMissing(model, source, drawn, weights, onWarning);
  if (unused.length > 0)
    onWarning(`${source} has weights that the model does not use: ${some(unused)}`, 'unused-weights');
  await yieldToEventLoop();
  if (pack === null) await model.readState(found, signal, true);
  else await readPacked(model, found, pack, signal);
  return renamed;
}

/** Returns all names that files may use for the weights of a model. */
function wantedNames(model: PretrainedModel): Set<string> {
  const shared = model.pieceNames();
  const names = model.statePieces().flatMap(({ name }) => shared.get(name) ?? [name]);
  return new Set(names.flatMap(namesOf));
}

/** Matches weights that have lost their names with the pieces that no name fits. */
async function unnamedPieces(
  model: PretrainedModel,
  entries: ReadonlyMap<string, WeightEntry>,
  unnamed: readonly UnnamedWeight[],
): Promise<Map<string, WeightEntry>> {
  if (unnamed.length === 0) return new Map();
  const { matchUnnamed } = await import('./unnamed-weights.js');
  const shared = model.pieceNames();
  const missing = model
    .statePieces()
    .filter(({ name }) => !(shared.get(name) ?? [name]).flatMap(namesOf).some((candidate) => entries.has(candidate)));
  return matchUnnamed(missing, unnamed);
}

/** Returns the other name of the bias of words. */
const otherBias = (_: string, stem: string, decoder: string | undefined) =>
  decoder === undefined ? `${stem}.decoder.bias` : `${stem}.bias`;

/** Returns the names that a tensor may have in files: with and without the prefix of the body, and older names. */
function namesOf(name: string): string[] {
  const old = name
    .replace(/(LayerNorm|layer_norm)\.weight$/, '$1.gamma')
    .replace(/(LayerNorm|layer_norm)\.bias$/, '$1.beta')
    .replace(/\.parametrizations\.weight\.original0$/, '.weight_g') // weight normalization, before torch 2.1
    .replace(/\.parametrizations\.weight\.original1$/, '.weight_v')
    .replace(/^lm_head\.weight$/, 'embed_out.weight') // GPT-NeoX's
    .replace(/(predictions|^lm_head)(\.decoder)?\.bias$/, otherBias)
    .replace(/^transformer\./, 'model.'); // Llama's question-answering model
  return [name, old].flatMap((candidate) => [candidate, candidate.slice(candidate.indexOf('.') + 1)]);
}

/** True if transformers also uses this name when it saves the tensor. Names of a body without a head have no prefix. */
function isOwnName(model: PretrainedModel, name: string, fileName: string): boolean {
  return fileName.startsWith('embed_out.') || (model.lacksBodyName && fileName === name.slice(name.indexOf('.') + 1));
}

function checkShapes(source: string, [first]: WeightMatch['misshapen']): void {
  if (first === undefined) return;
  const { piece, shape } = first;
  throw new ShapeError(
    `${source}: ${piece.name} is [${shape.join(', ')}], expected [${shapeOf(piece).join(', ')}] by config.json`,
  );
}

/**
 * True for a parameter of a head or a pooler, which a file may lack because training starts it at random. Files of the
 * two towers of a model lack the scale of their similarities, too.
 */
export const isOfHead = ({ path }: StatePiece): boolean =>
  /^(head|(\w+\.)*pooler)\.|^logit_(bias|scale(_[at])?)$/.test(path);

const isOfPooler = ({ path }: StatePiece): boolean => /(^|\.)pooler\./.test(path);

/**
 * Throws FormatError if a graph for inference lacks the head that config.json names: it is the graph of another task.
 */
function checkHead(model: PretrainedModel, source: string, missing: readonly StatePiece[]): void {
  const headPieces = missing.filter(({ path }) => path.startsWith('head.'));
  const lacksBody = missing.some((piece) => !isOfHead(piece));
  if (headPieces.length === 0 || lacksBody || headOf(model.config) !== model.headKind) return;
  const names = some(headPieces.map(({ name }) => name));
  throw new FormatError(
    `${source}: the ONNX graph lacks the head ${model.headKind} (${names}): load it with head: 'none', or another file`,
  );
}

/** The logarithm with which the scale of similarities starts, in CLIP and its descendants. */
const LOGIT_SCALE = Math.log(1 / 0.07);

/**
 * Initializes a head that the file lacks at random, as transformers does. Throws FormatError if the body lacks weights.
 */
function drawMissing(
  model: PretrainedModel,
  source: string,
  missing: readonly StatePiece[],
  { unnamed = [], foldedNames }: Weights,
  onWarning: OnWarning,
): void {
  if (missing.length === 0) return;
  const body = missing.filter((piece) => !isOfHead(piece));
  if (body.length > 0) {
    const matrices = unnamed.filter(({ entry: { shape } }) => shape.filter((n) => n > 1).length === 2).length;
    const reason =
      matrices === 0
        ? '; its graph may have others that an optimizer has computed from them'
        : `; matrices without a name in its graph: ${matrices} (no path of a node, metadata of the exporter or bias tells it)`;
    const hint = foldedNames ? `${reason}: load the export without optimization, or model.safetensors` : '';
    throw new FormatError(`${source} lacks weights of the model: ${some(body.map(({ name }) => name))}${hint}`);
  }
  const deviation = Number(model.config.initializer_range ?? 0.02);
  const random = new Random(0, 0);
  for (const { tensor, path } of missing) {
    if (tensor.shape.length > 1)
      tensor.write(Float32Array.from({ length: tensor.size }, () => deviation * random.normal()));
    else tensor.write(new Float32Array(tensor.size).fill(startOf(path)));
  }
  const names = some(missing.map(({ name }) => name));
  onWarning(`${source} has no ${names}: initialized at random, train before use`, 'new-head');
}

/** The value that a vector or a scalar of a head starts with. */
function startOf(path: string): number {
  if (path.startsWith('logit_scale')) return LOGIT_SCALE;
  return /(\.norm|^pooler)\.weight$/.test(path) ? 1 : 0;
}

function some(names: readonly string[]): string {
  return `${names.slice(0, 8).join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`;
}
