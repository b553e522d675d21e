import { describe, expect, it } from 'vitest';
import { CommandError } from '../../src/index.js';
import { rotaryAngles } from '../../src/nn/index.js';
import { rotary } from '../../src/ops/index.js';
import { rotaryTable } from '../../src/ops/rotary.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { sizeOf } from '../random.js';
import { build, lastOf } from '../reference/reals.js';

interface Sizes {
  readonly rows: readonly number[];
  readonly heads: number;
  readonly width: number;
  readonly columns?: number;
  readonly headSize?: number;
  readonly positions?: false;
  readonly layout?: 'interleaved' | 'halves';
}

const layouts = ['interleaved', 'halves'] as const;
const cases: Sizes[] = [
  ...layouts.flatMap((layout) =>
    [2, 6, 14, 16, 18, 32, 34, 64, 66].map((width) => ({ rows: [3], heads: 2, width, layout })),
  ),
  ...layouts.map((layout) => ({ rows: [2, 5], heads: 5, width: 6, columns: 18, layout })),
  { rows: [4], heads: 1, width: 8, columns: 0 },
  { rows: [700], heads: 4, width: 32 },
  ...layouts.flatMap((layout) =>
    [
      [2, 3],
      [6, 20],
      [16, 33],
      [32, 64],
      [18, 96],
    ].map(([width, headSize]) => ({ rows: [3], heads: 3, width: width!, headSize: headSize!, layout })),
  ),
  ...layouts.map((layout) => ({ rows: [5], heads: 6, width: 4, headSize: 10, columns: 30, layout })),
  { rows: [2, 3], heads: 2, width: 6, positions: false },
  { rows: [6], heads: 2, width: 6, headSize: 9, positions: false, layout: 'halves' },
];

describeOp({
  name: 'rotary',
  cases,
  inputs({ rows, heads, width, headSize = width, layout, positions }, random) {
    const length = positions === false ? sizeOf(rows) : 7;
    return {
      x: random.normal([...rows, heads * headSize]),
      positions: positions === false ? null : random.integers(rows, length),
      table: { shape: [length, 2 * width], data: rotaryAngles(length, width, { layout }) },
    };
  },
  forward: ({ x, positions, table }, { columns, headSize, layout }) =>
    rotary(x, positions, table, { columns, headSize, layout }),
  reference({ x, positions, table }, { width, headSize = width, columns = lastOf(x.shape), layout = 'interleaved' }) {
    const cols = lastOf(x.shape);
    return build(x.shape, (i) => {
      const j = i % cols;
      const feature = j % headSize;
      if (j >= columns || feature >= width) return x.data[i]!;
      const place = Math.floor(i / cols);
      const row = (positions === null ? place : positions.data[place]!) * 2 * width;
      const half = width / 2;
      const partner = layout === 'halves' ? (feature + half) % width : feature ^ 1;
      const [cosine, sine] = [table.data[row + feature]!, table.data[row + width + feature]!];
      return x.data[i]! * cosine + x.data[i - feature + partner]! * sine;
    });
  },
  gradients: ['x'],
  tolerance: () => 2,
});

