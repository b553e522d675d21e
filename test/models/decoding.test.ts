// Decoding step by step must give what the whole sequence at once gives.
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  CommandError,
  type Device,
  ShapeError,
  Transformer,
  type TransformerOptions,
} from '../../src/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

const base = { dModel: 24, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 40, maxLength: 16, seed: 3 };
const sourceVocab = 11;
const targetVocab = 9;

function build(device: Device, options: TransformerOptions): Transformer {
  return new Transformer(device, { ...base, sourceVocab, targetVocab, ...options }).eval();
}

function compare(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  const scale = largest(expected);
  assertClose(what, actual, expected, () => allowedError(200, 2 * scale));
}

const variants: Record<string, TransformerOptions> = {
  'post-norm': {},
  'pre-norm, learned positions': { norm: 'pre', positions: 'learned' },
  'relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 2 }, kvHeads: 2 },
  'relative keys and values': { positions: { kind: 'shaw', maxDistance: 2 } },
  'rotary, gated': { positions: 'rotary', gated: true, normalization: 'rms', norm: 'pre', kvHeads: 2 },
};
const sources = [[3, 4, 5, 6, 7], [8], [2, 9, 10]];

describe.each(isas)('%s', (isa) => {
  describe.each(Object.entries(variants))('%s', (_, options) => {
    it('steps of an encoder–decoder with reordered beams equal a full pass', async () => {
      const device = await deviceFor(isa, 2);
      const model = build(device, options);
      const state = model.startDecoding({ memory: model.encode(sources), beams: 2, maxLength: 8 });
      const step = device.record(() => model.step(state));
      const order = device.tensor(Int32Array.of(0, 0, 0, 0, 0, 0));
      const reorder = device.record(() => state.reorder(order));
      let sequences = Array.from({ length: 6 }, (): number[] => []);
      const orders = [null, null, [1, 0, 3, 3, 4, 5], [1, 1, 2, 3, 5, 4], null];
      for (const [t, places] of orders.entries()) {
        if (places) {
          order.write(places);
          reorder.run();
          sequences = places.map((from) => sequences[from]!);
        }
        sequences = sequences.map((ids, r) => [...ids, t === 0 ? 1 : 2 + ((r * 3 + t) % 7)]);
        state.tokens.write(sequences.map((ids) => ids.at(-1)!));
        const logits = await step.run().data();
        const whole = await model
          .forward(
            sources.flatMap((source) => [source, source]),
            sequences,
          )
          .data();
        const last = whole.filter((_, i) => Math.floor(i / targetVocab) % (t + 1) === t);
        compare(`step ${t}`, logits, last);
      }
      state.dispose();
    });

    it('a prompt and steps of a decoder-only model equal a full pass', async () => {
      const device = await deviceFor(isa, 2);
      const model = build(device, { ...options, encoderLayers: 0 });
      const prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 0]];
      const state = model.startDecoding({ sequences: 3, maxLength: 8 });
      const nextLogits = async (rows: number[][]) => {
        const each = rows.map(async (row) => (await model.forward([row]).data()).slice(-targetVocab));
        return (await Promise.all(each)).flatMap((logits) => [...logits]);
      };
      compare('prompt', await model.prefill(state, prompts).data(), await nextLogits(prompts));
      const step = device.record(() => model.step(state));
      for (let t = 0; t < 3; t++) {
        for (const [r, prompt] of prompts.entries()) prompt.push((r + 2 * t) % targetVocab);
        state.tokens.write(prompts.map((prompt) => prompt.at(-1)!));
        compare(`step ${t}`, await step.run().data(), await nextLogits(prompts));
      }
      state.dispose();
    });
  });
});

