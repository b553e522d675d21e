import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { type Conv2dOptions, conv1d, conv2d } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { type Random, sizeOf } from '../random.js';
import { conv2d as reference } from '../reference/conv.js';
import { build, type Reals } from '../reference/reals.js';

interface Sizes extends Conv2dOptions {
  /** [B, C, H, W] or [B, C, T]; the tests of channels last reorder it. */
  readonly x: readonly number[];
  /** [out, C / groups, ...]. */
  readonly w: readonly number[];
  readonly bias?: false;
}

/** [B, C, ...] → [B, ..., C], or back. */
function transposed({ shape, data }: Reals, back = false): Reals {
  const space = back ? shape.slice(1, -1) : shape.slice(2);
  const [batch, channels] = [shape[0]!, back ? shape.at(-1)! : shape[1]!];
  const positions = sizeOf(space);
  const [outer, inner] = back ? [channels, positions] : [positions, channels];
  return build(back ? [batch, channels, ...space] : [batch, ...space, channels], (i) => {
    const [a, b, image] = [Math.floor(i / inner) % outer, i % inner, Math.floor(i / inner / outer)];
    return data[(image * inner + b) * outer + a]!;
  });
}

/** Computes by conv2d on images; sequences have height 1. */
function expected({ x, w, bias }: { x: Reals; w: Reals; bias: Reals | null }, sizes: Sizes): Reals {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, channelsLast = false } = sizes;
  const first = channelsLast ? transposed(x, true) : x;
  const isSequence = w.shape.length === 3;
  const image = (of: Reals): Reals =>
    isSequence ? { shape: [of.shape[0]!, of.shape[1]!, 1, of.shape[2]!], data: of.data } : of;
  const pair = (of: number | readonly [number, number], none: number): readonly [number, number] =>
    typeof of === 'number' ? [isSequence ? none : of, of] : of;
  const geometry = { stride: pair(stride, 1), padding: pair(padding, 0), dilation: pair(dilation, 1), groups };
  const y = reference(image(first), image(w), bias, geometry);
  const shaped = isSequence ? { shape: y.shape.toSpliced(2, 1), data: y.data } : y;
  return channelsLast ? transposed(shaped) : shaped;
}

const sequences: Sizes[] = [
  { x: [1, 1, 1], w: [1, 1, 1] },
  { x: [2, 3, 17], w: [4, 3, 3] },
  { x: [2, 3, 17], w: [4, 3, 3], padding: 1 },
  { x: [1, 5, 33], w: [7, 5, 3], stride: 2, padding: 1 },
  { x: [3, 4, 20], w: [6, 4, 4], stride: 4 },
  { x: [2, 4, 19], w: [6, 4, 5], stride: 5 },
  { x: [2, 3, 16], w: [5, 3, 1] },
  { x: [2, 4, 31], w: [6, 2, 3], groups: 2, padding: 2, dilation: 2 },
  { x: [2, 17, 12], w: [17, 1, 4], groups: 17, padding: 3, bias: false },
  { x: [1, 2, 5], w: [4, 1, 5], groups: 2, padding: 7, stride: 3 },
  { x: [1, 33, 40], w: [16, 33, 3], padding: 1, bias: false },
];
const images: Sizes[] = [
  { x: [2, 3, 8, 9], w: [4, 3, 3, 3], padding: 1 },
  { x: [1, 2, 7, 20], w: [3, 2, 3, 2], stride: [2, 3], padding: [1, 0], dilation: [1, 2] },
  { x: [2, 3, 8, 12], w: [10, 3, 4, 4], stride: 4 },
  { x: [1, 4, 5, 6], w: [8, 1, 3, 3], groups: 4, padding: 1, bias: false },
  { x: [1, 6, 5, 6], w: [4, 3, 2, 2], groups: 2, stride: 2 },
  { x: [2, 3, 4, 5], w: [4, 3, 1, 1] },
  { x: [1, 1, 34, 18], w: [2, 1, 5, 5], padding: [4, 2], dilation: [3, 1], stride: [1, 2] },
];
const last = (sizes: Sizes): Sizes => ({ ...sizes, channelsLast: true });

