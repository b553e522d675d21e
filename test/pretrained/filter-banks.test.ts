// Features of Parakeet, wav2vec2-BERT and AST are those of transformers' feature extractors.
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { AstFeatureExtractor } from '../../src/pretrained/processors/ast.js';
import { ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor } from '../../src/pretrained/processors/filter-banks.js';
import recorded from './filter-banks.json' with { type: 'json' };

const soundOf = (count: number) =>
  Float32Array.from(
    { length: count },
    (_, i) => 0.3 * Math.sin(0.05 * i) + 0.1 * Math.sin(0.31 * i + 1) + 0.02 * Math.sin(0.001 * i * i),
  );
const kinds = { AstFeatureExtractor, ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor };

describe.each(recorded)('$name $config', ({ name, config, samples, shape, values }) => {
  const extractor = new kinds[name as keyof typeof kinds](config);

  it('gives the results of transformers', () => {
    const found = extractor.process([soundOf(samples)]);
    expect(found.shape).toEqual([1, ...shape]);
    expect(extractor.columnsOf(samples)).toBe(shape[0]);
    for (const [i, value] of values.entries())
      expect(Math.abs((found.data[7 * i] as number) - value), `value ${7 * i}`).toBeLessThan(1e-2); // float32 logs of about 20, divided by deviations from 1e-3 on
  });

  it('accepts silence and short sounds, and refuses samples that are not finite', () => {
    expect(extractor.process([new Float32Array(50)]).shape[1]).toBe(config.max_length ?? 0);
    const silence = extractor.process([new Float32Array(3200)]).data;
    expect(silence.every(Number.isFinite)).toBe(true);
    expect(() => extractor.process([Float32Array.of(Number.NaN)])).toThrow(/not a finite number/);
    expect(() => extractor.process([[1]] as never)).toThrow(/expected an array of one Float32Array/);
  });
});

it('refuses invalid settings', () => {
  for (const config of [{ n_fft: 511 }, { win_length: 600 }, { feature_size: 0 }, { preemphasis: 'much' }])
    expect(() => new ParakeetFeatureExtractor(config)).toThrow(FormatError);
  expect(() => new SeamlessM4TFeatureExtractor({ stride: 0 })).toThrow(FormatError);
});
