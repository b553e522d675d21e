// Calls of encoders give way to the event loop between layers, with the bits of `forward`, and read no more than they need.
import { afterAll, expect, it, vi } from 'vitest';
import { createDevice, loadModel, Tensor } from '../../src/index.js';
import type { RtDetr } from '../../src/models/families/rt-detr.js';
import type { SpeechT5 } from '../../src/models/families/speecht5.js';
import type { Vits } from '../../src/models/families/vits.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { inferenceAsync } from '../../src/nn/inference-async.js';
import { Stack } from '../../src/nn/stack.js';
import { pipeline, type TaskName } from '../../src/tasks/index.js';
import { countTurns, withSlowClock } from '../event-loop.js';
import { smallModel } from './small-model.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

/** Runs `run` with the slow clock. Returns the turns of the event loop meanwhile. */
const turnsOf = (run: () => Promise<unknown>): Promise<number> =>
  countTurns(async (turn) => {
    await withSlowClock(run);
    return turn();
  });

const text = 'the cat sat on the mat';
const cases: [TaskName, model: string, args: unknown[]][] = [
  ['feature-extraction', 'bert-pooler', [text, { pooling: 'mean' }]],
  ['text-classification', 'bert-sequence', [text]],
  ['text-classification', 'deberta-v2-sequence', [text]],
  ['token-classification', 'bert-token', [text]],
  ['question-answering', 'bert-qa', ['who sat ?', text]],
  ['fill-mask', 'bert-mlm', [`${text} [MASK]`]],
];

it.each(cases)('%s of %s', async (task, name, args) => {
  await using pipe = await pipeline(task, smallModel(name), { device });
  const call = pipe as unknown as (...args: unknown[]) => Promise<unknown>;
  // A call can do nothing else between layers than give way: the turn of each layer is another one.
  const turns = new Set<number>();
  let turn = 0;
  const layers = vi.spyOn(Stack.prototype, 'forwardInParts').mockImplementation(function* (this: Stack, ...given) {
    layers.mockRestore();
    const parts = this.forwardInParts(...given);
    for (;;) {
      const { done, value } = parts.next();
      turns.add(turn);
      if (done) return value;
      yield value;
    }
  });
  let isOn = true;
  const count = () => {
    turn++;
    if (isOn) setImmediate(count);
  };
  setImmediate(count);
  await turnsOf(() => call(...args)).finally(() => {
    isOn = false;
  });
  const stack = (pipe.model as unknown as { encoder: Stack }).encoder;
  expect(turns.size).toBe(stack.layers.length + 1);
});

it('speech is made in slices: after each layer, flow and block of convolutions', async () => {
  using vits = (await loadModel(device, 'test/data/families/vits')) as unknown as Vits;
  const { encoder, flow, vocoder } = vits;
  const spoken = await turnsOf(() => vits.speak([[3, 4, 5]], { speakingRate: 1e9 }));
  expect(spoken).toBeGreaterThanOrEqual(encoder.layers.length + flow.flows.length + vocoder.resblocks.length);
  using speecht5 = (await loadModel(device, 'test/data/families/speecht5')) as unknown as SpeechT5;
  const speakerEmbeddings = new Float32Array(speecht5.config.speaker_embedding_dim as number).fill(0.1);
  const options = { speakerEmbeddings, minLengthRatio: 4, maxLengthRatio: 4 };
  const steps = (4 * 2) / (speecht5.config.reduction_factor as number);
  const layers = speecht5.encoder.layers.length + steps * speecht5.decoder.layers.length;
  const written = await turnsOf(() => speecht5.speak([4, 5], options));
  expect(written).toBeGreaterThanOrEqual(layers + speecht5.postnet.layers.length);
});

it('RT-DETR yields after each block of its backbone, map, and layer of its decoder', async () => {
  using model = (await loadModel(device, 'test/data/families/rt_detr')) as unknown as RtDetr;
  const { backbone, encoder, decoder } = model.model;
  const blocks = backbone.model.stages.reduce((sum, { layers }) => sum + layers.length, 0);
  const maps = encoder.fpnBlocks.length + encoder.panBlocks.length;
  let parts = 0;
  device.scope(() => {
    const pass = model.forwardInParts({ pixelValues: device.zeros([1, 3, 64, 64]) });
    while (!pass.next().done) parts++;
  });
  expect(parts).toBeGreaterThanOrEqual(blocks + maps + decoder.layers.length);
});

it('vectors and scores of texts are computed in slices, too', async () => {
  const model = (await loadModel(device, smallModel('bert-pooler'), { head: 'none' })) as PretrainedModel;
  const alone = await model.encode([text]);
  const turns = await turnsOf(async () => {
    expect(await model.encode([text])).toEqual(alone);
  });
  expect(turns).toBeGreaterThan((model.encoder as Stack).layers.length);
  model.dispose();
});

it('a pass in slices has the bits of an undivided one, beside others, and frees its memory', async () => {
  const model = (await loadModel(device, smallModel('bert-mlm'))) as PretrainedModel;
  const rows = Array.from({ length: 5 }, (_, i) => [[2, 5 + i, 9, 3]]);
  const pass = (inputIds: number[][]) => inferenceAsync(model, () => model.forwardInParts({ inputIds }));
  const expected = rows.map((inputIds) => device.scope(() => model.forward({ inputIds }).logits!.dataSync()));
  const before = device.memory().used;
  await turnsOf(async () => {
    const outputs = await Promise.all(rows.map(pass));
    for (const [i, { logits }] of outputs.entries()) {
      expect(logits!.dataSync()).toEqual(expected[i]);
      logits!.dispose();
    }
  });
  expect(device.memory().used).toBe(before);
  // One pass holds activations at a time, and an error frees them.
  const bad = inferenceAsync(model, function* () {
    yield* model.forwardInParts({ inputIds: rows[0]! });
    throw new Error('late');
  });
  await expect(bad).rejects.toThrow('late');
  expect(device.memory().used).toBe(before);
  model.dispose();
});

it('a pass starts again if the parts change during it', async () => {
  const model = (await loadModel(device, smallModel('bert-mlm'))) as PretrainedModel;
  const inputIds = [[2, 5, 9, 3]];
  const expected = device.scope(() => model.forward({ inputIds }).logits!.dataSync());
  const layers = vi.spyOn(Stack.prototype, 'forwardInParts');
  const pass = device.scopeInParts(model.forwardInParts({ inputIds }));
  pass.next();
  model.partsChanged();
  for (;;) {
    const { done, value } = pass.next();
    if (!done) continue;
    expect(value.logits!.dataSync()).toEqual(expected);
    value.logits!.dispose();
    break;
  }
  expect(layers).toHaveBeenCalledTimes(2);
  layers.mockRestore();
  model.dispose();
});

it('fill-mask reads only the logits of masks', async () => {
  await using pipe = await pipeline('fill-mask', smallModel('bert-mlm'), { device });
  const read = vi.spyOn(Tensor, 'dataOf');
  const results = await pipe([`${text} [MASK]`, 'the [MASK] sat on the [MASK]', '[MASK]']);
  const sizes = read.mock.calls.flatMap(([tensors]) => tensors.map(({ size }) => size));
  read.mockRestore();
  expect(sizes.reduce((sum, size) => sum + size)).toBe(4 * pipe.model.vocabSize);
  expect(results.map((each) => (Array.isArray(each[0]) ? each.length : 1))).toEqual([1, 2, 1]);
});
