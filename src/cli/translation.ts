// The task `simdformer train translation`: pairs of sentences, and metrics of translations.

import type { Device } from '../core/device.js';
import { ArgumentError, NonFiniteError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { bleu } from '../metrics/bleu.js';
import { chrf } from '../metrics/chrf.js';
import type { Transformer } from '../models/families/transformer.js';
import { BpeDropout } from '../tokenizers/bpe-dropout.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import { type Batches, lengthBatches } from '../train/batches.js';
import type { TaskConfig } from './config.js';
import { type Pair, readPairLines } from './data.js';
import { encodeInput, tokenizersOf } from './encoding.js';
import { initialModel } from './initial-model.js';
import { meanLoss } from './mean-loss.js';
import {
  checkLength,
  codesOf,
  newModel,
  type PairExample,
  type PreparedTask,
  SPECIAL,
  specialIds,
  withHeldOut,
  withoutValidation,
} from './prepared-task.js';
import { normalizerOf, trainTranslationTokenizer, wordsOf } from './translation-tokenizer.js';

/**
 * Reads sentences and their translations, one pair per line, and makes a model with one vocabulary for both languages.
 */
export async function prepareTranslation(device: Device, config: TaskConfig, ranks: number): Promise<PreparedTask> {
  const { data, validationData, seed = 0, validation = 0, batch = 8192 } = config;
  if (data === undefined) throw new ArgumentError('the task needs pairs of sentences: give their file with --data');
  const initial = await initialModel(device, config);
  const all = await readPairLines(data);
  const validationPairs = validationData === undefined ? [] : await readPairLines(validationData);
  if (validationPairs.length === 0) new Random(seed, 1).shuffle(all);
  const held = validationPairs.length > 0 ? 0 : validation;
  if (held >= all.length)
    throw new ArgumentError(
      `validation holds out ${held} pairs, but there are ${all.length}: give more data, or a file of such pairs with --validation`,
    );
  const heldOut = validationPairs.length > 0 ? validationPairs : all.slice(0, held);
  const pairs = all.slice(held);
  const model = initial ?? (await pairModel(device, config, pairs));
  const sentences = new Sentences(model, config.bpeDropout ?? 0);
  const examples = pairs.flatMap(({ source, targets }) => targets.map((target) => sentences.example(source, target)));
  examples.forEach((example, i) => {
    checkLength(pairs[i]?.source ?? 'a sentence', example, model.config.maxLength, batch);
  });
  const batches = sentences.varied(lengthBatches(examples, { tokens: batch, seed }), seed);
  const task = withoutValidation(config, ranks, model, withHeldOut(batches, codesOf(heldOut)));
  if (heldOut.length === 0) return task;
  const measured = heldOut.map(({ source, targets }) => sentences.example(source, targets[0] as string));
  const [sources, targets] = [measured.map(({ source }) => source), measured.map(({ target }) => target)];
  const validate = async () => {
    const loss = await meanLoss(model, sources, targets, { batchSize: LOSS_BATCH });
    const { bleu, chrf } = await evaluateTranslations(model, heldOut).catch((error: unknown) => {
      if (error instanceof NonFiniteError) return { bleu: Number.NaN, chrf: Number.NaN };
      throw error;
    });
    return { loss, bleu, chrf };
  };
  return { ...task, validate };
}

/** A new model with the common vocabulary of both languages. */
async function pairModel(device: Device, config: TaskConfig, pairs: readonly Pair[]): Promise<Transformer> {
  const { vocabSize = 6000, lowerCase = true } = config;
  const sentences = pairs.flatMap(({ source, targets }) => [source, ...targets]);
  const tokenizer = await trainTranslationTokenizer(sentences, { vocabSize, lowerCase, special: SPECIAL });
  const sizes = { sourceVocab: tokenizer.vocabSize, targetVocab: tokenizer.vocabSize };
  const tokenizers = { source: tokenizer, target: tokenizer };
  const model = newModel(device, config, { ...sizes, ...specialIds(tokenizer) }, tokenizers);
  model.generationConfig = { lengthPenalty: LENGTH_PENALTY };
  return model;
}

/** "Attention Is All You Need", §6.1. */
const LENGTH_PENALTY = 0.6;

/** Offset of the random streams of batches, so that no other part uses the same random numbers. */
const DROPOUT_STREAM = 0x2b7e1516;

interface Words {
  readonly source: readonly string[];
  readonly target: readonly string[];
}

/** Sentences as ids, sometimes with other segmentations. */
class Sentences {
  readonly #target: Tokenizer;
  readonly #tokens: BpeDropout;
  readonly #normalize: (text: string) => string;
  readonly #words = new Map<object, Words>();
  readonly #maxLength: number;

  constructor(
    model: Transformer,
    private readonly bpeDropout: number,
  ) {
    const { target } = tokenizersOf(model);
    const json = target.toJSON();
    this.#target = target;
    this.#tokens = new BpeDropout(json, bpeDropout);
    this.#normalize = normalizerOf(json);
    this.#maxLength = model.config.maxLength;
  }

  example(source: string, target: string): PairExample {
    const words = { source: wordsOf(this.#normalize(source)), target: wordsOf(this.#normalize(target)) };
    const example = this.#encoded(words, (word) => this.#tokens.whole(word));
    this.#words.set(example, words);
    return example;
  }

  #encoded({ source, target }: Words, encode: (word: string) => readonly number[]): PairExample {
    const { bosId, eosId } = this.#target;
    return {
      source: source.flatMap(encode),
      target: [...optional(bosId), ...target.flatMap(encode), ...optional(eosId)],
    };
  }

  /** Batches with different segmentations in each epoch: see `BpeDropout`. */
  varied({ perEpoch, batch, fingerprint }: Batches, seed: number): Batches {
    if (this.bpeDropout === 0) return { perEpoch, batch, fingerprint };
    const vary = (n: number) => {
      const random = new Random(seed, DROPOUT_STREAM + n);
      return batch(n).map((example) => {
        const varied = this.#encoded(this.#words.get(example) as Words, (word) => this.#tokens.draw(word, random));
        const longest = Math.max(varied.source.length, varied.target.length - 1);
        return longest > this.#maxLength ? example : varied;
      });
    };
    return { perEpoch, batch: vary, fingerprint };
  }
}

function optional(id: number | undefined): number[] {
  return id === undefined ? [] : [id];
}

/** Number of pairs per forward pass. */
const LOSS_BATCH = 128;

/**
 * True if a model writes sentences, as models of `train translation` do. Models of `train pronunciation` write words of
 * a list.
 */
export function isTranslator(model: Transformer): boolean {
  const { encoderLayers, decoderLayers } = model.config;
  return encoderLayers > 0 && decoderLayers > 0 && tokenizersOf(model).target.toJSON().model.type === 'BPE';
}

/**
 * BLEU and chrF of a model's translations, as sacrebleu computes them without a tokenizer: the model's own rules
 * tokenize the text. References stay unchanged if most of the file was tokenized before.
 */
export async function evaluateTranslations(
  model: Transformer,
  pairs: readonly Pair[],
  { beams = 1, lengthPenalty }: { beams?: number; lengthPenalty?: number | undefined } = {},
) {
  const { target } = tokenizersOf(model);
  const sources = pairs.map(({ source }) => encodeInput(model, source));
  // Outputs of a model that has hardly learned may not end.
  const maxNewTokens = Math.min(model.config.maxLength, 2 * Math.max(...sources.map(({ length }) => length)) + 10);
  const { sequences } = await model.generate(sources, { numBeams: beams, lengthPenalty, maxNewTokens });
  const outputs = sequences.map((ids) => target.decode(ids));
  const references = referencesOf(target, pairs);
  const { score, brevityPenalty } = bleu(outputs, references, { tokenize: 'none' });
  return { count: pairs.length, bleu: score, chrf: chrf(outputs, references), brevityPenalty, outputs, references };
}

function referencesOf(target: Tokenizer, pairs: readonly Pair[]): string[][] {
  const json = target.toJSON();
  const normalize = normalizerOf(json);
  const lowerCase = JSON.stringify(json.normalizer ?? '').includes('"Lowercase"');
  const references = pairs.map(({ targets }) => targets.map((text) => (lowerCase ? text.toLowerCase() : text)));
  const normal = references.map((texts) => texts.map(normalize));
  const same = references.filter((texts, i) => texts.every((text, t) => text === normal[i]?.[t])).length;
  return same > pairs.length / 2 ? references : normal;
}
