// Generates one answer to a whole conversation. Frameworks keep the messages themselves and send all of them each time.

import type { ResponseFormat } from '../constrain/index.js';
import { ArgumentError } from '../index.js';
import {
  Chat,
  type ChatAnswer,
  type ChatGenerateOptions,
  type ChatModel,
  ContextFullError,
  ReasoningFilter,
  StopStrings,
  type ToolCall,
} from '../tasks/index.js';
import type { ChatMessage, PretrainedTokenizer } from '../tokenizers/index.js';
import { templateOf } from './template.js';
import { planTools, type Tool, type ToolChoice, type ToolPlan } from './tool-formats.js';

export interface AnswerRequest {
  readonly messages: readonly ChatMessage[];
  /** Default: none. */
  readonly tools?: readonly Tool[] | undefined;
  /** Default: 'auto'. */
  readonly toolChoice?: ToolChoice | undefined;
  /** True if several tools may be called at once. Default: true. */
  readonly parallel?: boolean | undefined;
  readonly format?: ResponseFormat | undefined;
  /** Texts that end the answer; the answer does not include them. Default: none. */
  readonly stop?: readonly string[] | undefined;
  /** Variables of the chat template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  readonly generation: ChatGenerateOptions;
}

export interface AnswerPiece {
  readonly type: 'text' | 'reasoning';
  readonly text: string;
}

export interface AnswerEnd {
  readonly finishReason: 'stop' | 'length' | 'tool-calls';
  readonly toolCalls: readonly ToolCall[];
  readonly promptTokens: number;
  /** Number of prompt tokens that were not read again. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  /** Number of reasoning tokens among `newTokens`, including the marks around reasoning. */
  readonly reasoningTokens: number;
}

/** A checked request, ready to be answered. */
export interface AnswerPlan extends ToolPlan {
  readonly request: AnswerRequest;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Checks a request. Throws ArgumentError and ResponseFormatError. */
export async function planAnswer(model: ChatModel, request: AnswerRequest): Promise<AnswerPlan> {
  const { tools = [], toolChoice: choice = 'auto', parallel = true, format } = request;
  const plan = await planTools(tokenizerOf(model), { tools, choice, parallel, format });
  // An answer in a given format cannot contain reasoning.
  const variables = plan.isFree ? { ...request.variables } : { enable_thinking: false, ...request.variables };
  return { ...plan, request, variables };
}

/**
 * Generates an answer. Yields its text and its reasoning in pieces of whole characters, without tool calls. Throws the
 * errors of `Chat` and of `Chat.send`, and the reason of the signal.
 */
export async function* streamAnswer(
  model: ChatModel,
  { request, tools, format, isFree, variables }: AnswerPlan,
): AsyncGenerator<AnswerPiece, AnswerEnd, void> {
  const { messages, generation, stop = [] } = request;
  const isOpen = isFree && (await opensReasoning(tokenizerOf(model), messages, tools, variables));
  const reasoning = isFree ? new ReasoningFilter(isOpen) : null;
  const stops = new StopStrings(stop);
  const counts = { tokens: 0, reasoning: 0 };
  const chat = new Chat(model, { messages: messages.slice(0, -1), tools, variables });
  const pieces = sendFitting(chat, messages.slice(-1), {
    ...generation,
    responseFormat: format,
    onToken: () => {
      counts.tokens++;
    },
  });
  const split = (text: string, isEnd = false): AnswerPiece[] => {
    const wasReasoning = reasoning?.isReasoning ?? false;
    const piece = reasoning?.push(text) ?? { reasoning: '', text };
    const rest = isEnd ? reasoning?.end() : undefined;
    if (wasReasoning || reasoning?.isReasoning) counts.reasoning = counts.tokens;
    return piecesOf(piece.reasoning + (rest?.reasoning ?? ''), piece.text + (rest?.text ?? ''));
  };
  try {
    let answer: ChatAnswer | null = null;
    while (answer === null && !stops.stopped) {
      const { value, done } = await pieces.next();
      if (done) answer = value;
      yield* split(done ? stops.end() : stops.push(value), done);
    }
    if (answer === null) yield* split('', true);
    await pieces.return(undefined as never);
    return endOf(answer ?? (chat.answer as ChatAnswer), stops.stopped, counts.reasoning);
  } finally {
    await pieces.return(undefined as never);
    keep(model, chat);
  }
}

/** Sends messages. As in OpenAI's API, the answer is shortened if the context has too little room. */
async function* sendFitting(
  chat: Chat,
  messages: readonly ChatMessage[],
  options: ChatGenerateOptions,
): AsyncGenerator<string, ChatAnswer, void> {
  try {
    return yield* chat.send(messages, options);
  } catch (error) {
    if (!(error instanceof ContextFullError) || error.tokens >= error.maxLength) throw error;
    return yield* chat.send(messages, { ...options, maxNewTokens: error.maxLength - error.tokens });
  }
}

function endOf(answer: ChatAnswer, isStopped: boolean, reasoningTokens: number): AnswerEnd {
  const { toolCalls, promptTokens, cachedTokens, newTokens } = answer;
  const ended = isStopped ? 'stop' : answer.finishReason;
  const finishReason = toolCalls.length > 0 && ended === 'stop' ? 'tool-calls' : ended;
  return { finishReason, toolCalls, promptTokens, cachedTokens, newTokens, reasoningTokens };
}

function piecesOf(reasoning: string, text: string): AnswerPiece[] {
  const pieces: AnswerPiece[] = [
    { type: 'reasoning', text: reasoning },
    { type: 'text', text },
  ];
  return pieces.filter((piece) => piece.text !== '');
}

/** True if the prompt ends with the mark that begins reasoning. */
async function opensReasoning(
  tokenizer: PretrainedTokenizer,
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
  variables: AnswerPlan['variables'],
): Promise<boolean> {
  if (!templateOf(tokenizer).includes('<think>')) return false;
  const options = { tools: tools.length > 0 ? tools : null, variables, addGenerationPrompt: true };
  const prompt = await tokenizer.applyChatTemplate(withoutImages(messages), { ...options, tokenize: false });
  return /<think>\s*$/.test(prompt);
}

/** Messages whose images have no content. Templates write only their places. */
function withoutImages(messages: readonly ChatMessage[]): ChatMessage[] {
  const withoutImage = ({ image: _, ...part }: Readonly<Record<string, unknown>>) => part;
  return messages.map((message) =>
    Array.isArray(message.content) ? { ...message, content: message.content.map(withoutImage) } : message,
  );
}

/** True for a model that reads images in conversations. */
export function readsImages(model: ChatModel): boolean {
  return Boolean((model as { images?: object | null }).images);
}

/** Returns the tokenizer of a model. Throws ArgumentError if the model is not for conversations. */
export function tokenizerOf({ tokenizer }: Pick<ChatModel, 'tokenizer'>): PretrainedTokenizer {
  if (tokenizer?.chatTemplate) return tokenizer;
  const missing = tokenizer === null ? 'tokenizer' : 'chat template';
  throw new ArgumentError(`the model has no ${missing}: choose a model that was trained for conversations`);
}

/**
 * Number of conversations that stay in memory after their answers. A later answer does not read a prefix again that one
 * of them has.
 */
const MAX_KEPT = 2;
const kept = new WeakMap<ChatModel, Chat[]>();

function keep(model: ChatModel, chat: Chat): void {
  const chats = kept.get(model) ?? [];
  kept.set(model, chats);
  chats.push(chat);
  for (const oldest of chats.splice(0, chats.length - MAX_KEPT)) oldest.dispose();
}
