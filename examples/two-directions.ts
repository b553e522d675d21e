// Pronounces words with two models that must agree, and measures the errors. One was taught as usual, the other to write
// phonemes from the last to the first: what either writes is certain of the end it began with. The best few outputs of
// each are scored by both, and the best mean of a token wins (Liu et al. 2016, "Agreement on Target-Bidirectional LSTMs for
// Sequence-to-Sequence Learning").
//   npx tsx examples/two-directions.ts <model> <model of reversed targets> <pairs> [options]

import { Command } from 'commander';
import { loadModel } from '../src/cli/common.js';
import { readPairs, words } from '../src/cli/data.js';
import { encodeInput, tokenizersOf } from '../src/cli/encoding.js';
import { errorRates } from '../src/cli/metrics.js';
import { integer } from '../src/cli/parsers.js';
import { createDevice, type Transformer } from '../src/index.js';

/** Words that are decoded side by side. */
const BATCH = 128;

/** A sequence of phonemes, in reading order. */
type Output = readonly string[];

/** A model, and the order in which it writes. */
interface Writer {
  readonly model: Transformer;
  readonly order: (output: Output) => Output;
}

const program = new Command('two-directions')
  .description('measure two models that must agree on every word')
  .argument('<forwards>', 'a model that was taught as usual')
  .argument('<backwards>', 'one that was taught reversed targets')
  .argument('<pairs>', 'lines of source, tab, target, and further targets that are right, too')
  .option('--beams <n>', 'outputs that each model proposes', integer(1), 10)
  .option('--threads <n>', 'threads to use', integer(1, 64))
  .parse();
const [forwards, backwards, file] = program.args as [string, string, string];
const { beams, threads } = program.opts<{ beams: number; threads?: number }>();

using device = await createDevice({ threads });
const writers: readonly Writer[] = [
  { model: await loadModel(device, forwards), order: (output) => output },
  { model: await loadModel(device, backwards), order: (output) => output.toReversed() },
];

/** The part of an output that both models can score: the begin token and all tokens except the end token. */
const maxNewTokens = Math.min(...writers.map(({ model }) => model.config.maxLength)) - 1;

const pairs = (await readPairs(file)).sort((a, b) => a.source.length - b.source.length); // equals end together
const outputs: Output[] = [];
for (let at = 0; at < pairs.length; at += BATCH) {
  outputs.push(...(await pronounce(pairs.slice(at, at + BATCH).map(({ source }) => source))));
}
const references = pairs.map(({ targets }) => targets.map(words));
const { count, wordError, tokenError } = errorRates(outputs, references);
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
console.log(`word error ${percent(wordError)}, token error ${percent(tokenError)}, ${count} words`);

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
  const { target } = tokenizersOf(model);
  const encoded = sources.map((text) => encodeInput(model, text));
  const found = await model.generate(encoded, { numBeams: beams, numReturnSequences: beams, maxNewTokens });
  const outputs: Output[][] = sources.map(() => []);
  found.sequences.forEach((ids, n) => {
    outputs[found.inputs[n] as number]?.push(order(words(target.decode(ids))));
  });
  return outputs;
}

/** The log-probability that one model gives to each output. */
async function judge({ model, order }: Writer, candidates: readonly { source: string; output: Output }[]) {
  const { target } = tokenizersOf(model);
  const sources = candidates.map(({ source }) => encodeInput(model, source));
  const targets = candidates.map(({ output }) => target.encode(order(output).join(' '), { addSpecial: true }));
  return (await model.score(sources, targets)).scores;
}
