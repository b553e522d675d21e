import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { writeAtomically } from '../../io/atomic-write.js';
import { decodeImage, encodePng } from '../../pretrained/processors/decode-image.js';
import type { DetectedObject } from '../../tasks/index.js';
import { colorOf, hexOf } from '../colors.js';
import { openDevice } from '../common.js';
import { withBoxes } from '../drawing.js';
import { checkReadable, withFile } from '../lines.js';
import { share } from '../parsers.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface DetectOptions {
  readonly labels?: string;
  readonly out?: string;
  readonly revision?: string;
  readonly threshold?: number;
}

export function detectCommand(): Command {
  return new Command('detect')
    .description('find objects in an image: prints score, label, box in pixels and color of each')
    .argument('<model>', 'a folder, or an id on the hub, of a model such as DETR, RT-DETR or OWLv2')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .option('--labels <texts>', 'what to look for, with commas between, for models of any words such as OWLv2')
    .option('--threshold <share>', 'objects with a greater score, by default 0.9, with --labels 0.1', share)
    .option('-o, --out <file>', 'PNG file of the image with the boxes')
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .action(async (model: string, path: string, options: DetectOptions, command: Command) => {
      const { labels, out, revision, threshold } = options;
      const words = labels?.split(',').map((label) => label.trim());
      if (words?.includes(''))
        throw new ArgumentError('--labels has an empty label, expected labels separated by commas');
      await checkReadable([path]);
      using device = await openDevice(command);
      using stop = stopping();
      const given = { device, revision, stop };
      const image = await withFile(path, decodeImage);
      const call = { threshold, signal: stop.signal };
      let objects: readonly DetectedObject[];
      if (words) {
        await using find = await loadPipeline('zero-shot-object-detection', model, given);
        objects = await find(image, words, call);
      } else {
        await using find = await loadPipeline('object-detection', model, given);
        objects = await find(image, call);
      }
      if (out !== undefined) await writeAtomically(new Map([[out, [await encodePng(withBoxes(image, objects))]]]));
      for (const [i, { score, label, box }] of objects.entries())
        console.log([score.toFixed(3), label, Object.values(box).join(','), hexOf(colorOf(i))].join('\t'));
    });
}
