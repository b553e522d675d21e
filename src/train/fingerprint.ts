const EMPTY = 0x811c9dc5;

const PRIME = 0x01000193;

/**
 * FNV-1a (Fowler, Noll, Vo) of numbers, added to `hash`: a number that two lists share only if they are equal, or by
 * chance of one in 2³².
 */
export function fingerprint(values: ArrayLike<number>, hash = EMPTY): number {
  let result = hash;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    result = Math.imul(result ^ value, PRIME);
    if (value !== (value | 0)) result = withFraction(result, value); // the operator above has cut it to 32 bits
  }
  return result >>> 0;
}

function withFraction(hash: number, value: number): number {
  const [low, high] = new Uint32Array(Float64Array.of(value).buffer) as unknown as [number, number];
  return Math.imul(Math.imul(hash ^ low, PRIME) ^ high, PRIME);
}

/** The same of examples, in their order. */
export function fingerprintOf(
  examples: readonly { readonly source?: ArrayLike<number> | undefined; readonly target: ArrayLike<number> }[],
): number {
  return examples.reduce((before, { source = [], target }) => {
    const read = fingerprint(source, fingerprint([source.length], before));
    return fingerprint(target, fingerprint([target.length], read));
  }, EMPTY);
}

/** The same of a text. */
export function fingerprintOfText(text: string): number {
  return fingerprint(Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)));
}
