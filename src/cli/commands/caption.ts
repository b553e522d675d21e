import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { openDevice } from '../common.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface CaptionOptions {
  readonly question?: string;
  readonly revision?: string;
}

export function captionCommand(): Command {
  return new Command('caption')
    .description('describe images, or read what is written on them, a line for each')
    .argument('<model>', 'a folder, or an id on the hub, of a model that writes about images, such as TrOCR')
    .argument('<image...>', 'PNG, JPEG, WebP or AVIF files')
    .option('--question <text>', 'answer a question about each page, with a model such as Donut')
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .action(async (model: string, images: string[], options: CaptionOptions, command: Command) => {
      const { question, revision } = options;
      if (question === '') throw new ArgumentError('--question is empty, expected a text');
      using device = await openDevice(command);
      using stop = stopping();
      const given = { device, revision, stop };
      if (question === undefined) {
        await using describe = await loadPipeline('image-to-text', model, given);
        for (const image of images) {
          const [text] = await describe(await readFile(image), { signal: stop.signal });
          console.log(text?.generated_text ?? '');
        }
        return;
      }
      await using answer = await loadPipeline('document-question-answering', model, given);
      for (const image of images) {
        const [found] = await answer(await readFile(image), question, { signal: stop.signal });
        console.log(found?.answer ?? '');
      }
    });
}
