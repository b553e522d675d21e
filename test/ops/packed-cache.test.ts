// Caches of 16 and 8 bits: what is written into them, and attention that reads them.

import { describe, expect, it } from 'vitest';
import { ArgumentError, type Device, DTypeError, ShapeError } from '../../src/index.js';
import { toHalf } from '../../src/io/half.js';
import { attention } from '../../src/ops/index.js';
import { type CacheType, cacheAppend, cacheFill, cacheWords, cacheWrite } from '../../src/ops/kv-cache.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';

const packed = ['float16', 'int8'] as const;
const bits = new DataView(new ArrayBuffer(4));

/** The float whose upper half this is. */
function upper(half: number): number {
  bits.setUint32(0, half * 65536);
  return bits.getFloat32(0);
}

/** Bytes of a group, and the upper half of their scale: the least one by which none exceeds 127. */
function bytesOf(group: readonly number[]): { bytes: number[]; scale: number } {
  const max = Math.max(...group.map(Math.abs));
  if (max < 2 ** -100) return { bytes: group.map(() => 0), scale: 0 };
  bits.setFloat32(0, Math.fround(max / 127));
  const scale = (bits.getUint32(0) + 0xffff) >>> 16;
  const inverse = Math.fround(1 / upper(scale));
  return { bytes: group.map((x) => Math.sign(x) * Math.round(Math.abs(Math.fround(x * inverse)))), scale };
}

/** Bytes of a head of a row in the cache. */
function headBytes(type: (typeof packed)[number], head: Float32Array): Uint8Array {
  const cells = Math.ceil(head.length / 16) * 16;
  if (type === 'float16') {
    const halves = new Uint16Array(cells);
    halves.set(toHalf(head));
    return new Uint8Array(halves.buffer);
  }
  const scales = Math.ceil(cells / 32);
  const all = new DataView(new ArrayBuffer(Math.ceil((cells + 2 * scales) / 4) * 4));
  for (let d = 0; d < head.length; d += 32) {
    const { bytes, scale } = bytesOf(Array.from(head.subarray(d, d + 32)));
    for (const [i, byte] of bytes.entries()) all.setInt8(d + i, byte);
    all.setUint16(cells + d / 16, scale, true);
  }
  return new Uint8Array(all.buffer);
}

interface Sizes {
  readonly batch: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
}

/** Keys and values as a cache keeps them, and as the floats they were. */
function makeCache(device: Device, type: CacheType, { batch, keys, kvHeads, width }: Sizes, seed = 'cache') {
  const cols = 2 * kvHeads * width;
  const { data } = new Random(seed).normal([batch * keys, cols]);
  const words = 2 * kvHeads * cacheWords(device, { type, headSize: width });
  const cache = device.zeros([batch, keys, words], type === 'float32' ? 'float32' : 'int32');
  const format = { type, headSize: width };
  cacheFill(cache, device.tensor(data, [batch * keys, cols]), device.tensor(new Int32Array(batch).fill(keys)), format);
  return { data, k: cache.columns(0, words / 2), v: cache.columns(words / 2, words), cache };
}

/** Outputs in float64 for one query at the end of each item, and their tolerance for an `error` in k and v. */
function reference(q: Float32Array, data: Float32Array, sizes: Sizes, errorOf: (group: Float32Array) => number) {
  const { batch, keys, heads, kvHeads, width } = sizes;
  const [outputs, bounds]: [number[], number[]] = [[], []];
  const head = (b: number, j: number, h: number) => {
    const at = ((b * keys + j) * 2 * kvHeads + h) * width;
    return data.subarray(at, at + width);
  };
  const errors = (values: Float32Array) => {
    const ofGroup = Array.from({ length: Math.ceil(width / 32) }, (_, g) =>
      errorOf(values.subarray(32 * g, 32 * g + 32)),
    );
    return Array.from(values, (_, d) => ofGroup[Math.floor(d / 32)] as number);
  };
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const query = q.subarray((b * heads + h) * width, (b * heads + h + 1) * width);
      const of = Math.floor(h / (heads / kvHeads));
      const scores: number[] = [];
      let worst = 0; // worst error of a score
      for (let j = 0; j < keys; j++) {
        const key = head(b, j, of);
        const off = errors(key);
        scores.push(query.reduce((sum, x, d) => sum + x * (key[d] as number), 0) / Math.sqrt(width));
        const sum = query.reduce((total, x, d) => total + Math.abs(x) * (off[d] as number), 0) / Math.sqrt(width);
        worst = Math.max(worst, sum);
      }
      const max = Math.max(...scores);
      const powers = scores.map((score) => Math.exp(score - max));
      const total = powers.reduce((a, x) => a + x, 0);
      const valueErrors = powers.map((_, j) => errors(head(b, j, kvHeads + of)));
      for (let d = 0; d < width; d++) {
        let [y, size, off] = [0, 0, 0];
        for (let j = 0; j < keys; j++) {
          const value = head(b, j, kvHeads + of);
          const p = (powers[j] as number) / total;
          y += p * (value[d] as number);
          size += p * Math.abs(value[d] as number);
          off += p * (valueErrors[j]?.[d] as number);
        }
        outputs.push(y);
        // Probabilities are off by a factor of e^(±2·worst), values by `off`.
        bounds.push(Math.expm1(2 * worst) * (size + off) + off);
      }
    }
  }
  return { outputs, bounds };
}

