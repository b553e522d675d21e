import { useMemo } from 'preact/hooks';
import { decodeImage, type ImageBytes } from 'simdformer/pretrained';
import { BoxesFigure } from './boxes-figure.js';
import { examplePicture } from './example-picture.js';
import { Guesses } from './guesses.js';
import type { Guest } from './guest.js';
import { MediaFigure, useMedia } from './media-figure.js';
import { PatchesFigure } from './patches-figure.js';
import { type Seen, see } from './see.js';
import { useCanvases } from './use-canvases.js';

const EXAMPLE = examplePicture();
const picker = { text: 'Choose a picture', label: 'A picture', accept: 'image/*' };

/** Results of a model for a picture: its labels, boxes by query, and attention over patches. */
export function ImageView({ guest, picture }: { guest: Guest; picture: File | null }) {
  const [answer, open] = useMedia(guest, picture, EXAMPLE, async (input: File | ImageBytes) =>
    see(guest, input instanceof File ? await decodeImage(input) : input),
  );
  const found = answer.value;
  const [canvas] = useCanvases(useMemo(() => (found ? [found.image] : []), [found]));
  return (
    <>
      <MediaFigure
        title="What it sees"
        says="Choose a picture, or drop one above: the model looks at it in this page. Nothing leaves your computer."
        {...{ picker, answer, summary }}
        onFile={open}
      >
        {found && found.labels.length > 0 && <Guesses label="Of the whole picture" guesses={found.labels} />}
      </MediaFigure>
      {found && canvas && found.boxes.length > 0 && <BoxesFigure seen={found} canvas={canvas} />}
      {found && canvas && found.maps.length > 0 && <PatchesFigure maps={found.maps} canvas={canvas} />}
    </>
  );
}

function summary({ maps, boxes, samples }: Seen): string {
  const [first] = maps;
  const [layer] = samples;
  if (layer)
    return `${boxes.length} queries look for objects. Each reads ${layer.heads * layer.samples} places in a layer.`;
  const parts = [
    boxes.length > 0 ? `${boxes.length} queries look for objects.` : '',
    first ? `The picture is read as ${first.rows} × ${first.columns} patches.` : 'Its attention is not over patches.',
  ];
  return parts.join(' ').trim();
}
