import { checkOptions } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelInputs, ModelOutput } from '../models/inputs.js';
import { hasSegments } from '../models/segments.js';
import { pool } from '../nn/pooling.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { callOptionKinds, inBatches } from './batches.js';
import { HostTensor } from './host-tensor.js';
import { packedBits } from './packed-bits.js';
import { type PromptNames, promptKinds, promptsOf } from './prompts.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import {
  checkFits,
  encode,
  readRows,
  sentenceLimit,
  type TruncationOptions,
  textsOf,
  tokenLimit,
} from './text-inputs.js';

/**
 * Pooling of token vectors into one: the first, the last, or the mean of all. `model` applies the modules of a model of
 * sentence-transformers, or the mean.
 */
export type Pooling = 'none' | 'mean' | 'cls' | 'first_token' | 'last_token' | 'eos' | 'model';

export interface FeatureExtractionOptions extends CallOptions, TruncationOptions, PromptNames {
  /** Default: 'none', a vector for each token. */
  pooling?: Pooling | undefined;
  /** True divides vectors by their L2 norm. Default: false. */
  normalize?: boolean | undefined;
  /**
   * True converts each number to a bit: 1 if it is above 0. Needs pooled vectors whose size is a multiple of 8. Default:
   * false.
   */
  quantize?: boolean | undefined;
  /** Type of a byte of eight bits: 'binary' is int8, 'ubinary' is uint8. Default: 'binary'. */
  precision?: 'binary' | 'ubinary' | undefined;
}

/**
 * Vectors of texts: float32 [texts, features] if pooled, else [texts, tokens of the longest, features] with zeros as
 * padding. Quantized vectors are int8 or uint8 [texts, features / 8]. For an encoder–decoder, they are the encoder's
 * output. Rejects with ArgumentError for invalid options.
 */
export type FeatureExtraction = <Options extends FeatureExtractionOptions>(
  texts: string | readonly string[],
  options?: Options,
) => Promise<HostTensor<FeaturesOf<Options>>>;

/** The result of a call with these options. */
export type FeaturesOf<Options extends FeatureExtractionOptions> = Options['quantize'] extends true
  ? Options['precision'] extends 'ubinary'
    ? Uint8Array
    : Int8Array
  : Float32Array;

export const featureExtraction: Task<FeatureExtraction> = {
  head: 'none',
  needs: { body: true },
  create: (context) =>
    async function call<Options extends FeatureExtractionOptions>(
      texts: string | readonly string[],
      options: Options = {} as Options,
    ) {
      const { pooling = 'none', normalize = false, quantize = false, precision = 'binary' } = checked(options);
      if (quantize && pooling === 'none')
        throw new ArgumentError(`feature-extraction: quantize needs one vector for each text; pooling is 'none'`);
      const features = await extract(context, textsOf(context.task, texts), { ...options, pooling });
      if (normalize) normalizeRows(features.data, features.dims.at(-1) as number);
      const result = quantize ? packedBits('feature-extraction: quantize', features, precision) : features;
      return result as HostTensor<FeaturesOf<Options>>;
    },
};

function checked(options: FeatureExtractionOptions): FeatureExtractionOptions {
  return checkOptions('feature-extraction', options, {
    pooling: ['none', 'mean', 'cls', 'first_token', 'last_token', 'eos', 'model'],
    normalize: 'boolean',
    quantize: 'boolean',
    precision: ['binary', 'ubinary'],
    truncate: 'boolean',
    ...promptKinds,
    ...callOptionKinds,
  });
}

