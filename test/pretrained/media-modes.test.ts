// Grey and transparent pictures of odd sizes, and sound of 8 kHz in two channels, through every processor. The results are
// those of transformers (make_media_modes.py).
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { imageProcessor, loadProcessor } from '../../src/pretrained/processors/load-processor.js';
import { resample } from '../../src/pretrained/processors/resample.js';
import { mixDown } from '../../src/pretrained/processors/wav.js';
import recorded from './media-modes.json' with { type: 'json' };
import { pictureOf } from './pictures.js';

/** Width, height and channels of a picture, and what it becomes: a shape, the mean, and four numbers. */
type Result = [number, number, number, number[] | null, ...number[]];

describe('pictures', () => {
  it.each(recorded.images)('$processor', ({ processor: name, settings, results }) => {
    const config = { image_processor_type: `${name}ImageProcessor`, ...settings };
    const processor = imageProcessor(config, '', 'preprocessor_config.json');
    for (const [width, height, channels, shape, mean, ...some] of results as unknown as Result[]) {
      const picture = pictureOf(width, height, channels, 8);
      const what = `${width} × ${height}, ${channels} channels`;
      if (shape === null) {
        expect(() => processor.process([picture]), what).toThrow(ArgumentError);
        continue;
      }
      const found = processor.process([picture]);
      expect(found.shape, what).toEqual(shape);
      const { length } = found.data;
      expect(found.data.reduce((sum, value) => sum + value, 0) / length, what).toBeCloseTo(mean!, 4);
      for (const [i, value] of some.entries())
        expect(found.data[Math.trunc((i * (length - 1)) / 3)], what).toBeCloseTo(value, 4);
    }
  });
});

/** `sound` of make_media_modes.py at a rate: odd tones are in the first channel, even ones in the second. */
function stereo(samplingRate: number) {
  const channelOf = (first: number) =>
    Float32Array.from({ length: 0.5 * samplingRate }, (_, i) => {
      const t = i / samplingRate;
      let sum = 0;
      for (let k = first; k <= 36; k += 2) sum += Math.sin(200 * Math.PI * k * t + k * k) / 20;
      return sum * Math.sin((Math.PI * t) / 0.5) ** 2;
    });
  return { samplingRate, channels: [channelOf(1), channelOf(2)] };
}

describe.each([8000, 11025 * 2, 44100])('a sound of two channels and %i Hz', (rate) => {
  it.each(recorded.sounds)('$extractor', async ({ extractor: name, settings, shape, values }) => {
    const config = { feature_extractor_type: name, ...settings };
    const files = { 'preprocessor_config.json': new TextEncoder().encode(JSON.stringify(config)) };
    const extractor = await loadProcessor(await openSource(files), '');
    if (extractor === null || !('samplingRate' in extractor)) throw new Error('not an extractor');
    const found = extractor.process([resample(mixDown(stereo(rate)), rate, extractor.samplingRate)]);
    expect(found.shape.slice(1)).toEqual(shape);
    const errors = values.map(([place, value]) => Math.abs(found.data[place!]! - value!));
    // Values have four digits, and filters cut at −100 dB. Those of CLAP are decibels.
    expect(Math.max(...errors)).toBeLessThan(name.startsWith('Clap') ? 2e-3 : 2e-4);
  });
});
