import type { PartProps } from '../parts.js';

export default function Pronounce({ session }: PartProps) {
  const said = session.pronunciation.value;
  if (said === null) return null;
  return <p>{said.phonemes.join(' ')}</p>;
}
