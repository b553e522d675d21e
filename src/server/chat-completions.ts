import type { LoadedModel } from '../pretrained/index.js';
import { stopsOf as endsOfTurns } from '../tasks/chat/stops.js';
import type { ChatTemplate } from '../tokenizers/chat-template.js';
import { constrainedTo, formatFields, formatOf, type WantedFormat } from './answer-format.js';
import { AnswerReader, type SplitPiece, splitReasoning } from './answer-reader.js';
import type { TokenLogprobs } from './answer-text.js';
import { type AnswerEnd, Answers, collect, tooLong } from './answers.js';
import { checkToolResults, messages, strictTools, templateMessages, templateTools, tools } from './chat-messages.js';
import { type Frame, frameOf, recordUsage, usageOf } from './completion-frame.js';
import type { FieldNames } from './dialect.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import { type ReadMessages, readImages } from './images.js';
import type { ModelPool } from './model-pool.js';
import { chatCompletion } from './openapi-schemas.js';
import { EFFORTS, effortVariables } from './reasoning-effort.js';
import { samplingFields, samplingOptions, stopsOf } from './sampling.js';
import {
  anyObject,
  array,
  boolean,
  integer,
  nameOf,
  object,
  oneOf,
  onlyWith,
  optional,
  type Read,
  record,
  refusedField,
  type Schema,
  string,
} from './schema.js';
import { type ServedModel, type ServedTextModel, textModelOf } from './served-model.js';
import { type CallDelta, ToolCalls } from './tool-calls.js';
import { type ChosenTools, chosenTools, toolChoice } from './tool-choice.js';
import { verbosity, withVerbosity } from './verbosity.js';

export const maxTokens = optional(integer({ min: 1, max: 2 ** 31 - 1 }));

/** Fields that clients send and that change nothing here. */
export const ignoredFields = {
  user: optional(string({ maxLength: 512 })),
} as const;

export const streamFields = {
  stream: optional(boolean()),
  stream_options: optional(object({ include_usage: optional(boolean()), include_obfuscation: optional(boolean()) })),
} as const;

/** An extension: variables of the chat template, such as `{ enable_thinking: false }`. */
const templateVariables = optional(anyObject);

const chatBody = (model: Schema<string>) =>
  object({
    model,
    messages,
    tools,
    tool_choice: toolChoice,
    parallel_tool_calls: optional(boolean()),
    ...formatFields,
    max_tokens: maxTokens,
    max_completion_tokens: maxTokens,
    logprobs: optional(boolean()),
    top_logprobs: optional(integer({ min: 0, max: 20 })),
    ...samplingFields,
    ...streamFields,
    ...ignoredFields,
    modalities: optional(array(oneOf(['text']), { min: 1, max: 1 })),
    audio: refusedField('models write text'),
    functions: refusedField("give 'tools'"),
    function_call: refusedField("give 'tool_choice'"),
    prediction: refusedField('leave it out'),
    reasoning_effort: optional(oneOf(EFFORTS)),
    verbosity,
    web_search_options: refusedField('models read what they are sent'),
    metadata: optional(record(string({ maxLength: 512 }), { max: 16 })),
    store: optional(oneOf([false])),
    service_tier: optional(oneOf(['auto', 'default'])),
    safety_identifier: optional(string({ maxLength: 512 })),
    prompt_cache_key: optional(string({ maxLength: 512 })),
    chat_template_kwargs: templateVariables,
  });

export type ChatRequest = Read<ReturnType<typeof chatBody>>;

export function chatCompletions(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(hasTemplate));
  return endpoint({
    method: 'post',
    path: '/v1/chat/completions',
    operation: 'chat',
    operationId: 'createChatCompletion',
    summary: 'Continues a conversation.',
    body: onlyWith(onlyWith(chatBody(name), 'top_logprobs', 'logprobs'), 'stream_options', 'stream'),
    response: chatCompletion,
    streams: true,
    async handle(call): Promise<Reply> {
      const { body } = call;
      checkToolResults(body.messages);
      const served = await call.use(body.model);
      const textModel = textModelOf(served);
      const started = await startAnswer(call, textModel);
      const { answers, calls: format, reasonOf, isReasoning } = started;
      const { n: choices = 1, stream = false } = body;
      const frame = frameOf('chatcmpl', stream ? 'chat.completion.chunk' : 'chat.completion', served);
      const events = recordUsage(answers.events(), answers, call, served.id);
      if (stream) return { events: chunks(frame, events, body, started) };
      const all = await collect(events, choices);
      return {
        json: {
          ...frame,
          choices: all.map(({ text, logprobs, finishReason }, index) => {
            const { content: answer, calls } = format ? format.split(text) : { content: text, calls: [] };
            const { reasoning, content } = splitReasoning(answer, isReasoning);
            const called = calls.length > 0;
            return {
              index,
              message: {
                role: 'assistant',
                content: called && content === '' ? null : content,
                refusal: null,
                ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
                ...(called ? { tool_calls: calls } : {}),
              },
              logprobs: body.logprobs ? { content: logprobs, refusal: null } : null,
              finish_reason: reasonOf(finishReason, called),
            };
          }),
          usage: usageOf(answers.usage),
        },
      };
    },
  });
}

