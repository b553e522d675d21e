// Vectors of texts.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { type BatchOptions, inTokenBatches, rowsOf } from './batches.js';
import { headOf } from './default-head.js';
import {
  type EncodedTexts,
  type InputModule,
  type SentenceModule,
  type TextFeatures,
  type TextTask,
  tokensOf,
  unit,
} from './features.js';
import { PRECISIONS, type Precision, quantized, type VectorOf } from './precision.js';
import type { TextReader } from './reader.js';
import { run, type SentenceHead } from './sentence-head.js';
import type { SparseVector, TokenVectors } from './similarity.js';

export interface PromptOptions extends BatchOptions {
  /** A text that goes before each text. Default: that of `promptName`. */
  readonly prompt?: string | undefined;
  /** The name of one of the model's prompts. Default: that of the task, or the model's default prompt. */
  readonly promptName?: string | undefined;
}

export interface EncodeOptions<Kind extends Precision = Precision> extends PromptOptions {
  /** Number of first features to keep. Default: the setting in the model's folder, or all. */
  readonly truncateDim?: number | undefined;
  /** True to divide vectors by their length. Default: false, the model's modules decide. */
  readonly normalize?: boolean | undefined;
  /** The numbers of the vectors. Default: 'float32'. */
  readonly precision?: Kind | undefined;
}

export interface SparseOptions extends PromptOptions {
  /** Number of greatest features to keep. Default: the setting in the model's folder, or all. */
  readonly maxActiveDims?: number | undefined;
}

export interface TokenOptions extends PromptOptions {
  /** The use of the texts. Default: none; they count as documents, without a prompt. */
  readonly task?: 'query' | 'document' | undefined;
  /** True to divide vectors by their length. Default: false, the model's modules decide. */
  readonly normalize?: boolean | undefined;
}

export const PROMPT_KINDS = {
  prompt: 'string',
  promptName: 'string',
  signal: 'signal',
  onProgress: 'function',
  batchSize: 'count',
} as const;

/** The vector of each text. Rejects with ArgumentError for a model of sparse vectors or of tokens. */
export async function encodeTexts(
  model: TextReader,
  texts: readonly string[],
  task: TextTask,
  options: EncodeOptions,
): Promise<VectorOf<Precision>[]> {
  const {
    precision = 'float32',
    truncateDim,
    normalize = false,
  } = checkOptions('encode', options, {
    ...PROMPT_KINDS,
    truncateDim: 'count',
    normalize: 'boolean',
    precision: PRECISIONS,
  });
  const pass = await start('encode', model, texts, task, options);
  const dims = truncateDim ?? pass.head.settings.truncateDim ?? undefined;
  const vectors = await pass.run(denseOf, rowsOf);
  const truncated = vectors.map((vector) => (dims === undefined ? vector : vector.slice(0, dims)));
  return quantized(normalize ? truncated.map(unit) : truncated, precision);
}

/** Texts as tokens of a model, for `embedTokens`. Rejects as `encodeTexts`. */
export async function tokenize(
  model: TextReader,
  texts: readonly string[],
  task: TextTask,
  options: PromptOptions & { readonly truncate?: boolean | undefined },
): Promise<EncodedTexts> {
  const head = await headOf(model);
  const { input } = head.route(task);
  return input.encode(texts, { prompt: promptOf(head, task, options), task, truncate: options.truncate });
}

/** The vectors of tokens that `tokenize` gave, in one batch. Rejects as `encodeTexts`. */
export async function embedTokens(model: TextReader, encoded: EncodedTexts, task: TextTask): Promise<Float32Array[]> {
  const { input, steps } = (await headOf(model)).route(task);
  function* compute(part: EncodedTexts) {
    return [denseOf(run([input, ...steps], yield* input.readInParts(part, task)))] as const;
  }
  const read = ([values]: readonly (Float32Array | Int32Array)[], { inputIds }: EncodedTexts) =>
    rowsOf(values as Float32Array, inputIds.length);
  return inTokenBatches(model, encoded, { compute, read }, {});
}

