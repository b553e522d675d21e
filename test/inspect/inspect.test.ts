import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError, ShapeError } from '../../src/core/errors.js';
import { modelCost } from '../../src/inspect/cost.js';
import { headStatistics } from '../../src/inspect/heads.js';
import { profile, renderProfile } from '../../src/inspect/profile.js';
import { type Curve, curvesSvg, heatMapGridSvg } from '../../src/inspect/svg.js';
import { Transformer } from '../../src/models/families/transformer.js';

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

const encoder = { encoderLayers: 1, decoderLayers: 0, dModel: 8, heads: 2, dFF: 16, sourceVocab: 5, maxLength: 32 };

describe('headStatistics', () => {
  it('distinguishes a previous-token head from a uniform one', async () => {
    const T = 8;
    const previous = Array.from({ length: T }, (_, q) =>
      Array.from({ length: T }, (_, k) => Number(k === Math.max(0, q - 1))),
    );
    const uniform = Array.from({ length: T }, () => Array<number>(T).fill(1 / T));
    const [first, second] = await headStatistics(device.tensor([[previous, uniform]]));
    expect(first).toEqual({ entropy: 0, distance: (T - 1) / T, previous: 1 });
    expect(second?.entropy).toBeCloseTo(3, 6);
    expect(second?.distance).toBeCloseTo((T * T - 1) / (3 * T), 5);
    expect(second?.previous).toBeCloseTo(1 / T, 6);
  });

  it('ignores padding', async () => {
    const [head] = await headStatistics(
      device.tensor([
        [
          [
            [1, 0],
            [0, 0],
          ],
        ],
      ]),
    );
    expect(head).toEqual({ entropy: 0, distance: 0, previous: 0 });
  });

  it('refuses invalid weights', async () => {
    const of = (shape: number[], ...weights: number[]) => headStatistics({ shape, data: Float32Array.from(weights) });
    await expect(of([2, 1, 2], 1, 0)).rejects.toThrow(ShapeError);
    await expect(of([2, 1, 2], 1, 0)).rejects.toThrow('2 weights do not fill [2, 1, 2]');
    await expect(of([1, 2], 1, 0)).rejects.toThrow('expected [batch, heads, queries, keys] or [heads, queries, keys]');
    await expect(of([2, 1, 2], 1, 0, 0, 0)).rejects.toThrow('head 1 has no weights');
    await expect(of([1, 1, 2], 1, Number.NaN)).rejects.toThrow('weight 1 is NaN, expected a finite number, 0 or more');
    await expect(of([1, 1, 2], 2, -1)).rejects.toThrow(ArgumentError);
  });
});

describe('modelCost', () => {
  it('counts parameters and products without running anything', () => {
    const model = new Transformer(device, encoder);
    const { parameters, forwardFlops } = modelCost(model, { source: 10 });
    const layer = 4 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 2 * 16;
    expect(parameters).toBe(5 * 8 + layer + 16 + (8 * 5 + 5));
    const products = 2 * 10 * (4 * 8 * 8 + 2 * 8 * 16 + 8 * 5);
    const attention = 2 * 2 * 10 * 10 * 8;
    expect(forwardFlops).toBeGreaterThanOrEqual(products + attention);
    expect(forwardFlops).toBeLessThan(1.3 * (products + attention));
  });

  it('ignores dropout, and does not change the dropout of later passes', () => {
    const model = new Transformer(device, { ...encoder, dropout: 0.5 });
    const cost = modelCost(model);
    expect(model.training).toBe(true);
    model.seedDropout(1);
    const expected = model.forward([[1, 2, 3]]).dataSync();
    model.seedDropout(1);
    expect(modelCost(model)).toEqual(cost);
    expect(model.forward([[1, 2, 3]]).dataSync()).toEqual(expected);
    expect(modelCost(model.eval())).toEqual(cost);
  });

  it('refuses lengths beyond maxLength before it makes a batch', () => {
    const model = new Transformer(device, encoder);
    for (const source of [model.config.maxLength + 1, 2 ** 31]) {
      expect(() => modelCost(model, { source })).toThrow(ShapeError);
      expect(() => modelCost(model, { source })).toThrow(`modelCost: ${source} tokens`);
    }
    expect(modelCost(model, { target: 2 ** 31 })).toEqual(modelCost(model)); // the model reads no target
  });
});

