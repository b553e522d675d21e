import { ArgumentError } from '../core/errors.js';
import type { AttentionMaps, Transformer } from '../models/transformer.js';
import { rowsOf, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { BeamSearch } from './beam-search.js';
import { type GenerateOptions, type GenerateResult, type Plan, resolveOptions, type TokenEvent } from './options.js';
import { type Search, TokenSearch } from './search.js';
import { endSession, packed, startSession } from './session.js';

/** See `Transformer.generate`. */
export async function generate(
  model: Transformer,
  input: Tokens,
  options: GenerateOptions = {},
): Promise<GenerateResult> {
  const steps = run(model, input, options);
  for (;;) {
    const { value, done } = await steps.next();
    if (done) return value;
    if (options.onToken) for (const event of value) options.onToken(event);
  }
}

/** See `Transformer.stream`. */
export async function* stream(
  model: Transformer,
  input: Tokens,
  options: GenerateOptions = {},
): AsyncGenerator<TokenEvent, GenerateResult, void> {
  if ((options.numBeams ?? 1) > 1) {
    throw new ArgumentError('stream: tokens of beams are final only at the end; leave numBeams 1');
  }
  const steps = run(model, input, options);
  try {
    for (;;) {
      const { value, done } = await steps.next();
      if (done) return value;
      for (const event of value) {
        options.onToken?.(event);
        yield event;
      }
    }
  } finally {
    await steps.return(undefined as never);
  }
}

/** Yields what each step decided. */
async function* run(
  model: Transformer,
  input: Tokens,
  options: GenerateOptions,
): AsyncGenerator<TokenEvent[], GenerateResult, void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const { encoder, decoder } = model.transformer;
  if (decoder === null) throw new ArgumentError('generate: the model has no decoder');
  const rows = await readRows('generate', model, input);
  if (rows.length === 0) throw new ArgumentError('generate: there are no inputs');
  const plan = resolveOptions(model, rows, options);
  const { prompts, width: beams, maxNewTokens } = plan;
  const search: Search = plan.numBeams > 1 ? new BeamSearch(plan) : new TokenSearch(plan);

  const { session, logits } = startSession(model, { source: encoder ? rows : null, prompts, beams, maxNewTokens });
  try {
    let scores = await logits;
    for (;;) {
      signal?.throwIfAborted();
      yield search.choose(scores);
      if (search.done) break;
      scores = await session.step(search.tokens, search.order);
    }
  } finally {
    endSession(model, session);
  }
  const result = collect(search);
  return options.outputAttentions ? { ...result, attentions: attentionsOf(model, rows, plan, result) } : result;
}

function collect(search: Search): GenerateResult {
  const result: GenerateResult = { sequences: [], scores: [], logProbabilities: [], finishReasons: [], inputs: [] };
  search.hypotheses().forEach((hypotheses, input) => {
    for (const { tokens, score, logProbabilities, reason } of hypotheses) {
      result.sequences.push([...tokens]);
      result.scores.push(score);
      result.logProbabilities.push([...logProbabilities]);
      result.finishReasons.push(reason);
      result.inputs.push(input);
    }
  });
  return result;
}

/** What each token that was read looked at: one pass over the finished sequences, so that steps need not keep it. */
function attentionsOf(
  model: Transformer,
  rows: readonly (readonly number[])[],
  { prompts }: Plan,
  { sequences, inputs, logProbabilities }: GenerateResult,
): AttentionMaps {
  const read = sequences.map((tokens, i) => {
    const prompt = prompts[inputs[i] as number] as readonly number[];
    return [...prompt, ...tokens.slice(0, (logProbabilities[i] as number[]).length - 1)];
  });
  const sources = inputs.map((input) => rows[input] as readonly number[]);
  return model.attentionMaps(model.transformer.encoder ? packed(sources) : null, packed(read));
}

/** The sequences as arrays. */
export async function readRows(name: string, model: Transformer, tokens: Tokens): Promise<number[][]> {
  if (!Array.isArray(tokens)) await model.device.flush(); // so that reading tensors waits for nothing
  const given = tokens instanceof TokenBatch ? { ids: tokens.ids, lengths: tokens.counts } : tokens;
  return rowsOf(name, given, model.config.padId).rows.map((row) => Array.from(row));
}
