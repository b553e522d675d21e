import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { decodeImage, encodeImage } from '../../pretrained/processors/decode-image.js';
import type { DetectedObject } from '../../tasks/index.js';
import { DETECTION_THRESHOLD } from '../../tasks/object-detection.js';
import { ZERO_SHOT_THRESHOLD } from '../../tasks/zero-shot-object-detection.js';
import { colorOf, hexOf } from '../colors.js';
import { openDevice } from '../common.js';
import { withBoxes } from '../drawing.js';
import { example, REVISION } from '../help.js';
import { checkReadable, withFile } from '../lines.js';
import { labelList, share } from '../parsers.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface DetectOptions {
  readonly labels?: readonly string[];
  readonly out?: string;
  readonly revision?: string;
  readonly threshold?: number;
}

export function detectCommand(): Command {
  return new Command('detect')
    .description('find objects in an image; print score, label, box in pixels and color of each')
    .argument('<model>', 'folder or hub id of a model such as DETR, RT-DETR or OWLv2')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .option(
      '--labels <texts>',
      "objects to look for, separated by commas; needs a model such as OWLv2 (default: the model's classes)",
      labelList,
    )
    .option(
      '--threshold <share>',
      `print objects with a greater score, from 0 to 1 (default: ${DETECTION_THRESHOLD}, with --labels ${ZERO_SHOT_THRESHOLD})`,
      share,
    )
    .option('-o, --out <file>', 'PNG file of the image with the boxes (default: none)')
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('detect facebook/detr-resnet-50 photo.jpg --out boxes.png'))
    .action(async (model: string, path: string, options: DetectOptions, command: Command) => {
      const { labels, out, revision, threshold } = options;
      await checkReadable([path]);
      using device = await openDevice(command);
      using stop = stopping();
      const source = { device, revision, stop };
      const image = await withFile(path, decodeImage);
      const call = { threshold, signal: stop.signal };
      let objects: readonly DetectedObject[];
      if (labels) {
        await using find = await loadPipeline('zero-shot-object-detection', model, source);
        objects = await find(image, labels, call);
      } else {
        await using find = await loadPipeline('object-detection', model, source);
        objects = await find(image, call);
      }
      if (out !== undefined) await writeAtomically(new Map([[out, [await encodeImage(withBoxes(image, objects))]]]));
      for (const [i, { score, label, box }] of objects.entries())
        console.log([score.toFixed(3), label, Object.values(box).join(','), hexOf(colorOf(i))].join('\t'));
    });
}
