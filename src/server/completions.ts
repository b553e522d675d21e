import { constrainedTo, formatOf, grammarFields } from './answer-format.js';
import type { TokenLogprobs } from './answer-text.js';
import { Answers, collect } from './answers.js';
import { checkFits, ignoredFields, maxTokens, streamFields } from './chat-completions.js';
import { type Frame, frameOf, recordUsage, usageOf } from './completion-frame.js';
import { COMPLETIONS, type FieldNames } from './dialect.js';
import { type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import { type Limits, limitsOf } from './limits.js';
import type { ModelPool } from './model-pool.js';
import { completion } from './openapi-schemas.js';
import { samplingFields, samplingOptions, stopsOf } from './sampling.js';
import {
  anyOf,
  array,
  boolean,
  integer,
  nameOf,
  object,
  onlyWith,
  optional,
  type Read,
  refusedField,
  type Schema,
  string,
} from './schema.js';
import { type ServedModel, type ServedTextModel, textModelOf } from './served-model.js';

const MAX_PROMPTS = 64;
/** The default of `max_tokens`, as at OpenAI. */
const DEFAULT_TOKENS = 16;

/** Accepts one text, several texts, one list of token ids, or several lists. */
export function textsOrIds(text: Schema<string>, maxCount: number, { vocabulary, tokens }: Limits) {
  const ids = array(integer({ min: 0, max: vocabulary - 1 }), { min: 1, max: tokens });
  const several = { min: 1, max: maxCount };
  const name = `a text or a list of at most ${tokens} token ids below ${vocabulary}, or an array of 1 to ${maxCount} of these`;
  return anyOf(name, text, array(text, several), ids, array(ids, several));
}

const completionBody = (model: Schema<string>, limits: Limits) =>
  object({
    model,
    prompt: textsOrIds(string(), MAX_PROMPTS, limits),
    max_tokens: maxTokens,
    echo: optional(boolean()),
    suffix: refusedField('models continue a prompt, and do not fill gaps'),
    best_of: optional(integer({ min: 1, max: 1 })),
    logprobs: optional(integer({ min: 0, max: 5 })),
    ...grammarFields,
    ...samplingFields,
    ...streamFields,
    ...ignoredFields,
  });

type CompletionRequest = Read<ReturnType<typeof completionBody>>;

const isWriter = ({ batching, model }: ServedModel) => batching !== null && model.tokenizer !== null;

export function completions(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(isWriter));
  return endpoint({
    method: 'post',
    path: '/v1/completions',
    operation: 'text_completion',
    operationId: 'createCompletion',
    summary: 'Continues texts.',
    dialect: COMPLETIONS,
    body: onlyWith(completionBody(name, limitsOf(models, isWriter)), 'stream_options', 'stream'),
    response: completion,
    streams: true,
    async handle(call): Promise<Reply> {
      const { body, client, fields, prefixScope, signal } = call;
      const served = await call.use(body.model);
      const textModel = textModelOf(served);
      const { n: choices = 1, stream = false, echo = false } = body;
      if (echo && body.logprobs !== undefined)
        throw new ApiError(400, "'echo' together with 'logprobs' is not supported", 'unsupported_parameter', 'echo');
      const read = await promptsOf(body.prompt, textModel, fields);
      const wanted = formatOf(body, fields);
      const sampling = samplingOptions(body, served.model.vocabSize);
      const answers = new Answers(
        textModel,
        {
          prompts: read.map(({ ids }) => ids),
          choices,
          // With a grammar or a schema, all of the answer has this form.
          options: await constrainedTo(wanted, sampling, textModel, served.model.endIds, fields),
          wanted,
          fields,
          maxTokens: body.max_tokens ?? DEFAULT_TOKENS,
          stops: stopsOf(body),
          logprobs: body.logprobs ?? null,
          client,
          prefixScope,
        },
        signal,
      );
      const echoed = read.flatMap(({ text }) => Array<string>(choices).fill(echo ? text() : ''));
      const frame = frameOf('cmpl', 'text_completion', served);
      const events = recordUsage(answers.events(), answers, call, served.id);
      if (stream) return { events: chunks(frame, events, answers, body, echoed) };
      const all = await collect(events, echoed.length);
      return {
        json: {
          ...frame,
          choices: all.map(({ text, logprobs, finishReason }, index) => ({
            index,
            text: `${echoed[index]}${text}`,
            logprobs: body.logprobs === undefined ? null : legacyLogprobs(logprobs, echoed[index]?.length ?? 0),
            finish_reason: finishReason,
          })),
          usage: usageOf(answers.usage),
        },
      };
    },
  });
}

