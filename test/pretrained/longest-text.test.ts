// Models read texts up to their maxLength, and refuse longer ones.
import { expect, it } from 'vitest';
import { ShapeError } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

/** Tables of positions that begin behind the padding id have fewer places than rows. */
it.each([
  ['bert-mlm', 0],
  ['roberta-mlm', 2],
  ['mpnet', 2],
  ['longformer', 2],
  ['roformer', 0],
  ['mobilebert', 0],
] as const)('%s', async (name, unused) => {
  const model = await loadModel(await deviceFor(isas[0] as string, 2), await filesOf(testData('families'), name));
  const { maxLength } = model;
  expect(maxLength).toBe((model.config.max_position_embeddings as number) - unused);
  const text = (length: number) => [Array.from({ length }, (_, i) => 5 + (i % 7))];
  const { logits, lastHiddenState } = model.forward({ inputIds: text(maxLength) });
  expect(Array.from((await (logits ?? lastHiddenState)!.data()) as Float32Array).every(Number.isFinite)).toBe(true);
  expect(() => model.forward({ inputIds: text(maxLength + 1) })).toThrow(ShapeError);
  model.dispose();
});
