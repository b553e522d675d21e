// Recovers the model's weights from constants that an exporter has folded.

import type { WeightEntry } from '../../models/weight-entry.js';
import { transposedEach } from '../../nn/stored-layout.js';
import { ComputedWeight, transposed } from '../computed-weight.js';
import type { FoldedWeights } from './folded.js';
import { rowsOf } from './rows.js';

/** The standard epsilon of batch norms. With 1 − ε as its variance, a batch norm divides by 1. */
const EPS = 1e-5;

/** Names of the projections that an attention node concatenates: queries, keys and values. */
const PROJECTIONS = [
  ['query', 'key', 'value'],
  ['q_lin', 'k_lin', 'v_lin'],
  ['q_proj', 'k_proj', 'v_proj'],
  ['q', 'k', 'v'],
];

type Single = FoldedWeights['single'];

/**
 * Adds the missing weights of the model to `found`, from folded constants. Exporters fold the statistics of a batch
 * norm into a scale and a shift, or into the preceding convolution. Such a batch norm gets this scale and shift.
 */
export function addFolded(
  found: Map<string, WeightEntry>,
  { single, attention }: FoldedWeights,
  wanted: ReadonlySet<string>,
): void {
  const add = (name: string, weight: WeightEntry) => {
    if (wanted.has(name) && !found.has(name)) found.set(name, weight);
  };
  for (const [name, weight] of single) add(name, weight);
  for (const [name, rows] of projections(attention)) add(name, rows);
  addJoinedOutput(found, wanted);
  addWeightNorms(found, single, wanted);
  addTimeDelays(found, single, wanted);
  for (const name of wanted) {
    const norm = /^(.+)\.running_var$/.exec(name)?.[1];
    if (norm === undefined || found.has(name)) continue;
    const shift = found.has(`${norm}.bias`)
      ? null
      : (biasBeside(norm, single, wanted) ?? zerosAfterBias(norm, single, wanted));
    if (shift) {
      add(`${norm}.bias`, shift);
      add(`${norm}.weight`, constant(shift.shape, 1));
    }
    const bias = found.get(`${norm}.bias`);
    if (bias === undefined) continue;
    add(`${norm}.running_mean`, constant(bias.shape, 0));
    add(name, constant(bias.shape, 1 - EPS));
  }
}

/** Splits concatenated projections into queries, keys and values, under all names that models use for them. */
function* projections(attention: FoldedWeights['attention']): Generator<readonly [string, WeightEntry]> {
  for (const [path, joined] of attention)
    for (const kind of ['weight', 'bias'] as const) {
      const all = joined[kind];
      const rows = (all?.shape[0] ?? 0) / 3;
      if (!all || !Number.isInteger(rows)) continue;
      for (const names of PROJECTIONS)
        for (const [i, name] of names.entries())
          yield [`${path}.${name}.${kind}`, rowsOf(all, i * rows, (i + 1) * rows)];
    }
}

/**
 * Splits MobileBERT's output matrix: the exporter concatenates the token table, [vocabulary, width], and a projection.
 */
function addJoinedOutput(found: Map<string, WeightEntry>, wanted: ReadonlySet<string>): void {
  for (const name of wanted) {
    const output = /^(.*predictions)\.dense\.weight$/.exec(name)?.[1];
    const joined = output === undefined || found.has(name) ? undefined : found.get(`${output}.weight`);
    const table = [...found].find(([weightName]) => weightName.endsWith('word_embeddings.weight'))?.[1];
    if (joined === undefined || table === undefined || table.shape[0] !== joined.shape[0]) continue;
    found.set(name, rowsOf(transposed(joined), table.shape[1] as number, joined.shape[1] as number));
    found.delete(`${output}.weight`);
  }
}

/** Splits folded weights of convolutions with weight normalization into lengths and directions. */
function addWeightNorms(found: Map<string, WeightEntry>, single: Single, wanted: ReadonlySet<string>): void {
  for (const name of wanted) {
    const path = /^(.+)\.parametrizations\.weight\.original0$/.exec(name)?.[1];
    const weight = path === undefined ? undefined : (single.get(`${path}.weight`) ?? found.get(`${path}.weight`));
    if (weight === undefined || found.has(name)) continue;
    found.set(name, lengths(weight, /pos_conv_embed/.test(name)));
    found.set(name.replace(/0$/, '1'), weight);
    found.delete(`${path}.weight`);
  }
}

/** Converts time-delay layers of x-vectors from convolutions, [out, in, taps], to projections, [out, taps · in]. */
function addTimeDelays(found: Map<string, WeightEntry>, single: Single, wanted: ReadonlySet<string>): void {
  for (const name of wanted) {
    const path = /^(tdnn\.\d+)\.kernel\.weight$/.exec(name)?.[1];
    const weight = path === undefined ? undefined : single.get(`${path}.weight`);
    const [outputs = 0, inputs = 0, taps = 0] = weight?.shape ?? [];
    if (weight === undefined || found.has(name) || taps === 0) continue;
    const byTap = async () => transposedEach((await weight.data()) as Float32Array, [inputs, taps]);
    found.set(name, new ComputedWeight([outputs, taps * inputs], byTap));
  }
}

/** Returns the lengths of the vectors of each output, [outputs, 1, 1], or of each tap, [1, 1, taps]. */
function lengths(weight: WeightEntry, ofTaps: boolean): WeightEntry {
  const [outputs = 1, inputs = 1, taps = 1] = weight.shape;
  return new ComputedWeight(ofTaps ? [1, 1, taps] : [outputs, 1, 1], async () => {
    const values = (await weight.data()) as Float32Array;
    const squares = new Float64Array(ofTaps ? taps : outputs);
    for (const [i, value] of values.entries()) {
      const channel = ofTaps ? i % taps : Math.floor(i / (inputs * taps));
      squares[channel] = (squares[channel] as number) + value * value;
    }
    return Float32Array.from(squares, Math.sqrt);
  });
}

/**
 * Returns the folded bias of the convolution before a batch norm: the only one beside it without a bias in the model.
 */
function biasBeside(norm: string, single: Single, wanted: ReadonlySet<string>): WeightEntry | null {
  const parent = norm.slice(0, norm.lastIndexOf('.') + 1);
  const isBeside = (name: string) =>
    name.startsWith(parent) && /^[^.]+\.bias$/.test(name.slice(parent.length)) && !wanted.has(name);
  const biases = [...single].filter(([name, { shape }]) => isBeside(name) && shape.length === 1);
  const numbered = biases.filter(([name]) => /\d*$/.exec(norm)?.[0] === /(\d*)\.bias$/.exec(name)?.[1]);
  const [only, ...otherBiases] = biases.length === 1 ? biases : numbered;
  return only && otherBiases.length === 0 ? only[1] : null;
}

/**
 * Returns zeros if the layer before a batch norm in a sequence is a folded convolution, whose bias in the model takes
 * the shift.
 */
function zerosAfterBias(norm: string, single: Single, wanted: ReadonlySet<string>): WeightEntry | null {
  const name = norm.replace(/(?<=\.)\d+$/, (index) => `${Number(index) - 1}.bias`);
  const bias = wanted.has(name) ? single.get(name) : undefined;
  return bias?.shape.length === 1 ? constant(bias.shape, 0) : null;
}

function constant(shape: readonly number[], value: number): WeightEntry {
  const size = shape.reduce((product, n) => product * n, 1);
  return new ComputedWeight(shape, async () => new Float32Array(size).fill(value));
}
