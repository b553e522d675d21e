import { Command } from 'commander';
import { integer } from '../parsers.js';
import { formatOf, jsonLines, textLines } from '../result-formats.js';
import { openDevice } from '../shared.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runTextJob, type TextJobOptions, textJobCommand } from '../text-jobs.js';

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
  return textJobCommand(new Command('translate').description('translate texts, a line each'), ['text', 'jsonl'])
    .option('--from <language>', 'what texts are written in, as the model calls it: eng_Latn, en, en_XX')
    .option('--to <language>', 'what to write in')
    .option('--beams <n>', 'beams to search with (default: as the model says)', integer(1))
    .option('--max-new-tokens <n>', 'tokens of a translation at most (default: as the model says)', integer(1))
    .action(async (model: string, files: string[], options: TranslateOptions, command: Command) => {
      const { from, to, beams, maxNewTokens, batch: batchSize, revision } = options;
      const format = options.format ?? formatOf(options.out) ?? 'text';
      if (format === 'npy') command.error('error: translations are no array, expected --format text or jsonl');
      using device = await openDevice(command);
      using stop = stopping();
      await using translate = await loadPipeline('translation', model, { device, revision, stop });
      const settings = { command: 'translate', model, revision: revision ?? null, from: from ?? null, to: to ?? null };
      await runTextJob<Translated>(files, options, stop, {
        settings: { ...settings, beams: beams ?? null, maxNewTokens: maxNewTokens ?? null, format },
        format:
          format === 'jsonl'
            ? jsonLines((result) => result)
            : textLines(({ translation }) => translation.replace(/\s*\n\s*/g, ' ')),
        work: async (texts) => {
          const languages = { src_lang: from, tgt_lang: to };
          const generate = { num_beams: beams, max_new_tokens: maxNewTokens };
          const full = texts.filter((text) => text.trim() !== ''); // an empty line stays one
          const found = await translate(full, { ...languages, ...generate, batchSize });
          let next = 0;
          return texts.map((text) => ({
            text,
            translation: text.trim() === '' ? '' : (found[next++]?.translation_text ?? ''),
          }));
        },
      });
    });
}
