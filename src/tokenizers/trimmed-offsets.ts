// Post-processors may leave spaces out of the offsets of tokens that have them: byte-level ones.

import { flat } from './template.js';

const leading = /^[Ġ\p{White_Space}]*/u;
const trailing = /[Ġ\p{White_Space}]*$/u;

/** What trims the offsets of a token of a text, in characters; `i` is its place among the tokens. */
export function trimmer(
  processor: unknown,
): (token: string, offset: readonly [number, number], i: number) => [number, number] {
  const trims = flat(processor).filter(({ type, trim_offsets: trim }) => {
    return (type === 'ByteLevel' || type === 'RobertaProcessing') && trim !== false;
  });
  return (token, offset, i) =>
    trims.reduce<[number, number]>(
      ([start, end], { add_prefix_space: prefixed = true }) => {
        let before = Array.from(leading.exec(token)?.[0] ?? '').length;
        const after = Array.from(trailing.exec(token)?.[0] ?? '').length;
        if (before === 1 && (i === 0 || start === 0) && prefixed) before = 0; // it was put there, which several were not
        const from = Math.min(start + before, end);
        return [from, after > 0 && end >= after ? Math.max(end - after, from) : end];
      },
      [offset[0], offset[1]],
    );
}
