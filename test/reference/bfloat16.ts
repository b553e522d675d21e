// Products in bfloat16, bit by bit, in the order that native/kernels/shared/bfloat16.h defines.

const view = new DataView(new ArrayBuffer(4));

function bitsOf(x: number): number {
  view.setFloat32(0, x);
  return view.getUint32(0);
}

function floatOf(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

/** Rounds to the nearest bfloat16, ties to even. Subnormal numbers become zeros with their sign. */
export function toBfloat16(x: number): number {
  const bits = bitsOf(x);
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return Number.NaN;
  if (size < 0x00800000) return Object.is(Math.sign(x), -0) || x < 0 ? -0 : 0;
  return floatOf((((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) << 16) >>> 0);
}

/** Rounds a float64 to float32 as if exponents had no limit below. Then subnormal numbers become zeros. */
function rounded(exact: number): number {
  if (Math.abs(exact) > 2 ** -100) return Math.fround(exact);
  const scaled = Math.fround(exact * 2 ** 90);
  if (Math.abs(scaled) < 2 ** -36) return Object.is(scaled, -0) || scaled < 0 ? -0 : 0;
  return scaled * 2 ** -90;
}

/** x·y for factors in bfloat16: `at(k)` gives the k-th pair. A product is exact in float64. */
export function dotInBfloat16(depth: number, at: (k: number) => readonly [x: number, y: number]): number {
  let sum = 0;
  for (let block = 0; block < depth; block += 32) {
    const chains: [number, number] = [0, 0];
    for (let k = block; k < block + 32; k++) {
      const [x, y] = k < depth ? at(k) : [0, 0];
      const chain = k % 2 === 0 ? 0 : 1;
      chains[chain] = rounded(chains[chain] + x * y);
    }
    sum = rounded(sum + rounded(chains[0] + chains[1]));
  }
  return sum;
}
