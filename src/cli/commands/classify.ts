import { Command } from 'commander';
import type { ClassScore } from '../../tasks/index.js';
import { HYPOTHESIS } from '../../tasks/zero-shot-classification.js';
import { openDevice } from '../common.js';
import { integer } from '../parsers.js';
import { formatOf, jsonLines, textLines } from '../result-formats.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runTextJob, type TextJobOptions, textJobCommand } from '../text-jobs.js';

interface ClassifyOptions extends TextJobOptions {
  topK: number;
  labels?: string;
  template?: string;
  multiLabel?: boolean;
}

interface Classified {
  readonly text: string;
  /** Labels with scores, best first. */
  readonly labels: readonly ClassScore[];
}

export function classifyCommand(): Command {
  return textJobCommand(new Command('classify').description('classify texts: classes and scores'), ['text', 'jsonl'])
    .option('--top-k <n>', 'classes for each text, the most probable first', integer(1), 1)
    .option('--labels <list>', 'classes of your own, separated by commas, for a model of natural language inference')
    .option('--template <text>', `hypothesis for each class, with {} for its name (default: "${HYPOTHESIS}")`)
    .option('--multi-label', 'score classes independently, so that several can apply')
    .action(async (model: string, files: string[], options: ClassifyOptions, command: Command) => {
      const { topK, labels, template, multiLabel = false, batch: batchSize, revision } = options;
      if (labels === undefined && (template !== undefined || multiLabel))
        command.error('error: --template and --multi-label need --labels');
      const own = labels?.split(',').map((label) => label.trim());
      const format = options.format ?? formatOf(options.out) ?? 'text';
      if (format === 'npy') command.error('error: classes are no array, expected --format text or jsonl');
      using device = await openDevice(command);
      using stop = stopping();
      const source = { device, revision, stop };
      const call = own
        ? await zeroShot(model, source, own, { hypothesis_template: template, multi_label: multiLabel, batchSize })
        : await trained(model, source, { top_k: null, batchSize });
      await using _pipeline = call;
      const settings = { command: 'classify', model, revision: revision ?? null, topK, labels: own ?? null };
      await runTextJob<Classified>(files, options, stop, {
        settings: { ...settings, template: template ?? null, multiLabel, format },
        format: format === 'jsonl' ? jsonLines((result) => result) : textLines(lineOf),
        work: async (texts) =>
          (await call.classify(texts)).map((all, i) => ({ text: texts[i] as string, labels: all.slice(0, topK) })),
      });
    });
}

type Source = Parameters<typeof loadPipeline>[2];

/** Classifies by the model's own classes. */
async function trained(model: string, source: Source, options: { top_k: null; batchSize: number }) {
  const pipe = await loadPipeline('text-classification', model, source);
  return {
    classify: (texts: readonly string[]): Promise<ClassScore[][]> => pipe(texts, options),
    [Symbol.asyncDispose]: () => pipe.dispose(),
  };
}

/** Classifies by given classes. */
async function zeroShot(
  model: string,
  source: Source,
  labels: readonly string[],
  options: { hypothesis_template: string | undefined; multi_label: boolean; batchSize: number },
) {
  const pipe = await loadPipeline('zero-shot-classification', model, source);
  return {
    async classify(texts: readonly string[]): Promise<ClassScore[][]> {
      const found = await pipe(texts, labels, options);
      return found.map(({ labels, scores }) => labels.map((label, i) => ({ label, score: scores[i] as number })));
    },
    [Symbol.asyncDispose]: () => pipe.dispose(),
  };
}

/** Classes and scores, separated by tabs. */
function lineOf({ labels }: Classified): string {
  return labels.map(({ label, score }) => `${label}\t${score.toFixed(6)}`).join('\t');
}