async function* chunks(
  frame: Frame,
  events: ReturnType<Answers['events']>,
  answers: Answers,
  { logprobs, stream_options: options }: CompletionRequest,
  echoed: readonly string[],
): AsyncGenerator<object, void, void> {
  const usage = options?.include_usage ? { usage: null } : {};
  const offsets = echoed.map((text) => text.length);
  for (const [index, text] of echoed.entries())
    if (text !== '') yield { ...frame, choices: [{ index, text, logprobs: null, finish_reason: null }], ...usage };
  for await (const event of events) {
    const { index } = event;
    const isEnd = 'finishReason' in event;
    const tokenLogprobs =
      isEnd || logprobs === undefined ? null : legacyLogprobs(event.logprobs, offsets[index] as number);
    const text = isEnd ? '' : event.text;
    offsets[index] = (offsets[index] as number) + text.length;
    const finish_reason = isEnd ? event.finishReason : null;
    yield { ...frame, choices: [{ index, text, logprobs: tokenLogprobs, finish_reason }], ...usage };
  }
  if (options?.include_usage) yield { ...frame, choices: [], usage: usageOf(answers.usage) };
}

/** Log-probabilities in the form of /v1/completions. `offset` is the number of characters before the first token. */
function legacyLogprobs(all: readonly TokenLogprobs[], offset: number) {
  const ends: number[] = [];
  for (const { token } of all) ends.push((ends.at(-1) ?? offset) + token.length);
  return {
    tokens: all.map(({ token }) => token),
    token_logprobs: all.map(({ logprob }) => logprob),
    top_logprobs: all.map(({ top_logprobs: top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: all.map((_, i) => ends[i - 1] ?? offset),
  };
}

interface Prompt {
  readonly ids: readonly number[];
  /** Returns the given text, or the text of the ids. */
  text(): string;
}

/** Throws ApiError for unknown ids, and for texts that cannot fit. */
async function promptsOf(
  input: CompletionRequest['prompt'],
  textModel: ServedTextModel,
  fields: FieldNames,
): Promise<Prompt[]> {
  const { tokenizer, served } = textModel;
  const { vocabSize, startId, endIds } = served.model;
  const list = typeof input === 'string' || typeof input[0] === 'number' ? [input] : input;
  const promptOf = async (prompt: string | number[]): Promise<Prompt> => {
    if (typeof prompt !== 'string') {
      const unknown = prompt.find((id) => id >= vocabSize);
      if (unknown === undefined) return { ids: prompt, text: () => tokenizer.decode(prompt) };
      throw new ApiError(
        400,
        `'prompt' has the token id ${unknown}, expected ids below ${vocabSize}`,
        'invalid_value',
        'prompt',
      );
    }
    checkFits(prompt, textModel, fields);
    const ids = await tokenizer.encodeAsync(prompt, { addSpecial: true });
    const start = startId ?? endIds[0];
    if (ids.length > 0) return { ids, text: () => prompt };
    if (start !== undefined && start !== null) return { ids: [start], text: () => '' };
    throw new ApiError(
      400,
      "'prompt' is empty, expected text: the model has no start token",
      'invalid_value',
      'prompt',
    );
  };
  const prompts: Prompt[] = [];
  for (const prompt of list as (string | number[])[]) prompts.push(await promptOf(prompt));
  return prompts;
}