/**
 * Returns the dense vectors of texts. Throws ArgumentError if the model makes sparse vectors, or only vectors of
 * tokens.
 */
export function denseOf({ sentence, isSparse }: TextFeatures): Tensor {
  if (sentence !== null && !isSparse) return sentence;
  const found = isSparse ? 'sparse vectors: call encodeSparse' : 'vectors of tokens: call encodeTokens';
  throw new ArgumentError(`encode: the model gives ${found}`);
}

/** The sparse vector of each text. Rejects with ArgumentError for a model of other vectors. */
export async function encodeSparseTexts(
  model: TextReader,
  texts: readonly string[],
  task: TextTask,
  options: SparseOptions,
): Promise<SparseVector[]> {
  checkOptions('encodeSparse', options, { ...PROMPT_KINDS, maxActiveDims: 'count' });
  const pass = await start('encodeSparse', model, texts, task, options);
  const { m3, settings } = pass.head;
  const max = options.maxActiveDims ?? settings.maxActiveDims ?? undefined;
  const sparse = (vector: Iterable<readonly [number, number]>) => greatest(vector, max);
  if (m3)
    return pass.tokens(
      (features) => m3.tokenWeights(features),
      (weights, ids) => sparse(m3.lexical(ids, weights)),
    );
  const dense = await pass.run(
    (features) => {
      if (features.sentence && features.isSparse) return features.sentence;
      throw new ArgumentError(
        'encodeSparse: the model gives no sparse vectors: it has no SPLADE head, sparse autoencoder, token weights or sparse_linear.pt',
      );
    },
    rowsOf,
    max,
  );
  return dense.map((vector) => sparse(vector.entries()));
}

/** The vectors of the compared tokens of each text. Rejects with ArgumentError for a model of words. */
export async function encodeTokensOf(
  model: TextReader,
  texts: readonly string[],
  options: TokenOptions,
): Promise<TokenVectors[]> {
  const { task = null, normalize = false } = checkOptions('encodeTokens', options, {
    ...PROMPT_KINDS,
    task: ['query', 'document'],
    normalize: 'boolean',
  });
  const pass = await start('encodeTokens', model, texts, task, options);
  const { m3 } = pass.head;
  let last = null as TextFeatures | null;
  return pass.tokens(
    (features) => {
      last = m3 ? m3.vectors(features) : run(beforePooling(pass.steps), features);
      return tokensOf(last);
    },
    (values, ids, i) => {
      const { compared = null, pooledTokens = (all: readonly Float32Array[]) => all }: Partial<TextFeatures> =
        last ?? {};
      const rows = pooledTokens(rowsOf(values, ids.length).filter((_, index) => compared?.[i]?.[index] ?? true));
      return normalize ? rows.map(unit) : rows;
    },
  );
}

/** The modules before the first that pools: they make vectors of tokens. */
function beforePooling(steps: readonly SentenceModule[]): readonly SentenceModule[] {
  const first = steps.findIndex(({ pools }) => pools);
  return first < 0 ? steps : steps.slice(0, first);
}

interface Pass {
  readonly head: SentenceHead;
  readonly input: InputModule;
  readonly steps: readonly SentenceModule[];
  /** A result for each text, of one row for each of a batch's texts. */
  run<Result>(
    pick: (features: TextFeatures) => Tensor,
    read: (values: Float32Array, count: number) => readonly Result[],
    maxActiveDims?: number,
  ): Promise<Result[]>;
  /** Same for rows of each token. `read` gets those of a text, its ids, and its index in the batch. */
  tokens<Result>(
    pick: (features: TextFeatures) => Tensor,
    read: (values: Float32Array, ids: readonly number[], index: number) => Result,
  ): Promise<Result[]>;
}

