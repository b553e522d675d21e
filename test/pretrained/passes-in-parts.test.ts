// Passes give way to the event loop between layers, in all families, with the bits of passes in one piece.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import type { PromptModel } from '../../src/models/prompt-model.js';
import { TransformerLayer } from '../../src/nn/layer.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { families, familyCases } from './family-cases.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

/** Models that read images in a prompt: the language model reads them as a whole. */
const seeing = /^image-text|_vl$|^paligemma|^smolvlm/;
/** Models that read a source and a target. Their `encode` has parts. */
const writing =
  /^(bart|blenderbot|florence2|led|m2m100|marian|mbart|moonshine|pegasus|speecht5|t5$|t5-gated|t5gemma(?!-encoder)|trocr|umt5|vision-|whisper)/;
const cases = familyCases.filter((name) => !seeing.test(name) && !writing.test(name));

/** The result of a pass with a pause after each part, and the number of pauses. */
async function inParts<Result>(pass: Iterator<unknown, Result>) {
  let pauses = 0;
  for (;;) {
    const { done, value } = pass.next();
    if (done) return { result: value, pauses };
    pauses++;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const open = async (name: string) => {
  const model = await loadModel(device, await filesOf(families, name), { onWarning: () => {} });
  const given = inputsOf(model.device, await referenceOf(families, name));
  return { model, given };
};

describe.each(cases)('%s', (name) => {
  it('pauses after each layer', async () => {
    const { model, given } = await open(name);
    const { labels, startPositions, endPositions: _, ...inputs } = given as ModelInputs;
    model.eval();
    if (labels ?? startPositions) {
      const { loss } = model.forward(given);
      const { result, pauses } = await inParts(model.device.scopeInParts(model.forwardInParts(given, {})));
      expect(pauses).toBeGreaterThanOrEqual(1);
      expect(await result.loss!.data()).toEqual(await loss!.data());
    }
    const whole = model.device.noGrad(() => model.forward(inputs));
    const { result, pauses } = await inParts(model.device.scopeInParts(quietly(model, model.forwardInParts(inputs))));
    const layers = model.modules().filter((part) => part instanceof TransformerLayer).length;
    expect(pauses).toBeGreaterThanOrEqual(layers || (name === 'bit-classes' ? 1 : 2)); // one block
    for (const key of ['logits', 'lastHiddenState', 'predBoxes', 'predMasks', 'imageEmbeds'] as const) {
      const [expected, actual] = [whole[key], result[key]] as (Tensor | undefined)[];
      expect(actual === undefined).toBe(expected === undefined);
      if (expected && actual) expect(await actual.data(), key).toEqual(await expected.data());
    }
    model.dispose();
  });
});

/** A pass without gradients, whoever takes its steps. */
function* quietly<Result>(model: { device: { noGrad<T>(fn: () => T): T } }, pass: Iterator<unknown, Result>) {
  for (;;) {
    const { done, value } = model.device.noGrad(() => pass.next());
    if (done) return value;
    yield;
  }
}

it.each(['bart', 'blenderbot', 'moonshine', 'moonshine_streaming', 't5', 't5gemma', 'trocr', 'whisper'])(
  '%s reads sources in parts',
  async (name) => {
    const { model, given } = await open(name);
    const source = given.inputFeatures ?? given.inputValues ?? given.pixelValues ?? given.inputIds;
    model.eval();
    const whole = device.noGrad(() => model.encode(source as number[][]));
    const { result, pauses } = await inParts(
      device.scopeInParts(quietly(model, model.encodeInParts(source as number[][]))),
    );
    const layers = (model as unknown as { encoder: { layers: readonly unknown[] } }).encoder.layers.length;
    expect(pauses).toBeGreaterThanOrEqual(layers);
    expect(await result.hidden.data()).toEqual(await whole.hidden.data());
    model.dispose();
  },
);

it.each([...familyCases.filter((name) => seeing.test(name)), 'florence2'])('%s reads images in parts', async (name) => {
  const { model, given } = await open(name);
  const { images } = model as unknown as PromptModel;
  const inputs = Object.fromEntries(Object.entries(given).filter(([key]) => images?.inputNames.includes(key as never)));
  model.eval();
  const whole = device.noGrad(() => images!.read(inputs));
  const { result, pauses } = await inParts(device.scopeInParts(quietly(model, images!.readInParts(inputs))));
  const { num_hidden_layers: layers = 2 } = model.config.vision_config as { num_hidden_layers?: number };
  expect(pauses).toBeGreaterThanOrEqual(layers);
  expect(await result.rows.data()).toEqual(await whole.rows.data());
  model.dispose();
});

it('a pass with the loss of its routers pauses after each layer, too', async () => {
  const files = (await filesOf(families, 'qwen3_moe')) as Record<string, Uint8Array>;
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, output_router_logits: true }));
  const model = await loadModel(device, { ...files, 'config.json': changed }, { onWarning: () => {} });
  const given = { inputIds: [[1, 2, 3, 4]], labels: [[1, 2, 3, 4]] };
  const { loss } = model.forward(given);
  const { result, pauses } = await inParts(device.scopeInParts(model.forwardInParts(given, {})));
  expect(pauses).toBeGreaterThanOrEqual(config.num_hidden_layers);
  expect(await result.loss!.data()).toEqual(await loss!.data());
});
