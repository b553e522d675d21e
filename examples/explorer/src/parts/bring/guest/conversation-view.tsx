import { useMemo, useState } from 'preact/hooks';
import { decodeImage, type ImageBytes } from 'simdformer/pretrained';
import { useKept } from '../../../address.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { FilePicker } from '../../../draw/file-picker.js';
import { percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { AnswerLine } from './answer-line.js';
import { Chips } from './chips.js';
import { type Conversation, converse, type PicturePart } from './conversation.js';
import { examplePicture } from './example-picture.js';
import type { Guest } from './guest.js';
import { useAnswer } from './use-answer.js';
import { useCanvases } from './use-canvases.js';
import { useGiven } from './use-given.js';
import { useNumber } from './use-number.js';

/** Width of a picture's heat maps in pixels. */
const WIDTH = 320;
const EXAMPLE: readonly ImageBytes[] = [examplePicture()];

/** A conversation about pictures: which tokens are pictures, the answer, and what each token attends to. */
export function ConversationView({ guest, picture }: { guest: Guest; picture: File | null }) {
  const [text, setText] = useKept<string>('asked', 'What is in the picture?');
  const [draft, setDraft] = useState(text); // is asked when the field loses the focus
  const [pictures, setPictures] = useState(EXAMPLE);
  const [trouble, setTrouble] = useState<string | null>(null);
  const add = (file: File) => {
    setTrouble(null);
    decodeImage(file).then(
      (image) => setPictures((all) => (all === EXAMPLE ? [image] : [...all, image])),
      (error: Error) => setTrouble(error.message),
    );
  };
  useGiven(picture, add);
  const asked = useMemo(() => ({ pictures, text }), [pictures, text]);
  const answer = useAnswer(guest, asked, ({ pictures, text }) => converse(guest, pictures, text));
  const found = answer.value;
  return (
    <>
      <Figure
        title="A conversation about pictures"
        says="Choose pictures, or drop them above, and ask: each picture becomes tokens among those of the words. Nothing leaves your computer."
      >
        <div class="guest-text">
          <label for="guest-asked">What you ask</label>
          <textarea
            id="guest-asked"
            rows={2}
            value={draft}
            onInput={(event) => setDraft(event.currentTarget.value)}
            onChange={() => setText(draft)}
          />
        </div>
        <FilePicker text="Add a picture" label="A picture" accept="image/*" onFile={add} />
        {trouble ? <p class="answer complaint">{trouble}</p> : <AnswerLine answer={answer} says={summary} />}
        {found && (
          <blockquote class="transcript">
            <p>{found.answer || '(nothing)'}</p>
          </blockquote>
        )}
      </Figure>
      {found && <Attention conversation={found} />}
    </>
  );
}

function summary({ asked, parts, pictures }: Conversation): string {
  const seen = parts.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const grids = pictures.map((_, i) => {
    const own = parts.filter(({ picture }) => picture === i).map(({ rows, columns }) => `${rows} × ${columns}`);
    return `picture ${i + 1} has ${own.join(' + ')}`;
  });
  return `${seen} of the ${asked} tokens it reads are pictures: ${grids.join(', ')}.`;
}

/** The tokens, and the attention of the chosen one to each picture. */
function Attention({ conversation }: { conversation: Conversation }) {
  const { tokens, parts, maps, heads, pictures, asked } = conversation;
  const [layer, setLayer] = useNumber('layer', maps.length, maps.length);
  const [head, setHead] = useNumber('head', 0, heads);
  const [from, setFrom] = useNumber('from', asked, tokens.length);
  const canvases = useCanvases(pictures);
  const row = useMemo(() => {
    const map = maps[layer - 1];
    return map ? rowOf(map, tokens.length, head, from - 1) : null;
  }, [maps, layer, head, from]);
  // One chip stands for all tokens of a part of a picture.
  const shown = tokens.flatMap((token, i) => {
    const part = partAt(parts, i);
    if (part === null) return [{ ...token, index: i }];
    return part.start === i ? [{ id: token.id, name: nameOf(parts, part), index: i, isPicture: true }] : [];
  });
  return (
    <Figure
      title="Which tokens are pictures, and what looks at them"
      says="Pictures are single chips here. Choose a token to see its attention to the patches of each picture; it attends most to the bright ones. Head 0 is the mean of all heads."
    >
      <Chips
        label="Tokens"
        kind="sound"
        tokens={shown}
        chosen={shown.findIndex(({ index }) => index === from - 1)}
        onChoose={(i) => setFrom((shown[i]?.index ?? 0) + 1)}
      />
      {row === null ? (
        <p class="note">The attention of so many tokens has no room in this page. A smaller picture has fewer.</p>
      ) : (
        <>
          <div class="controls">
            <Slider label="Layer" value={layer} min={1} max={maps.length} step={1} onChange={setLayer} />
            <Slider label="Head" value={head} min={0} max={heads} step={1} onChange={setHead} />
          </div>
          <div class="patches">
            {parts.map((part, i) => (
              <Part
                key={i}
                part={part}
                name={nameOf(parts, part)}
                token={tokens[from - 1]?.name ?? ''}
                row={row}
                canvas={canvases[part.picture]}
              />
            ))}
          </div>
        </>
      )}
    </Figure>
  );
}

interface PartProps {
  readonly part: PicturePart;
  readonly name: string;
  readonly token: string;
  /** Attention of the token to all tokens. */
  readonly row: Float32Array;
  readonly canvas: HTMLCanvasElement | undefined;
}

function Part({ part, name, token, row, canvas }: PartProps) {
  const { rows, columns, start } = part;
  const weights = useMemo(() => row.subarray(start, start + rows * columns), [row, part]);
  const most = useMemo(() => row.reduce((a, b) => Math.max(a, b), 1e-9), [row]);
  const colour = useMemo(() => (weight: number) => `rgb(0 0 0 / ${0.8 * (1 - weight / most)})`, [most]);
  const labels = useMemo(() => [rows, columns].map((count) => Array<string>(count).fill('')), [part]);
  const backdrop = useMemo(() => canvas && cut(canvas, part), [canvas, part]);
  if (!backdrop) return null;
  const cell = WIDTH / columns;
  return (
    <div>
      <p class="note">
        {name}: {percent(weights.reduce((a, b) => a + b, 0))} of the attention
      </p>
      <HeatMap
        label={`Attention of “${token}” to ${name}.`}
        rows={labels[0] as string[]}
        columns={labels[1] as string[]}
        values={weights}
        colour={colour}
        backdrop={backdrop}
        cellSize={cell}
        cellHeight={(cell * columns * backdrop.height) / backdrop.width / rows}
        describe={({ row, column }) =>
          `“${token}” to row ${row + 1}, column ${column + 1}: ${percent(weights[row * columns + column] as number)}`
        }
      />
    </div>
  );
}

function partAt(parts: readonly PicturePart[], token: number): PicturePart | null {
  return parts.find(({ start, rows, columns }) => token >= start && token < start + rows * columns) ?? null;
}

function nameOf(parts: readonly PicturePart[], part: PicturePart): string {
  const own = parts.filter(({ picture }) => picture === part.picture);
  const tile = own.length > 1 ? `, part ${own.indexOf(part) + 1}` : '';
  return `picture ${part.picture + 1}${tile}`;
}

/** A part of a picture. */
function cut(picture: HTMLCanvasElement, { left, top, width, height }: PicturePart): HTMLCanvasElement {
  const [x, y, w, h] = [left * picture.width, top * picture.height, width * picture.width, height * picture.height];
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: Math.max(1, Math.round(w)), height: Math.max(1, Math.round(h)) });
  canvas.getContext('2d')?.drawImage(picture, x, y, w, h, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Attention of a token in one head counted from 1, or the mean of all heads. */
function rowOf(map: Float32Array, count: number, head: number, token: number): Float32Array {
  const heads = map.length / count ** 2;
  const some = head > 0 ? [head - 1] : Array.from({ length: heads }, (_, i) => i);
  const sums = new Float32Array(count);
  for (const each of some) {
    const from = (each * count + token) * count;
    for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) + (map[from + i] as number) / some.length;
  }
  return sums;
}
