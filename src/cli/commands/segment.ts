import { Command, Option } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { writeAtomically } from '../../io/atomic-write.js';
import { decodeImage, encodeImage } from '../../pretrained/processors/decode-image.js';
import type { ImageBytes } from '../../pretrained/processors/image.js';
import { SEGMENT_THRESHOLD } from '../../tasks/image-segmentation.js';
import { colorOf, hexOf } from '../colors.js';
import { openDevice } from '../common.js';
import { withMasks } from '../drawing.js';
import { example, REVISION } from '../help.js';
import { checkReadable, withFile } from '../lines.js';
import { share } from '../parsers.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

const SUBTASKS = ['panoptic', 'instance', 'semantic'] as const;
type Subtask = (typeof SUBTASKS)[number];

interface SegmentOptions {
  readonly out?: string;
  readonly point?: number[][];
  readonly box?: number[][];
  readonly everything?: boolean;
  readonly cutOut?: boolean;
  readonly subtask?: Subtask;
  readonly threshold?: number;
  readonly revision?: string;
}

/** A mask with the text that is printed beside its share and color. */
interface NamedMask {
  readonly mask: ImageBytes;
  readonly name: string;
}

export function segmentCommand(): Command {
  return new Command('segment')
    .description('label the pixels of an image, or find the masks of objects; print the share of each')
    .argument('<model>', 'folder or hub id of a model such as SegFormer or DETR, or of SAM for points and boxes')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .option('-o, --out <file>', 'PNG file of the image with a color over each mask (default: none)')
    .option(
      '--point <x,y>',
      'point of an object in pixels, for SAM; repeat it for further objects (default: none)',
      numbers(2),
    )
    .option(
      '--box <left,top,right,bottom>',
      'box around an object in pixels, for SAM; repeat it for further objects (default: none)',
      numbers(4),
    )
    .option('--everything', 'find the masks of all objects, for SAM')
    .option('--cut-out', 'write the image with a transparent background to --out')
    .addOption(
      new Option(
        '--subtask <kind>',
        "panoptic and instance find objects with scores, semantic finds classes (default: the model's first one)",
      ).choices(SUBTASKS),
    )
    .option(
      '--threshold <share>',
      `print objects with a greater score, from 0 to 1 (default: ${SEGMENT_THRESHOLD})`,
      share,
    )
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('segment facebook/sam-vit-base photo.jpg --point 120,80 --out mask.png'))
    .action(async (model: string, path: string, options: SegmentOptions, command: Command) => {
      const { out, cutOut = false, revision } = options;
      checkKinds(options);
      await checkReadable([path]);
      using device = await openDevice(command);
      using stop = stopping();
      const source = { device, revision, stop };
      const image = await withFile(path, decodeImage);
      if (cutOut) {
        await using remove = await loadPipeline('background-removal', model, source);
        const foreground = await remove(image, { signal: stop.signal });
        await writeAtomically(new Map([[out as string, [await encodeImage(foreground)]]]));
        return;
      }
      const found = isPrompted(options)
        ? await promptedMasks(model, image, options, source)
        : await labelledMasks(model, image, options, source);
      const drawn = found.map(({ mask }) => mask);
      if (out !== undefined) await writeAtomically(new Map([[out, [await encodeImage(withMasks(image, drawn))]]]));
      for (const [i, { name, mask }] of found.entries()) {
        const pixels = Array.from(mask.data).filter((byte) => byte === 255).length;
        console.log(`${((100 * pixels) / mask.data.length).toFixed(1)} %\t${name}\t${hexOf(colorOf(i))}`);
      }
    });
}

type Source = Parameters<typeof loadPipeline>[2];

const isPrompted = ({ point, box, everything }: SegmentOptions) => Boolean(point ?? box ?? everything);

/** Throws ArgumentError for options that exclude each other. */
function checkKinds(options: SegmentOptions): void {
  const { point, box, everything, cutOut, out } = options;
  const kinds = Object.entries({ '--point': point, '--box': box, '--everything': everything, '--cut-out': cutOut });
  const chosen = kinds.flatMap(([name, value]) => (value ? [name] : []));
  if (chosen.length > 1) throw new ArgumentError(`${chosen.join(' and ')} are given, expected one of them`);
  const unused = (['subtask', 'threshold'] as const).find((name) => options[name] !== undefined);
  if (chosen[0] !== undefined && unused !== undefined)
    throw new ArgumentError(`${chosen[0]} and --${unused} are given, expected one of them`);
  if (cutOut && out === undefined) throw new ArgumentError('--cut-out needs --out, the PNG file to write');
}

/** The masks of classes, or of objects with their scores. */
async function labelledMasks(
  model: string,
  image: ImageBytes,
  { subtask, threshold }: SegmentOptions,
  source: Source,
): Promise<NamedMask[]> {
  await using find = await loadPipeline('image-segmentation', model, source);
  const segments = await find(image, { subtask, threshold, signal: source.stop.signal });
  return segments.map(({ label, score, mask }) => ({
    name: score === null ? label : `${label}\t${score.toFixed(3)}`,
    mask,
  }));
}

/** The best mask of each point or box, or of all objects, with the predicted IoU as the name. */
async function promptedMasks(
  model: string,
  image: ImageBytes,
  { point, box }: SegmentOptions,
  source: Source,
): Promise<NamedMask[]> {
  await using segment = await loadPipeline('mask-generation', model, source);
  const prompts = point ? { input_points: point.map((coordinates) => [coordinates]) } : box ? { input_boxes: box } : {};
  const { masks, scores } = await segment(image, { ...prompts, signal: source.stop.signal });
  const count = (point ?? box)?.length ?? masks.length;
  const perPrompt = masks.length / Math.max(1, count);
  return Array.from({ length: count }, (_, i) => {
    const promptScores = scores.slice(i * perPrompt, (i + 1) * perPrompt);
    const best = i * perPrompt + promptScores.indexOf(Math.max(...promptScores));
    return { name: (scores[best] as number).toFixed(3), mask: masks[best] as ImageBytes };
  });
}

/** Parses an option with `count` numbers, which may be given several times. */
function numbers(count: number) {
  return (text: string, before: number[][] = []): number[][] => {
    const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
    if (values.length !== count || !values.every(Number.isFinite))
      throw new ArgumentError(`'${text}' is not ${count} numbers separated by commas`);
    return [...before, values];
  };
}
