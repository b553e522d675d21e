import { Command } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import type { Pipeline } from '../../tasks/index.js';
import { loadModel, openDevice } from '../common.js';
import { encodeInput, tokenizersOf } from '../encoding.js';
import { example } from '../help.js';
import { checkReadable } from '../lines.js';
import { integer } from '../parsers.js';
import { isOwnFolder } from '../pretrained-folder.js';
import { formatOf, jsonLines, textLines } from '../result-formats.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runTextJob, type TextJobOptions, textJobCommand } from '../text-jobs.js';
import { isTranslator } from '../translation.js';

interface TranslateOptions extends TextJobOptions {
  from?: string;
  to?: string;
  beams?: number;
  maxNewTokens?: number;
}

interface Translated {
  readonly text: string;
  readonly translation: string;
}

export function translateCommand(): Command {
  return textJobCommand(new Command('translate').description('translate texts, one per line'), ['text', 'jsonl'])
    .option(
      '--from <language>',
      "language of the texts, as the model names it, such as eng_Latn, en or en_XX (default: the model's setting)",
    )
    .option('--to <language>', "language of the translations (default: the model's setting)")
    .option('--beams <n>', "number of beams of the search (default: the model's setting)", integer(1))
    .option(
      '--max-new-tokens <n>',
      "maximum number of tokens of a translation (default: the model's setting)",
      integer(1),
    )
    .addHelpText('after', example('translate facebook/nllb-200-distilled-600M texts.txt --from eng_Latn --to fra_Latn'))
    .action(async (model: string, files: string[], options: TranslateOptions, command: Command) => {
      const { from, to, beams, maxNewTokens, revision } = options;
      const format = options.format ?? formatOf(options.out) ?? 'text';
      if (format === 'npy')
        command.error('error: translations cannot be written as an array, expected --format text or jsonl');
      await checkReadable(files);
      using device = await openDevice(command);
      using stop = stopping();
      await using pipeline = isOwnFolder(model)
        ? null
        : await loadPipeline('translation', model, { device, revision, stop });
      const translate = pipeline
        ? pretrainedTranslator(pipeline, options)
        : await trainedTranslator(device, model, options);
      const settings = { command: 'translate', model, revision: revision ?? null, from: from ?? null, to: to ?? null };
      await runTextJob<Translated>(files, options, stop, {
        settings: { ...settings, beams: beams ?? null, maxNewTokens: maxNewTokens ?? null, format },
        format:
          format === 'jsonl'
            ? jsonLines((result) => result)
            : textLines(({ translation }) => translation.replace(/\s*\n\s*/g, ' ')),
        compute: async (texts) => {
          const full = texts.filter((text) => text.trim() !== ''); // an empty line stays empty
          const found = full.length > 0 ? await translate(full) : [];
          let next = 0;
          return texts.map((text) => ({ text, translation: text.trim() === '' ? '' : (found[next++] ?? '') }));
        },
      });
    });
}

type Translate = (texts: readonly string[]) => Promise<string[]>;

/** Translates with a pretrained model. */
function pretrainedTranslator(
  translate: Pipeline<'translation'>,
  { from, to, beams, maxNewTokens, batch: batchSize }: TranslateOptions,
): Translate {
  const settings = { src_lang: from, tgt_lang: to, num_beams: beams, max_new_tokens: maxNewTokens, batchSize };
  return async (texts) => (await translate(texts, settings)).map(({ translation_text }) => translation_text);
}

/** Translates with a model of `simdformer train translation`, by five beams unless another number is given. */
async function trainedTranslator(
  device: Device,
  folder: string,
  { from, to, beams = 5, maxNewTokens }: TranslateOptions,
): Promise<Translate> {
  const model = await loadModel(device, folder);
  if (!isTranslator(model))
    throw new ArgumentError(`the model '${folder}' does not translate sentences: try simdformer run`);
  if (from !== undefined || to !== undefined)
    throw new ArgumentError(`the model '${folder}' translates one fixed pair of languages: omit --from and --to`);
  const { target } = tokenizersOf(model);
  return async (texts) => {
    const sources = texts.map((text) => encodeInput(model, text));
    const { sequences } = await model.generate(sources, { numBeams: beams, maxNewTokens });
    return sequences.map((ids) => target.decode(ids));
  };
}