describe('profile', () => {
  it('accounts for every command and changes no result', async () => {
    const model = new Transformer(device, encoder).eval();
    const program = device.record(() => model.forward([[1, 2, 3, 4]]));
    program.run();
    const before = await program.result.data();
    const ops = profile(program);
    expect(ops.reduce((sum, { calls }) => sum + calls, 0)).toBe(program.commands.length);
    expect(ops.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(ops.find(({ op }) => op === 'matmul')?.gflopsPerSecond).toBeGreaterThan(0);
    expect(await program.result.data()).toEqual(before);
    expect(renderProfile(ops).split('\n')).toHaveLength(ops.length + 1);
    program.dispose();
  });
});

it('profile gives 0 if the clock measured no time', () => {
  const timing = { op: 'fill', milliseconds: 0, flops: 8, operands: [] };
  const [op] = profile({ profile: () => [timing] } as never);
  expect([op?.share, op?.gflopsPerSecond]).toEqual([0, 0]);
});

it('profile takes any number of runs, and reports the fastest', () => {
  let runs = 0;
  const program = { profile: () => [{ op: 'fill', milliseconds: 1 + (runs++ % 5), flops: 8, operands: [] }] };
  expect(profile(program as never, 200_000)[0]?.milliseconds).toBe(1);
  expect(runs).toBe(200_000);
});

describe('pictures', () => {
  it('draws a cell for each weight, with its meaning', () => {
    const maps = [{ title: 'layer 1, head <1>', weights: [1, 0, 0.25, 0.75] }];
    const drawn = heatMapGridSvg(maps, { queries: ['A', '&'], keys: ['x', 'y'] });
    expect(drawn.match(/<rect x=/g)).toHaveLength(4);
    expect(drawn).toContain('<title>&amp; → y: 0.750</title>');
    expect(drawn).toContain('head &lt;1&gt;');
    expect(() => heatMapGridSvg(maps, { queries: ['A'], keys: ['x'] })).toThrow(ArgumentError);
    const spoilt = [{ title: 'spoilt', weights: [Number.NaN] }];
    expect(() => heatMapGridSvg(spoilt, { queries: ['A'], keys: ['x'] })).toThrow("'spoilt': the weight of row 0");
    for (const columns of [0, -1, 1.5, Number.NaN]) {
      const draw = () => heatMapGridSvg(maps, { queries: ['A', '&'], keys: ['x', 'y'], columns });
      expect(draw).toThrow(ArgumentError);
      expect(draw).toThrow(`columns is ${columns}, expected a positive integer`);
    }
  });

  it('are valid XML for any text', () => {
    const text = (codes: number[]) => String.fromCharCode(...codes);
    const wrong = [...Array(0x20).keys()].filter((code) => ![9, 10, 13].includes(code)).concat(0xd800, 0xfffe, 0xffff);
    const title = `${text(wrong)}|\t\n\r|\u{1f600}é\ue000\ufffd|${text([0xdc00])}`;
    const drawn = heatMapGridSvg([{ title, weights: [1] }], { queries: ['a'], keys: ['b'] });
    const expected = `${'\ufffd'.repeat(wrong.length)}|\t\n\r|\u{1f600}é\ue000\ufffd|\ufffd`;
    expect(drawn).toContain(`>${expected}</text>`);
  });

  it('draws curves', () => {
    const drawn = curvesSvg(
      [
        {
          name: 'loss',
          points: [
            [1, 4],
            [2, 2],
            [3, Number.NaN],
            [4, 1],
          ],
        },
      ],
      { x: 'step', y: 'loss' },
    );
    expect(drawn.match(/<path d="M[^"]*L/g)).toHaveLength(1);
    const [all, none]: Curve[] = [
      {
        name: 'all',
        points: [
          [1, 1],
          [Number.NaN, 2],
          [Number.POSITIVE_INFINITY, 2],
          [2, 3],
        ] as const,
      },
      { name: 'none', points: [[Number.NaN, 1]] as const },
    ];
    expect(curvesSvg([all!, none!], { x: 'step', y: 'loss' })).not.toMatch(/NaN|Infinity|null/);
    expect(() => curvesSvg([none!], { x: 'a', y: 'b' })).toThrow(ArgumentError);
    expect(() => curvesSvg([{ name: 'none', points: [] }], { x: 'a', y: 'b' })).toThrow(ArgumentError);
  });
});
