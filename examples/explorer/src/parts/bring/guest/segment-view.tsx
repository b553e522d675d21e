import { useMemo } from 'preact/hooks';
import { decodeImage, type ImageBytes } from 'simdformer/pretrained';
import { useKept } from '../../../address.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { AnswerLine } from './answer-line.js';
import { examplePicture } from './example-picture.js';
import type { Guest } from './guest.js';
import { MediaFigure, useMedia } from './media-figure.js';
import { PatchesFigure } from './patches-figure.js';
import { type Outline, outlinesAt, type ReadPicture, readPicture, sharesOf } from './segment.js';
import { useAnswer } from './use-answer.js';
import { useCanvases } from './use-canvases.js';
import { useNumber } from './use-number.js';

const EXAMPLE = examplePicture();
const picker = { text: 'Choose a picture', label: 'A picture', accept: 'image/*' };

/** Results of a SAM for a picture: what a point marks, and the encoder's attention over patches. */
export default function SegmentView({ guest, media }: { guest: Guest; media: File | null }) {
  const [answer, open] = useMedia(guest, media, EXAMPLE, async (input: File | ImageBytes) =>
    readPicture(guest, input instanceof File ? await decodeImage(input) : input),
  );
  const read = answer.value;
  const [canvas] = useCanvases(useMemo(() => (read ? [read.image] : []), [read]));
  const square = useMemo(() => (read && canvas ? squareOf(read, canvas) : null), [read, canvas]);
  return (
    <>
      <MediaFigure
        title="What it reads"
        says="Choose a picture, or drop one above: the model reads it once in this page. Nothing leaves your computer."
        {...{ picker, answer, summary }}
        onFile={open}
      />
      {read && canvas && <OutlineFigure guest={guest} read={read} canvas={canvas} />}
      {read && square && read.maps.length > 0 && (
        <PatchesFigure
          maps={read.maps}
          canvas={square}
          says="A patch attends to patches of the picture, in most layers only within its window; it attends most to the bright ones. Choose a patch to look from there; head 0 is the mean of all heads."
        />
      )}
    </>
  );
}

function summary({ maps, tooLarge }: ReadPicture): string {
  const [first] = maps;
  if (!first) return 'The picture is read. Its attention has too many numbers to show.';
  const read = `The picture is read as ${first.rows} × ${first.columns} patches.`;
  if (tooLarge.length === 0) return read;
  const names = tooLarge.map((layer) => layer + 1).join(', ');
  return `${read} The attention of ${tooLarge.length === 1 ? 'layer' : 'layers'} ${names} has too many numbers to show.`;
}

/** The picture as the model reads it: in the corner of a square. */
function squareOf(read: ReadPicture, canvas: HTMLCanvasElement): HTMLCanvasElement {
  const [width, height] = sharesOf(read);
  const square = document.createElement('canvas');
  const side = Math.max(canvas.width, canvas.height);
  Object.assign(square, { width: side, height: side });
  square.getContext('2d')?.drawImage(canvas, 0, 0, width * side, height * side);
  return square;
}

/** The outline of what is at a point that a person chooses. */
function OutlineFigure({ guest, read, canvas }: { guest: Guest; read: ReadPicture; canvas: HTMLCanvasElement }) {
  const [kept, setKept] = useKept<string>('point', '50,50');
  const answer = useAnswer(
    guest,
    useMemo(() => pointOf(kept), [kept, read]),
    (point) => outlinesAt(guest, read, point),
  );
  const outlines = answer.value ?? [];
  const [number, setNumber] = useNumber('outline', 1, Math.max(1, outlines.length));
  const outline = outlines[number - 1];
  const [rows, columns] = useMemo(
    () => [outline?.rows, outline?.columns].map((count) => Array<string>(count ?? 0).fill('')) as [string[], string[]],
    [outline?.rows, outline?.columns],
  );
  const [x, y] = pointOf(kept);
  const size = 440 / Math.max(1, columns.length);
  return (
    <Figure
      title="What is here?"
      says="Choose a place in the picture. The model outlines what it takes the place to be part of, and estimates how good each outline is; the rest is dark."
    >
      <AnswerLine answer={answer} says={(all) => saidOf(all, number)} />
      {outline && (
        <>
          <div class="controls">
            <Slider label="Outline" value={number} min={1} max={outlines.length} step={1} onChange={setNumber} />
          </div>
          <HeatMap
            label="What the point marks."
            rows={rows}
            columns={columns}
            values={outline.values}
            colour={shade}
            backdrop={canvas}
            cellSize={size}
            cellHeight={(size * columns.length * canvas.height) / canvas.width / rows.length}
            marked={{ row: Math.floor(y * rows.length), column: Math.floor(x * columns.length) }}
            onChoose={({ row, column }) =>
              setKept([(column + 0.5) / columns.length, (row + 0.5) / rows.length].map(inPercent).join(','))
            }
            describe={({ row, column }) =>
              `row ${row + 1}, column ${column + 1}: ${percent(outline.values[row * columns.length + column] as number)}`
            }
          />
        </>
      )}
    </Figure>
  );
}

const shade = (probability: number) => `rgb(0 0 0 / ${0.75 * (1 - probability)})`;
const inPercent = (share: number) => Math.round(10_000 * share) / 100;

/** A point as shares of the picture's width and height. The middle, if the text is not one. */
function pointOf(text: string): [x: number, y: number] {
  const shares = text.split(',').map((part) => Number(part) / 100);
  const isPoint = shares.length === 2 && shares.every((share) => share >= 0 && share < 1);
  return isPoint ? (shares as [number, number]) : [0.5, 0.5];
}

function saidOf(outlines: readonly Outline[], number: number): string {
  const { values, quality } = outlines[Math.min(number, outlines.length) - 1] as Outline;
  const inside = values.filter((value) => value > 0.5).length / values.length;
  return `Outline ${number} of ${outlines.length} covers ${percent(inside)} of the picture; estimated quality ${quality.toFixed(2)}.`;
}