const shared = {
  inputs: ({ x, w, bias, channelsLast }: Sizes, random: Random) => ({
    x: random.normal(channelsLast ? [x[0]!, ...x.slice(2), x[1]!] : x),
    w: random.normal(w),
    bias: bias === false ? null : random.normal([w[0]!]),
  }),
  reference: expected,
  gradients: ['x', 'w', 'bias'] as const,
  tolerance: ({ x, w }: Sizes) => Math.max(sizeOf(w.slice(1)) + 1, (x[0]! * sizeOf(x)) / x[1]!, 4 * sizeOf(w)),
};
type Inputs = { readonly x: Tensor; readonly w: Tensor; readonly bias: Tensor | null };
const optionsOf = ({ stride, padding, dilation, groups, channelsLast }: Sizes) => ({
  stride,
  padding,
  dilation,
  groups,
  channelsLast,
});

describeOp({
  name: 'conv1d',
  cases: [...sequences, ...sequences.map(last)],
  forward: ({ x, w, bias }: Inputs, sizes: Sizes) => conv1d(x, w, bias, optionsOf(sizes) as object),
  ...shared,
});

describeOp({
  name: 'conv2d',
  cases: [...images, ...images.map(last)],
  forward: ({ x, w, bias }: Inputs, sizes: Sizes) => conv2d(x, w, bias, optionsOf(sizes)),
  ...shared,
});

describe('convolutions', () => {
  it('takes no memory for patches that are contiguous in the input', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, w] = [device.zeros([2, 64, 32]), device.zeros([8, 32, 4])];
    device.resetPeak();
    const before = device.memory().used;
    const y = device.noGrad(() => conv1d(x, w, null, { stride: 4, channelsLast: true }));
    // The weights in another order and the result, with what allocations are rounded to.
    expect(device.memory().peak - before).toBeLessThan(4 * (w.size + y.size) + 4 * 64);
    expect(y.shape).toEqual([2, 16, 8]);
  });

  it('names the shapes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, w, image] = [device.zeros([2, 4, 9]), device.zeros([6, 4, 3]), device.zeros([1, 3, 5, 5])];
    expect(() => conv1d(device.zeros([4, 9]), w)).toThrow(
      'conv1d: x is [4, 9], w is [6, 4, 3]: expected x [B, C, T] and w [out, C / groups, k]',
    );
    expect(() => conv2d(image, w, null, { channelsLast: true })).toThrow(
      'conv2d: x is [1, 3, 5, 5], w is [6, 4, 3]: expected x [B, H, W, C] and w [out, C / groups, kh, kw]',
    );
    expect(() => conv1d(x, w, device.zeros([5]))).toThrow('conv1d: bias is [5], expected [6]');
    expect(() => conv1d(x, device.zeros([6, 3, 3]))).toThrow('of 4 channels in 1 groups, the second dimension of w');
    expect(() => conv1d(x, w, null, { groups: 3 })).toThrow('conv1d: groups is 3, expected a divisor of 4 channels');
    expect(() => conv1d(x, w, null, { dilation: 5 })).toThrow(
      'with padding 0 the input is smaller than the kernel with dilation 5',
    );
    expect(() => conv1d(x, w, null, { stride: 0 })).toThrow('conv1d: stride is 0, expected a positive integer');
    expect(() => conv1d(x, w, null, { stride: [1, 1] } as object)).toThrow('expected a positive integer');
    expect(() => conv2d(image, device.zeros([1, 3, 2, 2]), null, { padding: [1, -1] })).toThrow(
      'conv2d: padding is an array, expected an integer, 0 or more, or two of them',
    );
    expect(() => conv2d(image, image, null, { pading: 1 } as object)).toThrow('conv2d: there is no option pading');
    expect(() => conv1d(device.zeros([2, 4, 9], 'int32'), w)).toThrow('conv1d: x is int32, expected float32');
  });
});
