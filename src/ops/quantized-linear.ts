import { differentiable, gradOf, isDifferentiated } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkOneOf,
  checkOptions,
  checkShape,
  describeShape,
  matrixOf,
} from '../core/check.js';
import type { Device, Format } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { activationKind, checkActivation, stepsOf } from './activation.js';
import { checkDropping, dropout } from './dropout.js';
import { type LinearOptions, linearOptions, throughActivation } from './linear.js';
import { type PackedMatrix, unpacked } from './packed.js';
import { product } from './product.js';
import { broadcastGrad } from './reduce.js';

/** Number of features whose weights are unpacked at a time during the backward pass: 4 MB for 1024 inputs. */
const FEATURES = 1024;

/** The type of activations in products with packed weights. */
export type ActivationFormat = 'int8' | 'float32';
export const ACTIVATION_FORMATS: readonly ActivationFormat[] = ['int8', 'float32'];

export interface QuantizedLinearOptions extends LinearOptions {
  /**
   * 'int8': x is rounded to int8, and integers are multiplied, if the weight has integers. Results have the same bits
   * on every machine and in WebAssembly. Inputs that share a scale: 64 if the weight has one scale per output feature,
   * the 256 inputs of a block for K-quants and IQ4_XS, otherwise 32. 'float32': x is multiplied by the unpacked weight.
   * Default: 'float32'.
   */
  activations?: ActivationFormat | undefined;
}

/**
 * Computes dropout(activation(x·wᵀ + b)) with a packed w. `x`: float32 [..., in]. `parts`: consecutive output features
 * of w, [out, in]. `b`: float32 [out], or null. The result is float32 [..., out]. The gradient of x uses the unpacked
 * weights; the weights have no gradient. Throws ShapeError if the shapes do not fit, DTypeError, ArgumentError.
 */
export function quantizedLinear(
  x: Tensor,
  parts: readonly PackedMatrix[],
  b?: Tensor | null,
  { activations = 'float32', ...options }: QuantizedLinearOptions = {},
): Tensor {
  const { activation = 'none', dropout: dropping = null } = checkOptions('quantizedLinear', options, linearOptions);
  checkOneOf('quantizedLinear', 'activations', activations, ACTIVATION_FORMATS);
  const device = checkDevice('quantizedLinear', { x }, { b });
  const [cols, depth] = checkShapes(x, parts, b);
  checkActivation('quantizedLinear', activation);
  if (dropping !== null) {
    checkDropping('quantizedLinear: dropout', dropping);
    return dropout(quantizedLinear(x, parts, b, { activation, activations }), dropping);
  }
  const steps = stepsOf(activation);
  if (steps) return steps[1](quantizedLinear(x, parts, b, { activation: steps[0], activations }));
  const { rows, stride } = matrixOf(x);
  return device.scope(() => {
    const y = device.empty([...x.shape.slice(0, -1), cols]);
    const keeps = isDifferentiated([x, b]) && activation !== 'none' && activation !== 'relu';
    const pre = keeps ? device.empty(y.shape) : null;
    const kind = activationKind(device, activation);
    const rounded = activations === 'int8' ? new RoundedRows(x, rows, depth, stride) : null;
    eachPart(parts, (w, first) => {
      const columns = (tensor: Tensor | null | undefined) => tensor?.columns(first, first + w.rows);
      const integers = Number(rounded !== null && w.format.scales !== undefined);
      const q = integers === 1 ? rounded?.of(w.format) : null;
      const strides = { xStride: stride, yStride: cols };
      const sizes = { rows, cols: w.rows, depth, ...strides, format: w.format.code, integers, activation: kind };
      const operands = { x, q, w: w.words, bias: columns(b), y: columns(y), pre: columns(pre), ...sizes };
      device.emit('quantizedLinear', operands, 2 * rows * w.rows * depth);
    });
    return differentiable(y, [x, b], (dy) => {
      const dz = throughActivation(dy, y, pre, activation);
      const dx = gradOf(x);
      if (dx) multiplyUnpacked(dz.reshape(-1, cols), parts, dx.tensor.reshape(-1, depth), dx.accumulate);
      if (b) broadcastGrad(b, dz);
    });
  });
}

/** Checks that x fits the parts and b. Returns the numbers of output features and of inputs. */
function checkShapes(x: Tensor, parts: readonly PackedMatrix[], b?: Tensor | null): [cols: number, depth: number] {
  for (const { words } of parts) words.assertUsable('quantizedLinear: w');
  checkDType('quantizedLinear', 'x', x, 'float32');
  const cols = parts.reduce((sum, { rows }) => sum + rows, 0);
  const depth = parts[0]?.cols ?? 0;
  if (x.shape.length === 0 || lastOf(x.shape) !== depth) {
    throw new ShapeError(
      `quantizedLinear: x is ${describeShape(x.shape)}, w is ${describeShape([cols, depth])}: ` +
        'the last dimension of both must be equal',
    );
  }
  if (b) {
    checkDType('quantizedLinear', 'b', b, 'float32');
    checkShape('quantizedLinear', 'b', b, [cols]);
  }
  return [cols, depth];
}

/** Computes tensor (+)= dz·w. It unpacks some features of w at a time. */
function multiplyUnpacked(dz: Tensor, parts: readonly PackedMatrix[], tensor: Tensor, accumulate: 0 | 1): void {
  let accumulates = accumulate;
  eachPart(parts, (w, first) => {
    for (let row = 0; row < w.rows; row += FEATURES) {
      const count = Math.min(FEATURES, w.rows - row);
      dz.device.scope(() => {
        const left = { x: dz.columns(first + row, first + row + count), transposed: false };
        product(left, { x: unpacked(w, row, count), transposed: false }, { tensor, accumulate: accumulates }, []);
      });
      accumulates = 1;
    }
  });
}

/** Calls `body` with each part and the number of features before it. */
function eachPart(parts: readonly PackedMatrix[], body: (part: PackedMatrix, first: number) => void): void {
  let first = 0;
  for (const part of parts) {
    body(part, first);
    first += part.rows;
  }
}

/** Rows of x, rounded to int8. Weights whose formats have the same layout of scales and offsets share them. */
class RoundedRows {
  readonly #made = new Map<string, Tensor>();

  constructor(
    readonly x: Tensor,
    readonly rows: number,
    readonly depth: number,
    readonly stride: number,
  ) {}

  /** Returns the rounded rows for a format. Null for a single short row, which the product itself rounds. */
  of(format: Format): Tensor | null {
    const { code, offset, scales, factorGroups } = format;
    const { x, rows, depth, stride } = this;
    const { device } = x;
    if (rows === 1 && depth <= device.constant('int8.maxHeld')) return null;
    const key = `${offset} ${scales} ${factorGroups}`;
    let q = this.#made.get(key);
    if (q === undefined) {
      q = device.empty([rows, roundedWords(format, device, depth)], 'int32');
      const sizes = { rows, depth, xStride: stride, format: code };
      device.emit('quantizeRows', { x, q, ...sizes }, rows * depth);
      this.#made.set(key, q);
    }
    return q;
  }
}

/** Returns the words of a row of `depth` inputs that is rounded for products with weights of a format. */
export function roundedWords({ scales }: Format, device: Device, depth: number): number {
  const [inGroup, inRun] = [device.constant('format.group'), device.constant('int8.runGroups')];
  const groups = Math.ceil(depth / inGroup);
  const runs = Math.ceil(groups / inRun);
  return (
    runs * inRun * device.constant('int8.groupWords') +
    (scales ? scales * groups : runs) * device.constant('int8.headWords')
  );
}
