// What a chat template takes and gives. Rendering, with the engine for Jinja, is loaded when it is first called.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { TokenizerConfig } from './json.js';

/** A template in Jinja, or several by name, of which `default` and `tool_use` are chosen without being asked for. */
export type ChatTemplate = string | Readonly<Record<string, string>>;

/**
 * A message as Hugging Face's templates take it. Which roles and keys there are beyond these, the template decides:
 * `reasoning_content`, `name` and others are passed on as they are.
 */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`, or what else the template knows. */
  readonly role: string;
  /** Text, or parts as `{ type: 'text', text }`. */
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** Of an assistant that calls tools. */
  readonly tool_calls?: readonly ChatToolCall[] | null | undefined;
  /** Of a tool's answer: which call it answers. */
  readonly tool_call_id?: string | null | undefined;
  readonly [key: string]: unknown;
}

/** A call of a tool. Most templates want arguments as an object; some take their JSON, too. */
export interface ChatToolCall {
  readonly id?: string | undefined;
  readonly type?: 'function' | undefined;
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> | string };
}

/** A function that a model may call, with a JSON Schema of its parameters: OpenAI's form, and Hugging Face's. */
export interface ChatTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
    readonly [key: string]: unknown;
  };
}

export interface ApplyChatTemplateOptions {
  /** What the model may call. Default null: nothing. */
  tools?: readonly ChatTool[] | null | undefined;
  /** What the model is to answer from, for templates that know documents. Default null. */
  documents?: readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** Whether the beginning of the assistant's answer follows. Default false. */
  addGenerationPrompt?: boolean | undefined;
  /** Whether the last message stays open, so that the model goes on with it. Default false. */
  continueFinalMessage?: boolean | undefined;
  /** Whether ids come back, or the text. Default true: ids. */
  tokenize?: boolean | undefined;
  /** Another template, or the name of one of several. Default: the tokenizer's. */
  chatTemplate?: string | undefined;
  /** What else the template knows: `{ enable_thinking: false }`, `{ date_string: '26 Jul 2024' }`. Default none. */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

/** The template of a tokenizer_config.json: text, or a list of named ones. Throws FormatError for anything else. */
export function chatTemplateOf({ chat_template: given = null }: TokenizerConfig): ChatTemplate | null {
  if (given === null || typeof given === 'string') return given;
  const pairs = Array.isArray(given)
    ? given.map((each) => [(each as { name?: unknown })?.name, (each as { template?: unknown })?.template])
    : isObject(given)
      ? Object.entries(given)
      : [[]];
  if (pairs.every(([name, template]) => typeof name === 'string' && typeof template === 'string'))
    return Object.fromEntries(pairs);
  throw new FormatError(
    `tokenizer_config.json: chat_template is ${describeValue(given)}, expected text, or a list of { name, template }`,
  );
}
