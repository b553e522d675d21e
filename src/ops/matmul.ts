import { differentiable, type GradientTarget, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Shape, sizeOf, type Tensor } from '../core/tensor.js';
import { beyond, broadcastShape, broadcastSteps, dimensionsOf } from './broadcast.js';

export interface MatmulOptions {
  /** Takes `a` as stored [..., k, m]. Default: false. */
  transposeA?: boolean | undefined;
  /** Takes `b` as stored [..., n, k]. Default: false. */
  transposeB?: boolean | undefined;
}

/**
 * The matrix products of the last two dimensions: a [..., m, k] · b [..., k, n] is [..., m, n]; leading dimensions
 * broadcast by NumPy's rule. Float32. Throws ShapeError if there are fewer than two dimensions, the inner ones differ or
 * the leading ones do not broadcast; DTypeError, ArgumentError.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = checkOptions('matmul', options);
  const device = checkDevice('matmul', { a, b });
  checkDType('matmul', 'a', a, 'float32');
  checkDType('matmul', 'b', b, 'float32');
  checkMatrices('a', a);
  checkMatrices('b', b);
  const left = { x: a, transposed: transposeA };
  const right = { x: b, transposed: transposeB };
  if (colsOf(left) !== rowsOf(right)) {
    const show = ({ x, transposed }: Factor) => `${describeShape(x.shape)}${transposed ? ' transposed' : ''}`;
    throw new ShapeError(
      `matmul: a is ${show(left)}, b is ${show(right)}: the inner dimensions ${colsOf(left)} and ${rowsOf(right)} differ`,
    );
  }
  const batch = broadcastShape('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  const y = device.empty([...batch, rowsOf(left), colsOf(right)]);
  product(left, right, { tensor: y, accumulate: 0 }, batch);
  return differentiable(y, [a, b], (dy) => {
    // Of y = op(a)·op(b), for a and b as they are stored.
    const upstream = { x: dy, transposed: false };
    const flipped = { x: dy, transposed: true };
    const da = gradOf(a);
    if (da && transposeA) product(right, flipped, da, batch);
    if (da && !transposeA) product(upstream, { x: b, transposed: !transposeB }, da, batch);
    const db = gradOf(b);
    if (db && transposeB) product(flipped, left, db, batch);
    if (db && !transposeB) product({ x: a, transposed: !transposeA }, upstream, db, batch);
  });
}

function checkMatrices(name: string, { shape }: Tensor): void {
  if (shape.length < 2)
    throw new ShapeError(`matmul: ${name} is ${describeShape(shape)}, expected a matrix or a batch`);
}

/** A matrix, or a batch of them, and whether its transpose is meant. */
interface Factor {
  readonly x: Tensor;
  readonly transposed: boolean;
}

function rowsOf({ x, transposed }: Factor): number {
  return transposed ? lastOf(x.shape) : (x.shape.at(-2) as number);
}

function colsOf({ x, transposed }: Factor): number {
  return transposed ? (x.shape.at(-2) as number) : lastOf(x.shape);
}

/**
 * Emits target (+)= left·right, and `sums` (+)= the column sums of a matrix `right`, where `left` is transposed. All
 * three have `batch` for leading dimensions or broadcast to it; where the target does, as the gradient of a broadcast
 * operand, products are added up.
 */
export function product(
  left: Factor,
  right: Factor,
  target: GradientTarget,
  batch: Shape,
  sums: GradientTarget | null = null,
): void {
  const y = target.tensor;
  let rows = rowsOf(left);
  let depth = colsOf(left);
  const cols = colsOf(right);
  const stepsIn = (x: Tensor) => broadcastSteps(x, [...batch, ...x.shape.slice(-2)]).slice(0, -2);
  const dimensions = dimensionsOf(batch, stepsIn(left.x), stepsIn(right.x), stepsIn(y)).map(({ size, steps }) => {
    const [a, b, c] = steps as [number, number, number];
    return { size, a, b, c };
  });
  // From the innermost on, what can be one matrix becomes one: taller if all share the right factor, a longer sum if
  // the matrices of each factor follow one another along it.
  const separate = dimensions.reverse().filter(({ size, a, b, c }) => {
    if (b === 0 && !left.transposed && a === rows * left.x.rowStride && c === rows * y.rowStride) {
      rows *= size;
      return false;
    }
    const long = left.transposed && !right.transposed;
    if (c === 0 && long && a === depth * left.x.rowStride && b === depth * right.x.rowStride) {
      depth *= size;
      return false;
    }
    return true;
  });
  const inner = separate.findIndex(({ c }) => c !== 0);
  const [each] = inner < 0 ? [] : separate.splice(inner, 1);
  const common = {
    rows,
    cols,
    depth,
    transposeA: left.transposed,
    transposeB: right.transposed,
    aStride: left.x.rowStride,
    bStride: right.x.rowStride,
    cStride: y.rowStride,
    batch: each?.size ?? 1,
    aBatch: each?.a ?? 0,
    bBatch: each?.b ?? 0,
    cBatch: each?.c ?? 0,
    activation: 0,
    seed: 0,
    stream: 0,
    threshold: 0,
    dropScale: 0,
  };
  const flops = 2 * rows * cols * depth * common.batch;
  const count = sizeOf(separate.map(({ size }) => size));
  for (let i = 0; i < count; i++) {
    const from = { a: 0, b: 0, c: 0 };
    let again = false; // whether an earlier command has written the same matrix
    let rest = i;
    for (const { size, ...steps } of separate) {
      const index = rest % size;
      rest = Math.floor(rest / size);
      from.a += index * steps.a;
      from.b += index * steps.b;
      from.c += index * steps.c;
      again ||= steps.c === 0 && index > 0;
    }
    const [a, b, c] = [beyond(left.x, from.a), beyond(right.x, from.b), beyond(y, from.c)];
    const accumulate = Number(again || target.accumulate === 1) | ((sums?.accumulate ?? 0) << 1);
    // One spread: with two V8 takes the slow way, 10 µs and more.
    y.device.emit('matmul', { a, b, c, sums: sums?.tensor, accumulate, ...common }, flops);
  }
}
