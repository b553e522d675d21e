// Photo search: SigLIP compares the words with each photo. The best photo comes first.

import type { Pipeline } from 'simdformer/tasks';
import { attempt, element, onModel, tell } from './page.js';

const input = element<HTMLInputElement>('photos');
const form = element<HTMLFormElement>('search');
let compare: Pipeline<'zero-shot-image-classification'> | null = null;

onModel('zero-shot-image-classification', (loaded) => {
  compare = loaded;
  for (const each of [
    input,
    ...Array.from(form.querySelectorAll<HTMLInputElement | HTMLButtonElement>('input, button')),
  ])
    each.disabled = false;
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  attempt(search);
});

async function search(): Promise<void> {
  const photos = Array.from(input.files ?? []);
  const words = String(new FormData(form).get('words'));
  tell('Searching …');
  const run = compare as Pipeline<'zero-shot-image-classification'>;
  const found: { photo: File; score: number }[] = [];
  for (const photo of photos) {
    const [best] = await run(photo, [words]);
    found.push({ photo, score: best?.score ?? 0 });
  }
  found.sort((a, b) => b.score - a.score);
  element('found').replaceChildren(...found.map(shown));
  tell(`${photos.length} photos, the best first.`);
}

function shown({ photo, score }: { photo: File; score: number }): HTMLElement {
  const item = document.createElement('li');
  const image = document.createElement('img');
  image.src = URL.createObjectURL(photo);
  image.alt = photo.name;
  image.addEventListener('load', () => URL.revokeObjectURL(image.src));
  item.append(image, `${photo.name} ${score.toPrecision(3)}`);
  return item;
}
