import { differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkOneOf, checkOptions, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { type PackedMatrix, tileOf, unpacked } from './packed.js';
import { ACTIVATION_FORMATS, type ActivationFormat, roundedWords } from './quantized-linear.js';

/** Number of features whose weights are unpacked at a time during the backward pass. */
const FEATURES = 1024;

export interface QuantizedPerGroupOptions {
  /** See `QuantizedLinearOptions`. Default: 'float32'. */
  activations?: ActivationFormat | undefined;
}

/**
 * `groupedLinear` with a packed weight: x[r] · w[g]ᵀ for each row r of group g, float32 [rows, depth] → [rows, cols].
 * `x` and `offsets` are as there. `w`: [groups · cols, depth], made of consecutive `parts` of whole groups. Only groups
 * with rows are read. The bits of a row do not depend on the other rows. The gradient of x uses the unpacked weights;
 * the weights have no gradient. Throws ShapeError, DTypeError, ArgumentError.
 */
export function quantizedPerGroup(
  x: Tensor,
  parts: readonly PackedMatrix[],
  offsets: Tensor,
  options: QuantizedPerGroupOptions = {},
): Tensor {
  const { activations = 'float32' } = checkOptions('quantizedPerGroup', options, { activations: 'any' });
  checkOneOf('quantizedPerGroup', 'activations', activations, ACTIVATION_FORMATS);
  for (const { words } of parts) words.assertUsable('quantizedPerGroup: w');
  const device = checkDevice('quantizedPerGroup', { x, offsets });
  checkDType('quantizedPerGroup', 'x', x, 'float32');
  checkDType('quantizedPerGroup', 'offsets', offsets, 'int32');
  const { rows, depth, cols } = sizesOf(x, parts, offsets);
  return device.scope(() => {
    const [left, y] = [contiguous(x), device.empty([rows, cols])];
    eachPart(parts, offsets, cols, (w, of) => {
      const { code, scales } = w.format;
      const sizes = { offsets: of, rows, depth, groups: w.rows / cols, format: code };
      const integers = activations === 'int8' && scales !== undefined;
      const q = integers ? device.empty([rows, roundedWords(w.format, device, depth)], 'int32') : null;
      if (q) device.emit('quantizeGroups', { x: left, q, ...sizes }, rows * depth);
      const tile = tileOf(device); // groups that do not fill whole tiles share tiles
      const wide = cols % tile === 0 ? null : device.empty([rows, (Math.ceil(cols / tile) + 1) * tile]);
      const operands = { x: left, q, w: w.words, y, wide, ...sizes, cols, integers: Number(integers) };
      device.emit('groupedQuantizedLinear', operands, 2 * rows * cols * depth);
    });
    const backward = (dy: Tensor) => {
      const dx = gradOf(left);
      if (!dx) return;
      eachPart(parts, offsets, cols, (w, of) => multiplyUnpacked(dy, w, of, dx.tensor, dx.accumulate));
    };
    return differentiable(y, [left], backward, [offsets]);
  });
}

/** Calls `body` with each part and the offsets of its groups. */
function eachPart(
  parts: readonly PackedMatrix[],
  offsets: Tensor,
  cols: number,
  body: (w: PackedMatrix, offsets: Tensor) => void,
): void {
  let first = 0;
  for (const w of parts) {
    const groups = w.rows / cols;
    body(w, parts.length === 1 ? offsets : offsets.columns(first, first + groups + 1));
    first += groups;
  }
}

/** Computes dx (+)= dy · w of each row's group. It unpacks some groups of w at a time. */
function multiplyUnpacked(dy: Tensor, w: PackedMatrix, offsets: Tensor, dx: Tensor, accumulate: 0 | 1): void {
  const { device } = dy;
  const [rows, cols] = dy.shape as readonly [number, number];
  const groups = w.rows / cols;
  const groupsAtOnce = Math.max(1, Math.floor(FEATURES / cols));
  for (let first = 0; first < groups; first += groupsAtOnce) {
    const count = Math.min(groupsAtOnce, groups - first);
    device.scope(() => {
      const matrices = unpacked(w, first * cols, count * cols);
      const some = { offsets: offsets.columns(first, first + count + 1), groups: count, transposed: 0, accumulate };
      const sizes = { rows, depth: cols, cols: w.cols, wStride: w.cols, wStep: cols * w.cols };
      device.emit('groupedLinear', { x: dy, w: matrices, y: dx, ...sizes, ...some }, rows * cols * w.cols);
    });
  }
}

function sizesOf(x: Tensor, parts: readonly PackedMatrix[], offsets: Tensor) {
  const [rows, depth] = x.shape as readonly [number, number];
  const groups = (offsets.shape[0] ?? 0) - 1;
  const [features, inputs] = [parts.reduce((sum, { rows }) => sum + rows, 0), parts[0]?.cols ?? 0];
  const cols = features / groups;
  const fits = x.shape.length === 2 && offsets.shape.length === 1 && groups >= 1 && depth === inputs;
  if (!fits || !Number.isInteger(cols) || parts.some((w) => w.rows % cols !== 0 || w.cols !== inputs)) {
    const shapes = [x.shape, [features, inputs], offsets.shape].map(describeShape);
    throw new ShapeError(
      `quantizedPerGroup: x is ${shapes[0]}, w is ${shapes[1]}, offsets is ${shapes[2]}, expected [rows, depth], ` +
        '[groups · cols, depth] and [groups + 1]',
    );
  }
  return { rows, depth, cols };
}
