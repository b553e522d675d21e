const rotations = [13, 15, 26, 6, 17, 29, 16, 24];

/** Threefry-2x32 with 20 rounds (Salmon et al., 2011): two words of random bits from two words of counter. */
export function threefry(counter: readonly [number, number], key: readonly [number, number]): [number, number] {
  const keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1bd11bda];
  let a = (counter[0] + keys[0]!) | 0;
  let b = (counter[1] + keys[1]!) | 0;
  for (let round = 0; round < 20; round++) {
    const bits = rotations[round % 8]!;
    a = (a + b) | 0;
    b = ((b << bits) | (b >>> (32 - bits))) ^ a;
    if (round % 4 === 3) {
      const turn = (round + 1) / 4;
      a = (a + keys[turn % 3]!) | 0;
      b = (b + keys[(turn + 1) % 3]! + turn) | 0;
    }
  }
  return [a >>> 0, b >>> 0];
}
