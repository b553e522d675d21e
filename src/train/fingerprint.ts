import type { Example } from './batches.js';

const EMPTY = 0x811c9dc5;

/**
 * FNV-1a (Fowler, Noll, Vo) of integers, added to `hash`: a number that two lists share only if they are equal, or by
 * chance of one in 2³².
 */
export function fingerprint(ids: ArrayLike<number>, hash = EMPTY): number {
  let result = hash;
  for (let i = 0; i < ids.length; i++) result = Math.imul(result ^ (ids[i] as number), 0x01000193);
  return result >>> 0;
}

/** The same of examples, in their order. */
export function fingerprintOf(examples: readonly Example[]): number {
  return examples.reduce((before, { source = [], target }) => {
    const read = fingerprint(source, fingerprint([source.length], before));
    return fingerprint(target, fingerprint([target.length], read));
  }, EMPTY);
}
