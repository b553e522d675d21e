import { differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkNumber, isNotNaN, matrixOf } from '../core/check.js';
import { Scalar } from '../core/operand.js';
import { Tensor } from '../core/tensor.js';
import { frozen } from './backward.js';
import { broadcastOperands, broadcastShape, broadcastSteps, dimensionsOf } from './broadcast.js';
import { broadcastGrad } from './reduce.js';

/** The operand `kind` of the kernel. */
const KINDS = { add: 0, sub: 1, mul: 2, div: 3 } as const;

/**
 * a + b with NumPy broadcasting. Float32; `b` may be a number. Throws ShapeError if the shapes do not broadcast, or
 * if more than six dimensions are left where neighbours that broadcast alike are one; DTypeError; ArgumentError if `b`
 * is NaN or neither a tensor nor a number.
 */
export function add(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('add', a, 1, checkOperand('add', b));
  return differentiable(binary('add', a, b), [a, b], (dy) => {
    // What has dy's shape may take it over, so that a part of that comes before.
    for (const x of b.size < dy.size ? [b, a] : [a, b]) broadcastGrad(x, dy);
  });
}

/** a − b, as `add`. */
export function sub(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('sub', a, 1, -checkOperand('sub', b));
  return differentiable(binary('sub', a, b), [a, b], (dy) => {
    broadcastGrad(b, dy, null, -1);
    broadcastGrad(a, dy); // last, as it may take over dy
  });
}

/** a · b element by element, as `add`. */
export function mul(a: Tensor, b: Tensor | number): Tensor {
  if (!(b instanceof Tensor)) return affine('mul', a, checkOperand('mul', b));
  return differentiable(binary('mul', a, b), [a, b], (dy) => {
    broadcastGrad(a, dy, b);
    broadcastGrad(b, dy, a);
  });
}

/** a / b element by element, correctly rounded; otherwise as `add`. */
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
  // Multiplying by a rounded 1/b would round twice. It is exact for powers of two within the range of float32.
  if (Math.fround(b) === b && Math.fround(inverse) === inverse && b * inverse === 1) return affine('div', a, inverse);
  const device = checkDevice('div', { a });
  checkDType('div', 'a', a, 'float32');
  return device.scope(() => div(a, device.full([], b)));
}

/**
 * x · factor. `x`: float32, any shape. A Scalar is read when this is called (for backward, too) or, in a recorded program,
 * when that runs. Throws DTypeError, ArgumentError if the factor is NaN.
 */
export function scale(x: Tensor, factor: number | Scalar): Tensor {
  if (!(factor instanceof Scalar)) checkNumber('scale', 'factor', factor, isNotNaN, 'a number or a Scalar');
  return affine('scale', x, factor);
}

function binary(op: keyof typeof KINDS, a: Tensor, b: Tensor): Tensor {
  const device = checkDevice(op, { a, b });
  checkDType(op, 'a', a, 'float32');
  checkDType(op, 'b', b, 'float32');
  const shape = broadcastShape(op, a.shape, b.shape);
  const dimensions = dimensionsOf(shape, broadcastSteps(a, shape), broadcastSteps(b, shape));
  // Vectors run along the last dimension, which a view of one column has not contiguous.
  if (dimensions.at(-1)?.steps.some((step) => step > 1)) dimensions.push({ size: 1, steps: [0, 0] });
  const y = device.empty(shape);
  device.emit('binary', { a, b, y, kind: KINDS[op], ...broadcastOperands(op, device, dimensions, ['a', 'b']) }, y.size);
  return y;
}

function checkOperand(op: keyof typeof KINDS, b: number): number {
  return checkNumber(op, 'b', b, isNotNaN, 'a tensor or a number');
}

function affine(op: string, x: Tensor, factor: number | Scalar, shift?: number): Tensor {
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const y = device.empty(x.shape);
  affineInto(x, y, factor, false, shift);
  const slope = frozen(device, factor);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) affineInto(dy, dx.tensor, slope, dx.accumulate);
  });
}

/** y = factor·x + shift, added to y if `accumulate`; by default it adds -0, which leaves a product of -0 as it is. */
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
