// Texts on their way through the modules of sentence-transformers.

import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Module } from '../../nn/module.js';
import type { Sequences } from '../../nn/sequences.js';

/** The use of a text. A model may read queries and documents differently; null is neither. */
export type TextTask = 'query' | 'document' | null;

/** Token ids of texts, a row for each. */
export interface EncodedTexts {
  readonly inputIds: readonly (readonly number[])[];
  /** The segment of each token; null if all are 0. */
  readonly tokenTypeIds: readonly (readonly number[])[] | null;
  /** The number of first tokens that belong to the prompt. */
  readonly promptTokens: number;
  /** 1 for tokens that others attend to. Null if that is true of all. */
  readonly attentionMask: readonly (readonly number[])[] | null;
}

/** The state of a batch between two modules. Each module returns another one. */
export interface TextFeatures {
  /** Null in a forward pass of the model, which knows only `batch`. */
  readonly encoded: EncodedTexts | null;
  readonly task: TextTask;
  readonly batch: Sequences;
  /** float32 [N, d], a row for each token; null if no module gives one. */
  readonly tokens: Tensor | null;
  /** float32 [B, d], a row for each text; null until a module pools. */
  readonly sentence: Tensor | null;
  /** True if most numbers of `sentence` are 0. */
  readonly isSparse: boolean;
  /** The number of features that the caller wants to keep; null: the module decides. */
  readonly maxActiveDims: number | null;
  /** The tokens that late interaction compares. Null: all. */
  readonly compared: readonly (readonly boolean[])[] | null;
  /** The hidden states of all layers, each as `tokens`. Default: only those of the last layer are known. */
  readonly layers?: readonly Tensor[] | undefined;
  /** float32 [B, 1]: the sum of the weights of a text's tokens. Default: each token counts as 1. */
  readonly tokenWeights?: Tensor | undefined;
  /** Joins the vectors of the compared tokens of a text. Default: all stay. */
  readonly pooledTokens?: ((rows: readonly Float32Array[]) => readonly Float32Array[]) | undefined;
  /** Vectors by other names, such as the `scores` of pairs. Default: none. */
  readonly named?: ReadonlyMap<string, Tensor> | undefined;
}

/** The vectors of tokens. Throws ArgumentError if no module before gives them. */
export function tokensOf(features: TextFeatures): Tensor {
  if (features.tokens) return features.tokens;
  throw new ArgumentError('encode: a module needs vectors of tokens, but those before it give vectors of texts');
}

/** The vectors of texts. Throws ArgumentError if no module before pools. */
export function sentenceOf(features: TextFeatures): Tensor {
  if (features.sentence) return features.sentence;
  throw new ArgumentError('encode: a module needs vectors of texts, but no module before it pools');
}

/** The vectors that a module reads and writes, by sentence-transformers' names. */
export interface VectorNames {
  readonly input: string;
  readonly output: string;
}

export const OF_TEXTS: VectorNames = { input: 'sentence_embedding', output: 'sentence_embedding' };
export const OF_TOKENS: VectorNames = { input: 'token_embeddings', output: 'token_embeddings' };

/** Maps vectors to others, which replace those of the same name. */
export function mapVectors(
  features: TextFeatures,
  { input, output }: VectorNames,
  map: (x: Tensor) => Tensor,
): TextFeatures {
  if (features.pooledTokens)
    throw new ArgumentError('encode: a module follows HierarchicalTokenPooling, which must be the last one');
  const y = map(vectorsOf(features, input));
  if (output === OF_TOKENS.output) return { ...features, tokens: y };
  if (output === OF_TEXTS.output) return { ...features, sentence: y };
  return { ...features, named: new Map([...(features.named ?? []), [output, y]]) };
}

/** The vectors with a name. Throws ArgumentError if no module before gives them. */
export function vectorsOf(features: TextFeatures, name: string): Tensor {
  if (name === OF_TOKENS.input) return tokensOf(features);
  if (name === OF_TEXTS.input) return sentenceOf(features);
  const found = features.named?.get(name);
  if (found) return found;
  throw new ArgumentError(`encode: a module reads ${JSON.stringify(name)}, which no module before it writes`);
}

/** True if a module before gives vectors with a name. */
export function hasVectors({ tokens, sentence, named }: TextFeatures, name: string): boolean {
  if (name === OF_TOKENS.input) return tokens !== null;
  return name === OF_TEXTS.input ? sentence !== null : named?.has(name) === true;
}

/** A vector divided by its length; zeros stay zeros. */
export function unit(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.max(Math.sqrt(squares), 1e-12);
  return vector.map((value) => value / length);
}

/** A module of sentence-transformers. */
export abstract class SentenceModule extends Module {
  /** The folder of its weights in a model's folder, such as `2_Dense`; null if it has none. */
  readonly folder: string | null = null;
  /** True if it makes vectors of texts from those of tokens. */
  readonly pools: boolean = false;
  /** The names of the vectors that it reads and writes, if it maps vectors. */
  readonly names: VectorNames | null = null;

  abstract forward(features: TextFeatures): TextFeatures;

  /** The modules that compute in place of this one for a task: a router chooses. */
  route(_task: TextTask): readonly SentenceModule[] {
    return [this];
  }
}

/** Options of reading texts. */
export interface ReadOptions {
  readonly prompt: string;
  readonly task: TextTask;
  /** The second text of each pair. Default: the texts are not pairs. */
  readonly secondTexts?: readonly string[] | undefined;
  /** False to keep texts that are longer than the model reads. Default: true. */
  readonly truncate?: boolean | undefined;
}

/** A module that reads texts. It is the first of a route. */
export abstract class InputModule extends SentenceModule {
  /** The most tokens that it reads of a text. */
  abstract readonly maxTokens: number;
  /** Maximum number of tokens in the settings of the model's folder; null if there is none. */
  readonly ownLimit: number | null = null;
  /** The words of its vocabulary, by id. */
  abstract token(id: number): string | undefined;
  /** Returns the token ids of texts with their prompt. Throws ArgumentError, and FormatError without a tokenizer. */
  abstract encode(texts: readonly string[], options: ReadOptions): Promise<EncodedTexts>;
  /** The features of a batch, in the scope it is called in. */
  abstract read(encoded: EncodedTexts, task: TextTask): TextFeatures;

  /** Same as `read`, yielding after each layer of a model. Default: it does not yield. */
  // biome-ignore lint/correctness/useYield: tables of vectors have no layers
  *readInParts(encoded: EncodedTexts, task: TextTask): Generator<unknown, TextFeatures> {
    return this.read(encoded, task);
  }

  override forward(features: TextFeatures): TextFeatures {
    return features;
  }
}
