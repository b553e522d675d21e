// Objectives for each token: its label, or the masked token.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { ModelInputs } from '../models/inputs.js';
import { labelsOf } from '../models/labels.js';
import { IGNORED } from '../models/losses.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { tokenizerOf } from './encoded.js';
import type { ModelObjectiveOptions } from './model-objective.js';
import { idOf } from './sequence-classification.js';
import { type LabelledTokens, TokenObjective } from './token-objective.js';

/** Words with a label each. */
export interface TokenClassificationRow {
  readonly tokens: readonly string[];
  /** Labels of the words, by name or id. */
  readonly labels: readonly (string | number)[];
}

/**
 * Trains a model with the head 'token-classification' on labels of words. As usual, only the first token of each word
 * has a label. Rows are `{ tokens: ['Ada', 'writes'], labels: ['B-PER', 'O'] }`.
 */
export class TokenClassification extends TokenObjective<TokenClassificationRow> {
  protected override encode({ tokens, labels }: TokenClassificationRow): LabelledTokens {
    if (!Array.isArray(tokens) || !Array.isArray(labels) || tokens.length !== labels.length)
      throw new ArgumentError(
        'fit: an example has unequal numbers of tokens and labels, expected two arrays of equal length',
      );
    const names = labelsOf(this.model.config);
    const ids = labels.map((label) => idOf(label as string | number, names));
    const { inputIds, firsts } = encodeWords(this.model, tokens as string[], this.maxLength);
    return { inputIds, labels: firsts.map((word) => (word === null ? IGNORED : (ids[word] as number))) };
  }
}

/** Encodes words. Also returns, for each token, the index of the word whose first token it is, or null. */
export function encodeWords(
  model: PretrainedModel,
  words: readonly string[],
  maxLength: number,
): { inputIds: readonly number[]; firsts: readonly (number | null)[] } {
  const tokenizer = tokenizerOf('fit', model);
  const { inputIds, offsets, specialTokensMask } = tokenizer.encodeBatch([words.join(' ')], {
    truncation: true,
    maxLength,
  });
  // Index by position; -1 is the space after a word.
  const wordAt = words.flatMap((word, i) => [...Array.from(word, () => i), -1]);
  let last = -1;
  const firsts = (offsets[0] as [number, number][]).map(([start, end], i) => {
    if (specialTokensMask[0]?.[i] === 1 || end <= start) return null;
    const word = wordAt[end - 1] ?? -1; // the end is used, because some tokens begin with the space before their word
    if (word < 0 || word === last) return null;
    last = word;
    return word;
  });
  return { inputIds: inputIds[0] as number[], firsts };
}

export interface MaskingOptions extends ModelObjectiveOptions {
  /** Fraction of tokens that are predicted. Default: 0.15. */
  probability?: number | undefined;
  /** True if all tokens of a word are masked together. Default: true. */
  wholeWords?: boolean | undefined;
}

/** Ids with the words that they belong to. Each use masks different words. */
interface Maskable extends LabelledTokens {
  readonly words: readonly (number | null)[];
}

const isShare = (value: unknown) => typeof value === 'number' && value > 0 && value < 1;
const masking = {
  maxLength: 'count',
  probability: { accepts: isShare, expected: 'more than 0, below 1' },
  wholeWords: 'boolean',
} as const;

/**
 * Trains a model with the head 'masked-language-model' to predict masked tokens (BERT). Of the chosen tokens, 80 % are
 * masked, 10 % are replaced by random tokens and 10 % are unchanged. Each step chooses again. Rows are `{ text }`.
 */
export class MaskedLanguageModel extends TokenObjective<{ readonly text: string }> {
  readonly #options: { readonly probability: number; readonly wholeWords: boolean };
  readonly #maskId: number;
  #random = new Random(0, 0);

  constructor(model: PretrainedModel, options: MaskingOptions = {}) {
    const { maxLength, probability = 0.15, wholeWords = true } = checkOptions('MaskedLanguageModel', options, masking);
    super(model, { maxLength });
    this.#options = { probability, wholeWords };
    this.#maskId = maskIdOf(model);
  }

  protected override encode({ text }: { readonly text: string }): Maskable {
    if (typeof text !== 'string') throw new ArgumentError(`fit: an example's text is ${describeValue(text)}`);
    const tokenizer = tokenizerOf('fit', this.model);
    const encoded = tokenizer.encodeBatch([text], { truncation: true, maxLength: this.maxLength });
    const [inputIds, special] = [encoded.inputIds[0] as number[], encoded.specialTokensMask[0] as number[]];
    const words = (encoded.wordIds[0] as (number | null)[]).map((word, i) => {
      if (special[i] === 1) return null;
      return this.#options.wholeWords ? word : i;
    });
    return { inputIds, labels: inputIds, words };
  }

  override inputs(examples: readonly LabelledTokens[]): ModelInputs {
    return super.inputs(examples.map((example) => this.#masked(example as Maskable)));
  }

  override seedDropout(seed: number): void {
    super.seedDropout(seed);
    this.#random = new Random(seed, 0x3a5c);
  }

  #masked({ inputIds, words }: Maskable): LabelledTokens {
    const random = this.#random;
    const all = [...new Set(words.filter((word) => word !== null))];
    const count = Math.max(1, Math.round(all.length * this.#options.probability));
    const chosen = new Set(random.shuffle(all).slice(0, count));
    const labels = inputIds.map((id, i) => (words[i] !== null && chosen.has(words[i] as number) ? id : IGNORED));
    const shown = inputIds.map((id, i) => {
      if (labels[i] === IGNORED) return id;
      const draw = random.uniform();
      return draw < 0.8 ? this.#maskId : draw < 0.9 ? random.below(this.model.vocabSize) : id;
    });
    return { inputIds: shown, labels };
  }
}

function maskIdOf(model: PretrainedModel): number {
  const tokenizer = tokenizerOf('fit', model);
  const maskToken = tokenizer.config?.mask_token as string | { content: string } | undefined;
  const names = [typeof maskToken === 'object' ? maskToken.content : maskToken, '[MASK]', '<mask>'];
  for (const name of names) {
    const id = name === undefined ? undefined : tokenizer.tokenToId(name);
    if (id !== undefined) return id;
  }
  throw new ArgumentError('MaskedLanguageModel: the tokenizer has no mask token');
}
