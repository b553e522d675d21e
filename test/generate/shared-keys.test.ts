// Models whose last layers read the keys of earlier ones: chunks, packed keys and gradients. state-kinds.test.ts has their
// caches, drafts, batches and beams.
import { afterAll, describe, expect, it } from 'vitest';
import { deviceFor, isas } from '../describe-op.js';
import { decoderOf, expectChunks, expectSteps, text } from './as-fresh.js';

const device = await deviceFor(isas[0]!, 2);

describe.each([
  ['gemma4', 3],
  ['gemma3n', 3],
] as const)('%s', async (name, owners) => {
  const model = await decoderOf(name);
  afterAll(() => model.dispose());

  it('keeps only the keys of layers that have their own', () => {
    using state = model.startDecoding({ maxLength: 8 });
    expect(state.caches).toHaveLength(owners);
  });

  it('reads a text in chunks as in one pass, and token by token as in steps', () => {
    const ids = text(90);
    for (const cuts of [[1], [64], [7, 8, 70]]) expectChunks(model, ids, ...cuts);
    expectSteps(model, ids);
  });

  it('reads packed keys of other layers', async () => {
    const prompt = text(40);
    const logits = (cacheType: 'float32' | 'float16') => {
      using state = model.startDecoding({ maxLength: 64, cacheType });
      model.extend(state, [prompt], { logits: 'none' });
      state.tokens.write([5]);
      return model.step(state).dataSync();
    };
    const [exact, packed] = [logits('float32'), logits('float16')];
    const largest = Math.max(...Array.from(exact, Math.abs));
    // Half floats have 11 bits; rounding errors of 60 keys and values pass through 6 layers.
    for (const [i, value] of packed.entries()) expect(Math.abs(value - exact[i]!)).toBeLessThan(2 ** -6 * largest);
  });

  it('has equal gradients with gradient checkpointing', () => {
    const ids = [text(17), text(9, 2)];
    const gradients = () => {
      model.train();
      model.forward({ inputIds: ids, labels: ids }).loss!.backward();
      model.eval();
      return model.namedTensors().map(([path, tensor]) => {
        const gradient = tensor.grad && Array.from(tensor.grad.dataSync());
        tensor.grad?.dispose();
        return [path, gradient];
      });
    };
    const plain = gradients();
    model.gradientCheckpointing = true;
    const again = gradients();
    model.gradientCheckpointing = false;
    expect(again).toEqual(plain);
  });

  it('frees its memory', () => {
    const usedAfterPasses = () => {
      device.scope(() => model.forward({ inputIds: [text(30)] }, { hiddenStates: true }).logits!.dataSync());
      device.noGrad(() => device.scope(() => model.forward({ inputIds: [text(30)] }).logits!.dataSync()));
      const state = model.startDecoding({ maxLength: 32 });
      const layers = model.prefillInParts(state, [text(20)]);
      let last = layers.next();
      while (!last.done) last = layers.next();
      last.value.dispose();
      model.step(state).dispose();
      state.dispose();
      return device.memory().used;
    };
    const used = usedAfterPasses(); // with the tables of positions
    expect(usedAfterPasses()).toBe(used);
  });
});
