// Records what transformers.js 4.3.2 does with images, and then Pillow's resized ones (make_raw_images.py):
//
//   npx tsx test/tasks/make_raw_images.mjs PACKAGES && python3 test/tasks/make_raw_images.py
//
// PACKAGES is a folder with @huggingface/transformers in node_modules.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rawImagePrograms } from './raw-image-programs.ts';

const here = dirname(fileURLToPath(import.meta.url));
const path = createRequire(join(process.argv[2], 'x.js')).resolve('@huggingface/transformers');
const { RawImage } = await import(pathToFileURL(path).href);
const programs = {};
for (const [name, program] of Object.entries(rawImagePrograms))
  programs[name] = await program(RawImage, join(here, 'programs/square.png'));
writeFileSync(join(here, 'raw-images.json'), `${JSON.stringify({ programs })}\n`);
