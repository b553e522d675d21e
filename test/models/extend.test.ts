// Appends tokens to some sequences of a state in use. Results have the bits of reading all at once, or on request those
// of single steps.
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Device, ShapeError, Transformer, type TransformerOptions } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

const size = { dModel: 24, heads: 4, encoderLayers: 0, decoderLayers: 2, dFF: 40, maxLength: 96, seed: 3 };
const targetVocab = 9;

const build = (device: Device, options: TransformerOptions = {}) =>
  new Transformer(device, { ...size, targetVocab, ...options }).eval();

const variants: Record<string, TransformerOptions> = {
  'post-norm': {},
  'learned positions': { norm: 'pre', positions: 'learned' },
  'relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 2 }, kvHeads: 2 },
  'relative keys and values': { positions: { kind: 'shaw', maxDistance: 2 } },
  'rotary, gated': { positions: 'rotary', gated: true, normalization: 'rms', norm: 'pre', kvHeads: 2 },
};

const text = (length: number, seed = 1) =>
  Array.from({ length }, (_, i) => (i * i * seed + 3 * i + seed) % targetVocab);

/** Decoder-only models, whatever they are made of. */
type Decoder = Pick<Transformer, 'extend' | 'startDecoding' | 'prefill' | 'step'>;

function prefilled(model: Decoder, ids: readonly number[]): Float32Array {
  const state = model.startDecoding();
  const logits = model.prefill(state, [ids]).dataSync() as Float32Array;
  state.dispose();
  return logits;
}

/** Logits after each of `ids` that comes after the first `start`. */
function stepped(model: Decoder, ids: readonly number[], start: number): number[] {
  const state = model.startDecoding();
  model.prefill(state, [ids.slice(0, start)]);
  const logits = ids.slice(start).flatMap((id) => {
    state.tokens.write([id]);
    return [...model.step(state).dataSync()];
  });
  state.dispose();
  return logits;
}

/** In chunks of any sizes, into one sequence of several. */
function checkChunks(model: Decoder, ids: readonly number[]): void {
  const expected = prefilled(model, ids);
  for (const cuts of [[1], [33], [7, 8, 64], [64, 65], ids.map((_, i) => i).slice(1)]) {
    const state = model.startDecoding({ sequences: 3 });
    const bounds = [0, ...cuts.filter((cut) => cut < ids.length)];
    for (const [i, start] of bounds.entries()) {
      const chunk = ids.slice(start, bounds[i + 1]);
      const isLast = i === bounds.length - 1;
      const logits = model.extend(state, [chunk], {
        sequences: [1],
        starts: [start],
        logits: isLast ? 'last' : 'none',
      } as {
        logits: 'last';
      });
      if (isLast) expect(logits.dataSync()).toEqual(expected);
      else expect(logits).toBeNull();
    }
    state.dispose();
  }
}

function checkDrafts(model: Decoder, ids: readonly number[]): void {
  for (const [start, count] of [
    [5, 1],
    [30, 7],
    [ids.length - 5, 5],
  ] as const) {
    const all = ids.slice(0, start + count);
    const state = model.startDecoding({ sequences: 2 });
    model.extend(state, [all.slice(0, start)], { sequences: [1], logits: 'none' });
    const every = model.extend(state, [all.slice(start)], { sequences: [1], starts: [start], logits: 'every' });
    expect([...every.dataSync()]).toEqual(stepped(model, all, start));
    state.dispose();
  }
}

describe.each(isas)('%s', (isa) => {
  describe.each(Object.entries(variants))('%s', (_, options) => {
    it('chunks give the results of the whole text', async () => {
      const model = build(await deviceFor(isa, 2), options);
      checkChunks(model, text(90));
      model.dispose();
    });

    it('logits of every token equal those of steps', async () => {
      const model = build(await deviceFor(isa, 2), options);
      checkDrafts(model, text(70));
      model.dispose();
    });
  });
});

