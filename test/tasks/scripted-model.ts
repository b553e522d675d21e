import type { DecodingOptions, ExtendOptions, Generative } from '../../src/generate/index.js';
import type { Device, Tensor } from '../../src/index.js';
import { DecoderState, type PackedTokens, type Tokens } from '../../src/nn/index.js';
import { embedding } from '../../src/ops/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/index.js';

/** Writes what it is told to, one text for each prompt: a model whose logits depend on positions alone. */
export class Scripted implements Generative {
  readonly maxLength = 1024;
  readonly startId = null;
  readonly vocabSize: number;
  readonly endIds: readonly number[];
  /** [maxLength, vocabSize] */
  readonly #table: Tensor;
  #texts: (readonly number[])[] = [];

  constructor(
    readonly device: Device,
    readonly tokenizer: PretrainedTokenizer,
  ) {
    this.vocabSize = tokenizer.vocabSize;
    this.endIds = [tokenizer.eosId as number];
    this.#table = device.unscoped(() => device.zeros([this.maxLength, this.vocabSize]));
  }

  writes(...texts: (readonly number[])[]): void {
    this.#texts = texts;
  }

  startDecoding({ sequences = 1, beams = 1, maxLength: capacity = this.maxLength }: DecodingOptions) {
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

  extendInParts(state: DecoderState, tokens: Tokens, { starts = [0], logits }: ExtendOptions = {}): Tensor | null {
    const { length: count } = Array.isArray(tokens)
      ? (tokens as number[][])[0]!
      : [...((tokens as PackedTokens).ids as number[])];
    const start = starts[0] as number;
    const end = start + count;
    state.setLength(0, end);
    if (logits === 'none') return null;
    if (logits === 'every') {
      const positions = Int32Array.from({ length: count }, (_, i) => start + i);
      return embedding(this.#table, this.device.tensor(positions));
    }
    const text = this.#texts.shift() ?? [];
    for (const [i, token] of text.entries())
      this.#table
        .rows(end - 1 + i, end + i)
        .write([Array.from({ length: this.vocabSize }, (_, id) => (id === token ? 9 : 0))]);
    return embedding(this.#table, state.positions);
  }

  stepInParts(state: DecoderState) {
    state.advance();
    return embedding(this.#table, state.positions);
  }
}
