import { expect, it } from 'vitest';
import { type DecodingOptions, type Generative, generate } from '../../src/generate/index.js';
import type { Device, Tensor } from '../../src/index.js';
import { DecoderState, type Tokens } from '../../src/nn/index.js';
import { embedding } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

/** The next token's logits depend on the newest token alone: all that a model needs to be generated with. */
class Bigram implements Generative {
  readonly maxLength = 32;
  readonly startId = 0;
  readonly endIds = [4];
  readonly vocabSize = 5;
  constructor(
    readonly device: Device,
    readonly table: Tensor,
  ) {}
  startDecoding({ sequences = 1, beams = 1, maxLength: capacity = 32 }: DecodingOptions) {
    return new DecoderState(this.device, {
      model: this,
      caches: [],
      sources: sequences,
      beams,
      capacity,
      sourceCapacity: 0,
    });
  }
  restartDecoding = (state: DecoderState) => state.setLengths(new Int32Array(state.sequences));
  prefillInParts(state: DecoderState, prompts: Tokens) {
    const { ids, lengths } = prompts as { ids: number[]; lengths: number[] };
    const ends = lengths.map((_, i) =>
      lengths.slice(0, i + 1).reduce((sum: number, length: number) => sum + length, -1),
    );
    state.tokens.write(Int32Array.from(ends, (end) => ids[end]!));
    state.setLengths(Int32Array.from(lengths));
    return embedding(this.table, state.tokens);
  }
  stepInParts(state: DecoderState) {
    state.advance();
    return embedding(this.table, state.tokens);
  }
}

it('generates with any model that gives the next token: greedily, by beams, by sampling', async () => {
  const device = await deviceFor(isas[0]!, 1);
  const next = [1, 2, 3, 4, 4]; // each token's likeliest successor
  const logits = next.map((likely) => Array.from({ length: 5 }, (_, token) => (token === likely ? 5 : 0)));
  const model = new Bigram(device, device.tensor(logits));
  const of = (options: object) => generate(model, [[0], [2]], options).then(({ sequences }) => sequences);
  expect(await of({})).toEqual([[1, 2, 3], [3]]);
  expect(await of({ numBeams: 3 })).toEqual([[1, 2, 3], [3]]);
  expect(await of({ maxNewTokens: 2, stopTokens: [] })).toEqual([
    [1, 2],
    [3, 4],
  ]);
  const drawn = await of({ doSample: true, temperature: 4, seed: 3, maxNewTokens: 8 });
  expect(drawn).toEqual(await of({ doSample: true, temperature: 4, seed: 3, maxNewTokens: 8 }));
  expect(drawn).not.toEqual(await of({}));
  expect(drawn).not.toEqual(await of({ doSample: true, temperature: 4, seed: 4, maxNewTokens: 8 }));
});
