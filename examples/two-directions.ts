// Pronounces words with two models that must agree, and measures the errors. One was trained as usual, the other to write
// phonemes in reverse order. Each is most certain near the end that it writes first. Both score the best outputs of each
// model, and the best mean per token wins (Liu et al. 2016, "Agreement on Target-Bidirectional LSTMs for
// Sequence-to-Sequence Learning").
//   npx tsx examples/two-directions.ts <model> <model of reversed targets> <pairs> [--beams N] [--threads N]

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createDevice, Transformer } from '../src/index.js';
import { editDistance } from '../src/metrics/index.js';

/** Number of words that are decoded side by side. */
const BATCH = 128;

/** A sequence of phonemes, in reading order. */
type Output = readonly string[];

/** A word with all of its pronunciations. */
interface Pair {
  readonly source: string;
  readonly targets: readonly Output[];
}

/** A model, and the order in which it writes. */
interface Writer {
  readonly model: Transformer;
  readonly order: (output: Output) => Output;
}

const options = { beams: { type: 'string', default: '10' }, threads: { type: 'string' } } as const;
const { values, positionals } = parseArgs({ allowPositionals: true, options });
const [forwards, backwards, file] = positionals;
if (file === undefined || forwards === undefined || backwards === undefined) {
  console.error('two-directions: expected two folders of models and a file of pairs');
  process.exit(2);
}
const beams = Number(values.beams);

using device = await createDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
const writers: readonly Writer[] = [
  { model: await Transformer.load(device, forwards), order: (output) => output },
  { model: await Transformer.load(device, backwards), order: (output) => output.toReversed() },
];

/** The part of an output that both models can score: the begin token and all tokens except the end token. */
const maxNewTokens = Math.min(...writers.map(({ model }) => model.config.maxLength)) - 1;

const pairs = (await readPairs(file)).sort((a, b) => a.source.length - b.source.length); // equal lengths end together
let [wrong, edits, length] = [0, 0, 0];
for (let at = 0; at < pairs.length; at += BATCH) {
  const batch = pairs.slice(at, at + BATCH);
  const outputs = await pronounce(batch.map(({ source }) => source));
  for (const [i, { targets }] of batch.entries()) {
    const distances = targets.map((target) => editDistance(outputs[i] as Output, target));
    const min = Math.min(...distances);
    if (min > 0) wrong++;
    edits += min;
    length += targets[distances.indexOf(min)]?.length ?? 0;
  }
}
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
console.log(
  `word error ${percent(wrong / pairs.length)}, token error ${percent(edits / length)}, ${pairs.length} words`,
);

/** Reads lines of a word and its pronunciations, separated by tabs. Lines with equal words are joined. */
async function readPairs(path: string): Promise<Pair[]> {
  const found = new Map<string, Output[]>();
  for (const line of (await readFile(path, 'utf8')).split(/\r?\n/)) {
    const [source = '', ...targets] = line.split('\t');
    if (targets.length === 0) continue;
    found.set(source, [...(found.get(source) ?? []), ...targets.map(phonemesOf)]);
  }
  return [...found].map(([source, targets]) => ({ source: source.toLowerCase(), targets }));
}

/** The phonemes of a text, which spaces separate. */
function phonemesOf(text: string): Output {
  return text.split(/\s+/).filter((phoneme) => phoneme !== '');
}

/** The tokenizers of a model that `simdformer train pronunciation` saved. */
function tokenizersOf({ tokenizers: { source, target } }: Transformer) {
  if (!source || !target) throw new Error('the model was saved without its tokenizers');
  return { source, target };
}

/** For each word, the output with the best score of both models together. */
async function pronounce(sources: readonly string[]): Promise<Output[]> {
  const proposals = await Promise.all(writers.map((writer) => propose(writer, sources)));
  const candidates = sources.flatMap((source, i) => {
    const outputs = proposals.flatMap((each) => each[i] as Output[]);
    const distinct = new Map(outputs.map((output) => [output.join(' '), output]));
    return [...distinct.values()].map((output) => ({ i, source, output }));
  });
  const scores = await Promise.all(writers.map((writer) => judge(writer, candidates)));
  const best: { output: Output; score: number }[] = [];
  candidates.forEach(({ i, output }, c) => {
    const score = scores.reduce((sum, each) => sum + (each[c] as number), 0) / (output.length + 1);
    if (best[i] === undefined || score > best[i].score) best[i] = { output, score };
  });
  return best.map(({ output }) => output);
}

/** The beams of one model for each word. */
async function propose({ model, order }: Writer, sources: readonly string[]): Promise<Output[][]> {
  const { source, target } = tokenizersOf(model);
  const encoded = sources.map((text) => source.encode(text));
  const found = await model.generate(encoded, { numBeams: beams, numReturnSequences: beams, maxNewTokens });
  const outputs: Output[][] = sources.map(() => []);
  found.sequences.forEach((ids, n) => {
    outputs[found.inputs[n] as number]?.push(order(phonemesOf(target.decode(ids))));
  });
  return outputs;
}

/** The log-probability that one model gives to each output. */
async function judge({ model, order }: Writer, candidates: readonly { source: string; output: Output }[]) {
  const { source: input, target } = tokenizersOf(model);
  const sources = candidates.map(({ source }) => input.encode(source));
  const targets = candidates.map(({ output }) => target.encode(order(output).join(' '), { addSpecial: true }));
  return (await model.score(sources, targets)).scores;
}
