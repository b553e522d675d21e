import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { WordBox } from '../../tasks/index.js';
import { openDevice } from '../common.js';
import { readJson } from '../data.js';
import { checkReadable, withFile } from '../lines.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface CaptionOptions {
  readonly prompt?: string;
  readonly question?: string;
  readonly words?: string;
  readonly revision?: string;
}

export function captionCommand(): Command {
  return new Command('caption')
    .description('describe images, or read what is written on them, a line for each')
    .argument(
      '<model>',
      'a folder, or an id on the hub, of a model that writes about images, such as TrOCR or Florence-2',
    )
    .argument('<image...>', 'PNG, JPEG, WebP or AVIF files')
    .option('--prompt <text>', "Florence-2's task, such as <OD>, or another prompt; tasks of places print JSON")
    .option('--question <text>', 'answer a question about each page, with a model such as Donut or LayoutLMv3')
    .option(
      '--words <file>',
      'for LayoutLMv3: JSON of the words and their boxes, [[word, [left, top, right, bottom]], …]',
    )
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .action(async (model: string, images: string[], options: CaptionOptions, command: Command) => {
      const { prompt, question, words, revision } = options;
      if (prompt !== undefined && question !== undefined)
        throw new ArgumentError('--prompt and --question are both given, expected one of them');
      if (question === '') throw new ArgumentError('--question is empty, expected a text');
      if (words !== undefined && (question === undefined || images.length > 1))
        throw new ArgumentError('--words is given, expected one image and --question beside it');
      await checkReadable(images);
      using device = await openDevice(command);
      using stop = stopping();
      const given = { device, revision, stop };
      if (question === undefined) {
        await using describe = await loadPipeline('image-to-text', model, given);
        for (const image of images) {
          const [text] = await withFile(image, (bytes) => describe(bytes, { prompt, signal: stop.signal }));
          const [answer] = Object.values(text?.answer ?? {});
          console.log(typeof answer === 'object' ? JSON.stringify(answer) : (text?.generated_text ?? ''));
        }
        return;
      }
      await using answer = await loadPipeline('document-question-answering', model, given);
      const boxes = words === undefined ? {} : { word_boxes: (await readJson(words)) as WordBox[] };
      for (const image of images) {
        const call = { ...boxes, signal: stop.signal };
        const [found] = await withFile(image, (bytes) => answer(bytes, question, call));
        console.log(found?.answer ?? '');
      }
    });
}