/** Returns the vectors of texts, in the form of `FeatureExtraction`. */
export async function extract(
  context: TaskContext,
  texts: readonly string[],
  options: CallOptions & TruncationOptions & PromptNames & { pooling: Pooling },
): Promise<HostTensor> {
  const { model } = context;
  const prompt = promptOf(context, options);
  const prompted = prompt === '' ? texts : texts.map((text) => prompt + text);
  const limit = options.pooling === 'model' ? sentenceLimit(model) : tokenLimit(model);
  await checkFits(
    context,
    prompted.map((text) => [text]),
    options,
    limit,
  );
  if (options.pooling === 'model') {
    const { signal, onProgress, batchSize } = options;
    const vectors = await model.encode(texts, { ...promptsOf(options), signal, onProgress, batchSize });
    return stacked(vectors, [vectors[0]?.length ?? Number(model.config.hidden_size)]);
  }
  const sizeOf = (text: string) => text.length;
  const rows = await inBatches(prompted, sizeOf, (batch) => vectorsOf(context, batch, options.pooling), options);
  const features = rows[0]?.features ?? Number(model.config.hidden_size);
  if (options.pooling !== 'none')
    return stacked(
      rows.map(({ values }) => values),
      [features],
    );
  const longest = rows.reduce((max, { values }) => Math.max(max, values.length / features), 0);
  return stacked(
    rows.map(({ values }) => values),
    [longest, features],
  );
}

/** Returns the prompt that is put before each text. Throws ArgumentError for an unknown name. */
function promptOf({ task, model }: TaskContext, { prompt, prompt_name: name }: PromptNames): string {
  if (prompt !== undefined) return prompt;
  const { prompts } = model;
  if (name === undefined) return '';
  if (Object.hasOwn(prompts, name)) return prompts[name] as string;
  const known = Object.keys(prompts).join(', ') || 'none';
  throw new ArgumentError(`${task}: there is no prompt ${JSON.stringify(name)}, but ${known}: give its text as prompt`);
}

/** Returns the vectors of a batch. Vectors of a text are end to end. */
async function vectorsOf(context: TaskContext, texts: readonly string[], pooling: Pooling) {
  const { model } = context;
  const encoding = await encode(context, texts);
  const [values] = (await readRows(model, encoding, function* ({ inputIds, tokenTypeIds }) {
    const batch = TokenBatch.from(model.device, 'inputIds', packed(inputIds), null);
    const inputs = hasSegments(model) ? { inputIds: batch, tokenTypeIds } : { inputIds: batch };
    return [pooled(yield* run(model, inputs), batch, pooling)];
  })) as [Float32Array];
  const counts = pooling === 'none' ? encoding.inputIds.map(({ length }) => length) : texts.map(() => 1);
  const features = values.length / counts.reduce((sum, count) => sum + count, 0);
  let start = 0;
  return counts.map((count) => {
    const end = start + count * features;
    const result = { features, values: values.subarray(start, end) };
    start = end;
    return result;
  });
}

/** Runs only the encoder of an encoder–decoder. */
function* run(model: LoadedModel, inputs: ModelInputs): Generator<unknown, ModelOutput> {
  if (model.encoder === null || model.decoder === null) return yield* model.forwardInParts(inputs);
  return { lastHiddenState: model.encode(inputs.inputIds as TokenBatch).hidden };
}

function pooled({ lastHiddenState }: ModelOutput, batch: TokenBatch, pooling: Pooling): Tensor {
  if (lastHiddenState === undefined)
    throw new FormatError('feature-extraction: the model has no token vectors, expected a model that reads texts');
  switch (pooling) {
    case 'none':
      return lastHiddenState;
    case 'cls':
    case 'first_token':
      return pool(lastHiddenState, batch, 'first');
    case 'eos':
    case 'last_token':
      return pool(lastHiddenState, batch, 'last');
    default:
      return pool(lastHiddenState, batch, 'mean');
  }
}

/** Joins arrays to one tensor. Arrays shorter than `shape` are padded with zeros at the end. */
function stacked(arrays: readonly Float32Array[], shape: readonly number[]): HostTensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const all = new Float32Array(arrays.length * size);
  for (const [i, array] of arrays.entries()) all.set(array, i * size);
  return new HostTensor(all, [arrays.length, ...shape]);
}

/** Divides each row by its L2 norm. Rows of zeros stay zero. */
export function normalizeRows(values: Float32Array, features: number): void {
  for (let start = 0; start < values.length; start += features) {
    const row = values.subarray(start, start + features);
    let squares = 0;
    for (const value of row) squares += value * value;
    const length = Math.sqrt(squares);
    if (length > 0) for (let i = 0; i < features; i++) row[i] = (row[i] as number) / length;
  }
}
