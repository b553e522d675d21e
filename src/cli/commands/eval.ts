import { Command } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { OPTION_TABLE } from '../../generate/option-table.js';
import type { Transformer } from '../../models/families/transformer.js';
import { type LoadedModel, loadModel as loadPretrained } from '../../pretrained/load-later.js';
import { textLoss } from '../characters.js';
import { checkRows, collect } from '../collect.js';
import { loadModel, openDevice, printJson } from '../common.js';
import { type Pair, readPairLines, readPairs, readText, words } from '../data.js';
import { encode, tokenizersOf } from '../encoding.js';
import { taskOf } from '../finetune-tasks.js';
import { example } from '../help.js';
import { columnNames, integer, MAX_HYPOTHESES, positive } from '../parsers.js';
import { isAdapterFolder, isPretrainedFolder } from '../pretrained-folder.js';
import { evaluatePairs } from '../pronunciation.js';
import { exiting } from '../stopping.js';
import { evaluateTranslations, isTranslator } from '../translation.js';

/** Measures a fine-tuned model. Returns its metrics and the number of rows. */
async function evaluateRows(device: Device, name: string, file: string, { beams, columns }: EvalOptions) {
  const rows = await collect(file, { columns });
  const quiet = { onWarning: () => {} };
  using model = await loadPretrained<LoadedModel>(device, name, isAdapterFolder(name) ? quiet : {});
  const start = performance.now();
  const task = taskOf(model);
  task.normalize?.(rows);
  await checkRows(task.objective(model, {}), rows);
  const metrics = await task.evaluate(model, rows, { beams });
  return { count: rows.length, ...metrics, seconds: (performance.now() - start) / 1000 };
}

/** Prints the metrics of a fine-tuned model. */
function printMetrics(metrics: Readonly<Record<string, number>>, { json }: EvalOptions): void {
  const lines = Object.entries(metrics).map(([metric, value]) => `${metric} ${value.toFixed(4)}`);
  if (json) printJson(metrics);
  else console.log(lines.join(', '));
}

/** Prints the loss of a model that continues texts. */
async function printLoss(model: Transformer, file: string, { json }: EvalOptions): Promise<void> {
  const ids = Int32Array.from(encode(tokenizersOf(model).target, await readText(file)));
  if (ids.length < 2) throw new ArgumentError(`${file} has ${ids.length} tokens, expected at least two`);
  const loss = await textLoss(model, ids);
  const tokens = ids.length - 1;
  if (json) return printJson({ tokens, loss });
  console.log(`loss ${loss.toFixed(4)} per token, perplexity ${Math.exp(loss).toFixed(3)}, ${tokens} tokens`);
}

/** Prints BLEU and chrF of translations. */
async function printTranslations(model: Transformer, pairs: readonly Pair[], options: EvalOptions): Promise<void> {
  const { beams, lengthPenalty } = options;
  const start = performance.now();
  const { outputs, references, ...metrics } = await evaluateTranslations(model, pairs, { beams, lengthPenalty });
  const seconds = (performance.now() - start) / 1000;
  const wrong = pairs.flatMap(({ source }, i) => {
    const [output, targets] = [outputs[i] as string, references[i] as string[]];
    return targets.includes(output) ? [] : [{ source, output, targets }];
  });
  if (options.json) return printJson({ ...metrics, seconds, ...(options.outputs && { outputs: wrong }) });
  if (options.outputs)
    for (const { source, output, targets } of wrong) console.log(`${source}\t${output}\t${targets.join('\t')}`);
  const { bleu, chrf, count } = metrics;
  console.log(`BLEU ${bleu.toFixed(2)}, chrF ${chrf.toFixed(2)}, ${count} sentences in ${seconds.toFixed(1)} s`);
}

/** Prints the error rates of words and of their tokens. */
async function printPronunciations(
  model: Transformer,
  pairs: Awaited<ReturnType<typeof readPairs>>,
  options: EvalOptions,
): Promise<void> {
  const start = performance.now();
  const { outputs, count, wordError, tokenError } = await evaluatePairs(model, pairs, { beams: options.beams });
  const seconds = (performance.now() - start) / 1000;
  const results = pairs.map((pair, i) => ({ ...pair, output: (outputs[i] as string[]).join(' ') }));
  // Only words are compared, as in the error rates; separators are ignored.
  const wrong = results.filter(({ targets, output }) => !targets.some((text) => words(text).join(' ') === output));
  if (options.json) {
    return printJson({ count, wordError, tokenError, seconds, ...(options.outputs && { outputs: wrong }) });
  }
  if (options.outputs) {
    for (const { source, output, targets } of wrong) console.log(`${source}\t${output}\t${targets.join('\t')}`);
  }
  console.log(
    `word error ${(100 * wordError).toFixed(2)} %, token error ${(100 * tokenError).toFixed(2)} %, ${count} words in ${seconds.toFixed(1)} s`,
  );
}

interface EvalOptions {
  readonly beams: number;
  readonly lengthPenalty?: number;
  readonly columns?: Readonly<Record<string, string>>;
  readonly outputs?: boolean;
  readonly json?: boolean;
}

export function evalCommand(): Command {
  return new Command('eval')
    .description(
      'measure a model: error rates on pairs, BLEU on translations, the loss on a text, or the metrics of a fine-tuned task',
    )
    .argument('<model>', 'folder or name of a model')
    .argument(
      '<file>',
      'lines of source, tab, target, and further correct targets; a text; or rows of a fine-tuned task',
    )
    .option(
      '--beams <n>',
      'number of hypotheses of beam search',
      integer(1, MAX_HYPOTHESES),
      OPTION_TABLE.numBeams.default,
    )
    .option(
      '--length-penalty <p>',
      "for translations: above 1 prefers longer ones, below 1 shorter ones (default: the model's setting)",
      positive,
    )
    .option(
      '--columns <names>',
      'names of columns in the file, such as text=review,label=stars (default: the names of the task)',
      columnNames,
    )
    .option('--outputs', 'print every output that is wrong')
    .option('--json', 'print JSON')
    .addHelpText('after', example('eval my-model pairs.tsv --beams 4'))
    .action(run);
}

async function run(name: string, file: string, options: EvalOptions, command: Command): Promise<void> {
  using device = await openDevice(command);
  using _exiting = exiting();
  if (isPretrainedFolder(name)) {
    if (options.outputs) command.error('error: --outputs is for pairs');
    return printMetrics(await evaluateRows(device, name, file, options), options);
  }
  const model = await loadModel(device, name);
  if (model.config.encoderLayers === 0) {
    if (options.beams > 1 || options.outputs) {
      command.error("error: this model's loss on a text is measured: --beams and --outputs are for pairs");
    }
    return await printLoss(model, file, options);
  }
  if (isTranslator(model)) return await printTranslations(model, await readPairLines(file), options);
  return await printPronunciations(model, await readPairs(file), options);
}
