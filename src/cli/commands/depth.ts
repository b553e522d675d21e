import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { encodePng } from '../../pretrained/processors/decode-image.js';
import { openDevice } from '../common.js';
import { checkReadable, withFile } from '../lines.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface DepthOptions {
  readonly out: string;
  readonly revision?: string;
}

export function depthCommand(): Command {
  return new Command('depth')
    .description('estimate the depth of each pixel: writes an image and prints the smallest and the largest number')
    .argument('<model>', 'a folder, or an id on the hub, of a model such as Depth Anything')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .requiredOption('-o, --out <file>', 'PNG file from black for the smallest number to white for the largest')
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .action(async (model: string, image: string, { out, revision }: DepthOptions, command: Command) => {
      await checkReadable([image]);
      using device = await openDevice(command);
      using stop = stopping();
      await using measure = await loadPipeline('depth-estimation', model, { device, revision, stop });
      const { predicted_depth, depth } = await withFile(image, (bytes) => measure(bytes, { signal: stop.signal }));
      await writeAtomically(new Map([[out, [await encodePng(depth)]]]));
      const numbers = predicted_depth.data as Float32Array;
      const min = numbers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
      const max = numbers.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      console.log(`${min.toPrecision(5)}\t${max.toPrecision(5)}`);
    });
}
