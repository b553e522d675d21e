import { checkDType, checkOptions, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import { checkIds, packed, readTokens, rowsOf, type Tokens } from '../nn/token-batch.js';
import { BatchDecoder, endBatch, joinSources, type SequenceDecoder, startBatch } from './batch-decoder.js';
import { BeamSearch } from './beam-search.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from './generate-options.js';
import type { Generative, SourceShape } from './generative.js';
import { withModelDefaults } from './model-defaults.js';
import { resolveOptions } from './options.js';
import type { DeviceSource, Hypothesis, Plan, PlannedInput } from './plan.js';
import { needsLogits, type Ranking, stepsWithLogits } from './ranking.js';
import type { ResponseFormat } from './response-format.js';
import { type Search, TokenSearch } from './search.js';
import { checkKinds } from './settings.js';
import { SharedCall } from './shared-call.js';

/**
 * Writes a target for each source, or continues each prompt; see `Model.generate`. For models that only implement
 * `Generative`.
 */
export async function generate(
  model: Generative,
  input: Tokens,
  options: GenerateOptions = {},
): Promise<GenerateResult> {
  checkOptions('generate', options);
  const steps = decodeInput(model, input, withModelDefaults(model, options));
  for (;;) {
    const { value, done } = await steps.next();
    if (done) return value;
  }
}

/** Yields each token of the targets or continuations when it is chosen; see `Model.stream`. */
export async function* stream(
  model: Generative,
  input: Tokens,
  options: GenerateOptions = {},
): AsyncGenerator<TokenEvent, GenerateResult, void> {
  checkKinds(checkOptions('stream', options));
  if ((options.numBeams ?? 1) > 1) {
    throw new ArgumentError(
      'stream: numBeams is above 1, expected 1: the tokens of beam search are known only at the end; use generate',
    );
  }
  const steps = decodeInput(model, input, withModelDefaults(model, { ...options, numBeams: 1 }));
  try {
    for (;;) {
      const { value, done } = await steps.next();
      if (done) return value;
      yield* value;
    }
  } finally {
    await steps.return(undefined as never);
  }
}

/** Yields the tokens that each step chose. */
async function* decodeInput(
  model: Generative,
  input: Tokens,
  options: GenerateOptions,
): AsyncGenerator<TokenEvent[], GenerateResult, void> {
  checkKinds(options);
  options.signal?.throwIfAborted();
  if (model.decoder === null) throw new ArgumentError('generate: the model has no decoder');
  const { responseFormat } = options;
  if (responseFormat !== undefined)
    return yield* decodeInput(model, input, await withFormat(model, responseFormat, options));
  const { inputs, shape } = model.featureShape
    ? featuresOf(model.featureShape, model.encodedShape ?? null, input)
    : { inputs: await readSequences('generate', model, input), shape: null };
  if (inputs.length === 0) throw new ArgumentError('generate: there are no inputs');
  let plan = resolveOptions(model, inputs, options, shape);
  // Later batches are encoded when the caller may have disposed of the tensor, so its values are copied now.
  if (shape && (options.outputAttentions || splitIntoBatches(plan).length > 1)) plan = await readFeatures(plan);
  const found: Hypothesis[][] = [];
  const planBatches = splitIntoBatches(plan);
  const sharedCall = planBatches.length === 1 ? SharedCall.of(model, plan, options) : null;
  for (const batch of planBatches) {
    const search = yield* decode(model, batch, options, sharedCall);
    search.hypotheses().forEach((hypotheses, i) => {
      found[(batch.inputs[i] as PlannedInput).index] = hypotheses;
    });
  }
  const result = resultOf(found);
  return options.outputAttentions ? { ...result, attentions: attentionsOf(model, plan, result) } : result;
}

/** Replaces `responseFormat` by the logits processors and the stop function that enforce it. */
export async function withFormat(
  model: Generative,
  format: ResponseFormat,
  { responseFormat: _, ...options }: GenerateOptions,
): Promise<GenerateOptions> {
  if (!model.constrain) throw new ArgumentError('generate: responseFormat needs a model with a tokenizer of its own');
  const { logitsProcessors = [], stop, stopTokens = model.endIds } = options;
  const constraint = await model.constrain(format, { stopTokens });
  const isEnd = (tokens: readonly number[]) => constraint.stop(tokens) || (stop?.(tokens) ?? false);
  return { ...options, logitsProcessors: [...logitsProcessors, ...constraint.logitsProcessors], stop: isEnd };
}

/** Decodes the inputs of one batch. As soon as other calls overlap, they continue together in a shared batch. */
async function* decode(
  model: Generative,
  plan: Plan,
  options: GenerateOptions,
  sharedCall: SharedCall | null,
): AsyncGenerator<TokenEvent[], Search, void> {
  sharedCall?.enter();
  try {
    await null; // lets other calls of this tick register first
    if (sharedCall?.hasOtherCalls) return yield* sharedCall.run(new TokenSearch(plan), null);
    return yield* decodeAlone(model, plan, options, sharedCall);
  } finally {
    sharedCall?.leave();
  }
}

let cached: typeof import('./cached-decoder.js') | undefined;

/** Decoding with a PromptCache or with drafts, loaded at its first use. */
async function cachedDecoding() {
  cached ??= await import('./cached-decoder.js');
  return cached;
}

const needsCachedDecoder = ({ cache, draft }: GenerateOptions): boolean => cache !== undefined || draft !== undefined;

async function* decodeAlone(
  model: Generative,
  plan: Plan,
  options: GenerateOptions,
  sharedCall: SharedCall | null,
): AsyncGenerator<TokenEvent[], Search, void> {
  // The decoder is made first, because this detects a lack of memory.
  let decoder = needsCachedDecoder(options)
    ? (await cachedDecoding()).startCached(model, plan, options, generate)
    : await startBatch(model, plan);
  let search: Search | null = null;
  const end = () => {
    if (decoder instanceof BatchDecoder) endBatch(model, decoder);
    else decoder.end(search?.contexts[0] ?? []);
  };
  let isHandedOver = false;
  try {
    search = plan.numBeams > 1 ? new BeamSearch(plan) : new TokenSearch(plan);
    for (let length = 0; ; ) {
      if (decoder instanceof BatchDecoder && decoder.mustReread) {
        const larger = await startBatch(model, plan, { isReread: true });
        endBatch(model, decoder);
        decoder = larger;
      }
      const rankings = await advance(decoder, search, plan, length);
      await yieldToEventLoop();
      length += yield* chooseTokens(rankings, search, decoder, options, sharedCall);
      if (search.done) return search;
      if (sharedCall?.hasOtherCalls && search instanceof TokenSearch && decoder instanceof BatchDecoder) {
        isHandedOver = true; // `run` calls `end` once it has copied the rows of the state
        return yield* sharedCall.run(search, { state: decoder.state, end });
      }
      if (decoder.canShrinkTo(search.open)) search.compact();
    }
  } finally {
    if (!isHandedOver) end();
  }
}

/**
 * Chooses a token of every sequence by each ranking, until the search ends. A draft that was not chosen makes the later
 * rankings invalid. Yields the chosen tokens. Returns the number of rankings used.
 */
async function* chooseTokens(
  rankings: readonly Ranking[],
  search: Search,
  decoder: SequenceDecoder,
  { signal, onToken }: GenerateOptions,
  sharedCall: SharedCall | null,
): AsyncGenerator<TokenEvent[], number, void> {
  let used = 0;
  for (const ranking of rankings) {
    signal?.throwIfAborted();
    decoder.assertUsable();
    const events = await inSlices(search.choose(ranking));
    used++;
    if (onToken !== undefined) for (const event of events) await onToken(event);
    sharedCall?.leave();
    try {
      yield events;
    } finally {
      sharedCall?.enter();
    }
    const isWrongDraft = ranking.assumedChoice !== null && ranking.assumedChoice !== search.tokens[0];
    if (search.done || isWrongDraft) break;
  }
  decoder.endDraft?.(search.contexts[0] as readonly number[]);
  return used;
}

/**
 * Computes the rankings for the next token of every sequence, or for several next tokens. All sequences have `length`
 * new tokens so far.
 */
function advance(decoder: SequenceDecoder, search: Search, plan: Plan, length: number): Promise<readonly Ranking[]> {
  const { inputs, numBeams, stop, maxNewTokens, minNewTokens } = plan;
  const needsAllLogits = needsLogits(plan);
  const stepsOfLogits = inputs.flatMap((input) => stepsWithLogits(plan, input));
  const logits =
    needsAllLogits || stepsOfLogits.includes(length) || inputs.some(({ prefix }) => length < prefix.length);
  const forbidsStops = !needsAllLogits && length < minNewTokens;
  const nextStop = Math.min(
    forbidsStops ? minNewTokens : maxNewTokens,
    ...stepsOfLogits.filter((step) => step > length),
  );
  const maxSteps = Math.min(decoder.room, nextStop - length);
  const steps = !decoder.usesDrafts && (logits || numBeams > 1 || stop) ? 1 : maxSteps;
  const request = { steps, logits, forbidsStops, finished: search.finished, contexts: () => search.contexts };
  if (decoder.room < 1 || decoder.mustReadPrompts(search.contexts)) return decoder.read(search.contexts, request);
  return decoder.step(search.tokens, search.order, request);
}

/** Returns one batch if there are few inputs; otherwise batches of inputs with similar lengths, the longest first. */
function splitIntoBatches(plan: Plan): Plan[] {
  const { inputs, batchSize, sequencesPerInput, maxSequences } = plan;
  const size = Math.max(1, Math.min(batchSize, Math.floor(maxSequences / sequencesPerInput)));
  if (inputs.length <= size) return [plan];
  const sorted = [...inputs].sort((a, b) => b.tokens.length - a.tokens.length || a.index - b.index);
  const count = Math.ceil(inputs.length / size);
  return Array.from({ length: count }, (_, i) => ({ ...plan, inputs: sorted.slice(i * size, (i + 1) * size) }));
}

function resultOf(found: readonly (readonly Hypothesis[])[]): GenerateResult {
  const result: GenerateResult = {
    sequences: [],
    scores: [],
    logProbabilities: [],
    finishReasons: [],
    stopTokens: [],
    inputs: [],
  };
  found.forEach((hypotheses, input) => {
    for (const { tokens, score, logProbabilities, reason, stopToken } of hypotheses) {
      result.sequences.push([...tokens]);
      result.scores.push(score);
      result.logProbabilities.push([...logProbabilities]);
      result.finishReasons.push(reason);
      result.stopTokens.push(stopToken);
      result.inputs.push(input);
    }
  });
  return result;
}

/**
 * Computes the attention maps of all tokens that were read, by one more pass over the finished sequences. Steps
 * therefore need not keep them.
 */
function attentionsOf(model: Generative, { inputs, sourceShape }: Plan, result: GenerateResult): AttentionMaps {
  const inputsOfRows = result.inputs.map((input) => inputs[input] as PlannedInput);
  const read = result.sequences.map((tokens, i) => {
    const { prompt } = inputsOfRows[i] as PlannedInput;
    return [...prompt, ...tokens.slice(0, (result.logProbabilities[i] as number[]).length - 1)];
  });
  const sources = model.maxSourceLength
    ? joinSources(
        model,
        inputsOfRows.map(({ tokens }) => tokens),
        sourceShape,
      )
    : null;
  if (model.attentionMaps) return model.attentionMaps(sources, packed(read));
  throw new ArgumentError('generate: outputAttentions needs a model that has attentionMaps');
}

/** Splits a tensor of features, or of their encodings, into sources. Also returns the shape of a source. */
function featuresOf(
  features: SourceShape,
  encoded: SourceShape | null,
  input: unknown,
): { inputs: DeviceSource[]; shape: readonly number[] } {
  const describe = (shape: SourceShape) => `[sources, ${shape.map((size) => size ?? 'any').join(', ')}]`;
  const orEncoded = encoded ? ` or encoded ones ${describe(encoded)}` : '';
  const expected = `float32 features ${describe(features)}${orEncoded}`;
  if (!(input instanceof Tensor))
    throw new ArgumentError(`generate: the sources are ${describeValue(input)}, expected ${expected}`);
  checkDType('generate', 'the sources', input, 'float32');
  const shape = input.shape.slice(1);
  if (!matchesShape(shape, features) && !(encoded && matchesShape(shape, encoded)))
    throw new ShapeError(`generate: the sources are ${describeShape(input.shape)}, expected ${expected}`);
  const count = input.shape[0] as number;
  return { inputs: Array.from({ length: count }, () => ({ of: input, length: input.size / count })), shape };
}

/** True if a shape has the expected sizes; null stands for any size. */
function matchesShape(shape: readonly number[], expected: SourceShape): boolean {
  return shape.length === expected.length && shape.every((size, i) => expected[i] === null || expected[i] === size);
}

/** Returns the plan with features that were copied from the device to arrays. */
async function readFeatures(plan: Plan): Promise<Plan> {
  const all = (await ((plan.inputs[0] as PlannedInput).tokens as DeviceSource).of.data()) as Float32Array;
  const size = all.length / plan.inputs.length;
  const inputs = plan.inputs.map((input, i) => ({ ...input, tokens: all.subarray(i * size, (i + 1) * size) }));
  return { ...plan, inputs };
}

/** The sequences as arrays of tokens. */
export async function readSequences(
  name: string,
  model: Pick<Generative, 'padId'>,
  tokens: Tokens,
): Promise<number[][]> {
  const { rows } = rowsOf(name, await readTokens(name, tokens), model.padId ?? null);
  checkIds(name, rows);
  return rows.map((row) => Array.from(row));
}
