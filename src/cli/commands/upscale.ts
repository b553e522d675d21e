import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { encodeImage } from '../../pretrained/processors/decode-image.js';
import { openDevice } from '../common.js';
import { example, REVISION } from '../help.js';
import { checkReadable, withFile } from '../lines.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface UpscaleOptions {
  readonly out: string;
  readonly revision?: string;
}

export function upscaleCommand(): Command {
  return new Command('upscale')
    .description('make an image larger or cleaner, as the model was trained; print its width and height')
    .argument('<model>', 'folder or hub id of a model such as Swin2SR')
    .argument('<image>', 'a PNG, JPEG, WebP or AVIF file')
    .requiredOption('-o, --out <file>', 'PNG file to write')
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('upscale caidas/swin2SR-classical-sr-x2-64 photo.jpg --out large.png'))
    .action(async (model: string, image: string, { out, revision }: UpscaleOptions, command: Command) => {
      await checkReadable([image]);
      using device = await openDevice(command);
      using stop = stopping();
      await using enlarge = await loadPipeline('image-to-image', model, { device, revision, stop });
      const larger = await withFile(image, (bytes) => enlarge(bytes, { signal: stop.signal }));
      await writeAtomically(new Map([[out, [await encodeImage(larger)]]]));
      console.log(`${larger.width}\t${larger.height}`);
    });
}
