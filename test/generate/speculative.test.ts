// Speculative decoding changes only the speed, never the result.
import { describe, expect, it } from 'vitest';
import { DraftBudget, PromptLookup } from '../../src/generate/speculative.js';
import {
  ArgumentError,
  type DraftEvent,
  type GenerateOptions,
  Transformer,
  type TransformerOptions,
} from '../../src/index.js';
import { decoderOnly, device, makeModel } from './small-model.js';

const larger = { ...decoderOnly, maxLength: 160 };

const architectures: Record<string, TransformerOptions> = {
  'as the paper has it': {},
  'rotary, gated, grouped heads': { positions: 'rotary', gated: true, normalization: 'rms', norm: 'pre', kvHeads: 1 },
  'relative bias': { positions: { kind: 'relativeBias', maxDistance: 4 }, norm: 'pre' },
};

/** Returns a text with repeated parts, whose places depend on the seed. */
const prompt = (seed: number) => Array.from({ length: 30 }, (_, i) => 3 + ((i * (1 + (seed % 3)) + seed) % 7));

const choices: Record<string, GenerateOptions> = {
  greedily: {},
  'with penalties': { repetitionPenalty: 1.3, noRepeatNgramSize: 4 },
  'with a least length and forced tokens': { minNewTokens: 20, prefix: [4, 5, 6], forcedEosTokenId: 2 },
  'by sampling': { doSample: true, temperature: 0.7, topP: 0.9 },
  'until it stops': { stop: (tokens) => tokens.length % 13 === 0 },
};

describe.each(Object.entries(architectures))('%s', (_, architecture) => {
  describe.each(Object.entries(choices))('%s', (_, options) => {
    it('gives the bits of generation without guesses', async () => {
      let guessed = 0;
      for (let seed = 0; seed < 4; seed++) {
        const model = makeModel({ ...larger, ...architecture, seed });
        const other = makeModel({ ...larger, ...architecture, seed: seed + 1 });
        const all = { maxNewTokens: 60, seed, ...options };
        const inputs = [prompt(seed), [3, 4]];
        const plain = await model.generate(inputs, all);
        for (const draft of ['prompt', other] as const)
          expect(await model.generate(inputs, { ...all, draft })).toEqual(plain);
        guessed += plain.sequences.flat().length;
        model.dispose();
        other.dispose();
      }
      expect(guessed).toBeGreaterThan(40); // so guesses were made
    });
  });
});

it('an identical draft model guesses every token', async () => {
  const model = makeModel({ ...larger, seed: 1 });
  const twin = new Transformer(device, { ...model.config });
  const state = Object.fromEntries(model.namedTensors().map(([name, tensor]) => [name, tensor]));
  for (const [name, tensor] of twin.namedTensors()) tensor.write(state[name]!.dataSync() as Float32Array);
  let passes = 0;
  const { extendInParts } = model;
  model.extendInParts = (...args) => {
    passes++;
    return extendInParts.apply(model, args);
  };
  const options = { maxNewTokens: 100, stopTokens: [] };
  const expected = await model.generate([prompt(1)], options);
  expect(await model.generate([prompt(1)], { ...options, draft: twin })).toEqual(expected);
  expect(passes).toBeLessThan(14); // the prompt, then 9, 17, 17 … tokens at once
  model.dispose();
  twin.dispose();
});

it('onDraft is told what was guessed, and how much of it is in the result', async () => {
  const model = makeModel({ ...larger, seed: 2 });
  const inputs = [prompt(1), prompt(2)];
  const events: DraftEvent[] = [];
  const options = {
    maxNewTokens: 60,
    stopTokens: [],
    draft: 'prompt',
    onDraft: (event: DraftEvent) => events.push(event),
  } as const;
  const { sequences } = await model.generate(inputs, options);
  expect(new Set(events.map(({ sequence }) => sequence))).toEqual(new Set([0, 1]));
  expect(events.some(({ accepted }) => accepted > 0)).toBe(true);
  let last = { sequence: -1, end: 0 };
  for (const { sequence, at, tokens, accepted } of [...events].sort((a, b) => a.sequence - b.sequence)) {
    const chosen = sequences[sequence]!.slice(at, at + tokens.length);
    expect(tokens.slice(0, accepted)).toEqual(chosen.slice(0, accepted));
    if (accepted < chosen.length) expect(tokens[accepted]).not.toBe(chosen[accepted]);
    if (sequence === last.sequence) expect(at).toBeGreaterThan(last.end); // the model's own token lies between
    last = { sequence, end: at + accepted };
  }
  model.dispose();
});

