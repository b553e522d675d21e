import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Figure } from '../../../draw/figure.js';
import { FilePicker } from '../../../draw/file-picker.js';
import { AnswerLine } from './answer-line.js';
import type { Guest } from './guest.js';
import { type Answer, useAnswer } from './use-answer.js';
import { useGiven } from './use-given.js';

/**
 * Result of `compute` for the file that a person chose or dropped, or for `initial` before that. The function takes
 * another file.
 */
export function useMedia<I, T>(
  guest: Guest,
  dropped: File | null,
  initial: I | null,
  compute: (input: File | I) => Promise<T>,
): [Answer<T>, (file: File) => void] {
  const [chosen, choose] = useState<File | null>(dropped);
  useGiven(dropped, choose);
  return [useAnswer(guest, chosen ?? initial, compute), choose];
}

interface MediaFigureProps<T> {
  readonly title: string;
  readonly says: string;
  /** The button, the name of the file's field, and the files it accepts. */
  readonly picker: { readonly text: string; readonly label: string; readonly accept: string };
  readonly answer: Answer<T>;
  readonly summary: (value: T) => string;
  readonly onFile: (file: File) => void;
  readonly children?: ComponentChildren;
}

/** A figure in which a person chooses a picture or a recording, and reads what the model makes of it. */
export function MediaFigure<T>({ title, says, picker, answer, summary, onFile, children }: MediaFigureProps<T>) {
  return (
    <Figure title={title} says={says}>
      <FilePicker {...picker} onFile={onFile} />
      <AnswerLine answer={answer} says={summary} />
      {children}
    </Figure>
  );
}