/** Tokenizes texts for a task. */
async function start(
  op: string,
  model: TextReader,
  inputTexts: readonly string[],
  task: TextTask,
  options: PromptOptions,
): Promise<Pass> {
  const texts = checkTexts(op, inputTexts);
  const { signal, onProgress, batchSize } = options;
  const head = await headOf(model);
  const { input, steps } = head.route(task);
  const encoded = await input.encode(texts, { prompt: promptOf(head, task, options), task });
  const width = model.headKind === 'masked-language-model' ? Number(model.config.vocab_size ?? 1) : 1;
  const batched = <Result>(
    compute: (features: TextFeatures) => Tensor,
    read: (values: Float32Array, part: EncodedTexts) => readonly Result[],
  ) =>
    inTokenBatches(
      model,
      encoded,
      {
        *compute(part) {
          return [compute(yield* input.readInParts(part, task))];
        },
        read: ([values], part) => read(values as Float32Array, part),
      },
      { signal, onProgress, batchSize },
      width,
    );
  return {
    head,
    input,
    steps,
    run: (pick, read, maxActiveDims) =>
      batched(
        (features) => pick(run([input, ...steps], { ...features, maxActiveDims: maxActiveDims ?? null })),
        (values, part) => read(values, part.inputIds.length),
      ),
    tokens: (pick, read) =>
      batched(pick, (values, part) => {
        // A text without tokens has a row that stands for none.
        const width = values.length / part.inputIds.reduce((sum, { length }) => sum + Math.max(1, length), 0);
        let next = 0;
        return part.inputIds.map((ids, i) => {
          const start = next;
          next += Math.max(1, ids.length) * width;
          return read(values.subarray(start, start + ids.length * width), ids, i);
        });
      }),
  };
}

/** The prompts by which sentence-transformers knows documents, the first one wins. */
const DOCUMENT_PROMPTS = ['document', 'passage', 'corpus'];

/** The prompt of a call: the given one, that of its name, or that of the task. */
export function promptOf(head: SentenceHead, task: TextTask, { prompt, promptName }: PromptOptions): string {
  if (prompt !== undefined) return prompt;
  const { prompts } = head.settings;
  const candidates = task === 'query' ? ['query'] : DOCUMENT_PROMPTS;
  if (promptName !== undefined || task === null) return head.prompt(promptName);
  const name = candidates.find((candidate) => Object.hasOwn(prompts, candidate));
  return name === undefined ? '' : (prompts[name] as string);
}

/** Returns texts as a list. Throws ArgumentError, which names the item that is not a string. */
export function checkTexts(op: string, texts: readonly string[]): readonly string[] {
  if (!Array.isArray(texts))
    throw new ArgumentError(`${op}: the texts are ${describeValue(texts)}, expected a string or an array of strings`);
  const odd = texts.findIndex((text) => typeof text !== 'string');
  if (odd < 0) return texts;
  throw new ArgumentError(`${op}: text ${odd} is ${describeValue(texts[odd])}, expected a string`);
}

/** The greatest numbers of a vector, in the order of their indices. */
function greatest(vector: Iterable<readonly [number, number]>, max = Number.POSITIVE_INFINITY): SparseVector {
  let found = [...vector].filter(([, value]) => value !== 0);
  if (found.length > max) found = found.sort(([i, a], [j, b]) => Math.abs(b) - Math.abs(a) || i - j).slice(0, max);
  found.sort(([i], [j]) => i - j);
  return {
    indices: Int32Array.from(found, ([index]) => index),
    values: Float32Array.from(found, ([, value]) => value),
  };
}

/** A word of a sparse vector, and its weight. The word is null for a feature that stands for none. */
export interface WeightedToken {
  readonly token: string | null;
  readonly weight: number;
}

/** The words of a sparse vector, the greatest weight first. Throws ArgumentError for options that make no sense. */
export async function decodeSparseVector(
  model: TextReader,
  { indices, values }: SparseVector,
  options: { readonly topK?: number | undefined },
): Promise<WeightedToken[]> {
  const { topK = indices.length } = checkOptions('decodeSparse', options, { topK: 'count' });
  const { input } = (await headOf(model)).route(null);
  return Array.from(indices, (index, i) => ({ token: input.token(index) ?? null, weight: values[i] as number }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, topK);
}