type FinishReason = AnswerEnd['finishReason'] | 'tool_calls';
type ReasonOf = (reason: AnswerEnd['finishReason'], called: boolean) => FinishReason;

/** An answer that has begun. */
export interface StartedAnswer {
  readonly answers: Answers;
  /** Null without tools. */
  readonly calls: ToolCalls | null;
  /** If the request names the tool that is called, the reason is 'stop', as at OpenAI. */
  readonly reasonOf: ReasonOf;
  /** True if the answer begins with reasoning, because the prompt ends with its mark. */
  readonly isReasoning: boolean;
}

/** True for models that have conversations. */
export const hasTemplate = ({ model }: ServedModel) => Boolean(model.tokenizer?.chatTemplate);

/** Begins the answer to a request. Throws ApiError 400 and QueueFullError. */
export async function startAnswer(call: Call<ChatRequest>, textModel: ServedTextModel): Promise<StartedAnswer> {
  const template = templateOf(textModel);
  const withImages = await imagesOf(call, textModel);
  try {
    return await startAnswerTo(call, textModel, template, withImages);
  } catch (error) {
    withImages.lease?.release();
    throw error;
  }
}

/** Returns the number of tokens of a request's prompt. Throws ApiError 400. */
export async function promptTokens(call: Call<ChatRequest>, textModel: ServedTextModel): Promise<number> {
  const template = templateOf(textModel);
  const { messages, lease } = await imagesOf(call, textModel);
  try {
    const text = await promptOf(call, messages, chosenOf(call.body, template), textModel);
    return (lease ? await lease.encode(text) : await textModel.tokenizer.encodeAsync(text)).length;
  } finally {
    lease?.release();
  }
}

async function imagesOf({ body, fields, signal }: Call<ChatRequest>, { tokenizer, served }: ServedTextModel) {
  const { model, imageHosts } = served;
  const written = await withVerbosity(templateMessages(body.messages, fields), tokenizer, body.verbosity);
  return readImages(model, written, imageHosts, signal, fields);
}

/** Returns the template of conversations. Throws ApiError 400 for a model without one. */
function templateOf({ served, tokenizer: { chatTemplate } }: ServedTextModel): ChatTemplate {
  if (chatTemplate !== null) return chatTemplate;
  throw new ApiError(
    400,
    `The model '${served.id}' has no chat template, expected a model for conversations: use /v1/completions`,
    'unsupported_model',
    'model',
  );
}

function chosenOf(
  { tools, tool_choice: choice, parallel_tool_calls: parallel = true }: ChatRequest,
  template: ChatTemplate,
) {
  return chosenTools(templateTools(tools), strictTools(tools), choice, parallel, template);
}

/** Writes the prompt of a request. Throws ApiError 400 for one that cannot fit. */
async function promptOf(
  { body, fields }: Call<ChatRequest>,
  messages: ReadMessages['messages'],
  { tools }: ChosenTools,
  textModel: ServedTextModel,
): Promise<string> {
  const text = await textModel.tokenizer.applyChatTemplate(messages, {
    addGenerationPrompt: true,
    tools: tools.length > 0 ? tools : null,
    variables: { ...effortVariables(body.reasoning_effort), ...body.chat_template_kwargs },
    tokenize: false,
  });
  checkFits(text, textModel, fields);
  return text;
}

async function startAnswerTo(
  call: Call<ChatRequest>,
  textModel: ServedTextModel,
  template: ChatTemplate,
  { messages, lease }: ReadMessages,
): Promise<StartedAnswer> {
  const { tokenizer, served } = textModel;
  const { body, client, fields, prefixScope, signal } = call;
  const { parallel_tool_calls: isParallel = true } = body;
  const chosen = chosenOf(body, template);
  const calls = toolCallsOf(chosen, isParallel);
  const text = await promptOf(call, messages, chosen, textModel);
  const wanted = wantedOf(body, chosen, fields);
  const stopTokens = stopTokensOf(served.model, template);
  const sampling = { stopTokens, ...samplingOptions(body, served.model.vocabSize) };
  const prompt = lease ? await lease.encode(text) : await tokenizer.encodeAsync(text);
  const answers = new Answers(
    textModel,
    {
      prompts: [prompt],
      release: () => lease?.release(),
      choices: body.n ?? 1,
      options: await constrainedTo(wanted, sampling, textModel, stopTokens, fields),
      wanted,
      fields,
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      stops: stopsOf(body),
      logprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
      skipSpecial: calls === null,
      client,
      prefixScope,
    },
    signal,
  );
  const { isNamed } = chosen;
  const isFree = (chosen.format?.optional ?? true) && formatOf(body, fields) === null;
  return {
    answers,
    calls,
    isReasoning: isFree && /<think>\s*$/.test(text),
    reasonOf: (reason, called) => (called && !isNamed && reason === 'stop' ? 'tool_calls' : reason),
  };
}