describe('rotary', () => {
  it.each(layouts)('makes products of queries and keys depend only on their distance: %s', async (layout) => {
    const device = await deviceFor(isas[0]!, 1);
    const [features, length] = [10, 40];
    const table = device.tensor(rotaryAngles(length, features, { layout }), [length, 2 * features]);
    const [q, k] = [3, 5].map((n) => Float32Array.from({ length: features }, (_, i) => Math.sin(n * i + 1)));
    const everywhere = async (x: Float32Array) => {
      const rows = device.tensor(Float32Array.from({ length: length * features }, (_, i) => x[i % features]!));
      const positions = device.tensor(Int32Array.from({ length }, (_, i) => i));
      return rotary(rows.reshape(length, features), positions, table, { layout }).data();
    };
    const [queries, keys] = [await everywhere(q!), await everywhere(k!)];
    const product = (m: number, n: number) =>
      q!.reduce((sum, _, i) => sum + queries[m * features + i]! * keys[n * features + i]!, 0);
    for (const distance of [0, 1, 7]) {
      const products = [0, 3, 29].map((start) => product(start, start + distance));
      for (const each of products) expect(each).toBeCloseTo(products[0]!, 5);
    }
    expect(product(0, 1)).not.toBeCloseTo(product(1, 0), 3);
    expect(queries.subarray(0, features)).toEqual(q); // the first position turns nothing
  });

  it('rotates pairs by the angles of the paper, or any others', () => {
    const angle = (i: number) => 3 / 10000 ** ((2 * i) / 6);
    const interleaved = rotaryAngles(4, 6).subarray(36);
    const halves = rotaryAngles(4, 6, { layout: 'halves' }).subarray(36);
    for (const i of [0, 1, 2]) {
      const [cosine, sine] = [Math.fround(Math.cos(angle(i))), Math.fround(Math.sin(angle(i)))];
      expect([0, 1, 6, 7].map((at) => interleaved[2 * i + at])).toEqual([cosine, cosine, -sine, sine]);
      expect([0, 3, 6, 9].map((at) => halves[i + at])).toEqual([cosine, cosine, -sine, sine]);
    }
    expect(rotaryAngles(1, 2, { frequencies: [0.5], firstPosition: 2 })[0]).toBe(Math.fround(Math.cos(1)));
    expect(() => rotaryAngles(1, 3)).toThrow('rotaryAngles: features is 3, expected an even number');
  });

  it('a position outside its table fails the run, gives a row of zeros, and the device stays usable', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const table = device.tensor(rotaryAngles(2, 2), [2, 4]);
    for (const position of [2, -1]) {
      const y = rotary(device.tensor([1, 2, 3, 4], [2, 2]), device.tensor(Int32Array.of(0, position)), table);
      await expect(y.data()).rejects.toThrow(CommandError);
      expect([...(await y.data())]).toEqual([1, 2, 0, 0]);
    }
  });

  it('names the shapes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, positions] = [device.zeros([2, 8]), device.zeros([2], 'int32')];
    const table = device.zeros([3, 8]);
    expect(() => rotary(x, device.zeros([3], 'int32'), table)).toThrow('rotary: positions is [3], expected [2]');
    expect(() => rotary(x, positions, device.zeros([3, 6]))).toThrow('rotary: table is [3, 6], expected [length, 2·d]');
    expect(() => rotary(device.zeros([2, 6]), positions, table)).toThrow('columns is 6, expected a multiple of 4');
    expect(() => rotary(x, positions, table, { columns: 12 })).toThrow('columns is 12, expected a multiple of 4');
    expect(() => rotary(x, positions, table, { layout: 'thirds' as 'halves' })).toThrow('layout');
    expect(() => rotary(x, positions, table, { headSize: 3 })).toThrow('headSize is 3, expected a whole number from 4');
    expect(() => rotary(x, positions, table, { headSize: 6 })).toThrow('columns is 8, expected a multiple of 6');
    expect(() => rotary(x, positions, table, { rotaryDim: 2 } as object)).toThrow('there is no option rotaryDim');
    expect(() => rotary(x, undefined as never, table)).toThrow('rotary: positions is undefined, expected a tensor');
    expect(() => rotary(x, null, table)).toThrow('must have a row for each of the 2 of x');
  });

  it.each(layouts)('makes its table of cosines and sines of pairs: %s', async (layout) => {
    const device = await deviceFor(isas[0]!, 1);
    const angle = (row: number, i: number) => row * 10000 ** ((-2 * i) / 6);
    const angles = Float64Array.from({ length: 15 }, (_, i) => angle(Math.floor(i / 3), i % 3));
    const [cos, sin] = [Math.cos, Math.sin].map((f) => device.tensor(Float32Array.from(angles, f), [5, 1, 3]));
    const table = rotaryTable(cos!, sin!, { layout });
    expect(table.shape).toEqual([5, 12]);
    expect(await table.data()).toEqual(rotaryAngles(5, 6, { layout }));
    expect(() => rotaryTable(cos!, table)).toThrow('rotaryTable: sin is [5, 12], expected [5, 1, 3]');
  });
});
