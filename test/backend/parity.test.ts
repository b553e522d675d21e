// The addon and WebAssembly, one beside the other: what they compute differs by roundings alone, and what they decide, not at
// all. (Every op is compared in test/describe-op.ts.)
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice, type Device, Transformer } from '../../src/index.js';
import { describeWith } from '../equipment.js';
import { assertLogits, shippedModel, targetsOf, words } from '../shipped.js';

describeWith(['WebAssembly'], 'the addon and WebAssembly', () => {
  const devices: Device[] = [];
  const models: Transformer[] = [];
  let sources: number[][];

  beforeAll(async () => {
    devices.push(await createDevice({ backend: 'native', threads: 2 }));
    const wasm = await createDevice({ backend: 'wasm', threads: 2 });
    devices.push(wasm);
    for (const isa of wasm.info.isas.slice(1)) devices.push(await createDevice({ backend: 'wasm', isa, threads: 2 }));
    for (const device of devices) models.push(await Transformer.load(device, shippedModel));
    sources = words.map((word) => models[0]!.tokenizers.source!.encode(word));
  });
  afterAll(() => {
    for (const device of devices) device.dispose();
  });

  it('gives the shipped model the same logits up to rounding', async () => {
    const targets = targetsOf(sources);
    const [expected, ...others] = await Promise.all(models.map((model) => model.forward(sources, targets).data()));
    for (const logits of others) assertLogits(logits, expected!, models[0]!.config);
  });

  it.each([1, 5])('gives the shipped model the same outputs with %i beams', async (numBeams) => {
    const [expected, ...others] = await Promise.all(models.map((model) => model.generate(sources, { numBeams })));
    expect(expected!.sequences.length).toBeGreaterThan(50);
    for (const { sequences } of others) expect(sequences).toEqual(expected!.sequences);
  });

  it('gives the same weights and tokens for the same seed, with greedy search, beams and samples', async () => {
    const told = await Promise.all(
      devices.map(async (device) => {
        const sizes = { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, dFF: 64, maxLength: 24 };
        const model = new Transformer(device, { ...sizes, sourceVocab: 30, targetVocab: 30, seed: 11 });
        const weights = await Promise.all(Object.values(model.stateDict()).map((entry) => entry.data()));
        const ways = [{}, { numBeams: 4 }, { doSample: true, temperature: 0.8, seed: 3 }];
        const inputs = sources.slice(0, 20);
        const said = [];
        for (const way of ways) said.push((await model.generate(inputs, { ...way, maxNewTokens: 16 })).sequences);
        return { weights, said };
      }),
    );
    for (const { weights, said } of told.slice(1)) {
      expect(weights).toEqual(told[0]!.weights);
      expect(said).toEqual(told[0]!.said);
    }
  });
});
