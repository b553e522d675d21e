import { differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkNumber, isInt32, isNotNaN, matrixOf } from '../core/check.js';
import type { Device } from '../core/device.js';
import { Scalar } from '../core/operand.js';
import { type DType, type Shape, Tensor } from '../core/tensor.js';
import { currentValue } from './backward.js';
import { broadcastOperands, broadcastShape, broadcastSteps, dimensionsOf } from './broadcast.js';
import { broadcastGrad } from './reduce.js';
import { powOfNumber } from './unary.js';

/** Operations for float32 and int32. The manifest has these names, with the suffix Int for int32. */
type Either = 'add' | 'sub' | 'mul' | 'minimum' | 'maximum' | Comparison;
type Comparison = 'equal' | 'notEqual' | 'less' | 'lessEqual';
/** Operations for float32 only. */
type OfFloats = 'div' | 'pow' | 'powBase' | 'powExponent' | 'share';

/**
 * a + b with NumPy broadcasting. Both are float32, or both int32, which wraps around; `b` may be a number if `a` is
 * float32. Throws ShapeError if the shapes do not broadcast, or if more than six dimensions remain after neighbours
 * that broadcast equally are merged. Throws DTypeError. Throws ArgumentError if `b` is NaN, or neither a tensor nor a
 * number.
 */
export function add(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('add', a, 1, checkOperand('add', b));
  return differentiable(binary('add', a, b), [a, b], (dy) => {
    // An operand with dy's shape may take over the memory of dy, so the smaller operand comes first.
    for (const x of b.size < dy.size ? [b, a] : [a, b]) broadcastGrad(x, dy);
  });
}

/** a − b; otherwise like `add`. */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('sub', a, 1, -checkOperand('sub', b));
  return differentiable(binary('sub', a, b), [a, b], (dy) => {
    broadcastGrad(b, dy, null, -1);
    broadcastGrad(a, dy); // last, because it may take over the memory of dy
  });
}

/** a · b, element by element; otherwise like `add`. */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('mul', a, checkOperand('mul', b));
  return differentiable(binary('mul', a, b), [a, b], (dy) => {
    broadcastGrad(a, dy, b);
    broadcastGrad(b, dy, a);
  });
}

/** a / b, element by element, correctly rounded, for float32; otherwise like `add`. */
export function div(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return divByNumber(a, checkOperand('div', b));
  const y = binary('div', a, b);
  return differentiable(y, [a, b], (dy) => {
    const da = binary('div', dy, b); // ∂y/∂b = -y/b
    broadcastGrad(a, da);
    broadcastGrad(b, da, y, -1);
  });
}

function divByNumber(a: Tensor, b: number): Tensor {
  const inverse = 1 / b;
  // Multiplication by a rounded 1/b would round twice. It is exact for powers of two within the range of float32.
  if (Math.fround(b) === b && Math.fround(inverse) === inverse && b * inverse === 1) return affine('div', a, inverse);
  const device = checkDevice('div', { a });
  checkDType('div', 'a', a, 'float32');
  return device.scope(() => div(a, device.full([], b)));
}

/** -x, element by element. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function neg(x: Tensor): Tensor {
  return affine('neg', x, -1);
}

/**
 * x · factor. `x`: float32, any shape. A Scalar is read at the call (also for the backward pass) or, in a recorded
 * program, at each run. Throws DTypeError, ArgumentError if the factor is NaN.
 */
export function scale(x: Tensor, factor: number | Scalar): Tensor {
  if (!(factor instanceof Scalar)) checkNumber('scale', 'factor', factor, isNotNaN, 'a number or a Scalar');
  return affine('scale', x, factor);
}

/**
 * The minimum of a and b, element by element; NaN if either is NaN. The gradient goes to the smaller one, and half to
 * each if they are equal, as in PyTorch. Types, shapes and errors are those of `add`. For int32, `b` may be a number, too.
 */
