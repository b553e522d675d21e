import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { WordBox } from '../../tasks/index.js';
import { openDevice } from '../common.js';
import { readJson } from '../data.js';
import { example, REVISION } from '../help.js';
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
    .description('describe images, or read the text on them, with a line of output for each')
    .argument('<model>', 'folder or hub id of a model such as TrOCR, Florence-2 or Donut')
    .argument('<image...>', 'PNG, JPEG, WebP or AVIF files')
    .option(
      '--prompt <text>',
      'task of Florence-2, such as <OD>, or another prompt; tasks that give boxes print JSON (default: a caption)',
    )
    .option(
      '--question <text>',
      'answer this question about each page, with a model such as Donut or LayoutLMv3 (default: none)',
    )
    .option(
      '--words <file>',
      'JSON file of words and their boxes, [[word, [left, top, right, bottom]], …]; LayoutLMv3 needs it (default: none)',
    )
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('caption florence-community/Florence-2-base photo.jpg'))
    .action(async (model: string, images: string[], options: CaptionOptions, command: Command) => {
      checkOptions(images, options);
      await checkReadable(images);
      using device = await openDevice(command);
      using stop = stopping();
      const source = { device, revision: options.revision, stop };
      if (options.question === undefined) await printCaptions(model, images, options.prompt, source);
      else await printAnswers(model, images, options.question, options.words, source);
    });
}

function checkOptions(images: readonly string[], { prompt, question, words }: CaptionOptions): void {
  if (prompt !== undefined && question !== undefined)
    throw new ArgumentError('--prompt and --question are both given, expected one of them');
  if (question === '') throw new ArgumentError('--question is empty, expected a text');
  if (words !== undefined && (question === undefined || images.length > 1))
    throw new ArgumentError('--words is given, expected one image and --question beside it');
}

type PipelineSource = Parameters<typeof loadPipeline>[2];

/** Prints a description of each image, or the regions in it as JSON. */
async function printCaptions(
  model: string,
  images: readonly string[],
  prompt: string | undefined,
  source: PipelineSource,
) {
  await using describe = await loadPipeline('image-to-text', model, source);
  for (const image of images) {
    const [text] = await withFile(image, (bytes) => describe(bytes, { prompt, signal: source.stop.signal }));
    const [answer] = Object.values(text?.answer ?? {});
    console.log(typeof answer === 'object' ? JSON.stringify(answer) : (text?.generated_text ?? ''));
  }
}

/** Prints the answer to a question about each image. `words`: a file of the words on the page and their boxes. */
async function printAnswers(
  model: string,
  images: readonly string[],
  question: string,
  words: string | undefined,
  source: PipelineSource,
) {
  await using answer = await loadPipeline('document-question-answering', model, source);
  const boxes = words === undefined ? {} : { word_boxes: (await readJson(words)) as WordBox[] };
  for (const image of images) {
    const call = { ...boxes, signal: source.stop.signal };
    const [found] = await withFile(image, (bytes) => answer(bytes, question, call));
    console.log(found?.answer ?? '');
  }
}
