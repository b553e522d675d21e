// Answers of Ollama's API, as a whole or line by line.

import type { TokenLogprobs } from '../answer-text.js';
import { type Conversation, type ConversationRequest, converse, type WholeCall, wholeAnswer } from '../conversation.js';
import type { Call, Reply } from '../endpoint.js';
import { keepAliveOf } from '../keep-alive.js';

/** The fields of a message. */
export interface Fields {
  readonly role: 'assistant';
  readonly content: string;
  readonly thinking?: string;
  readonly tool_calls?: readonly object[];
}

/** Answers a request. `withMessage` converts the fields of a message to those of the endpoint. */
export async function answer(
  call: Call<unknown>,
  {
    stream = true,
    ...body
  }: { readonly stream?: boolean | undefined; readonly keep_alive?: number | string | undefined },
  request: ConversationRequest,
  withMessage: (fields: Fields) => object,
) {
  const start = process.hrtime.bigint();
  const conversation = await converse(call, request, secondsOf(body));
  const line = (fields: Omit<Fields, 'role'>, rest: object) => ({
    model: conversation.served.id,
    created_at: new Date().toISOString(),
    ...withMessage({ role: 'assistant', ...fields }),
    ...rest,
  });
  if (stream) return { events: lines(conversation, start, line) };
  const { text: content, reasoning, calls, reason, logprobs } = await wholeAnswer(conversation);
  const fields = {
    content,
    ...(reasoning === '' ? {} : { thinking: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callOf) }),
  };
  return { json: line(fields, { ...end(conversation, start, reason), ...logprobsOf(logprobs) }) };
}

/** Returns the field of log-probabilities, which is absent if there are none. */
function logprobsOf(logprobs: readonly TokenLogprobs[] = []) {
  return logprobs.length === 0 ? {} : { logprobs };
}

function callOf({ id, name, arguments: args }: WholeCall, index: number) {
  return { id, function: { index, name, arguments: JSON.parse(args) } };
}

async function* lines(
  conversation: Conversation,
  start: bigint,
  line: (fields: Omit<Fields, 'role'>, rest: object) => object,
): AsyncGenerator<object, void, void> {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for await (const part of conversation.parts()) {
    if (part.type === 'text') yield line({ content: part.text }, { done: false, ...logprobsOf(part.logprobs) });
    else if (part.type === 'reasoning') yield line({ content: '', thinking: part.text }, { done: false });
    else if (part.type === 'call') calls.push({ id: part.id, name: part.name, arguments: '' });
    else if (part.type === 'arguments') (calls.at(-1) as { arguments: string }).arguments += part.text;
    else {
      if (calls.length > 0) yield line({ content: '', tool_calls: calls.map(callOf) }, { done: false });
      yield line({ content: '' }, end(conversation, start, part.reason));
    }
  }
}

/** Returns the fields of the last line. Durations are nanoseconds. */
function end({ usage, times }: Conversation, start: bigint, reason: 'stop' | 'length') {
  const total = Number(process.hrtime.bigint() - start);
  return {
    done: true,
    done_reason: reason,
    total_duration: total,
    load_duration: times.load,
    prompt_eval_count: usage.prompt,
    prompt_eval_duration: times.prompt,
    eval_count: usage.completion,
    eval_duration: total - times.load - times.prompt,
  };
}

/** Loads a model, or unloads it if `keep_alive` is 0. Ollama does so for requests without a prompt. */
export async function loadOnly(
  { use }: Call<unknown>,
  body: { readonly model: string; readonly keep_alive?: number | string | undefined },
  wrap: (fields: Fields) => object,
): Promise<Reply> {
  const seconds = secondsOf(body);
  const { id } = await use(body.model, seconds);
  const fields = wrap({ role: 'assistant', content: '' });
  const done_reason = seconds === 0 ? 'unload' : 'load';
  return { json: { model: id, created_at: new Date().toISOString(), ...fields, done: true, done_reason } };
}

/** Returns the seconds of `keep_alive`; undefined if it is left out. */
export function secondsOf({
  keep_alive: keepAlive,
}: {
  readonly keep_alive?: number | string | undefined;
}): number | undefined {
  return keepAlive === undefined ? undefined : (keepAliveOf(keepAlive) as number);
}
