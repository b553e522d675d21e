// Looking inside works for every family: maps of attention, heads switched off, and each value of a pass.
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Tensor } from '../../src/index.js';
import { type StackTrace, trace, withoutHeads } from '../../src/inspect/index.js';
import type { ModelOutput } from '../../src/models/inputs.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

const readers = [
  'bert-mlm',
  'bert-pooler',
  'bert-sequence',
  'distilbert-mlm',
  'electra-discriminator',
  'mpnet',
  'albert-mlm',
  'deberta-v2-sequence',
  'modernbert-mlm',
  'roberta-mlm',
  'xlm-roberta-token',
];
const writers = [
  'gemma',
  'gemma2',
  'gemma3',
  'gpt-neox',
  'gpt2',
  'llama',
  'llama3-rope',
  'mistral-window',
  'olmo2',
  'opt',
  'phi3',
  'qwen2',
  'qwen2-yarn',
  'qwen3',
  'smollm3',
];
const translators = ['bart', 'mbart', 'marian', 'm2m100', 't5', 't5-gated'];

const ids = [5, 9, 17, 4, 6, 31, 8];

describe('looking into pretrained models', () => {
  const data = testData('families');
  const load = async (name: string) => loadModel(await deviceFor(isas[0]!, 2), await filesOf(data, name), {});

  it.each([...readers, ...writers, ...translators])('%s', async (name) => {
    const model = await load(name);
    const { device } = model;
    const [source, target] = model.decoder ? [model.encoder && ids, ids.slice(1, 6)] : [ids, undefined];
    const inputs = { inputIds: [source ?? target!], ...(source && target ? { decoderInputIds: [target] } : {}) };
    const run = () => device.scope(() => model.forward(inputs, { hiddenStates: true, attentions: true }));
    const output = run();
    const traced = await trace(model, source, target);
    const same = async (what: string, { data }: { data: Float32Array }, tensor: Tensor | undefined) => {
      const expected = (await tensor!.data()) as Float32Array;
      assertClose(what, data, expected, () => 1e-4 * largest(expected));
    };
    const compare = async (side: 'encoder' | 'decoder', { layers, output: end }: StackTrace) => {
      const states = statesOf(output, side, Boolean(source && target));
      for (const [i, layer] of layers.entries()) {
        await same(`input of ${side} layer ${i}`, layer.selfAttention!.input, states.hidden[i]);
        await same(`weights of ${side} layer ${i}`, layer.selfAttention!.inside.weights, states.maps[i]);
        if (layer.crossAttention)
          await same(`cross weights of layer ${i}`, layer.crossAttention.inside.weights, output.crossAttentions![i]);
      }
      await same(`output of the ${side}`, end, states.last);
    };
    if (traced.encoder) await compare('encoder', traced.encoder);
    if (traced.decoder) await compare('decoder', traced.decoder);
    const maps = model.attentionMaps(source && [source], target && [target]);
    const own = [...(output.encoderAttentions ?? output.attentions ?? []), ...(output.decoderAttentions ?? [])];
    for (const [i, map] of [...maps.encoder, ...maps.decoder].entries())
      expect(await map.data()).toEqual(await own[i]!.data());
    const before = await run().hiddenStates?.at(-1)?.data();
    const heads = [{ attention: model.decoder ? 'decoder' : 'encoder', layer: 0, head: 1 } as const];
    const without = await withoutHeads(model, heads, () => states(run()));
    expect(without).not.toEqual(await states(run()));
    expect(await run().hiddenStates?.at(-1)?.data()).toEqual(before);
    model.dispose();
  });

  it.each(['mamba2', 'qwen3_5', 'lfm2', 'falcon_h1', 'granitemoehybrid'])('recurrent layers of %s', async (name) => {
    const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(testData('families'), name), {});
    const { hiddenStates, logits } = model.forward({ inputIds: [ids] }, { hiddenStates: true });
    const { decoder, logits: traced } = await trace(model, null, ids);
    expect(decoder!.layers.length).toBe(hiddenStates!.length - 1);
    // transformers records the outputs of Mamba 2's layers, and the inputs of others.
    for (const [i, { input, output }] of decoder!.layers.entries())
      expect((name === 'mamba2' ? output : input).data, `layer ${i}`).toEqual(await hiddenStates![i]!.data());
    expect(decoder!.norm!.output.data).toEqual(await hiddenStates!.at(-1)!.data());
    expect(traced.data).toEqual(await logits!.data());
    model.dispose();
  });

  it('LED without global tokens, as forward', async () => {
    const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(testData('families'), 'led'), {});
    const target = ids.slice(1, 6);
    const inputs = { inputIds: [ids], decoderInputIds: [target] };
    const output = model.forward(inputs, { attentions: true });
    const { encoder, cross } = model.attentionMaps([ids], [target]);
    for (const [i, map] of encoder.entries())
      expect(await map.data()).toEqual(await output.encoderAttentions![i]!.data());
    for (const [i, map] of cross.entries()) expect(await map.data()).toEqual(await output.crossAttentions![i]!.data());
    expect((await trace(model, ids, target)).logits.data).toEqual(await output.logits!.data());
    model.dispose();
  });

  it('LED generates without global tokens, as transformers does, or with those that are asked for', async () => {
    const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(testData('families'), 'led'), {});
    const prompt = [74, 81, 68, 62, 8, 41, 89, 74, 77, 62, 90, 23, 26, 66, 28];
    const written = async () =>
      (await model.generate([prompt], { maxNewTokens: 16, stopTokens: [] })).sequences[0]?.filter((id) => id !== 2);
    // transformers 5.24 in float64, without global_attention_mask, and with [[1, 0, 0, …]].
    const plain = [53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 53, 61, 53, 53, 53];
    expect(await written()).toEqual(plain);
    const led = model as typeof model & { globalTokens: readonly number[] };
    led.globalTokens = [0];
    expect(await written()).toEqual([83, 83, 10, 10, 10, 10, 83, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
    led.globalTokens = [];
    expect(await written()).toEqual(plain);
    expect(() => {
      led.globalTokens = [-1];
    }).toThrow('expected positions such as [0]');
    model.dispose();
  });

  const random = new Random('what towers read');
  const tensorOf = (model: LoadedModel, shape: number[]) => {
    const size = shape.reduce((a, b) => a * b);
    return model.device.tensor(
      Float32Array.from({ length: size }, () => 2 * random.next() - 1),
      shape,
    );
  };
  const pixelsOf = (model: LoadedModel, name: string) => {
    const config = (model.config.vision_config ?? model.config) as Record<string, number>;
    const [height, width] = name === 'dinov2' ? [12, 16] : [config.image_size!, config.image_size!];
    return tensorOf(model, [1, config.num_channels!, height!, width!]);
  };

  /** Compares a trace with a pass: inputs of layers, attention maps, and outputs. */
  async function compare(side: StackTrace, { hidden, maps, last }: Side) {
    const same = async (what: string, { data }: { data: Float32Array }, tensor: Tensor) => {
      const expected = (await tensor.data()) as Float32Array;
      assertClose(what, data, expected, () => 1e-4 * largest(expected));
    };
    expect(maps.length).toBe(side.layers.length);
    for (const [i, layer] of side.layers.entries()) {
      await same(`input of layer ${i}`, layer.selfAttention!.input, hidden[i]!);
      await same(`weights of layer ${i}`, layer.selfAttention!.inside.weights, maps[i]!);
    }
    await same('output', side.output, last);
  }
  const sideOf = ({ hiddenStates, attentions, lastHiddenState }: ModelOutput): Side => ({
    hidden: hiddenStates!,
    maps: attentions!,
    last: lastHiddenState!,
  });

  it.each(['vit-image', 'dinov2'])('%s, of images', async (name) => {
    const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(data, name), { head: 'none' });
    const pixels = pixelsOf(model, name);
    const run = () => model.forward({ pixelValues: pixels }, { hiddenStates: true, attentions: true });
    const output = run();
    await compare((await trace(model, pixels)).encoder!, sideOf(output));
    const maps = model.attentionMaps(pixels);
    for (const [i, map] of maps.encoder.entries())
      expect(await map.data()).toEqual(await output.attentions![i]!.data());
    const head = { attention: 'encoder', layer: 0, head: 1 } as const;
    const without = await withoutHeads(model, [head], () => run().lastHiddenState!.data());
    expect(without).not.toEqual(await output.lastHiddenState!.data());
    expect(await run().lastHiddenState!.data()).toEqual(await output.lastHiddenState!.data());
    const two = model.device.zeros([2, ...pixels.shape.slice(1)]);
    await expect(trace(model, two)).rejects.toThrow(/source is \[2, .*a single one/);
    await expect(trace(model, [1, 2])).rejects.toThrow('the model reads no text, expected images');
    await expect(trace(model, null)).rejects.toThrow(ArgumentError);
    model.dispose();
  });

  it.each(['clip', 'siglip'])('%s, of texts and of images', async (name) => {
    const model = await load(name);
    const pixels = pixelsOf(model, name);
    const text = ids.slice(0, 5);
    const output = model.forward({ inputIds: [text], pixelValues: pixels }, { hiddenStates: true, attentions: true });
    await compare((await trace(model, text)).encoder!, sideOf(output.textModelOutput!));
    await compare((await trace(model, pixels)).encoder!, sideOf(output.visionModelOutput!));
    for (const [source, own] of [
      [[text], output.textModelOutput],
      [pixels, output.visionModelOutput],
    ] as const) {
      const maps = model.attentionMaps(source).encoder;
      expect(maps).toHaveLength(own!.attentions!.length);
      expect(await maps[0]!.data()).toEqual(await own!.attentions![0]!.data());
    }
    const head = { attention: 'encoder', layer: 0, head: 0 } as const; // the text encoder comes first
    const run = () => model.forward({ inputIds: [text], pixelValues: pixels }).textEmbeds!.data();
    expect(await withoutHeads(model, [head], run)).not.toEqual(await output.textEmbeds!.data());
    await expect(trace(model, null)).rejects.toThrow('source is missing');
    model.dispose();
  });

  it('whisper, of sounds', async () => {
    const model = await load('whisper');
    const features = tensorOf(model, [1, ...(model as unknown as { featureShape: number[] }).featureShape]);
    const target = ids.slice(0, 4);
    const inputs = { inputFeatures: features, decoderInputIds: [target] };
    const output = model.forward(inputs, { hiddenStates: true, attentions: true });
    const { encoder, decoder, logits } = await trace(model, features, target);
    const sides = [
      [encoder, output.encoderHiddenStates, output.encoderAttentions],
      [decoder, output.decoderHiddenStates, output.decoderAttentions],
    ] as const;
    for (const [side, hidden, maps] of sides)
      await compare(side!, { hidden: hidden!, maps: maps!, last: hidden!.at(-1)! });
    const cross = decoder!.layers.map(({ crossAttention }) => crossAttention!.inside.weights.data);
    for (const [i, weights] of cross.entries()) {
      const expected = (await output.crossAttentions![i]!.data()) as Float32Array;
      assertClose('cross', weights, expected, () => 1e-4);
    }
    const expected = (await output.logits!.data()) as Float32Array;
    assertClose('logits', logits.data, expected, () => 1e-4 * largest(expected));
    const maps = model.attentionMaps(features, [target]);
    expect(await maps.cross[0]!.data()).toEqual(await output.crossAttentions![0]!.data());
    const head = { attention: 'cross', layer: 0, head: 1 } as const;
    const without = await withoutHeads(model, [head], () => model.forward(inputs).logits!.data());
    expect(without).not.toEqual(expected);
    await expect(trace(model, [1, 2], target)).rejects.toThrow(ArgumentError);
    model.dispose();
  });
});

interface Side {
  readonly hidden: readonly Tensor[];
  readonly maps: readonly Tensor[];
  readonly last: Tensor;
}

const states = (output: ModelOutput) => (output.hiddenStates ?? output.decoderHiddenStates)!.at(-1)!.data();

function statesOf(output: ModelOutput, side: 'encoder' | 'decoder', isBoth: boolean) {
  if (!isBoth) return { hidden: output.hiddenStates!, maps: output.attentions!, last: output.hiddenStates!.at(-1) };
  const hidden = (side === 'encoder' ? output.encoderHiddenStates : output.decoderHiddenStates)!;
  const maps = (side === 'encoder' ? output.encoderAttentions : output.decoderAttentions)!;
  return { hidden, maps, last: hidden.at(-1) };
}