/** Refuses a text that cannot fit before it is tokenized. Throws ApiError 400. */
export function checkFits(text: string, { served, batching }: ServedTextModel, fields: FieldNames): void {
  const min = served.tokenBound(text);
  if (min >= batching.context) throw tooLong(`at least ${min}`, batching.context, fields);
}

/** The format of an answer that may call tools. Throws ApiError 400. */
function wantedOf(body: ChatRequest, chosen: ChosenTools, fields: FieldNames): WantedFormat | null {
  const requested = formatOf(body, fields);
  if (requested !== null && requested.param !== fields.format && chosen.tools.length > 0)
    throw new ApiError(
      400,
      `'${requested.param}' together with 'tools' is not supported`,
      'invalid_value',
      requested.param,
    );
  // If an answer must have a format, it cannot contain optional calls.
  return chosen.format && !(chosen.format.optional && requested)
    ? { param: 'tools', format: chosen.format }
    : requested;
}

function toolCallsOf({ tools: callable }: ChosenTools, isParallel: boolean) {
  if (callable.length === 0) return null;
  const names = callable.map((tool) => tool.function.name);
  return new ToolCalls(names, isParallel ? undefined : 1);
}

function stopTokensOf(model: LoadedModel, template: ChatTemplate): number[] {
  return endsOfTurns(model, typeof template === 'string' ? template : Object.values(template).join());
}

interface Delta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly CallDelta[];
}

async function* chunks(
  frame: Frame,
  events: ReturnType<Answers['events']>,
  { n: choices = 1, logprobs: withLogprobs, stream_options: options }: ChatRequest,
  { answers, calls, reasonOf, isReasoning }: StartedAnswer,
): AsyncGenerator<object, void, void> {
  const usage = options?.include_usage ? { usage: null } : {};
  const chunk = (
    index: number,
    delta: Delta,
    logprobs: readonly TokenLogprobs[] = [],
    finishReason: FinishReason | null = null,
  ) => ({
    ...frame,
    choices: [
      {
        index,
        delta,
        logprobs: withLogprobs && logprobs.length > 0 ? { content: logprobs, refusal: null } : null,
        finish_reason: finishReason,
      },
    ],
    ...usage,
  });
  const readers = Array.from({ length: choices }, () => new AnswerReader(calls, isReasoning));
  const called = new Set<number>();
  for (let index = 0; index < choices; index++) yield chunk(index, { role: 'assistant', content: '' });
  for await (const event of events) {
    const { index } = event;
    const reader = readers[index] as AnswerReader;
    const isEnd = 'finishReason' in event;
    const piece = isEnd ? reader.end() : reader.push(event.text);
    const logprobs = isEnd ? [] : event.logprobs;
    if (piece.deltas.length > 0) called.add(index);
    for (const [delta, ofDelta] of deltasOf(piece, logprobs)) yield chunk(index, delta, ofDelta);
    if (isEnd) yield chunk(index, {}, [], reasonOf(event.finishReason, called.has(index)));
  }
  if (options?.include_usage) yield { ...frame, choices: [], usage: usageOf(answers.usage) };
}

/** The deltas of a piece. The log-probabilities of its tokens belong to its text, or else to its first part. */
function deltasOf(
  { reasoning, content, deltas }: SplitPiece,
  logprobs: readonly TokenLogprobs[],
): readonly (readonly [Delta, readonly TokenLogprobs[]])[] {
  const parts: Delta[] = [
    ...(reasoning === '' ? [] : [{ reasoning_content: reasoning }]),
    ...(content === '' ? [] : [{ content }]),
    ...deltas.map((delta) => ({ tool_calls: [delta] })),
  ];
  if (parts.length === 0 && logprobs.length > 0) parts.push({ content });
  const owner = parts.find((part) => 'content' in part) ?? parts[0];
  return parts.map((part) => [part, part === owner ? logprobs : []]);
}