describe('a decoder state', () => {
  it('can be reused for other sources with the same program', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, {});
    const state = model.startDecoding({ memory: model.encode(sources), maxLength: 4, sourceLength: 6 });
    const step = device.record(() => model.step(state));
    const others = [[5], [6, 7, 8, 9, 10, 2], [3, 3]];
    for (const batch of [sources, others]) {
      model.restartDecoding(state, model.encode(batch));
      for (const prefix of [[1], [1, 4]]) {
        state.tokens.write(batch.map(() => prefix.at(-1)!));
        const whole = model
          .forward(
            batch,
            batch.map(() => prefix),
          )
          .dataSync();
        const last = whole.filter((_, i) => Math.floor(i / targetVocab) % prefix.length === prefix.length - 1);
        compare('logits', step.run().dataSync(), last);
      }
    }
    expect(() => model.restartDecoding(state, model.encode([[1]]))).toThrow(ShapeError);
    state.dispose();
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, { encoderLayers: 0 });
    const memory = build(device, {}).encode(sources);
    expect(() => model.startDecoding({ memory })).toThrow(ArgumentError);
    expect(() => model.startDecoding({ maxLength: 17 })).toThrow('maxLength is 16');
    expect(() => model.startDecoding({ beams: 0 })).toThrow('beams is 0');
    expect(() => build(device, { decoderLayers: 0 }).startDecoding({ memory })).toThrow('no decoder');
    const translator = build(device, {});
    const translating = translator.startDecoding({ memory: translator.encode(sources) });
    expect(() => translator.prefill(translating, [[1]])).toThrow('prefill: the model has an encoder: give it');
    const state = model.startDecoding({ maxLength: 2 });
    expect(() => model.prefill(state, [[1, 2, 3]])).toThrow('at most 2 tokens');
    expect(() => model.prefill(state, [[1], [2]])).toThrow(ShapeError);
    model.step(state);
    model.step(state).dataSync();
    expect(() => model.step(state).dataSync()).toThrow(CommandError);
    expect(() => device.flushSync()).not.toThrow();
  });

  it('refuses options and states of other models, and queues nothing', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, {});
    const other = build(device, { encoderLayers: 0, dModel: 16 });
    const memory = model.encode(sources);
    const before = device.memory().used;
    const wrong: [string, () => unknown][] = [
      ['no option sequence, only', () => other.startDecoding({ sequence: 3 } as never)],
      ['startDecoding: sourceLength is NaN', () => model.startDecoding({ memory, sourceLength: Number.NaN })],
      ['startDecoding: sourceLength is 2.5', () => model.startDecoding({ memory, sourceLength: 2.5 })],
      ['startDecoding: sequences is 0', () => other.startDecoding({ sequences: 0 })],
      ['startDecoding: memory is an object', () => model.startDecoding({ memory: {} as never })],
      ['startDecoding: memory is null', () => model.startDecoding({ memory: null as never })],
    ];
    const refused = () => {
      for (const [message, act] of wrong.splice(0)) {
        expect(act, message).toThrow(ArgumentError);
        expect(act).toThrow(message);
      }
    };
    refused();
    expect(() => model.startDecoding({ memory, sourceLength: 4 })).toThrow(ShapeError);
    expect(device.memory().used).toBe(before);
    const foreign = other.startDecoding();
    const own = model.startDecoding({ memory });
    device.flushSync();
    wrong.push(
      ['step: state is an object, expected what', () => model.step(foreign)],
      ['step: state is an object, expected what', () => other.step(own)],
      ['step: state is undefined', () => model.step(undefined as never)],
      ['prefill: state is an object', () => other.prefill(own, [[1]])],
      ['restartDecoding: state is an object', () => model.restartDecoding(foreign, memory)],
      ['restartDecoding: memory is missing', () => model.restartDecoding(own)],
    );
    refused();
    expect(device.queue.idle).toBe(true);
    expect(own.positions.dataSync()).toEqual(Int32Array.of(-1, -1, -1));
    foreign.dispose();
    own.dispose();
  });

  it('outlives scopes and frees its memory', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, {});
    const before = device.memory().used;
    const state = device.scope(() => model.startDecoding({ memory: model.encode(sources), maxLength: 4 }));
    device.scope(() => model.step(state).dataSync());
    state.dispose();
    expect(device.memory().used).toBe(before);
  });
});

it('encodings and batches that a scope returns can be used outside of it', async () => {
  const device = await deviceFor(isas[0] as string, 2);
  const model = build(device, {});
  const source = [[1, 2, 3], [4]];
  const memory = device.scope(() => model.encode(source));
  const target = device.scope(() => ({
    all: [
      model.shift([
        [1, 2, 3],
        [4, 5],
      ]),
    ],
  })).all[0];
  const state = model.startDecoding({ memory });
  state.tokens.write([1, 1]);
  expect((await model.step(state).data()).every(Number.isFinite)).toBe(true);
  expect(await model.loss(source, target as never).item()).toBe(
    await model
      .loss(source, [
        [1, 2, 3],
        [4, 5],
      ])
      .item(),
  );
  state.dispose();
  model.dispose();
});
