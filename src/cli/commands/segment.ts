import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { encodePng } from '../../pretrained/processors/decode-image.js';
import type { RawImage } from '../../pretrained/processors/image.js';
import type { Segment } from '../../tasks/index.js';
import { colorOf, hexOf } from '../colors.js';
import { openDevice } from '../common.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface SegmentOptions {
  readonly out?: string;
  readonly revision?: string;
}

export function segmentCommand(): Command {
  return new Command('segment')
    .description('label the pixels of an image: prints the share of each label')
    .argument('<model>', 'a folder, or an id on the hub, of a model such as SegFormer')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .option('-o, --out <file>', 'PNG file with a color for each label')
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .action(async (model: string, image: string, { out, revision }: SegmentOptions, command: Command) => {
      using device = await openDevice(command);
      using stop = stopping();
      await using label = await loadPipeline('image-segmentation', model, { device, revision, stop });
      const segments = await label(await readFile(image), { signal: stop.signal });
      if (out !== undefined) await writeAtomically(new Map([[out, [await encodePng(colored(segments))]]]));
      for (const [i, { label: name, mask }] of segments.entries()) {
        const pixels = Array.from(mask.data).filter((byte) => byte === 255).length;
        console.log(`${((100 * pixels) / mask.data.length).toFixed(1)} %\t${name}\t${hexOf(colorOf(i))}`);
      }
    });
}

/** Returns the image with its segments colored. */
function colored(segments: readonly Segment[]): RawImage {
  const { width, height } = segments[0]?.mask ?? { width: 1, height: 1 };
  const data = new Uint8Array(width * height * 3);
  for (const [i, { mask }] of segments.entries())
    for (let at = 0; at < mask.data.length; at++) if (mask.data[at] === 255) data.set(colorOf(i), at * 3);
  return { width, height, data };
}
