import type { Answer } from './use-answer.js';

/** A line that says what is wrong, that the page computes, or a summary of the result. */
export function AnswerLine<T>({ answer, says }: { answer: Answer<T>; says: (value: T) => string }) {
  const { value, complaint, busy } = answer;
  return (
    <p role="status" aria-busy={busy} class={complaint ? 'answer complaint' : 'answer'}>
      {complaint ?? (busy ? 'Computing…' : value === null ? '' : says(value))}
    </p>
  );
}