describe('a state in use', () => {
  it('lets some sequences read on while others stay, drop tokens and step', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, variants['rotary, gated']);
    const state = model.startDecoding({ sequences: 3 });
    const step = device.record(() => model.step(state));
    const [a, b, c] = [text(10, 1), text(40, 2), text(7, 3)];
    model.prefill(state, [a, b, c]);
    // 0 stays, 1 forgets half and reads on, 2 reads on.
    const more = [text(5, 4), text(9, 5)];
    const logits = model.extend(state, more, { sequences: [1, 2], starts: [20, 7] }).dataSync();
    const [second, third] = [
      [...b.slice(0, 20), ...text(5, 4)],
      [...c, ...text(9, 5)],
    ];
    expect(logits).toEqual(Float32Array.of(...prefilled(model, second), ...prefilled(model, third)));
    expect([...state.lengths.dataSync()]).toEqual([10, 25, 16]);
    state.tokens.write([1, 2, 3]);
    const next = [stepped(model, [...a, 1], 10), stepped(model, [...second, 2], 25), stepped(model, [...third, 3], 16)];
    expect([...step.run().dataSync()]).toEqual(next.flat());
    state.setLength(1, 25); // forgets the step
    state.tokens.write([4, 5, 6]);
    expect([...step.run().dataSync()].slice(targetVocab, 2 * targetVocab)).toEqual(stepped(model, [...second, 5], 25));
    state.dispose();
  });

  it('begins with the tokens of another sequence', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device, variants['rotary, gated']);
    const [one, other] = [model.startDecoding({ sequences: 2 }), model.startDecoding({ sequences: 2, maxLength: 64 })];
    const ids = text(50);
    model.extend(one, [ids], { sequences: [1], logits: 'none' });
    one.copySequence(0, 1, 30);
    other.copySequence(1, 1, 40, one);
    expect([...one.lengths.dataSync(), ...other.lengths.dataSync()]).toEqual([30, 50, 0, 40]);
    const rest = (at: number) => [[...ids.slice(at), 1, 2]];
    const expected = prefilled(model, [...ids, 1, 2]);
    expect(model.extend(one, rest(30), { sequences: [0], starts: [30] }).dataSync()).toEqual(expected);
    expect(model.extend(other, rest(40), { sequences: [1], starts: [40] }).dataSync()).toEqual(expected);
    expect(() => other.copySequence(0, 0, 65, one)).toThrow('copySequence: length is 65, expected 0 to 64');
    expect(() => other.copySequence(2, 0, 1, one)).toThrow('to is 2, expected 0 to 1');
    const foreign = build(device, variants['rotary, gated']).startDecoding();
    expect(() => foreign.copySequence(0, 0, 1, one)).toThrow('a state of another model');
    for (const state of [one, other, foreign]) state.dispose();
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const model = build(device);
    const state = model.startDecoding({ sequences: 2, maxLength: 8 });
    const refused: [string, new (message: string) => Error, () => unknown][] = [
      [
        '8 tokens, got 4 tokens after 5 for sequence 0',
        ShapeError,
        () => model.extend(state, [[1, 2, 3, 4]], { starts: [5] }),
      ],
      ['sequences[0] is 2, expected 0 to 1', ArgumentError, () => model.extend(state, [[1]], { sequences: [2] })],
      ['a sequence is twice among 1,1', ArgumentError, () => model.extend(state, [[1], [2]], { sequences: [1, 1] })],
      [
        'starts has 1 entries, but there are 2 rows',
        ArgumentError,
        () => model.extend(state, [[1], [2]], { starts: [1] }),
      ],
      ['starts[0] is -1', ArgumentError, () => model.extend(state, [[1]], { starts: [-1] })],
      [
        'logits is "all", expected one of',
        ArgumentError,
        () => model.extend(state, [[1]], { logits: 'all' as 'last' }),
      ],
      ['there is no option start, only', ArgumentError, () => model.extend(state, [[1]], { start: [1] } as object)],
    ];
    for (const [message, type, act] of refused) {
      expect(act, message).toThrow(type);
      expect(act).toThrow(message);
    }
    const translator = build(device, { encoderLayers: 1, sourceVocab: 5 });
    const translating = translator.startDecoding({ memory: translator.encode([[1]]) });
    expect(() => translator.extend(translating, [[1]])).toThrow('extend: the model has an encoder');
    translating.dispose();
    state.dispose();
  });
});

describe('families', () => {
  const data = testData('families');
  const few = ['mistral-window', 'gemma3', 'gpt2', 'qwen2-yarn', 'phi3', 'gemma2'];
  const states = ['gemma3n', 'gemma4', 'lfm2_moe', 'granitemoehybrid', 'falcon_h1', 'qwen3_5', 'mamba2'];
  const others = [
    'gpt_oss',
    'olmoe',
    'qwen3_moe',
    'ministral3',
    'hunyuan_v1_dense',
    'falcon_alibi',
    'bloom',
    'cohere2',
  ];
  it.each([...few, ...states, ...others])('%s reads on', async (name) => {
    const files = Object.fromEntries(
      await Promise.all(
        ['config.json', 'model.safetensors'].map(async (file) => [file, await data.bytes(`${name}/${file}`)] as const),
      ),
    );
    const model = await loadModel(await deviceFor(isas.at(-1)!, 2), files, { onWarning: () => {} });
    const ids = Array.from({ length: Math.min(48, model.maxLength) }, (_, i) => (i * i + 7 * i) % model.vocabSize);
    checkChunks(model, ids);
    checkDrafts(model, ids);
    model.dispose();
  });
});
