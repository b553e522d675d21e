import { useEffect, useMemo, useState } from 'preact/hooks';
import { RawAudio } from 'simdformer/tasks';
import { useKept } from '../../../address.js';
import { Figure } from '../../../draw/figure.js';
import { AlignmentFigure } from './alignment-figure.js';
import { AnswerLine } from './answer-line.js';
import type { Guest } from './guest.js';
import { Heads } from './heads-view.js';
import { type Said, say } from './say.js';
import { TextField } from './text-field.js';
import { useAnswer } from './use-answer.js';

/** Milliseconds without a key before a text is spoken. */
const PAUSE = 400;

/** Result of a VITS or a SpeechT5 for a text. */
export default function SpeechView({ guest }: { guest: Guest }) {
  const [text, setText] = useKept('text', guest.example);
  const settled = useSettled(text);
  const answer = useAnswer(guest, settled, (given) => say(guest, given));
  const said = answer.value;
  return (
    <>
      <Figure
        title="What it says"
        says="Type a text: the model speaks it in this page. Each token of the text sounds for some frames."
      >
        <div class="guest-text">
          <TextField guest={guest} action="speak" text={text} onText={setText} />
        </div>
        <AnswerLine answer={answer} says={summary} />
        {said?.sound && <Player sound={said.sound} />}
      </Figure>
      {said && <AlignmentFigure alignment={said.alignment} />}
      {said && said.heads.length > 0 && <Heads views={said.heads} heads={said.headsOfLayer} />}
    </>
  );
}

function summary({ tokens, left, sound, frames }: Said): string {
  const cut = left > 0 ? ` ${left} more are left out.` : '';
  const spoken = `${tokens.length} tokens, ${frames} frames.${cut}`;
  if (sound) return `${spoken} ${(sound.samples.length / sound.samplingRate).toFixed(1)} seconds.`;
  return `${spoken} A vocoder turns this spectrogram into sound; its folder is another model.`;
}

function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function Player({ sound }: { sound: NonNullable<Said['sound']> }) {
  const url = useMemo(() => URL.createObjectURL(new RawAudio(sound.samples, sound.samplingRate).toBlob()), [sound]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  // biome-ignore lint/a11y/useMediaCaption: the text above is what the sound says
  return <audio controls src={url} aria-label="The sound" />;
}
