import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { encodeImage } from '../../pretrained/processors/decode-image.js';
import { openDevice } from '../common.js';
import { example, REVISION } from '../help.js';
import { checkReadable, withFile } from '../lines.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface DepthOptions {
  readonly out: string;
  readonly revision?: string;
}

export function depthCommand(): Command {
  return new Command('depth')
    .description('estimate the depth of each pixel; write an image, and print the minimum and maximum')
    .argument('<model>', 'folder or hub id of a model such as Depth Anything')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .requiredOption('-o, --out <file>', 'PNG file to write, from black for the minimum to white for the maximum')
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('depth depth-anything/Depth-Anything-V2-Small-hf photo.jpg --out depth.png'))
    .action(async (model: string, image: string, { out, revision }: DepthOptions, command: Command) => {
      await checkReadable([image]);
      using device = await openDevice(command);
      using stop = stopping();
      await using measure = await loadPipeline('depth-estimation', model, { device, revision, stop });
      const { predicted_depth, depth } = await withFile(image, (bytes) => measure(bytes, { signal: stop.signal }));
      await writeAtomically(new Map([[out, [await encodeImage(depth)]]]));
      const numbers = predicted_depth.data as Float32Array;
      const min = numbers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
      const max = numbers.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      console.log(`${min.toPrecision(5)}\t${max.toPrecision(5)}`);
    });
}
