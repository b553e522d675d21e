import { differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { broadcastShape } from './broadcast.js';
import { colsOf, type Factor, product, rowsOf } from './product.js';

export interface MatmulOptions {
  /** True if `a` is stored as [..., k, m]. Default: false. */
  transposeA?: boolean | undefined;
  /** True if `b` is stored as [..., n, k]. Default: false. */
  transposeB?: boolean | undefined;
}

/**
 * Matrix products of the last two dimensions, like numpy.matmul and torch.matmul: a [..., m, k] · b [..., k, n] is
 * [..., m, n]. Leading dimensions broadcast by NumPy's rule. A vector a [k] is a row and b [k] a column, and the result
 * lacks that dimension. [k] and [..., k, n] give [..., n], [..., m, k] and [k] give [..., m], two vectors give []. All
 * are float32. Throws ShapeError if an operand is [], if the inner dimensions differ, or if the leading ones do not
 * broadcast. Throws DTypeError, and ArgumentError, also for the transpose of a vector.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const kinds = { transposeA: 'boolean', transposeB: 'boolean' } as const;
  const { transposeA = false, transposeB = false } = checkOptions('matmul', options, kinds);
  const device = checkDevice('matmul', { a, b });
  checkDType('matmul', 'a', a, 'float32');
  checkDType('matmul', 'b', b, 'float32');
  checkTransposed('A', a, transposeA);
  checkTransposed('B', b, transposeB);
  if (a.shape.length === 1 || b.shape.length === 1) return device.scope(() => vectorProduct(a, b, options));
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
    // For y = op(a)·op(b), with a and b as they are stored.
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

/** The product if `a` is a row, `b` is a column, or both are. The result lacks their dimensions. */
function vectorProduct(a: Tensor, b: Tensor, options: MatmulOptions): Tensor {
  const row = a.shape.length === 1 ? a.reshape(1, -1) : a;
  const column = b.shape.length === 1 ? b.reshape(-1, 1) : b;
  const y = matmul(row, column, options);
  const rows = row === a ? [y.shape.at(-2) as number] : [];
  const cols = column === b ? [lastOf(y.shape)] : [];
  return y.reshape([...y.shape.slice(0, -2), ...rows, ...cols]);
}

function checkTransposed(name: 'A' | 'B', { shape }: Tensor, transposed: boolean): void {
  const described = `matmul: ${name.toLowerCase()} is ${describeShape(shape)}`;
  if (shape.length === 0) throw new ShapeError(`${described}, expected a vector, a matrix or a batch`);
  if (shape.length === 1 && transposed) throw new ArgumentError(`${described}: transpose${name} is for matrices`);
}
