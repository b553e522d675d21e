import type { LogitsProcessor } from './logits-processor.js';

/**
 * The form that the whole generated text must have:
 *
 * - `{ type: 'json_schema', schema }`: JSON that satisfies a JSON Schema, or a schema of zod 4.2 or another library that
 *   implements Standard JSON Schema. OpenAI's `{ type: 'json_schema', json_schema: { schema } }` means the same.
 * - `{ type: 'json_object' }`: any JSON object.
 * - `{ regex }`: a text that a regular expression matches from start to end.
 * - `{ choices }`: one of a list of texts.
 * - `{ grammar }`: a text that a grammar allows (docs/response-formats.md).
 * - `{ type: 'tool_calls', tools }`: a call of one of the tools, or several with `parallel`. The arguments satisfy the
 *   tool's schema.
 */
export type ResponseFormat =
  | { readonly type: 'json_schema'; readonly schema: unknown }
  | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: unknown } }
  | { readonly type: 'json_object' }
  | { readonly regex: string | RegExp }
  | { readonly choices: readonly string[] }
  | { readonly grammar: string }
  | ToolCallsFormat;

/** Restricts the text to tool calls, or with `optional` also allows other text. */
export interface ToolCallsFormat {
  readonly type: 'tool_calls';
  /** The tools, bare or in OpenAI's form. */
  readonly tools: readonly (CallableTool | { readonly type: 'function'; readonly function: CallableTool })[];
  /** Syntax of tool calls, by name or as texts. Default: the syntax of the model's chat template, or else 'json'. */
  readonly syntax?: ToolCallSyntax | ToolCallSyntaxName | undefined;
  /** True if the answer may also be text, with or without calls after it. Default: false. */
  readonly optional?: boolean | undefined;
  /** True if several calls may follow each other. Default: false. */
  readonly parallel?: boolean | undefined;
}

export interface CallableTool {
  readonly name: string;
  /** For the prompt. It does not change which calls are allowed. */
  readonly description?: string | undefined;
  /** The JSON Schema of the arguments, an object. Default: any object. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  /** OpenAI's `strict`. It does not matter: arguments always satisfy the schema. */
  readonly strict?: boolean | null | undefined;
}

/**
 * Names of known tool call syntaxes:
 *
 * - `hermes` (also Qwen): `<tool_call>`, JSON with name and arguments, `</tool_call>`
 * - `mistral`: `[TOOL_CALLS]` and a list of JSON objects
 * - `mistral-args`: `[TOOL_CALLS]name[ARGS]{…}`
 * - `llama`: JSON with name and parameters
 * - `json`: JSON with name and arguments
 */
export type ToolCallSyntaxName = 'hermes' | 'mistral' | 'mistral-args' | 'llama' | 'json';

/** The texts around the name of a tool and the JSON of its arguments. */
export interface ToolCallSyntax {
  /** The texts before all calls and after them. */
  readonly begin: string;
  readonly end: string;
  /** The texts before the name, between name and arguments, and after the arguments. */
  readonly open: string;
  readonly between: string;
  readonly close: string;
  /** The text between two calls. */
  readonly separator: string;
}

/** The options of `generate` that restrict the text to a format. */
export interface FormatConstraint {
  readonly logitsProcessors: readonly LogitsProcessor[];
  /** Returns true if the text is complete, so that only its end can follow. */
  readonly stop: (tokens: readonly number[]) => boolean;
}
