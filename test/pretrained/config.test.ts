import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { activationOf, rotaryScaling } from '../../src/models/config-values.js';
import { labelsOf } from '../../src/models/labels.js';
import { type Json, ModelConfig } from '../../src/models/model-config.js';
import { scaledFrequencies } from '../../src/nn/rotary-embedding.js';
import { type Config, completeConfig } from '../../src/pretrained/config.js';
import { generationOptions } from '../../src/pretrained/generation-config.js';

interface Recorded {
  readonly cases: { name: string; given: Config; expected: Config }[];
  readonly rope: { name: string; given: Config; length: number; frequencies: number[]; scale: number }[];
}
// Results of transformers, recorded by make_configs.py.
const recorded: Recorded = JSON.parse(readFileSync(new URL('configs.json', import.meta.url), 'utf8'));

/** Parts of `expected` that differ in another object, recursively. */
function differences(found: Config, expected: Config, path = ''): string[] {
  return Object.entries(expected).flatMap(([name, value]) => {
    const other = found[name];
    if (name.endsWith('_config')) return differences(other as Config, value as Config, `${path}${name}.`);
    const same = JSON.stringify(sorted(other ?? null)) === JSON.stringify(sorted(value));
    return same ? [] : [`${path}${name} is ${JSON.stringify(other)}, in transformers ${JSON.stringify(value)}`];
  });
}

const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .map(([name, inner]) => [name, sorted(inner)])
          .sort(),
      )
    : value;

describe('completeConfig', () => {
  it.each(recorded.cases.map((one) => [one.name, one] as const))(
    '%s means what it means to transformers',
    async (_, one) => {
      const found = await completeConfig(one.given);
      expect(differences(found, one.expected)).toEqual([]);
      for (const name of Object.keys(one.given)) if (name !== 'torch_dtype') expect(found).toHaveProperty(name);
    },
  );

  // Defaults of transformers 5.24 that differ from those of related families.
  it.each([
    ['cohere', 'rope_parameters', { rope_type: 'default', rope_theta: 500000 }],
    ['eurobert', 'rope_parameters', { rope_type: 'default', rope_theta: 10000 }],
    ['unispeech', 'ctc_loss_reduction', 'mean'],
    ['unispeech-sat', 'ctc_loss_reduction', 'mean'],
    ['wavlm', 'ctc_loss_reduction', 'mean'],
  ])('%s of nothing has its own %s', async (type, name, expected) => {
    expect((await completeConfig({ model_type: type }))[name]).toEqual(expected);
  });

  // transformers gives the window of ModernBERT by half of local_attention, unless a file has it.
  it.each(['modernbert', 'modernbert-decoder'])('%s has the window of its file', async (type) => {
    const window = async (given: Config) => (await completeConfig({ model_type: type, ...given })).sliding_window;
    expect(await window({ local_attention: 12 })).toBe(6);
    expect(await window({ local_attention: 12, sliding_window: 5 })).toBe(5);
  });

  it('covers every family, and older files', () => {
    expect(recorded.cases.filter(({ name }) => name.endsWith('of nothing')).length).toBe(35);
    expect(recorded.cases.filter(({ name }) => name.includes('legacy')).length).toBeGreaterThan(5);
  });

  it('refuses other models by name, and invalid sizes', async () => {
    await expect(completeConfig({ model_type: 'mamba' })).rejects.toThrow(
      /model_type is "mamba", expected one of .*albert, .*bart, /,
    );
    await expect(completeConfig({ model_type: 'mamba' })).rejects.toThrow(/\. The nearest: mamba2$/);
    await expect(completeConfig({ model_type: 'phi3_v' })).rejects.toThrow(/\. The nearest: phi3$/);
    await expect(completeConfig({ model_type: 'deberta-v3' })).rejects.toThrow(/\. The nearest: deberta-v2$/);
    await expect(completeConfig({ model_type: 'xyz' })).rejects.toThrow(/xlnet, yolos$/);
    await expect(completeConfig({})).rejects.toThrow(FormatError);
    await expect(completeConfig({ model_type: 'toString' })).rejects.toThrow(FormatError);
    await expect(completeConfig({ model_type: 'llama', hidden_size: '64' })).rejects.toThrow(/hidden_size is "64"/);
    await expect(completeConfig({ model_type: 'qwen2', num_hidden_layers: 1e300 })).rejects.toThrow(
      /num_hidden_layers/,
    );
    await expect(completeConfig({ model_type: 'clip', text_config: [] })).rejects.toThrow(/text_config is an array/);
    const rope = (rope_scaling: unknown) => completeConfig({ model_type: 'llama', rope_scaling });
    await expect(rope({ rope_type: 'spiral' })).rejects.toThrow(
      /rope_type is "spiral", expected one of default, linear/,
    );
    await expect(rope({ rope_type: 'linear', factor: '2' })).rejects.toThrow(/factor of RoPE is "2"/);
    await expect(rope(3)).rejects.toThrow(/rope_scaling is 3/);
  });

  it('recognizes Gemma 1 by its second activation, and Phi-3 by the first name of LongRoPE', async () => {
    const gemma = { model_type: 'gemma', hidden_act: 'gelu', hidden_activation: 'gelu_pytorch_tanh' };
    expect((await completeConfig(gemma)).hidden_act).toBe('gelu_pytorch_tanh');
    const su = { model_type: 'phi3', rope_scaling: { type: 'su', short_factor: [1], long_factor: [1] } };
    expect((await completeConfig(su)).rope_parameters).toMatchObject({
      rope_type: 'longrope',
      original_max_position_embeddings: 4096,
    });
  });

  it('uses the duplicate settings of CLIP’s older files', async () => {
    const config = await completeConfig({
      model_type: 'clip',
      text_config: { hidden_size: 8 },
      text_config_dict: { hidden_size: 16 },
    });
    expect(config.text_config).toMatchObject({ hidden_size: 16, num_attention_heads: 8 });
  });
});