/** The allowed error of a feature after packing. */
const errorOf = {
  float16: (group: Float32Array) => Math.max(...group.map(Math.abs)) * 2 ** -11,
  int8: (group: Float32Array) => (Math.max(...group.map(Math.abs)) / 254) * (1 + 2 ** -7), // a scale has 8 bits
};

describe.each(isas)('a packed cache, %s', (isa) => {
  it.each(packed)('%s: packs rows like the reference', async (type) => {
    const device = await deviceFor(isa, 2);
    for (const width of [1, 8, 20, 32, 40, 64, 80]) {
      const words = cacheWords(device, { type, headSize: width });
      const { data } = new Random('rows').normal([3, 2 * width]);
      data.set([0, 1e-40, -3e38, 1e-3].slice(0, width));
      data.fill(0, 2 * width, 3 * width); // a head of zeros
      const cache = device.zeros([3, 4, 2 * words], 'int32');
      const x = device.tensor(data, [3, 2 * width]);
      cacheAppend(cache, x, device.tensor(Int32Array.of(3, 0, 2)), { type, headSize: width });
      const expected = new Uint8Array(3 * 4 * 2 * words * 4);
      [3, 0, 2].forEach((slot, row) => {
        for (const head of [0, 1]) {
          const at = row * 2 * width + head * width;
          expected.set(headBytes(type, data.subarray(at, at + width)), ((row * 4 + slot) * 2 + head) * words * 4);
        }
      });
      const found = (await cache.data()) as Int32Array;
      expect(Array.from(new Uint8Array(found.buffer, found.byteOffset, found.byteLength))).toEqual(
        Array.from(expected),
      );
      const written = device.zeros([2, 4, 2 * words], 'int32');
      cacheWrite(written, x, { row: 1, slot: 1 }, { type, headSize: width });
      const row = (of: Int32Array, slot: number) => Array.from(of.subarray(slot * 2 * words, (slot + 1) * 2 * words));
      const all = (await written.data()) as Int32Array;
      [3, 4 + 0, 8 + 2].forEach((slot, t) => {
        expect(row(all, 5 + t)).toEqual(row(found, slot));
      });
    }
  });

  it('int8: a group with infinity or NaN gives NaN', async () => {
    const device = await deviceFor(isa, 1);
    for (const bad of [Infinity, Number.NaN]) {
      const x = device.tensor(
        Float32Array.from({ length: 64 }, (_, i) => (i === 40 ? bad : 1)),
        [1, 64],
      );
      const words = cacheWords(device, { type: 'int8', headSize: 32 });
      const cache = device.zeros([1, 1, 2 * words], 'int32');
      cacheFill(cache, x, device.tensor(Int32Array.of(1)), { type: 'int8', headSize: 32 });
      const q = device.zeros([1, 1, 32]);
      const y = attention(q, cache.columns(0, words), cache.columns(words, 2 * words), { cacheType: 'int8' });
      expect(y.dataSync().every(Number.isNaN)).toBe(true);
    }
  });

  it.each(packed)('%s: attention is within the precision of the cache', async (type) => {
    const device = await deviceFor(isa, 2);
    for (const [heads, kvHeads, width, keys] of [
      [3, 1, 64, 150],
      [2, 2, 80, 33],
      [5, 1, 20, 70],
      [8, 2, 32, 5],
      [1, 1, 8, 1],
    ] as const) {
      const sizes = { batch: 2, keys, heads, kvHeads, width };
      const { data, k, v } = makeCache(device, type, sizes);
      const q = new Random('queries').normal([2, 1, heads * width]);
      const { outputs, bounds } = reference(q.data, data, sizes, errorOf[type]);
      const one = device.tensor(q.data, [2, 1, heads * width]);
      // Many queries go another way, of which the last one of each item is this one.
      const many = device.tensor(
        Float32Array.from({ length: 2 * 9 * heads * width }, (_, i) => {
          const b = Math.floor(i / (9 * heads * width));
          return q.data[b * heads * width + (i % (heads * width))] as number;
        }),
        [2, 9, heads * width],
      );
      const options = { heads, kvHeads, cacheType: type };
      const results = [attention(one, k, v, options).dataSync(), attention(many, k, v, options).dataSync()];
      const rounding = 1e-5; // sums of 150 floats
      for (let i = 0; i < outputs.length; i++) {
        const b = Math.floor(i / (heads * width));
        const inMany = (b * 9 + 8) * heads * width + (i % (heads * width));
        for (const y of [results[0]?.[i], results[1]?.[inMany]])
          expect(Math.abs((y as number) - (outputs[i] as number))).toBeLessThan((bounds[i] as number) + rounding);
      }
    }
  });

  it.each(packed)('%s: attends to the stored values, with all options of scores', async (type) => {
    const device = await deviceFor(isa, 2);
    const sizes = { batch: 2, keys: 90, heads: 6, kvHeads: 2, width: 40 };
    const { data } = makeCache(device, type, sizes);
    const unpacked = data.slice();
    for (let at = 0; at < data.length; at += 40) {
      const head = data.subarray(at, at + 40);
      if (type === 'float16') {
        const view = new DataView(headBytes(type, head).buffer);
        for (let d = 0; d < 40; d++) unpacked[at + d] = halfToFloat(view.getUint16(2 * d, true));
        continue;
      }
      for (let d = 0; d < 40; d += 32) {
        const { bytes, scale } = bytesOf(Array.from(head.subarray(d, d + 32)));
        for (const [i, byte] of bytes.entries()) unpacked[at + d + i] = byte * upper(scale);
      }
    }
    const { k, v } = makeCache(device, type, sizes);
    const floats = device.tensor(unpacked, [2, 90, 160]);
    const q = device.tensor(new Random('q').normal([2, 1, 240]).data, [2, 1, 240]);
    const lengthsK = device.tensor(Int32Array.of(90, 71));
    const bias = device.tensor(new Random('bias').normal([2, 6, 1, 90]).data, [2, 6, 1, 90]);
    for (const more of [
      {},
      { window: [40, 0] as const },
      { softcap: 3 },
      { bias },
      { window: [7, 0] as const, bias },
    ]) {
      const options = { heads: 6, kvHeads: 2, causal: true, lengthsK, ...more };
      const [a, b] = [
        attention(q, k, v, { ...options, cacheType: type }),
        attention(q, floats.columns(0, 80), floats.columns(80, 160), options),
      ].map((y) => y.dataSync());
      a?.forEach((value, i) => {
        expect(Math.abs(value - (b?.[i] as number))).toBeLessThan(5e-6);
      });
    }
  });

  it.each(packed)('%s: gives the same bits for any number of threads and any batch', async (type) => {
    const sizes = { batch: 18, keys: 70, heads: 9, kvHeads: 3, width: 64 };
    const q = new Random('q').normal([18, 1, 9 * 64]).data;
    const bitsOf = async (threads: number, of: readonly number[]) => {
      const device = await deviceFor(isa, threads);
      const { cache } = makeCache(device, type, sizes);
      const words = cache.shape[2] as number;
      const [rows, queries] = [
        cache.rows(of[0] as number, (of.at(-1) as number) + 1),
        q.subarray((of[0] as number) * 576),
      ];
      const some = device.tensor(queries.slice(0, of.length * 576), [of.length, 1, 576]);
      const options = { heads: 9, kvHeads: 3, cacheType: type } as const;
      const y = attention(some, rows.columns(0, words / 2), rows.columns(words / 2, words), options);
      return Array.from(y.dataSync());
    };
    const all = Array.from({ length: 18 }, (_, i) => i);
    const whole = await bitsOf(1, all);
    expect(await bitsOf(3, all)).toEqual(whole);
    for (const of of [[4], [9, 10, 11]])
      expect(await bitsOf(3, of)).toEqual(whole.slice((of[0] as number) * 576, ((of.at(-1) as number) + 1) * 576));
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isa, 1);
    const { cache, k, v } = makeCache(device, 'int8', { batch: 1, keys: 3, heads: 1, kvHeads: 1, width: 32 });
    const q = device.zeros([1, 1, 32]);
    expect(() => attention(q, k, v)).toThrow(DTypeError);
    expect(() => attention(q, k, v, { cacheType: 'float16' })).toThrow(ShapeError);
    expect(() => attention(device.zeros([1, 1, 64]), k, v, { cacheType: 'int8' })).toThrow(ShapeError);
    expect(() => attention(q, k, v, { cacheType: 'int4' as 'int8' })).toThrow(ArgumentError);
    const positions = device.tensor(Int32Array.of(0));
    const format = { type: 'int8', headSize: 32 } as const;
    expect(() => cacheAppend(cache, device.zeros([1, 32]), positions, format)).toThrow(ShapeError);
    expect(() => cacheAppend(cache, device.zeros([1, 64]), positions)).toThrow(DTypeError);
    expect(() => cacheAppend(device.zeros([1, 3, 18]), device.zeros([1, 64]), positions, format)).toThrow(DTypeError);
  });
});

function halfToFloat(half: number): number {
  const [sign, exponent, rest] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  return sign * (exponent === 0 ? rest * 2 ** -24 : (1 + rest / 1024) * 2 ** (exponent - 15));
}
