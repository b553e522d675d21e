// generation_config.json: what transformers writes under settings of it, recorded by make_generation.py.
import { afterAll, describe, expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/generate/generate-options.js';
import { createDevice } from '../../src/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import recorded from './generation.json' with { type: 'json' };

interface Case {
  readonly file: { readonly num_beams: number; readonly eos_token_id?: number | number[] };
  readonly call?: Readonly<Record<string, number>>;
  readonly prompt: readonly number[];
  readonly ids: readonly number[];
  readonly score?: number;
}

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());
const bytesOf = (value: object) => new TextEncoder().encode(JSON.stringify(value));

describe('generation_config.json', async () => {
  const data = testData('families');
  const names = ['config.json', 'model.safetensors'];
  const files = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await data.bytes(`llama/${name}`)])),
  ) as Record<string, Uint8Array>;
  const withModel = async (file: object, use: (model: PretrainedModel) => Promise<void>) => {
    const model = await loadModel(device, { ...files, 'generation_config.json': bytesOf(file) });
    await use(model).finally(() => model.dispose());
  };

  it.each(recorded as Case[])('$file, $call after $prompt', async ({ file, call = {}, prompt, ids, score }) => {
    await withModel(file, async (model) => {
      const ends = [file.eos_token_id ?? []].flat();
      const given = Object.entries(call).map(([name, value]) => [
        name.replace(/_(.)/g, (_, c) => c.toUpperCase()),
        value,
      ]);
      const options = ends.length > 0 ? {} : { stopTokens: [] }; // a model has an end of its own
      const { sequences, scores } = await model.generate([prompt], { ...options, ...Object.fromEntries(given) });
      expect(sequences[0]).toEqual(ends.includes(ids.at(-1) as number) ? ids.slice(0, -1) : ids);
      if (score !== undefined) expect(scores[0]).toBeCloseTo(score, 4);
    });
  });

  const prompt = [96, 89, 13, 79, 48, 42];
  const generated = async (file: object, options?: GenerateOptions) => {
    let tokens: number[] = [];
    await withModel(file, async (model) => {
      tokens = (await model.generate([prompt], options)).sequences[0] as number[];
    });
    return tokens;
  };

  it('is overridden by options', async () => {
    const file = { suppress_tokens: [62], eos_token_id: [57, 90], max_new_tokens: 4, temperature: 0.5, top_k: 3 };
    expect(await generated(file)).toEqual([]);
    expect(await generated(file, { suppressTokens: [] })).toEqual([62]);
    expect(await generated(file, { suppressTokens: [], stopTokens: [] })).toEqual([62, 90, 40, 66]);
    expect(await generated(file, { suppressTokens: [], stopTokens: [], maxNewTokens: 2 })).toEqual([62, 90]);
    expect(await generated({ ...file, do_sample: true }, { doSample: false, suppressTokens: [] })).toEqual([62]);
    expect(await generated({ ...file, num_beams: 3, num_return_sequences: 3 }, { numBeams: 1 })).toEqual([]);
    const longer = { suppressTokens: [], stopTokens: [], minNewTokens: 6 };
    expect(await generated(file, longer)).toEqual([62, 90, 40, 66, 93, 17]); // the least length of the call counts more
    const forced = { forced_decoder_ids: [[1, 9]], max_new_tokens: 2, eos_token_id: 5 };
    expect((await generated(forced))[0]).toBe(9);
  });

  it('warns about unsupported settings', async () => {
    const warnings: string[][] = [];
    const file = {
      guidance_scale: 1.5,
      num_beam_groups: 1,
      stop_strings: ['.'],
      epsilon_cutoff: null,
      max_new_tokens: 3,
    };
    const given = { ...files, 'generation_config.json': bytesOf(file) };
    const model = await loadModel(device, given, { onWarning: (...warning) => void warnings.push(warning) });
    const text = 'the given files asks for guidance_scale, stop_strings, which generate does not have';
    expect(warnings).toEqual([[text, 'ignored-setting']]);
    model.dispose();
  });

  it('takes the begin and end tokens from config.json, not from its class', async () => {
    const [config, weights] = await Promise.all(names.map((name) => data.bytes(`bart/${name}`)));
    const {
      decoder_start_token_id: _,
      forced_eos_token_id: __,
      ...rest
    } = JSON.parse(new TextDecoder().decode(config));
    const model = await loadModel(device, { 'config.json': bytesOf(rest), 'model.safetensors': weights as Uint8Array });
    expect(model.generationConfig).toMatchObject({ decoderStartTokenId: rest.bos_token_id, forcedEosTokenId: null });
    model.dispose();
    const { eos_token_id: ___, ...endless } = JSON.parse(new TextDecoder().decode(files['config.json']));
    const llama = await loadModel(device, { ...files, 'config.json': bytesOf(endless) });
    expect(llama.generationConfig.stopTokens).toEqual([]);
    llama.dispose();
  });

  it("samples by the file's top_k and temperature", async () => {
    const first = [];
    for (let seed = 0; seed < 12; seed++)
      first.push(...(await generated({ do_sample: true, top_k: 2, max_new_tokens: 1 }, { seed, stopTokens: [] })));
    expect(new Set(first)).toEqual(new Set([62, 57]));
    const cold = { do_sample: true, temperature: 1e-4, max_new_tokens: 4 };
    expect(await generated(cold, { stopTokens: [] })).toEqual([62, 90, 40, 66]);
  });

  it("streams without beams, up to the model's length", async () => {
    await withModel({ num_beams: 4, max_length: 5000 }, async (model) => {
      const tokens: number[] = [];
      for await (const { token } of model.stream([prompt], { stopTokens: [] })) tokens.push(token);
      expect(tokens.slice(0, 4)).toEqual([62, 90, 40, 66]);
      expect(tokens.length).toBe(model.maxLength - prompt.length + 1);
    });
  });

  it('refuses invalid tokens, and lengths below the prompt', async () => {
    await withModel({}, async (model) => {
      const refused = (options: object, message: RegExp) =>
        expect(() => model.generate([prompt], options)).rejects.toThrow(message);
      await refused({ suppressTokens: [model.vocabSize] }, /a token of suppressTokens is 97.*below 97/);
      await refused({ suppressTokens: 5 }, /suppressTokens is 5/);
      await refused({ badWordsIds: [[]] }, /badWordsIds/);
      await refused({ badWordsIds: [3] }, /badWordsIds/);
      await refused({ forcedBosTokenId: 1.5 }, /forcedBosTokenId is 1.5/);
      await refused({ forcedEosTokenId: 'end' }, /forcedEosTokenId/);
      await refused({ maxLength: 6 }, /maxLength is 6.*longest prompt, 6/);
      await refused({ minLength: -1 }, /minLength is -1/);
    });
  });
});