describe('rotaryScaling', () => {
  const frequenciesOf = (given: Json, max: number, length = 0) => {
    const rope = new ModelConfig(given);
    const features = Math.trunc(32 * (rope.numberOrNull('partial_rotary_factor') ?? 1));
    return scaledFrequencies(features, rope.number('rope_theta'), rotaryScaling(rope, features, max), length);
  };

  it.each(recorded.rope.map((one) => [one.name, one] as const))('equals that of transformers: %s', async (_, one) => {
    const { rope_parameters: rope, max_position_embeddings: max } = await completeConfig(one.given);
    const found = frequenciesOf(rope as Json, max as number, one.length);
    expect(found.amplitude).toBeCloseTo(one.scale, 12);
    expect(found.frequencies.length).toBe(one.frequencies.length);
    // transformers computes them in float32: a power, and up to four roundings
    for (const [i, f] of one.frequencies.entries())
      expect(Math.abs(found.frequencies[i]! / f - 1)).toBeLessThan(8 * 2 ** -23);
  });

  it('names missing settings', () => {
    const linear = { rope_type: 'linear', rope_theta: 10000 };
    expect(() => frequenciesOf(linear, 64)).toThrow(/factor is undefined, expected a number/);
    const long = { rope_type: 'longrope', rope_theta: 1e4, original_max_position_embeddings: 8, short_factor: [1] };
    expect(() => frequenciesOf(long, 64)).toThrow(/short_factor of RoPE must be 16 numbers above 0/);
    expect(() => frequenciesOf({ rope_type: 'spiral', rope_theta: 1 }, 64)).toThrow(/rope_type is "spiral", expected/);
  });
});

describe('activationOf', () => {
  it('knows the spellings of Hugging Face', () => {
    const names = ['gelu', 'gelu_new', 'gelu_pytorch_tanh', 'gelu_fast', 'quick_gelu', 'silu', 'swish', 'relu'];
    const known = ['gelu', 'gelu_tanh', 'gelu_tanh', 'gelu_tanh', 'quickGelu', 'silu', 'silu', 'relu'];
    expect(names.map(activationOf)).toEqual(known);
    for (const name of ['xielu', 'toString', undefined, 3])
      expect(() => activationOf(name)).toThrow(/the activation is .*, expected one of/);
  });
});

