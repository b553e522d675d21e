// An answer to a conversation, for all APIs that have conversations.

import { AnswerReader, type SplitPiece } from './answer-reader.js';
import type { TokenLogprobs } from './answer-text.js';
import type { Usage } from './answers.js';
import { type ChatRequest, startAnswer } from './chat-completions.js';
import { recordUsage } from './completion-frame.js';
import type { Call } from './endpoint.js';
import { type ServedModel, textModelOf } from './served-model.js';

/**
 * A part of an answer. A call begins with its name, and pieces of its arguments follow. If log-probabilities are
 * requested, those of all tokens are in parts of type 'text', whose text may be empty.
 */
export type Part =
  | { readonly type: 'text'; readonly text: string; readonly logprobs?: readonly TokenLogprobs[] }
  | { readonly type: 'reasoning'; readonly text: string }
  | { readonly type: 'call'; readonly id: string; readonly name: string }
  | { readonly type: 'arguments'; readonly text: string }
  | { readonly type: 'end'; readonly reason: 'stop' | 'length'; readonly stop: string | null };

export interface Conversation {
  readonly served: ServedModel;
  /** Nanoseconds until the model was in memory, and from then to the first piece of the answer; 0 before that piece. */
  readonly times: { readonly load: number; readonly prompt: number };
  readonly usage: Usage;
  /** Yields the parts of the answer. They can be read once. */
  parts(): AsyncGenerator<Part, void, void>;
}

/** A request in the form of OpenAI's chats. Fields that are left out have their defaults. */
export type ConversationRequest = Partial<ChatRequest> & Pick<ChatRequest, 'model' | 'messages'>;

/** Begins an answer. Throws ApiError and QueueFullError. */
export async function converse(
  call: Call<unknown>,
  request: ConversationRequest,
  keepAliveSeconds?: number,
): Promise<Conversation> {
  const start = process.hrtime.bigint();
  const served = await call.use(request.model, keepAliveSeconds);
  const loaded = process.hrtime.bigint();
  const times = { load: Number(loaded - start), prompt: 0 };
  const started = await startAnswer({ ...call, body: request as ChatRequest }, textModelOf(served));
  const { answers, calls, isReasoning } = started;
  return {
    served,
    times,
    usage: answers.usage,
    async *parts() {
      const reader = new AnswerReader(calls, isReasoning);
      for await (const event of recordUsage(answers.events(), answers, call, served.id)) {
        times.prompt ||= Number(process.hrtime.bigint() - loaded);
        const isEnd = 'finishReason' in event;
        if (isEnd) yield* partsOf(reader.end(), []);
        else yield* partsOf(reader.push(event.text), event.logprobs);
        if (isEnd) yield { type: 'end', reason: event.finishReason, stop: event.stop };
      }
    },
  };
}

function* partsOf(
  { reasoning, content, deltas }: SplitPiece,
  logprobs: readonly TokenLogprobs[],
): Generator<Part, void, void> {
  if (reasoning !== '') yield { type: 'reasoning', text: reasoning };
  if (logprobs.length > 0) yield { type: 'text', text: content, logprobs };
  else if (content !== '') yield { type: 'text', text: content };
  for (const { id, function: called } of deltas) {
    if (id !== undefined) yield { type: 'call', id, name: called.name ?? '' };
    if (called.arguments !== '') yield { type: 'arguments', text: called.arguments };
  }
}

/** A call of a tool. The arguments are JSON. */
export interface WholeCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** A whole answer. */
export interface WholeAnswer {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly WholeCall[];
  /** Number of tokens up to the end of the reasoning. */
  readonly reasoningTokens: number;
  readonly reason: 'stop' | 'length';
  readonly stop: string | null;
  /** Log-probabilities of all tokens, if they were requested. */
  readonly logprobs: readonly TokenLogprobs[];
}

/** Waits for the whole answer. */
export async function wholeAnswer(conversation: Conversation): Promise<WholeAnswer> {
  const answer = { text: '', reasoning: '', reason: 'stop' as 'stop' | 'length', stop: null as string | null };
  const calls: { id: string; name: string; arguments: string }[] = [];
  const logprobs: TokenLogprobs[] = [];
  let reasoningTokens = 0;
  for await (const part of conversation.parts()) {
    if (part.type === 'text') {
      answer.text += part.text;
      logprobs.push(...(part.logprobs ?? []));
    } else if (part.type === 'reasoning') {
      answer.reasoning += part.text;
      reasoningTokens = conversation.usage.completion;
    } else if (part.type === 'call') calls.push({ id: part.id, name: part.name, arguments: '' });
    else if (part.type === 'arguments') (calls.at(-1) as { arguments: string }).arguments += part.text;
    else Object.assign(answer, { reason: part.reason, stop: part.stop });
  }
  return { ...answer, calls, reasoningTokens, logprobs };
}
