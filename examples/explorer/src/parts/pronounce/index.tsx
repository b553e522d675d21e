import './pronounce.css';
import { spoken } from '../../draw/format.js';
import type { Pronunciation } from '../../pronounce.js';
import type { PartProps } from '../parts.js';
import { BeamFigure } from './beam-figure.js';
import { DecodingControls } from './decoding-controls.js';
import { StepsFigure } from './steps-figure.js';

export default function Pronounce({ session }: PartProps) {
  const said = session.pronunciation.value;
  return (
    <>
      <DecodingControls session={session} />
      {said === null ? (
        <p class="empty">{session.complaint.value ?? 'The model is on its way.'}</p>
      ) : (
        <>
          <Answer said={said} />
          {said.decoding.kind === 'beam' && <BeamFigure said={said} />}
          <StepsFigure session={session} said={said} />
        </>
      )}
    </>
  );
}

function Answer({ said }: { said: Pronunciation }) {
  return (
    <p class="answer">
      <span class="letters">{said.word}</span>
      <span class="visually-hidden">{said.model.readsText ? ' is translated ' : ' is pronounced '}</span>
      <span aria-hidden="true" class="arrow">
        →
      </span>
      <span class="sounds">{spoken(said)}</span>
    </p>
  );
}
