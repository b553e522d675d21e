// Sounds compared with texts, and the features of sounds, as transformers computes them. make_zero_shot_audio.py writes the
// numbers.
import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/index.js';
import { ClapFeatureExtractor } from '../../src/pretrained/processors/clap.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import recorded from './zero-shot-audio.json' with { type: 'json' };

/** The formula of make_zero_shot_audio.py. */
const sound = (count: number) =>
  Float32Array.from(
    { length: count },
    (_, i) => 0.3 * Math.sin(0.05 * i) + 0.1 * Math.sin(0.31 * i + 1) + 0.02 * Math.sin(0.001 * i * i),
  );

describe('ClapFeatureExtractor', () => {
  it.each(recorded.features)('agrees with transformers for $samples samples by $config', (each) => {
    const { data, shape } = new ClapFeatureExtractor(each.config).process([sound(each.samples)]);
    expect(shape).toEqual(each.shape);
    // The file has four decimals, and torch places the columns of long recordings in float32.
    for (const [i, value] of each.values.entries())
      expect(Math.abs((data[each.step * i] as number) - value), `value ${each.step * i}`).toBeLessThan(1e-3);
  });

  it('accepts silence, and refuses recordings without samples or with samples that are not finite', () => {
    const extractor = new ClapFeatureExtractor(recorded.processor);
    expect(new Set(extractor.process([new Float32Array(50)]).data)).toEqual(new Set([-100]));
    for (const wrong of [new Float32Array(), Float32Array.of(Number.NaN), [1] as never])
      expect(() => extractor.process([wrong])).toThrow(ArgumentError);
  });

  it('refuses invalid settings', () => {
    for (const config of [
      { truncation: 'cut' },
      { padding: 'mirror' },
      { fft_window_size: 511 },
      { frequency_min: -1 },
    ])
      expect(() => new ClapFeatureExtractor(config)).toThrow(FormatError);
    expect(() => new ClapFeatureExtractor({ ...recorded.processor, fft_window_size: 16000 })).toThrow(FormatError);
  });
});

describe('zero-shot-audio-classification', async () => {
  const device = await deviceFor(isas[0]!, 2);
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const data = testData('families');
  const files = {
    'config.json': await data.bytes('clap/config.json'),
    'model.safetensors': await data.bytes('clap/model.safetensors'),
    'preprocessor_config.json': json(recorded.processor),
    'tokenizer.json': json(recorded.tokenizer),
  };
  const { labels, template, sounds } = recorded;
  const options = { hypothesis_template: template };

  it('gives the scores of transformers in the order of the labels', async () => {
    await using judge = await pipeline('zero-shot-audio-classification', files, { device });
    const results = await judge(
      sounds.map(({ samples }) => sound(samples)),
      labels,
      options,
    );
    for (const [i, { scores }] of sounds.entries()) {
      expect(results[i]?.map(({ label }) => label)).toEqual(labels);
      for (const [j, score] of scores.entries()) expect(Math.abs(results[i]![j]!.score - score)).toBeLessThan(1e-4);
    }
    expect(await judge(sound(sounds[0]!.samples), labels, options)).toEqual(results[0]);
    expect(await judge({ array: sound(3000), sampling_rate: 8000 }, ['w20 w30'])).toEqual([
      { label: 'w20 w30', score: 1 },
    ]);
  });

  it('refuses wrong arguments, other models, and an extractor of another kind', async () => {
    await using judge = await pipeline('zero-shot-audio-classification', files, { device });
    await expect(judge(sound(100), [])).rejects.toThrow(/candidate_labels is \[\]/);
    await expect(judge(sound(100), 'w15' as never)).rejects.toThrow(/candidate_labels/);
    await expect(judge(sound(100), labels, { top_k: 1 } as object)).rejects.toThrow(/top_k/);
    await expect(judge(new Float32Array(), labels)).rejects.toThrow(/the recording is empty/);
    const refused = (changed: Record<string, Uint8Array>) =>
      expect(pipeline('zero-shot-audio-classification', changed, { device })).rejects.toThrow(FormatError);
    await refused({ ...files, 'preprocessor_config.json': json({ ...recorded.processor, truncation: 'fusion' }) });
    const { 'tokenizer.json': _, ...untold } = files;
    await refused(untold);
    const { 'preprocessor_config.json': _processor, ...deaf } = files;
    await refused(deaf);
    await refused({
      'config.json': await data.bytes('hubert/config.json'),
      'model.safetensors': await data.bytes('hubert/model.safetensors'),
    });
  });
});
