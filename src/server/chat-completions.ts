import type { BatchedOptions } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import { stopsOf as endsOfTurns } from '../tasks/chat/stops.js';
import type { ChatTemplate } from '../tokenizers/chat-template.js';
import type { TokenLogprobs } from './answer-text.js';
import { type AnswerEnd, Answers, collect } from './answers.js';
import { messages, templateMessages, templateTools, tools } from './chat-messages.js';
import { type Frame, frameOf, noted, usageOf } from './completion-frame.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import { chatCompletion } from './responses.js';
import { samplingFields, samplingOptions, stopsOf } from './sampling.js';
import {
  anyObject,
  boolean,
  integer,
  nameOf,
  object,
  oneOf,
  optional,
  type Read,
  record,
  type Schema,
  string,
  tagged,
} from './schema.js';
import { type ServedModel, servedModel, type Writer, writerOf } from './served-model.js';
import { ToolCalls } from './tool-calls.js';

export const mostTokens = optional(integer({ min: 1, max: 2 ** 31 - 1 }));

/** Fields that change nothing here, and that clients send all the same. */
export const ignoredFields = {
  user: optional(string({ maxLength: 512 })),
} as const;

export const streamFields = {
  stream: optional(boolean),
  stream_options: optional(object({ include_usage: optional(boolean), include_obfuscation: optional(boolean) })),
} as const;

const anyText = tagged('type', { text: object({ type: oneOf(['text']) }) });

const constrained = tagged('type', {
  text: object({ type: oneOf(['text']) }),
  json_object: object({ type: oneOf(['json_object']) }),
  json_schema: object({
    type: oneOf(['json_schema']),
    json_schema: object({
      name: string({ minLength: 1, maxLength: 64 }),
      description: optional(string()),
      schema: optional(anyObject),
      strict: optional(boolean),
    }),
  }),
});

export type ResponseFormat = Exclude<Read<typeof constrained>, { type: 'text' }>;

/**
 * Options of generation that let only answers of a format come out. Throws ApiError for formats that it does not know.
 */
export type Constrain = (format: ResponseFormat, writer: Writer) => Promise<BatchedOptions> | BatchedOptions;

const chatBody = (model: Schema<string>, responseFormat: Schema<Read<typeof constrained>>) =>
  object({
    model,
    messages,
    tools,
    tool_choice: optional(oneOf(['none', 'auto'])),
    parallel_tool_calls: optional(boolean),
    response_format: optional(responseFormat),
    max_tokens: mostTokens,
    max_completion_tokens: mostTokens,
    logprobs: optional(boolean),
    top_logprobs: optional(integer({ min: 0, max: 20 })),
    ...samplingFields,
    ...streamFields,
    ...ignoredFields,
    metadata: optional(record(string({ maxLength: 512 }), { max: 16 })),
    store: optional(oneOf([false])),
    service_tier: optional(oneOf(['auto', 'default'])),
    safety_identifier: optional(string({ maxLength: 512 })),
    prompt_cache_key: optional(string({ maxLength: 512 })),
  });

type ChatRequest = Read<ReturnType<typeof chatBody>>;

export function chatCompletions(models: ReadonlyMap<string, ServedModel>, constrain: Constrain | undefined): Endpoint {
  const name = nameOf([...models.values()].filter(({ model }) => model.tokenizer?.chatTemplate).map(({ id }) => id));
  return endpoint({
    method: 'post',
    path: '/v1/chat/completions',
    operationId: 'createChatCompletion',
    summary: 'Goes on with a conversation.',
    body: chatBody(name, constrain ? constrained : anyText),
    response: chatCompletion,
    streams: true,
    async handle(call): Promise<Reply> {
      const { body } = call;
      const served = servedModel(models, body.model);
      call.note({ model: served.id });
      const writer = writerOf(served);
      const { answers, format } = await begin(call, writer, constrain);
      const { n: choices = 1, stream = false } = body;
      const frame = frameOf('chatcmpl', stream ? 'chat.completion.chunk' : 'chat.completion', served);
      const events = () => noted(answers.events(), answers, call, served.id);
      if (stream) return { events: chunks(frame, events(), answers, body, format) };
      const all = await collect({ events, usage: answers.usage } as Answers, choices);
      return {
        json: {
          ...frame,
          choices: all.map(({ text, logprobs, finishReason }, index) => {
            const { content, calls } = format ? format.split(text) : { content: text, calls: [] };
            const called = calls.length > 0;
            return {
              index,
              message: {
                role: 'assistant',
                content: called && content === '' ? null : content,
                refusal: null,
                ...(called ? { tool_calls: calls } : {}),
              },
              logprobs: body.logprobs ? { content: logprobs, refusal: null } : null,
              finish_reason: called ? 'tool_calls' : finishReason,
            };
          }),
          usage: usageOf(answers.usage),
        },
      };
    },
  });
}

