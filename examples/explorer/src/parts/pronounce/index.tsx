import './pronounce.css';
import { spoken } from '../../draw/format.js';
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
          <Answer word={said.word} phonemes={said.phonemes} />
          {said.decoding.kind === 'beam' && <BeamFigure said={said} />}
          <StepsFigure session={session} said={said} />
        </>
      )}
    </>
  );
}

function Answer({ word, phonemes }: { word: string; phonemes: readonly string[] }) {
  return (
    <p class="answer">
      <span class="letters">{word}</span>
      <span class="visually-hidden"> is pronounced </span>
      <span aria-hidden="true" class="arrow">
        →
      </span>
      <span class="sounds">{spoken(phonemes)}</span>
    </p>
  );
}
