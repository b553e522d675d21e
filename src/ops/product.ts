// The product of two factors, as one command or several. matmul, linear and their gradients use it.

import type { GradientTarget } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { HeapValue, Scalar } from '../core/operand.js';
import { lastOf, type Shape, sizeOf, type Tensor } from '../core/tensor.js';
import { broadcastSteps, dimensionsOf, operandFrom } from './broadcast.js';

/** The matrices of c = a·b, and the vectors that a linear layer adds. */
interface Matrices {
  readonly a: HeapValue;
  readonly b: HeapValue;
  readonly c: HeapValue;
  readonly bias?: HeapValue | null | undefined;
  /** If given, receives the argument of the activation. */
  readonly pre?: HeapValue | null | undefined;
  /** If given, receives the column sums of b. */
  readonly sums?: HeapValue | null | undefined;
}

/** Words between stored rows, and flags for transposed factors. */
interface Layout {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly aStride: number;
  readonly bStride: number;
  readonly cStride: number;
}

/** Number of matrices, and words from each to the next; 0 if one matrix serves all. */
interface Batches {
  readonly batch: number;
  readonly aBatch: number;
  readonly bBatch: number;
  readonly cBatch: number;
}

/** Operations on the product before it is stored: activation and dropout. */
interface Fused {
  /** The activation's number in commands. */
  readonly activation: number;
  readonly seed: number | Scalar;
  readonly stream: number;
  readonly threshold: number;
  /** Factor of the kept elements; 0: nothing is dropped. */
  readonly dropScale: number;
}

const ONE: Batches = { batch: 1, aBatch: 0, bBatch: 0, cBatch: 0 };
const PLAIN: Fused = { activation: 0, seed: 0, stream: 0, threshold: 0, dropScale: 0 };

/** Queues one command; native/kernels/matmul.h describes its operands. */
export function emitProduct(
  device: Device,
  { a, b, c, bias, pre, sums }: Matrices,
  { rows, cols, depth }: { rows: number; cols: number; depth: number },
  { transposeA, transposeB, aStride, bStride, cStride }: Layout,
  { accumulate = 0, batches = ONE, fused = PLAIN }: { accumulate?: number; batches?: Batches; fused?: Fused },
): void {
  const { batch, aBatch, bBatch, cBatch } = batches;
  const { activation, seed, stream, threshold, dropScale } = fused;
  // One literal lists all names: V8 takes 10 µs and more for a literal made of two spreads.
  const operands = {
    a,
    b,
    bias,
    c,
    pre,
    sums,
    rows,
    cols,
    depth,
    transposeA,
    transposeB,
    aStride,
    bStride,
    cStride,
    batch,
    aBatch,
    bBatch,
    cBatch,
    accumulate,
    activation,
    seed,
    stream,
    threshold,
    dropScale,
  };
  device.emit('matmul', operands, 2 * rows * cols * depth * batch);
}

/** A matrix or a batch of matrices. `transposed` selects the transpose. */
export interface Factor {
  readonly x: Tensor;
  readonly transposed: boolean;
}

export function rowsOf({ x, transposed }: Factor): number {
  return transposed ? lastOf(x.shape) : (x.shape.at(-2) as number);
}

export function colsOf({ x, transposed }: Factor): number {
  return transposed ? (x.shape.at(-2) as number) : lastOf(x.shape);
}

/** A dimension of a batch: the number of matrices, and words from each to the next in the factors and the result. */
interface Dimension {
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/**
 * Emits target (+)= left·right and, if `left` is transposed, `sums` (+)= the column sums of a matrix `right`. The
 * leading dimensions of all three are `batch` or broadcast to it. Where the target broadcasts, as the gradient of a
 * broadcast operand does, products are added up.
 */
export function product(
  left: Factor,
  right: Factor,
  target: GradientTarget,
  batch: Shape,
  sums: GradientTarget | null = null,
): void {
  const y = target.tensor;
  const { sizes, separate } = joined(left, right, y, batch);
  const inner = separate.findIndex(({ c }) => c !== 0);
  const [innermost] = inner < 0 ? [] : separate.splice(inner, 1);
  const layout = {
    transposeA: left.transposed,
    transposeB: right.transposed,
    aStride: left.x.rowStride,
    bStride: right.x.rowStride,
    cStride: y.rowStride,
  };
  const batches = {
    batch: innermost?.size ?? 1,
    aBatch: innermost?.a ?? 0,
    bBatch: innermost?.b ?? 0,
    cBatch: innermost?.c ?? 0,
  };
  const count = sizeOf(separate.map(({ size }) => size));
  for (let i = 0; i < count; i++) {
    const { a, b, c, again } = offsetsAt(i, separate);
    const matrices = {
      a: operandFrom(left.x, a),
      b: operandFrom(right.x, b),
      c: operandFrom(y, c),
      sums: sums?.tensor,
    };
    const accumulate = Number(again || target.accumulate === 1) | ((sums?.accumulate ?? 0) << 1);
    emitProduct(y.device, matrices, sizes, layout, { accumulate, batches });
  }
}

/**
 * Sizes of the matrices, and the remaining dimensions of the batch, innermost first. Matrices are merged where
 * possible. If all share the right factor, they become one taller matrix. If the matrices of each factor follow one
 * another along the sum, they become one longer sum.
 */
function joined(left: Factor, right: Factor, y: Tensor, batch: Shape) {
  const sizes = { rows: rowsOf(left), cols: colsOf(right), depth: colsOf(left) };
  const stepsIn = (x: Tensor) => broadcastSteps(x, [...batch, ...x.shape.slice(-2)]).slice(0, -2);
  const dimensions = dimensionsOf(batch, stepsIn(left.x), stepsIn(right.x), stepsIn(y)).map(({ size, steps }) => {
    const [a, b, c] = steps as [number, number, number];
    return { size, a, b, c };
  });
  const separate: Dimension[] = dimensions.reverse().filter(({ size, a, b, c }) => {
    if (b === 0 && !left.transposed && a === sizes.rows * left.x.rowStride && c === sizes.rows * y.rowStride) {
      sizes.rows *= size;
      return false;
    }
    const isLong = left.transposed && !right.transposed;
    if (c === 0 && isLong && a === sizes.depth * left.x.rowStride && b === sizes.depth * right.x.rowStride) {
      sizes.depth *= size;
      return false;
    }
    return true;
  });
  return { sizes, separate };
}

/** Returns the offsets of matrix `index` of a batch, and whether an earlier product wrote the same result. */
function offsetsAt(index: number, dimensions: readonly Dimension[]) {
  const offsets = { a: 0, b: 0, c: 0, again: false };
  for (const { size, a, b, c } of dimensions) {
    const i = index % size;
    index = Math.floor(index / size);
    offsets.a += i * a;
    offsets.b += i * b;
    offsets.c += i * c;
    offsets.again ||= c === 0 && i > 0;
  }
  return offsets;
}
