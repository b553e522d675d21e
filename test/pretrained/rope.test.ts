// RoPE's frequencies from settings in all spellings of config.json: those of transformers, recorded by make_rope.py.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, FormatError } from '../../src/index.js';
import { rotaryOf, rotaryScaling } from '../../src/models/config-values.js';
import { ModelConfig } from '../../src/models/model-config.js';
import { Initializer } from '../../src/nn/init.js';
import { scaledFrequencies } from '../../src/nn/rotary-embedding.js';
import { completeConfig } from '../../src/pretrained/config.js';
import recorded from './rope.json' with { type: 'json' };

interface Case {
  readonly config: Record<string, unknown>;
  readonly results:
    | readonly { readonly length: number; readonly frequencies: number[]; readonly factor: number }[]
    | null;
}

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe('the share of a head that rotates', () => {
  const sizes = { hidden_size: 8, num_attention_heads: 2, vocab_size: 8 };
  const shareOf = async (type: string, rope: object) => {
    const config = await completeConfig({ model_type: type, ...sizes, rope_parameters: { rope_theta: 100, ...rope } });
    return (config.rope_parameters as Record<string, unknown>).partial_rotary_factor;
  };

  it('without scaling, counts only in families that have one, as in transformers', async () => {
    for (const type of ['llama', 'granite', 'exaone4', 'ernie4_5'])
      expect(await shareOf(type, { rope_type: 'default', partial_rotary_factor: 0.5 })).toBeUndefined();
    for (const type of ['phi', 'phi3', 'glm4', 'stablelm', 'qwen3_5_text', 'gpt_neox'])
      expect(await shareOf(type, { rope_type: 'default', partial_rotary_factor: 0.75 })).toBe(0.75);
    expect(await shareOf('llama', { rope_type: 'linear', factor: 2, partial_rotary_factor: 0.5 })).toBe(0.5);
  });
});

describe('frequencies of RoPE', () => {
  const init = new Initializer(device, 1);

  it.each(recorded as unknown as Case[])(
    '$config.rope_parameters $config.rope_scaling',
    async ({ config, results }) => {
      const settings = new ModelConfig(await completeConfig(config));
      const rope = new ModelConfig(settings.object('rope_parameters'));
      const features = Math.trunc(settings.size('head_dim') * (rope.numberOrNull('partial_rotary_factor') ?? 1));
      const maxLength = settings.size('max_position_embeddings');
      if (results === null) {
        expect(() => rotaryOf(init, settings)).toThrow(FormatError);
        return;
      }
      const scaling = rotaryScaling(rope, features, maxLength);
      for (const { length, frequencies: expected, factor } of results) {
        const { frequencies, amplitude } = scaledFrequencies(features, rope.number('rope_theta'), scaling, length);
        expect(frequencies.length).toBe(expected.length);
        for (const [i, value] of expected.entries())
          expect(Math.abs((frequencies[i] as number) - value)).toBeLessThan(1e-5 * value); // six digits
        expect(amplitude).toBeCloseTo(factor, 10);
      }
    },
  );
});
