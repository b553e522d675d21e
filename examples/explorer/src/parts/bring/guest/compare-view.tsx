import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Figure } from '../../../draw/figure.js';
import { AnswerLine } from './answer-line.js';
import { compare, type HeardSound, hear } from './compare.js';
import { Guesses } from './guesses.js';
import type { Guest } from './guest.js';
import { Heads } from './heads-view.js';
import { MediaFigure, useMedia } from './media-figure.js';
import { PatchesFigure } from './patches-figure.js';
import { useAnswer } from './use-answer.js';

const picker = { text: 'Choose a recording', label: 'A recording', accept: '.wav,audio/wav' };
const EXAMPLES = ['A person speaks.', 'Music plays.', 'A dog barks.'];
const summary = ({ name, seconds }: HeardSound) => `${name}, ${seconds.toFixed(1)} seconds.`;

/** Results of a CLAP for a recording and texts. */
export default function CompareView({ guest, media }: { guest: Guest; media: File | null }) {
  const [answer, open] = useMedia<never, HeardSound>(guest, media, null, async (file) =>
    hear(guest, file.name, new Uint8Array(await file.arrayBuffer())),
  );
  const heard = answer.value;
  const canvas = useMemo(() => (heard ? spectrogramCanvas(heard) : null), [heard]);
  return (
    <>
      <MediaFigure
        title="What it hears"
        says="Choose a WAV file, or drop one above: the model compares it with texts. Nothing leaves your computer."
        {...{ picker, answer, summary }}
        onFile={open}
      />
      {heard && <TextsFigure guest={guest} heard={heard} />}
      {heard && canvas && heard.maps.length > 0 && (
        <PatchesFigure
          maps={heard.maps}
          canvas={canvas}
          width={880}
          title="Attention over the spectrogram"
          says="Time runs from left to right, high tones are at the top, and loud ones are bright. A patch attends within its window, and most to the bright patches. The model folds the spectrogram into a square, so windows contain parts that are far apart. Choose a patch to look from there; head 0 is the mean of all heads."
        />
      )}
    </>
  );
}

/** The features that the model reads, high tones at the top. */
function spectrogramCanvas({ features: { data, shape } }: HeardSound): HTMLCanvasElement {
  const [, , frames, bins] = shape as [number, number, number, number];
  const first = data.subarray(0, frames * bins);
  const [least, most] = [first.reduce((a, b) => Math.min(a, b)), first.reduce((a, b) => Math.max(a, b))];
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: frames, height: bins });
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const pixels = context.createImageData(frames, bins);
  for (const [i, value] of first.entries()) {
    const at = (bins - 1 - (i % bins)) * frames + Math.floor(i / bins);
    const grey = 40 + (215 * (value - least)) / (most - least || 1);
    pixels.data.set([grey, grey, grey, 255], 4 * at);
  }
  context.putImageData(pixels, 0, 0);
  const drawn = document.createElement('canvas');
  Object.assign(drawn, { width: 880, height: 220 });
  drawn.getContext('2d')?.drawImage(canvas, 0, 0, 880, 220);
  return drawn;
}

/** How well texts fit the recording, and the heads that read the first of them. */
function TextsFigure({ guest, heard }: { guest: Guest; heard: HeardSound }) {
  const [lines, setLines] = useKept('text', guest.model.tokenizer ? EXAMPLES.join('\n') : guest.example);
  const key = useMemo(() => ({ heard, lines }), [heard, lines]);
  const answer = useAnswer(guest, key, (given) => compare(guest, given.heard, given.lines));
  const found = answer.value;
  return (
    <>
      <Figure
        title="Which text fits"
        says="Write texts, one in each line. The bars show how well each fits the recording, compared with the others."
      >
        <div class="guest-text">
          <label for="guest-text">
            {guest.model.tokenizer ? 'Texts to compare' : 'Token ids of texts to compare (the model has no tokenizer)'}
          </label>
          <textarea
            id="guest-text"
            rows={3}
            value={lines}
            spellcheck={false}
            onInput={(event) => setLines(event.currentTarget.value)}
          />
        </div>
        <AnswerLine answer={answer} says={({ guesses }) => `${guesses.length} texts.`} />
        {found && <Guesses label="Of the recording" guesses={found.guesses} />}
      </Figure>
      {found && found.heads.length > 0 && <Heads views={found.heads} heads={found.headsOfLayer} />}
    </>
  );
}
