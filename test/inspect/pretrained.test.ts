// Looking inside works for every family: maps of attention, heads switched off, and each value of a pass.
import { expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { trace, withoutHeads } from '../../src/inspect/index.js';
import type { ModelOutput } from '../../src/models/inputs.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { describeShared } from '../shared.js';
import { assertClose, largest } from '../tolerance.js';

const readers = [
  ...['bert-mlm', 'bert-pooler', 'bert-sequence', 'distilbert-mlm', 'electra-discriminator', 'mpnet', 'albert-mlm'],
  ...['deberta-v2-sequence', 'modernbert-mlm', 'roberta-mlm', 'xlm-roberta-token'],
];
const writers = [
  ...['gemma', 'gemma2', 'gemma3', 'gpt-neox', 'gpt2', 'llama', 'llama3-rope', 'mistral-window', 'olmo2', 'opt'],
  ...['phi3', 'qwen2', 'qwen2-yarn', 'qwen3', 'smollm3'],
];
const translators = ['bart', 'mbart', 'marian', 'm2m100', 't5', 't5-gated'];

const ids = [5, 9, 17, 4, 6, 31, 8];

await describeShared('looking into pretrained models', 'reference', 'SOURCE.txt', async (shared) => {
  const load = async (name: string) => loadModel(await deviceFor(isas[0]!, 2), await filesOf(shared, name), {});

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
    for (const side of ['encoder', 'decoder'] as const) {
      const stack = traced[side];
      const states = statesOf(output, side, Boolean(source && target));
      for (const [i, layer] of (stack?.layers ?? []).entries()) {
        await same(`input of ${side} layer ${i}`, layer.selfAttention.input, states.hidden[i]);
        await same(`weights of ${side} layer ${i}`, layer.selfAttention.inside.weights, states.maps[i]);
        if (layer.crossAttention)
          await same(`cross weights of layer ${i}`, layer.crossAttention.inside.weights, output.crossAttentions![i]);
      }
      if (stack) await same(`output of the ${side}`, stack.output, states.last);
    }
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
});

const states = (output: ModelOutput) => (output.hiddenStates ?? output.decoderHiddenStates)!.at(-1)!.data();

function statesOf(output: ModelOutput, side: 'encoder' | 'decoder', isBoth: boolean) {
  if (!isBoth) return { hidden: output.hiddenStates!, maps: output.attentions!, last: output.hiddenStates!.at(-1) };
  const hidden = (side === 'encoder' ? output.encoderHiddenStates : output.decoderHiddenStates)!;
  const maps = (side === 'encoder' ? output.encoderAttentions : output.decoderAttentions)!;
  return { hidden, maps, last: hidden.at(-1) };
}
