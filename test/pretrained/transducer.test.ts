// Parakeet as a transducer: logits, and the tokens and durations that transformers writes greedily.
import { afterAll, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import type { SafetensorsEntry } from '../../src/io/safetensors.js';
import type { ParakeetTransducer } from '../../src/models/families/parakeet.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('families');
const device = await deviceFor(isas[0] as string, 2);
const model = (await loadModel(device, await filesOf(data, 'parakeet_tdt'))) as unknown as ParakeetTransducer;
afterAll(() => model.dispose());
const reference = await referenceOf(data, 'parakeet_tdt');
const { inputFeatures, attentionMask, decoderInputIds } = inputsOf(device, reference);
const sound = { inputFeatures, attentionMask };
const frames = (attentionMask as number[][]).map((mask) => model.framesOf(mask.filter(Boolean).length));

it('returns the logits of frames and tokens', async () => {
  const logits = model.forward({ ...sound, decoderInputIds }).logits as Tensor;
  const entry = reference.get('logits') as SafetensorsEntry;
  expect(logits.shape).toEqual(entry.shape);
  const [, longest, ...rest] = entry.shape as readonly [number, number, ...number[]];
  const [actual, wanted] = [(await logits.data()) as Float32Array, entry.data() as Float32Array];
  const size = rest.reduce((product, length) => product * length, 1);
  for (const [row, count] of frames.entries()) {
    const own = (values: Float32Array) => values.subarray(row * longest * size, (row * longest + count) * size); // no padding
    assertClose(`row ${row}`, own(actual), own(wanted), () => 2e-4 * largest(wanted));
  }
});

it('generates the tokens and their durations', async () => {
  const expected = await data.json<{ greedy: number[][]; durations: number[][] }>('parakeet_tdt/reference.json');
  const texts = await model.transcribe(sound);
  expect(texts).toHaveLength(2);
  for (const [i, { sequence, durations }] of texts.entries()) {
    // A text that ends earlier than others of its batch goes on in transformers, at its last frame.
    const count = sequence.length;
    expect(sequence).toEqual(expected.greedy[i]?.slice(0, count));
    expect(durations).toEqual(expected.durations[i]?.slice(0, count));
    const used = durations.reduce((total, duration) => total + duration, 0);
    expect(used).toBeGreaterThanOrEqual(frames[i] as number);
    expect(used - (durations.at(-1) as number)).toBeLessThan(frames[i] as number);
  }
});

it('refuses rows of tokens that do not fit', () => {
  expect(() => model.forward({ ...sound, decoderInputIds: [[1], [2, 3]] })).toThrow(/of one length/);
  expect(() => model.forward({ ...sound, decoderInputIds: [[1]] })).toThrow(/has 1 rows, expected 2/);
});
