// Ops on images and sequences, and batch normalization, beside what torch computes in float64 (make_images.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { BatchNorm, Initializer } from '../../src/nn/index.js';
import * as ops from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

interface Values {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
type Named<T> = Readonly<Record<string, T>>;
interface Case {
  readonly op: string;
  readonly options: Named<never>;
  /** Number of terms in the longest sum. */
  readonly terms: number;
  readonly inputs: Named<Values>;
  readonly output: Values;
  readonly grads: Named<Values>;
}

interface NormCase {
  readonly name: string;
  readonly channels: number;
  readonly options: object;
  readonly state: Named<Values>;
  readonly steps: readonly {
    readonly training: boolean;
    readonly x: Values;
    readonly output: Values;
    readonly grads: Named<Values>;
    readonly state: Named<Values>;
  }[];
}
const lines = readFileSync(new URL('./images.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { case?: Case; norm?: NormCase });
const cases = lines.flatMap((line) => line.case ?? []);
const norms = lines.flatMap((line) => line.norm ?? []);

type Compute = (inputs: Named<Tensor>, options: Named<never>) => Tensor;
const call: Readonly<Record<string, Compute>> = {
  convTranspose1d: ({ x, w, bias }, options) => ops.convTranspose1d(x!, w!, bias ?? null, options),
  convTranspose2d: ({ x, w, bias }, options) => ops.convTranspose2d(x!, w!, bias ?? null, options),
  maxPool1d: ({ x }, { kernel, ...options }) => ops.maxPool1d(x!, kernel!, options),
  maxPool2d: ({ x }, { kernel, ...options }) => ops.maxPool2d(x!, kernel!, options),
  avgPool1d: ({ x }, { kernel, ...options }) => ops.avgPool1d(x!, kernel!, options),
  avgPool2d: ({ x }, { kernel, ...options }) => ops.avgPool2d(x!, kernel!, options),
  adaptiveAvgPool1d: ({ x }, { size, ...options }) => ops.adaptiveAvgPool1d(x!, size!, options),
  adaptiveAvgPool2d: ({ x }, { size, ...options }) => ops.adaptiveAvgPool2d(x!, size!, options),
  interpolate: ({ x }, options) => ops.interpolate(x!, options),
  pixelShuffle: ({ x }, { factor, ...options }) => ops.pixelShuffle(x!, factor!, options),
  pixelUnshuffle: ({ x }, { factor, ...options }) => ops.pixelUnshuffle(x!, factor!, options),
  pad: ({ x }, { sizes, ...options }) => ops.pad(x!, sizes!, options),
  roll: ({ x }, { shifts, axes }) => ops.roll(x!, shifts!, axes!),
  gridSample: ({ x, grid }, options) => ops.gridSample(x!, grid!, options),
};
const hasLayouts = (op: string) => op !== 'pad' && op !== 'roll';

/** [B, C, ...] → [B, ..., C], or back. */
function toLast(x: Tensor): Tensor {
  return ops.permute(x, [0, ...x.shape.slice(2).map((_, d) => d + 2), 1]);
}
function toFirst(x: Tensor): Tensor {
  return ops.permute(x, [0, x.shape.length - 1, ...x.shape.slice(2).map((_, d) => d + 1)]);
}

const upstreamOf = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.cos(1.3 * i + 0.2));

function compare(what: string, actual: ArrayLike<number>, { values }: Values, terms: number): void {
  assertClose(what, actual, values, (i) => allowedError(terms, Math.abs(values[i]!) + largest(values)));
}

const named = cases.map((each) => [`${each.op} ${JSON.stringify(each.options)}`, each] as const);
for (const isa of isas)
  describe.each(isa === isas[0] ? [1, 3] : [1])(`${isa}, %d threads`, (threads) => {
    it.each(named)('%s', async (_, { op, options, terms, inputs, output, grads }) => {
      const device = await deviceFor(isa, threads);
      for (const channelsLast of hasLayouts(op) ? [false, true] : [false]) {
        const where = channelsLast ? 'channels last: ' : '';
        const tensors = Object.fromEntries(
          Object.entries(inputs).map(([name, { shape, values }]) => {
            return [name, device.tensor([...values], shape, { requiresGrad: true })];
          }),
        );
        const y = device.scope(() => {
          if (!channelsLast) return call[op]!(tensors, options);
          return toFirst(call[op]!({ ...tensors, x: toLast(tensors.x!) }, { ...options, channelsLast: true as never }));
        });
        expect(y.shape, where).toEqual(output.shape);
        compare(`${where}output`, y.dataSync(), output, terms);
        y.backward(upstreamOf(y.size));
        for (const [name, grad] of Object.entries(grads))
          compare(`${where}gradient of ${name}`, tensors[name]!.grad!.dataSync(), grad, terms);
        for (const tensor of [y, ...Object.values(tensors)]) tensor.dispose();
      }
    });
  });

describe('BatchNorm', async () => {
  const device = await deviceFor(isas[0]!, 2);
  const statesOf = (module: BatchNorm) => Object.entries(module.stateDict());
  it.each(norms.flatMap((norm) => [false, true].map((last) => [norm.name, last, norm] as const)))(
    '%s, channels last: %s',
    (_, channelsLast, { channels, options, state, steps }) => {
      const module = new BatchNorm(new Initializer(device, 1), channels, { ...options, channelsLast } as object);
      const given = Object.entries(state).map(([name, { values, shape }]) => {
        return [name, { shape, data: Float32Array.from(values) }] as const;
      });
      expect(statesOf(module).map(([name, { shape }]) => [name, shape])).toEqual(
        given.map(([name, { shape }]) => [name, shape]),
      );
      module.loadStateDict(new Map(given));
      for (const { training, x: input, output, grads, state: after } of steps) {
        module.train(training);
        const x = device.tensor([...input.values], input.shape, { requiresGrad: true });
        const y = device.scope(() => (channelsLast ? toFirst(module.forward(toLast(x))) : module.forward(x)));
        const terms = 4 * x.size; // means, deviations from them, and the sums of their gradients
        compare('output', y.dataSync(), output, terms);
        y.backward(upstreamOf(y.size));
        const { x: dx, ...others } = grads;
        compare('gradient of x', x.grad!.dataSync(), dx!, terms);
        const own = module.gradientDict();
        expect(Object.keys(own)).toEqual(Object.keys(others));
        for (const [name, grad] of Object.entries(others))
          compare(`gradient of ${name}`, own[name]!.dataSync(), grad, terms);
        for (const parameter of module.parameters()) parameter.grad?.dispose();
        for (const [name, values] of Object.entries(after))
          compare(name, module.stateDict()[name]!.dataSync(), values, terms);
      }
      module.dispose();
    },
  );

  it('refuses a batch of one value in training', () => {
    const module = new BatchNorm(new Initializer(device, 1), 2);
    expect(() => module.forward(device.zeros([1, 2]))).toThrow('one value for each channel');
    expect(() => module.forward(device.zeros([2, 3, 4]))).toThrow('BatchNorm: x is [2, 3, 4], expected [2, 2, 4]');
    expect(module.eval().forward(device.zeros([1, 2])).shape).toEqual([1, 2]);
  });
});

describe('misuse', async () => {
  const device = await deviceFor(isas[0]!, 1);
  const image = device.zeros([1, 4, 5, 5]);
  const kernel = device.zeros([4, 2, 2, 2]);
  it.each([
    [() => ops.convTranspose2d(image, kernel, null, { outputPadding: 1 }), 'outputPadding is 1, expected less than'],
    [() => ops.convTranspose2d(image, kernel, null, { padding: 3 }), 'with padding 3 the result has no elements'],
    [() => ops.convTranspose2d(image, device.zeros([3, 2, 2, 2])), 'the first dimension of w must be the 4 channels'],
    [() => ops.convTranspose1d(image, kernel), 'expected x [B, C, T] and w [C, out / groups, k]'],
    [() => ops.maxPool2d(image, 2, { padding: 2 }), 'padding is 2, expected at most half of 2'],
    [() => ops.avgPool2d(image, 6), 'smaller than a window of 6'],
    [() => ops.maxPool2d(image, 0), 'kernel is 0, expected a positive integer'],
    [() => ops.interpolate(image, {}), 'size and scaleFactor are both given or both missing'],
    [() => ops.interpolate(image, { size: 3, mode: 'linear' }), 'mode is linear, but x is [1, 4, 5, 5]'],
    [() => ops.interpolate(image, { scaleFactor: 0.1 }), 'scaleFactor 0.1 leaves nothing of 5'],
    [() => ops.pixelShuffle(image, 3), 'expected a multiple of 3² channels'],
    [() => ops.pad(image, [1]), 'sizes has 1 items, expected pairs'],
    [() => ops.pad(image, [-3, -3]), 'nothing remains'],
    [() => ops.roll(image, [1, 2], 0), 'there are 2 shifts and 1 axes'],
    [() => ops.gridSample(image, device.zeros([2, 1, 1, 2])), 'expected x [B, C, H, W] and grid'],
  ])('%s', (act, message) => expect(act).toThrow(message));

  it('positions that are NaN give zeros, or the border', () => {
    const x = device.tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    const grid = device.tensor([Number.NaN, 0, 0, Number.POSITIVE_INFINITY, -3e38, 9], [1, 3, 1, 2]);
    expect([...ops.gridSample(x, grid).dataSync()]).toEqual([0, 0, 0]);
    expect([...ops.gridSample(x, grid, { paddingMode: 'border' }).dataSync()]).toEqual([2, 3.5, 3]);
  });
});
