// Files that differ from valid ones in a few places. Counting the covered code of the fuzzer's own inputs takes much
// longer than reading a file, so many files are made from each input.

/** Files that are made from one input of the fuzzer. */
const VARIANTS = 500;
/** Integers that break careless arithmetic. */
const LIES = [0, 1, 2, 3, 4, 7, 8, 9, 31, 63, 64, 127, 128, 255, 256, 65535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** Random integers from 0 to below `count`, the same for the same bytes. */
export type Below = (count: number) => number;

export function randomOf(bytes: Uint8Array): Below {
  let state = 1;
  for (const byte of bytes) state = Math.imul(state ^ byte, 0x01000193) | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % count;
  };
}

/** Changes of `seeds` that `given`, an input of the fuzzer, chooses. Bytes of the input are among what is put in. */
export function* variants(given: Uint8Array, seeds: readonly Uint8Array[]): Generator<Uint8Array> {
  const below = randomOf(given);
  for (let i = 0; i < VARIANTS; i++) {
    const seed = seeds[below(seeds.length)] as Uint8Array;
    let file: Uint8Array = seed.slice();
    for (let changes = 1 + below(4); changes > 0; changes--) file = changed(file, given, seeds, below);
    yield file;
  }
}

function changed(file: Uint8Array, given: Uint8Array, seeds: readonly Uint8Array[], below: Below): Uint8Array {
  if (file.length === 0) return file;
  const at = below(file.length);
  switch (below(8)) {
    case 0:
    case 1:
      file[at] = below(256);
      return file;
    case 2:
      file[at] = (file[at] as number) + below(5) - 2;
      return file;
    case 3: {
      const lie = LIES[below(LIES.length)] as number;
      for (let j = 0; j < 4 && at + j < file.length; j++) file[at + j] = Math.floor(lie / 256 ** j) & 255;
      return file;
    }
    case 4: // some bytes are missing
      return joined(file.subarray(0, at), file.subarray(Math.min(file.length, at + 1 + below(16))));
    case 5: {
      // part of another file, or of the input
      const other = below(2) === 0 ? given : (seeds[below(seeds.length)] as Uint8Array);
      const from = below(Math.max(1, other.length));
      return joined(file.subarray(0, at), other.subarray(from, from + 1 + below(64)), file.subarray(at));
    }
    case 6:
      return below(4) === 0 ? file.slice(0, at) : file;
    default:
      file.set(given.subarray(0, Math.min(8, file.length - at)), at);
      return file;
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
