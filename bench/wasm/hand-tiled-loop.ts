// Measures a loop over a register tile in this runtime, written as bytes of WebAssembly. It has 2 vectors of sums in
// each of 6 rows. Without a multiply-add, products take registers, too, and it has 4 rows. Other shapes were slower. It
// does only the work of a matrix product's inner loop, with operands in the nearest cache.

import { wasmIsas } from '../../src/backend/wasm-modules.js';

const ROWS = wasmIsas[0] === 'relaxed' ? 6 : 4;
const VECTORS = 2;
const DEPTH = 256;
const UNROLLED = 1;
/** Iterations of the loop in one call. Calls are short, because optimized code is only used from the next call on. */
const TIMES = 64;
const FLOPS = TIMES * DEPTH * ROWS * VECTORS * 2 * 4;

// Parameter 0 counts the times. Local 1 is where in A [ROWS, DEPTH] it reads, 2 where in B [DEPTH, VECTORS · 4].
const [COUNT, A, B, VALUE, ROW] = [0, 1, 2, 3, 4];
const SUMS = ROW + VECTORS;
const B_BEGINS = 4 * ROWS * DEPTH;

const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
const constant = (value: number) => [0x41, ...leb(value, true)];
const simd = (opcode: number) => [0xfd, ...leb(opcode)];
const memory = (opcode: number, align: number, offset: number) => [...simd(opcode), align, ...leb(offset)];
const repeatWhileTrue = (...body: number[][]) => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b];
const each = (count: number, code: (i: number) => number[]) => Array.from({ length: count }, (_, i) => code(i)).flat();
const ADD = 0x6a;
const LESS = 0x48;
const F32X4_ADD = simd(0xe4);
const F32X4_MUL = simd(0xe6);
const RELAXED_MADD = simd(0x105);

/** Encodes an integer as LEB128. */
function leb(value: number, signed = false): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const ends = signed ? rest === ((low & 0x40) === 0 ? 0 : -1) : rest === 0;
  return ends ? [low] : [low | 0x80, ...leb(rest, signed)];
}

const multiplyAdd = (x: number, y: number, sum: number) =>
  wasmIsas[0] === 'relaxed'
    ? [...get(x), ...get(y), ...get(sum), ...RELAXED_MADD, ...set(sum)]
    : [...get(sum), ...get(x), ...get(y), ...F32X4_MUL, ...F32X4_ADD, ...set(sum)];

const step = (k: number) => [
  ...each(VECTORS, (v) => [...get(B), ...memory(0x00, 4, 16 * (k * VECTORS + v)), ...set(ROW + v)]),
  ...each(ROWS, (r) => [
    ...get(A),
    ...memory(0x09, 2, 4 * (r * DEPTH + k)),
    ...set(VALUE),
    ...each(VECTORS, (v) => multiplyAdd(VALUE, ROW + v, SUMS + r * VECTORS + v)),
  ]),
];

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const advance = (local: number, bytes: number) => [...get(local), ...constant(bytes), ADD, ...set(local)];
  const code = [
    ...repeatWhileTrue(
      [...constant(0), ...set(A), ...constant(B_BEGINS), ...set(B)],
      repeatWhileTrue(each(UNROLLED, step), advance(A, 4 * UNROLLED), advance(B, 16 * VECTORS * UNROLLED), [
        ...get(A),
        ...constant(4 * DEPTH),
        LESS,
      ]),
      [...advance(COUNT, -1), ...get(COUNT)],
    ),
    // Results must be read, or the compiler would not compute them.
    ...each(ROWS * VECTORS, (i) => [...constant(0), ...get(SUMS + i), ...memory(0x0b, 4, 16 * i)]),
    0x0b,
  ];
  const locals = [2, 2, 0x7f, 1 + VECTORS + ROWS * VECTORS, 0x7b];
  const body = [...locals, ...code];
  const section = (id: number, ...content: number[]) => [id, ...leb(content.length), ...content];
  return Uint8Array.of(
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, 1, 0x60, 1, 0x7f, 0), // one type: (i32) → ()
    ...section(3, 1, 0), // one function of it
    ...section(5, 1, 0, 1), // one page of memory
    ...section(7, 1, 1, 0x66, 0, 0), // the function is exported as `f`
    ...section(10, 1, ...leb(body.length), ...body),
  );
}

/** Returns a function that executes about `flops` floating-point operations and returns their exact number. */
export async function handTiledLoop(): Promise<(flops: number) => number> {
  const { instance } = await WebAssembly.instantiate(moduleBytes());
  const f = instance.exports.f as (times: number) => void;
  return (flops) => {
    const calls = Math.ceil(flops / FLOPS);
    for (let i = 0; i < calls; i++) f(TIMES);
    return calls * FLOPS;
  };
}