describe('labelsOf', () => {
  it('reads them in the order of their ids', () => {
    expect(
      labelsOf({
        id2label: { 1: 'b', 0: 'a', 10: 'k', 2: 'c', 3: 'd', 4: 'e', 5: 'f', 6: 'g', 7: 'h', 8: 'i', 9: 'j' },
      }).join(''),
    ).toBe('abcdefghijk');
    expect(labelsOf({ num_labels: 3 })).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2']);
    expect(labelsOf({})).toHaveLength(2);
    for (const config of [
      { id2label: {} },
      { id2label: { 1: 'b' } },
      { id2label: { 0: 1 } },
      { num_labels: 0 },
      { num_labels: 1e9 },
    ])
      expect(() => labelsOf(config)).toThrow(FormatError);
  });
});

describe('generationOptions', () => {
  const vocabulary = { vocabSize: 200000, encoder: null };
  const optionsOf = (
    file: object | null,
    config: object,
    model: Parameters<typeof generationOptions>[2] = vocabulary,
  ) => generationOptions(file as never, config as never, model);

  it('has the defaults of transformers, except for the length', () => {
    expect(optionsOf({}, {})).toMatchObject({
      stopTokens: [],
      forcedBosTokenId: null,
      forcedEosTokenId: null,
      suppressTokens: [],
      beginSuppressTokens: [],
      badWordsIds: [],
      doSample: false,
      temperature: 1,
      topK: 50,
      topP: 1,
      minP: 0,
      typicalP: 1,
      epsilonCutoff: 0,
      topH: 0,
      etaCutoff: 0,
      repetitionPenalty: 1,
      noRepeatNgramSize: 0,
      numBeams: 1,
      numBeamGroups: 1,
      diversityPenalty: 0,
      lengthPenalty: 1,
      earlyStopping: false,
      numReturnSequences: 1,
    });
  });

  it('accepts several end ids, and falls back to config.json', () => {
    const file = { eos_token_id: [128001, 128009], do_sample: true, temperature: 0.6, top_p: 0.9 };
    const config = { eos_token_id: 2, bos_token_id: 1, num_beams: 5 };
    expect(optionsOf(file, config)).toMatchObject({
      stopTokens: [128001, 128009],
      decoderStartTokenId: 1,
      doSample: true,
      temperature: 0.6,
      topP: 0.9,
      numBeams: 1,
    });
  });

  it('uses config.json if there is no file, as for old BARTs', () => {
    const config = {
      forced_eos_token_id: 2,
      num_beams: 4,
      max_length: 142,
      no_repeat_ngram_size: 3,
      early_stopping: true,
    };
    const options = { forcedEosTokenId: [2], numBeams: 4, maxLength: 142, noRepeatNgramSize: 3, earlyStopping: true };
    const encoder = { vocabSize: 10, encoder: {} };
    const given = { ...config, eos_token_id: 2, bos_token_id: 1, decoder_start_token_id: 2 };
    expect(optionsOf(null, given, encoder)).toMatchObject({ ...options, decoderStartTokenId: 2 });
    expect(optionsOf(null, given).decoderStartTokenId).toBe(1);
  });

  it('reads Whisper’s and Marian’s settings', () => {
    const whisper = { suppress_tokens: [1, 2], begin_suppress_tokens: [220, 50256], forced_bos_token_id: 5 };
    const options = { suppressTokens: [1, 2], beginSuppressTokens: [220, 50256], forcedBosTokenId: 5 };
    expect(optionsOf(whisper, {})).toMatchObject(options);
    expect(optionsOf(whisper, {}, { vocabSize: 300, encoder: null }).beginSuppressTokens).toEqual([220]);
    expect(optionsOf({ suppress_tokens: [-1] }, {}).suppressTokens).toEqual([]);
    expect(optionsOf({ bad_words_ids: [[58100]] }, {}).badWordsIds).toEqual([[58100]]);
    expect(optionsOf({ early_stopping: 'never' }, {}).earlyStopping).toBe('never');
    expect(optionsOf({ min_length: 5, min_new_tokens: null }, {})).toMatchObject({ minLength: 5 });
  });

  it('refuses values of the wrong kind', () => {
    for (const file of [
      { eos_token_id: 'end' },
      { top_k: '5' },
      { do_sample: 1 },
      { bad_words_ids: [3] },
      { suppress_tokens: [1.5] },
    ])
      expect(() => optionsOf(file, {}), JSON.stringify(file)).toThrow(/generation_config.json: .* expected/);
  });
});
