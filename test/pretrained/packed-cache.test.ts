// Families generate with packed keys and values nearly as with floats. Covers windows, soft caps, grouped heads, norms
// of queries and keys, rotary and counted positions, and sources of tokens and audio.

import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { CacheType, Generative } from '../../src/generate/index.js';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { Random } from '../random.js';

const decoders = ['gemma', 'gemma2', 'gemma3', 'gpt-neox', 'gpt2', 'llama', 'llama3-rope', 'mistral-window', 'olmo2'];
const others = [
  'opt',
  'phi3',
  'qwen2',
  'qwen2-yarn',
  'qwen3',
  'smollm3',
  'bart',
  'm2m100',
  'marian',
  'mbart',
  't5',
  'whisper',
];

/**
 * The allowed error of logits, relative to the largest, in the median of all steps. Wrong wiring gives errors as large as
 * the logits. These models have random weights and attend to few keys, T5 without a scale of scores. If two keys have
 * nearly the same score, rounding decides between them. test/ops/packed-cache.test.ts bounds the error of a score.
 */
const off = { float16: 1e-2, int8: 0.2 };

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

describe.each([...decoders, ...others])('%s', (name) => {
  it('generates with packed keys and values', async () => {
    const model = await loadModel(device, fileURLToPath(new URL(`../data/families/${name}`, import.meta.url)), {
      cacheType: 'float16',
    });
    const random = new Random(name);
    const rows = [21, 9].map((length) => Array.from({ length }, () => 5 + random.below(40)));
    const { featureShape }: Generative = model;
    const shape = featureShape ? [2, ...(featureShape as readonly number[])] : null;
    const input = shape ? device.tensor(random.normal(shape).data, shape) : rows;
    const options = { maxNewTokens: 12, stopTokens: [], doSample: false, numBeams: 1 };
    const { sequences } = await model.generate(input, { ...options, cacheType: 'float32' });
    const of = async (cacheType: CacheType) => {
      const start = model.maxSourceLength > 0 ? { memory: model.encode(input) } : { sequences: 2 };
      using state = model.startDecoding({ ...start, maxLength: 40, cacheType });
      const all: (readonly number[])[] = [];
      if (!('memory' in start)) all.push(Array.from(await model.prefill(state, rows).data()));
      const first = 'memory' in start ? [model.startId as number] : [];
      for (let step = 0; step < 12; step++) {
        const tokens = sequences.map((row) => [...first, ...row][step] as number);
        state.tokens.write(Int32Array.from(tokens));
        all.push(Array.from(await model.step(state).data()));
      }
      return all;
    };
    const plain = await of('float32');
    for (const cacheType of ['float16', 'int8'] as const) {
      const worst = (await of(cacheType)).map((logits, step) => {
        const exact = plain[step] as readonly number[];
        const differences = logits.map((x, i) => Math.abs(x - (exact[i] as number)));
        return Math.max(...differences) / Math.max(...exact.map(Math.abs));
      });
      worst.sort((a, b) => a - b);
      expect(worst[worst.length >> 1]).toBeLessThan(off[cacheType]);
      expect(worst.at(-1)).toBeGreaterThan(0);
      const told = cacheType === 'float16' ? undefined : cacheType; // the model was loaded so
      const beams = await model.generate(input, { ...options, cacheType: told, numBeams: 3 });
      expect(await model.generate(input, { ...options, cacheType, numBeams: 3 })).toEqual(beams);
    }
    model.dispose();
  });
});
