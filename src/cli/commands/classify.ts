import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { ClassScore, Pipeline } from '../../tasks/index.js';
import { HYPOTHESIS } from '../../tasks/zero-shot-classification.js';
import { openDevice } from '../common.js';
import { example } from '../help.js';
import { checkReadable, withFile } from '../lines.js';
import { integer, labelList } from '../parsers.js';
import { formatOf, jsonLines, textLines } from '../result-formats.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runTextJob, type TextJobOptions, textJobCommand } from '../text-jobs.js';

interface ClassifyOptions extends TextJobOptions {
  topK: number;
  labels?: readonly string[];
  template?: string;
  multiLabel?: boolean;
  images?: boolean;
  sounds?: boolean;
}

interface Classified {
  readonly text: string;
  /** Labels with scores, best first. */
  readonly labels: readonly ClassScore[];
}

export function classifyCommand(): Command {
  return textJobCommand(
    new Command('classify').description('classify texts, images or recordings: print classes with scores'),
    ['text', 'jsonl'],
  )
    .option('--top-k <n>', 'number of classes to print for each text, the most probable first', integer(1), 1)
    .option(
      '--labels <list>',
      "classes of your own, separated by commas; needs a model of natural language inference (default: the model's classes)",
      labelList,
    )
    .option('--template <text>', `hypothesis for each class, with {} for its name (default: "${HYPOTHESIS}")`)
    .option(
      '--images',
      'classify image files, with a line of output for each; --labels needs a model such as CLIP or SigLIP',
    )
    .option('--sounds', 'classify recordings, with a line of output for each; --labels needs CLAP')
    .option('--multi-label', 'score classes independently, so that several can apply')
    .addHelpText(
      'after',
      example('classify distilbert/distilbert-base-uncased-finetuned-sst-2-english reviews.txt -o labels.jsonl'),
    )
    .action(async (model: string, files: string[], options: ClassifyOptions, command: Command) => {
      const { topK, labels, template, multiLabel = false, batch: batchSize, revision } = options;
      await checkReadable(files);
      if (labels === undefined && (template !== undefined || multiLabel))
        command.error('error: --template and --multi-label need --labels');
      const format = options.format ?? formatOf(options.out) ?? 'text';
      if (options.images || options.sounds) {
        await classifyFiles(model, files, options, labels, command);
        return;
      }
      if (format === 'npy')
        command.error('error: classes cannot be written as an array, expected --format text or jsonl');
      using device = await openDevice(command);
      using stop = stopping();
      const source = { device, revision, stop };
      const call = labels
        ? await zeroShot(model, source, labels, { hypothesis_template: template, multi_label: multiLabel, batchSize })
        : await trained(model, source, { top_k: null, batchSize });
      await using _pipeline = call;
      const settings = { command: 'classify', model, revision: revision ?? null, topK, labels: labels ?? null };
      await runTextJob<Classified>(files, options, stop, {
        settings: { ...settings, template: template ?? null, multiLabel, format },
        format: format === 'jsonl' ? jsonLines((result) => result) : textLines(lineOf),
        compute: async (texts) =>
          (await call.classify(texts)).map((all, i) => ({ text: texts[i] as string, labels: all.slice(0, topK) })),
      });
    });
}

/** Options that mean nothing for images and sounds. */
const OF_TEXTS = ['out', 'format', 'multiLabel', 'overwrite'] as const;

/** Classifies images or sounds, by the model's own classes or by given ones. Prints a line for each file. */
async function classifyFiles(
  model: string,
  files: readonly string[],
  options: ClassifyOptions,
  labels: readonly string[] | undefined,
  command: Command,
): Promise<void> {
  const { images, sounds, template, topK, revision } = options;
  if (images && sounds) throw new ArgumentError('--images and --sounds are both given, expected one of them');
  if (files.length === 0) throw new ArgumentError('classify: --images and --sounds read files, expected at least one');
  const unused = OF_TEXTS.find((name) => options[name]);
  if (unused)
    throw new ArgumentError(
      `classify: --images and --sounds print lines and take no --${unused === 'multiLabel' ? 'multi-label' : unused}`,
    );
  using device = await openDevice(command);
  using stop = stopping();
  const source = { device, revision, stop };
  const { signal } = stop;
  const print = (scores: readonly ClassScore[]) => {
    const best = scores.toSorted((a, b) => b.score - a.score).slice(0, topK);
    console.log(lineOf({ text: '', labels: best }));
  };
  if (labels) {
    const task = images ? 'zero-shot-image-classification' : 'zero-shot-audio-classification';
    await using classify = await ofEither(task, model, source);
    const call = { signal, ...(template === undefined ? {} : { hypothesis_template: template }) };
    for (const file of files) print(await withFile(file, (bytes) => classify(bytes, labels, call)));
    return;
  }
  const task = images ? 'image-classification' : 'audio-classification';
  await using classify = await ofEither(task, model, source);
  for (const file of files) print(await withFile(file, (bytes) => classify(bytes, { top_k: topK, signal })));
}

/** Loads a pipeline of images or sounds. Both kinds take a file and the same options here. */
async function ofEither<Name extends FileTask>(task: Name, model: string, source: Source) {
  return (await loadPipeline<FileTask>(task, model, source)) as Pipeline<
    Name extends `zero-shot-${string}` ? 'zero-shot-image-classification' : 'image-classification'
  >;
}

type FileTask = `${'zero-shot-' | ''}${'image' | 'audio'}-classification`;

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
