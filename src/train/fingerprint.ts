const EMPTY = 0x811c9dc5;

const PRIME = 0x01000193;

/**
 * The FNV-1a hash (Fowler, Noll, Vo) of numbers, starting from `hash`. Different lists have the same hash with a
 * probability of about 1 in 2³².
 */
export function fingerprint(values: ArrayLike<number>, hash = EMPTY): number {
  let result = hash;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    result = Math.imul(result ^ value, PRIME);
    if (value !== (value | 0)) result = withFraction(result, value); // bitwise operators keep 32 bits
  }
  return result >>> 0;
}

function withFraction(hash: number, value: number): number {
  const [low, high] = new Uint32Array(Float64Array.of(value).buffer) as unknown as [number, number];
  return Math.imul(Math.imul(hash ^ low, PRIME) ^ high, PRIME);
}

/** Returns the fingerprint of examples, in order. */
export function fingerprintOf(
  examples: readonly { readonly source?: ArrayLike<number> | undefined; readonly target: ArrayLike<number> }[],
): number {
  return examples.reduce((before, { source = [], target }) => {
    const read = fingerprint(source, fingerprint([source.length], before));
    return fingerprint(target, fingerprint([target.length], read));
  }, EMPTY);
}

/** Returns the fingerprint of a text. */
export function fingerprintOfText(text: string): number {
  return fingerprint(Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)));
}
