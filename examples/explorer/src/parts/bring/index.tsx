import type { PartProps } from '../parts.js';

export default function Bring({ session }: PartProps) {
  return <p>The model here is {session.model.value?.name}.</p>;
}