export function minimum(a: Tensor, b: Tensor | number): Tensor {
  return extremum('minimum', a, b);
}

/** The maximum of a and b; otherwise like `minimum`. */
export function maximum(a: Tensor, b: Tensor | number): Tensor {
  return extremum('maximum', a, b);
}

function extremum(op: 'minimum' | 'maximum', a: Tensor, b: Tensor | number): Tensor {
  return withOperand(op, a, b, (b) =>
    differentiable(binary(op, a, b), [a, b], (dy) => {
      const [lesser, greater] = op === 'maximum' ? [a, b] : [b, a];
      if (a.requiresGrad) broadcastGrad(a, dy, binary(op, lesser, greater, 'share'));
      if (b.requiresGrad) broadcastGrad(b, dy, binary(op, greater, lesser, 'share'));
    }),
  );
}

/**
 * a to the power of b, element by element; 1 where b is 0 or a is 1, NaN where a is negative and b is not whole.
 * Float32 with NumPy broadcasting; `b` may be a number. The gradient of b is 0 where a is 0 and b is not negative.
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function pow(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return powOfNumber(a, b);
  return differentiable(binary('pow', a, b), [a, b], (dy) => {
    if (a.requiresGrad) broadcastGrad(a, dy, binary('pow', a, b, 'powBase'));
    if (b.requiresGrad) broadcastGrad(b, dy, binary('pow', a, b, 'powExponent'));
  });
}

/**
 * 1 where a = b, else 0. The result is int32, a condition for `where`, and has no gradient. NaN equals nothing. Types,
 * shapes and errors are those of `add`. For int32, `b` may be a number, too: a 32-bit integer.
 */
export function equal(a: Tensor, b: Tensor | number): Tensor {
  return compare('equal', 'equal', a, b);
}

/** 1 where a ≠ b, else 0; otherwise like `equal`. */
export function notEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare('notEqual', 'notEqual', a, b);
}

/** 1 where a < b, else 0; otherwise like `equal`. */
export function less(a: Tensor, b: Tensor | number): Tensor {
  return compare('less', 'less', a, b);
}

/** 1 where a ≤ b, else 0; otherwise like `equal`. */
export function lessEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare('lessEqual', 'lessEqual', a, b);
}

/** 1 where a > b, else 0; otherwise like `equal`. */
export function greater(a: Tensor, b: Tensor | number): Tensor {
  return compare('greater', 'less', a, b, true);
}

/** 1 where a ≥ b, else 0; otherwise like `equal`. */
export function greaterEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare('greaterEqual', 'lessEqual', a, b, true);
}

function compare(op: string, kind: Comparison, a: Tensor, b: Tensor | number, swapped = false): Tensor {
  return withOperand(op, a, b, (b) => (swapped ? binary(op, b, a, kind) : binary(op, a, b, kind)));
}

