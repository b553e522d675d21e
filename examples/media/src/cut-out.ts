// Background removal: the pipeline gives the picture with an alpha channel, which a canvas shows.

import type { Pipeline } from 'simdformer/tasks';
import { attempt, element, onModel, tell } from './page.js';

const input = element<HTMLInputElement>('picture');
const canvas = element<HTMLCanvasElement>('cut');
const link = element<HTMLAnchorElement>('save');
let remove: Pipeline<'background-removal'> | null = null;

onModel('background-removal', (loaded) => {
  remove = loaded;
  input.disabled = false;
});

input.addEventListener('change', () => attempt(cut));

async function cut(): Promise<void> {
  const picture = input.files?.[0];
  if (!picture) return;
  tell('Cutting …');
  const { width, height, data } = await (remove as Pipeline<'background-removal'>)(picture);
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d')?.putImageData(new ImageData(Uint8ClampedArray.from(data), width, height), 0, 0);
  const file = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(file as Blob);
  link.hidden = false;
  tell(`${width} × ${height} pixels`);
}