async function begin({ body, client, signal }: Call<ChatRequest>, writer: Writer, constrain: Constrain | undefined) {
  const { tokenizer, served } = writer;
  if (tokenizer.chatTemplate === null)
    throw new ApiError(
      400,
      `The model '${served.id}' has no chat template: it was not made for conversations; use /v1/completions`,
      'unsupported_model',
      'model',
    );
  const callable = body.tool_choice === 'none' ? [] : templateTools(body.tools);
  const calls = body.messages.flatMap((message) => (message.role === 'assistant' ? (message.tool_calls ?? []) : []));
  const names = callable.map((tool) => tool.function.name);
  const format = callable.length > 0 ? new ToolCalls(names, calls.length) : null;
  const prompt = await tokenizer.applyChatTemplate(templateMessages(body.messages), {
    addGenerationPrompt: true,
    tools: callable.length > 0 ? callable : null,
  });
  const { response_format: wanted } = body;
  let formatted: BatchedOptions = {};
  if (wanted && wanted.type !== 'text') {
    formatted = (await constrain?.(wanted, writer)) ?? {};
  }
  const sampling = samplingOptions(body, served.model.vocabSize);
  const logitsProcessors = [...(sampling.logitsProcessors ?? []), ...(formatted.logitsProcessors ?? [])];
  const answers = new Answers(
    writer,
    {
      prompts: [prompt],
      choices: body.n ?? 1,
      options: {
        stopTokens: stopTokensOf(served.model, tokenizer.chatTemplate),
        ...sampling,
        ...formatted,
        ...(logitsProcessors.length > 0 ? { logitsProcessors } : {}),
      },
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      stops: stopsOf(body),
      logprobs: body.logprobs ? (body.top_logprobs ?? 0) : null,
      skipSpecial: format === null,
      client,
    },
    signal,
  );
  return { answers, format };
}

function stopTokensOf(model: LoadedModel, template: ChatTemplate): number[] {
  return endsOfTurns(model, typeof template === 'string' ? template : Object.values(template).join());
}

interface Delta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly tool_calls?: readonly object[];
}

async function* chunks(
  frame: Frame,
  events: ReturnType<Answers['events']>,
  answers: Answers,
  { n: choices = 1, logprobs: withLogprobs, stream_options: options }: ChatRequest,
  format: ToolCalls | null,
): AsyncGenerator<object, void, void> {
  const usage = options?.include_usage ? { usage: null } : {};
  const chunk = (
    index: number,
    delta: Delta,
    logprobs: readonly TokenLogprobs[] = [],
    finishReason: AnswerEnd['finishReason'] | 'tool_calls' | null = null,
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
  const readers = Array.from({ length: choices }, () => format?.reader() ?? null);
  for (let index = 0; index < choices; index++) yield chunk(index, { role: 'assistant', content: '' });
  for await (const event of events) {
    const { index } = event;
    const reader = readers[index];
    if (!('finishReason' in event)) {
      const content = reader ? reader.push(event.text) : event.text;
      if (content !== '' || event.logprobs.length > 0) yield chunk(index, { content }, event.logprobs);
      continue;
    }
    const { content, calls } = reader?.end() ?? { content: '', calls: [] };
    if (content !== '') yield chunk(index, { content });
    if (calls.length > 0) yield chunk(index, { tool_calls: calls.map((each, i) => ({ index: i, ...each })) });
    yield chunk(index, {}, [], calls.length > 0 ? 'tool_calls' : event.finishReason);
  }
  if (options?.include_usage) yield { ...frame, choices: [], usage: usageOf(answers.usage) };
}
