// Types of chat templates. The renderer, with its Jinja engine, is loaded at the first call.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { TokenizerConfig } from './json.js';

/** A Jinja template, or several by name. `default` and `tool_use` are chosen automatically. */
export type ChatTemplate = string | Readonly<Record<string, string>>;

/**
 * A message in the form of Hugging Face's templates. The template decides which roles and keys exist. Further keys such
 * as `reasoning_content` and `name` are passed on unchanged.
 */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`, or another role that the template knows. */
  readonly role: string;
  /** Text, or parts as `{ type: 'text', text }`. */
  readonly content?: string | readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** Calls of an assistant. */
  readonly tool_calls?: readonly ChatToolCall[] | null | undefined;
  /** Id of the call that a tool's message answers. */
  readonly tool_call_id?: string | null | undefined;
  readonly [key: string]: unknown;
}

/** A call of a tool. Most templates expect arguments as an object; some accept JSON text, too. */
export interface ChatToolCall {
  readonly id?: string | undefined;
  readonly type?: 'function' | undefined;
  readonly function: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> | string };
}

/** A function that a model may call, with a JSON Schema of its parameters, in the form of OpenAI and Hugging Face. */
export interface ChatTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
    readonly [key: string]: unknown;
  };
}

/** Tools in OpenAI's form, or only their functions. */
export type ChatTools = readonly (ChatTool | ChatTool['function'])[];

export interface ApplyChatTemplateOptions {
  /** Tools that the model may call. Default: null, none. */
  tools?: ChatTools | null | undefined;
  /** Documents to answer from, for templates that support them. Default: null. */
  documents?: readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** True appends the beginning of the assistant's answer. Default: false. */
  addGenerationPrompt?: boolean | undefined;
  /** True leaves the last message open, so that the model continues it. Default: false. */
  continueFinalMessage?: boolean | undefined;
  /** True returns ids, false returns text. Default: true. */
  tokenize?: boolean | undefined;
  /** Another template, or the name of one of several. Default: the tokenizer's own template. */
  chatTemplate?: string | undefined;
  /**
   * Further variables of the template: `{ enable_thinking: false }`, `{ date_string: '26 Jul 2024' }`. Default: none.
   */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Reads the template of a tokenizer_config.json: text, or a list of named templates. Throws FormatError for anything
 * else.
 */
export function chatTemplateOf({ chat_template: template = null }: TokenizerConfig): ChatTemplate | null {
  if (template === null || typeof template === 'string') return template;
  const pairs = Array.isArray(template)
    ? template.map((entry) => [(entry as { name?: unknown })?.name, (entry as { template?: unknown })?.template])
    : isObject(template)
      ? Object.entries(template)
      : [[]];
  if (pairs.every(([name, template]) => typeof name === 'string' && typeof template === 'string'))
    return Object.fromEntries(pairs);
  throw new FormatError(
    `tokenizer_config.json: chat_template is ${describeValue(template)}, expected text, or a list of { name, template }`,
  );
}
