import type { PartProps } from '../parts.js';

export default function LookInside({ session }: PartProps) {
  const said = session.pronunciation.value;
  if (said === null) return null;
  return (
    <p>
      {said.letters.length} letters, {said.phonemes.length} phonemes.
    </p>
  );
}