describe('prompt look-up', () => {
  it('guesses the tokens after the latest occurrence of the longest ending', () => {
    const lookup = new PromptLookup();
    expect(lookup.propose([1, 2, 3, 9, 8, 2, 3, 7, 7, 1, 2, 3], 3)).toEqual([9, 8, 2]);
    expect(lookup.propose([2, 3, 4, 5, 2, 3, 6, 7, 2, 3], 2)).toEqual([6, 7]);
    expect(lookup.propose([5, 5, 5, 5, 5, 5], 4)).toEqual([5]);
    expect(lookup.propose([1, 2, 3, 4], 4)).toEqual([]);
    expect(lookup.propose([1], 4)).toEqual([]);
  });

  it('guesses fewer tokens after bad guesses, and more after good ones', () => {
    const lookup = new PromptLookup();
    const again = [...Array.from({ length: 40 }, (_, i) => i), 0, 1];
    expect(lookup.propose(again, 30)).toHaveLength(7); // with the latest token, a pass has a power of two tokens
    lookup.recordAccepted(7, 0);
    expect(lookup.propose(again, 30)).toHaveLength(3);
    lookup.recordAccepted(3, 3);
    lookup.recordAccepted(7, 7);
    lookup.recordAccepted(15, 15);
    expect(lookup.propose(again, 30)).toHaveLength(15);
  });

  it('guesses the tokens after an ending in earlier texts, the first of them first', () => {
    const lookup = new PromptLookup({ isCautious: true });
    expect(
      lookup.propose([9, 1, 2, 3], 3, [
        [1, 2, 3],
        [5, 1, 2, 3, 6, 7],
        [1, 2, 3, 8, 8],
      ]),
    ).toEqual([6, 7]);
    expect(lookup.propose([1, 2, 3, 4, 9, 1, 2, 3], 3, [[1, 2, 3, 5]])).toEqual([4, 9, 1]);
    expect(lookup.propose([9, 2, 3], 3, [[2, 3, 6, 7]])).toEqual([]); // a careful look-up needs three equal tokens
  });
});

describe('the account of guesses', () => {
  it('allows guesses that save time', () => {
    const account = new DraftBudget();
    expect(account.allowsDrafts).toBe(false); // the time of a step is unknown
    account.addStep(10);
    for (let pass = 0; pass < 20; pass++) {
      expect(account.allowsDrafts).toBe(true);
      account.addPass(18, 3);
    }
  });

  it('lets guesses lose little more than one percent of the time', () => {
    const account = new DraftBudget();
    let [spent, passes] = [0, 0];
    for (let step = 0; step < 1000; step++) {
      if (account.allowsDrafts) {
        account.addPass(25, 1);
        spent += 15;
        passes++;
      } else account.addStep(10);
    }
    expect(passes).toBeGreaterThan(3); // it tries again
    expect(spent).toBeLessThan(0.013 * 10 * (1000 - passes));
  });

  it('forgets savings of long ago', () => {
    const account = new DraftBudget();
    account.addStep(10);
    for (let pass = 0; pass < 1000; pass++) account.addPass(20, 16);
    let lost = 0;
    for (; account.allowsDrafts; lost++) account.addPass(30, 1);
    expect(lost).toBeLessThan(4);
  });
});

it('refuses inputs that cannot be drafted', async () => {
  const model = makeModel(larger);
  const translator = makeModel();
  const other = makeModel({ ...larger, targetVocab: 12 });
  const refused = async (options: object, message: string, of = model) => {
    await expect(of.generate([[3, 4]], options)).rejects.toThrow(message);
    await expect(of.generate([[3, 4]], options)).rejects.toThrow(ArgumentError);
  };
  await refused({ draft: 'prompt', numBeams: 2 }, 'draft needs one sequence');
  await refused({ draft: 'prompt', doSample: true, numReturnSequences: 2 }, 'draft needs one sequence');
  await refused({ draft: 'prompt', cropContext: true }, 'draft needs a context within maxLength');
  await refused({ draft: 'lookup' }, 'draft is "lookup", expected \'prompt\' or a model');
  await refused({ draft: model }, 'draft is the model itself');
  await refused({ draft: other }, 'draft has a vocabulary of 12 tokens');
  await refused({ draft: 'prompt' }, 'expected a decoder-only model', translator);
  for (const each of [model, translator, other]) each.dispose();
});
