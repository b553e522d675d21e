import { useEffect, useState } from 'preact/hooks';
import { decodeImage, type RawImage } from 'simdformer/pretrained';
import { Figure } from '../../../draw/figure.js';
import { FilePicker } from '../../../draw/file-picker.js';
import { AnswerLine } from './answer-line.js';
import { BoxesFigure } from './boxes-figure.js';
import { examplePicture } from './example-picture.js';
import { Guesses } from './guesses.js';
import type { Guest } from './guest.js';
import { PatchesFigure } from './patches-figure.js';
import { type Seen, see } from './see.js';
import { useAnswer } from './use-answer.js';

/** Results of a model for a picture: its labels, boxes by query, and attention over patches. */
export function ImageView({ guest, picture }: { guest: Guest; picture: File | null }) {
  const [image, setImage] = useState<RawImage>(examplePicture);
  const [trouble, setTrouble] = useState<string | null>(null);
  const open = (file: File) => {
    setTrouble(null);
    decodeImage(file).then(setImage, (error: Error) => setTrouble(error.message));
  };
  useEffect(() => {
    if (picture) open(picture);
  }, [picture]);
  const answer = useAnswer(guest, image, (image) => see(guest, image));
  const found = answer.value;
  const canvas = useCanvas(image);
  return (
    <>
      <Figure
        title="What it sees"
        says="Choose a picture, or drop one above: the model looks at it in this page. Nothing leaves your computer."
      >
        <FilePicker text="Choose a picture" label="A picture" accept="image/*" onFile={open} />
        {trouble ? <p class="answer complaint">{trouble}</p> : <AnswerLine answer={answer} says={summary} />}
        {found && found.labels.length > 0 && <Guesses label="Of the whole picture" guesses={found.labels} />}
      </Figure>
      {found && canvas && found.boxes.length > 0 && <BoxesFigure seen={found} canvas={canvas} />}
      {found && canvas && found.maps.length > 0 && <PatchesFigure seen={found} canvas={canvas} />}
    </>
  );
}

function summary({ maps, boxes }: Seen): string {
  const [first] = maps;
  const parts = [
    boxes.length > 0 ? `${boxes.length} queries look for objects.` : '',
    first ? `The picture is read as ${first.rows} × ${first.columns} patches.` : 'Its attention is not over patches.',
  ];
  return parts.join(' ').trim();
}

/** The picture on a canvas, to be drawn below others. */
function useCanvas({ width, height, data }: RawImage): HTMLCanvasElement | null {
  const [canvas, setCanvas] = useState<HTMLCanvasElement | null>(null);
  useEffect(() => {
    const made = document.createElement('canvas');
    Object.assign(made, { width, height });
    const context = made.getContext('2d') as CanvasRenderingContext2D;
    const pixels = context.createImageData(width, height);
    const channels = data.length / (width * height);
    for (let i = 0; i < width * height; i++)
      pixels.data.set([...data.subarray(i * channels, i * channels + 3), 255], 4 * i);
    context.putImageData(pixels, 0, 0);
    setCanvas(made);
  }, [data]);
  return canvas;
}