/**
 * a where `condition` is not 0, else b, element by element. `condition` is int32; a and b are both float32 or both
 * int32, or one of them is a number. All three broadcast by NumPy's rule. The gradient goes to the chosen operand.
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  const op = 'where';
  const device = checkDevice(op, { condition });
  checkDType(op, 'condition', condition, 'int32');
  if (!(a instanceof Tensor)) {
    const dtype = b instanceof Tensor ? b.dtype : 'float32';
    return device.scope(() => where(condition, constantOf(op, 'a', device, dtype, a), b));
  }
  if (!(b instanceof Tensor)) return device.scope(() => where(condition, a, constantOf(op, 'b', device, a.dtype, b)));
  checkDevice(op, { condition, a, b });
  checkDType(op, 'b', b, a.dtype);
  const shape = broadcastShape(op, condition.shape, broadcastShape(op, a.shape, b.shape));
  const y = select(op, condition, a, b, shape);
  const backward = (dy: Tensor) => {
    const zero = device.zeros([]);
    if (a.requiresGrad) broadcastGrad(a, select(op, condition, dy, zero, shape));
    if (b.requiresGrad) broadcastGrad(b, select(op, condition, zero, dy, shape));
  };
  return differentiable(y, [a, b], backward, [condition]);
}

function select(op: string, c: Tensor, a: Tensor, b: Tensor, shape: Shape): Tensor {
  const y = c.device.empty(shape, a.dtype);
  const names = ['c', 'a', 'b'];
  const walked = walk(op, shape, [c, a, b], names);
  c.device.emit('where', { c, a, b, y, ...walked }, y.size);
  return y;
}

/** Returns the operands with which a kernel iterates over `shape`, to which `inputs` are broadcast. */
function walk(op: string, shape: Shape, inputs: readonly Tensor[], names: readonly string[]): Record<string, number> {
  const dimensions = dimensionsOf(shape, ...inputs.map((x) => broadcastSteps(x, shape)));
  // SIMD vectors run along the last dimension, which must be contiguous. If it is not, as in a view of one column, a
  // dimension of size 1 is added.
  if (dimensions.at(-1)?.steps.some((step) => step > 1)) dimensions.push({ size: 1, steps: names.map(() => 0) });
  return broadcastOperands(op, (inputs[0] as Tensor).device, dimensions, names);
}

/** Applies the operation `kind` to a and b. `op` is the name in messages. */
function binary(op: string, a: Tensor, b: Tensor, kind = op as Either | OfFloats): Tensor {
  const device = checkDevice(op, { a, b });
  const ofFloats = kind === 'div' || kind === 'pow' || a.dtype !== 'int32';
  if (ofFloats) checkDType(op, 'a', a, 'float32');
  checkDType(op, 'b', b, a.dtype);
  const shape = broadcastShape(op, a.shape, b.shape);
  const isComparison = kind === 'equal' || kind === 'notEqual' || kind === 'less' || kind === 'lessEqual';
  const y = device.empty(shape, isComparison ? 'int32' : a.dtype);
  const number = device.constant(`binary.${kind}${ofFloats ? '' : 'Int'}`);
  device.emit('binary', { a, b, y, kind: number, ...walk(op, shape, [a, b], ['a', 'b']) }, y.size);
  return y;
}

/** Calls `use` with b as a tensor; a number becomes a tensor for the call. */
function withOperand(op: string, a: Tensor, b: Tensor | number, use: (b: Tensor) => Tensor): Tensor {
  const device = checkDevice(op, { a });
  return b instanceof Tensor ? use(b) : device.scope(() => use(constantOf(op, 'b', device, a.dtype, b)));
}

/** A number as a tensor of the type. */
function constantOf(op: string, name: string, device: Device, dtype: DType, value: number): Tensor {
  if (dtype === 'int32') checkNumber(op, name, value, isInt32, 'a 32-bit integer, as the other is int32');
  else checkNumber(op, name, value, isNotNaN, 'a tensor or a number');
  return device.full([], value, dtype);
}

function checkOperand(op: string, b: number): number {
  return checkNumber(op, 'b', b, isNotNaN, 'a tensor or a number');
}

function affine(op: string, x: Tensor, factor: number | Scalar, shift?: number): Tensor {
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const y = device.empty(x.shape);
  affineInto(x, y, factor, false, shift);
  const slope = currentValue(device, factor);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) affineInto(dy, dx.tensor, slope, dx.accumulate);
  });
}

/**
 * Computes y = factor·x + shift, or adds it to y if `accumulate`. The default shift of -0 preserves a product of -0.
 */
export function affineInto(
  x: Tensor,
  y: Tensor,
  factor: number | Scalar,
  accumulate: boolean | 0 | 1,
  shift = -0,
): void {
  const { rows, cols } = matrixOf(y);
  const strides = { xStride: x.rowStride, yStride: y.rowStride };
  x.device.emit('affine', { x, y, rows, cols, ...strides, scale: factor, shift, accumulate }, 2 * x.size);
}
