// Vectors of fewer bits. The numbers are those of sentence-transformers' quantize_embeddings (make_precision.py).
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { quantized } from '../../src/models/retrieval/precision.js';
import { load } from './folders.js';

const { vectors, ...expected } = JSON.parse(readFileSync('test/retrieval/precision.json', 'utf8')) as {
  vectors: number[][];
  int8: number[][];
  uint8: number[][];
  binary: number[][];
  ubinary: number[][];
};

it.each(['int8', 'uint8', 'binary', 'ubinary'] as const)('%s', (precision) => {
  const found = quantized(
    vectors.map((vector) => Float32Array.from(vector)),
    precision,
  );
  expect(found.map((vector) => Array.from(vector as Int8Array))).toEqual(expected[precision]);
});

it('encode accepts the precision, and refuses 256 steps for one text', async () => {
  const model = await load('pooling-cls');
  const texts = ['the river', 'an old red house'];
  const bits: Int8Array[] = await model.encode(texts, { precision: 'binary' });
  const floats = await model.encode(texts);
  expect(bits).toEqual(quantized(floats, 'binary'));
  expect(await model.encode(texts, { precision: 'uint8' })).toEqual(quantized(floats, 'uint8'));
  await expect(model.encode('the river', { precision: 'int8' })).rejects.toThrow(/int8 needs several texts/);
  await expect(model.encode(texts, { precision: 'int4' as never })).rejects.toThrow(/precision is "?'?int4/);
  model.dispose();
});
