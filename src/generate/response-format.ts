import type { LogitsProcessor } from './logits-processor.js';

/**
 * What generated text must be like, as a whole:
 *
 * - `{ type: 'json_schema', schema }`: JSON of a JSON Schema, or of a schema of zod 4.2 or another library that has it as Standard Schema; OpenAI's
 *   `{ type: 'json_schema', json_schema: { schema } }` is the same.
 * - `{ type: 'json_object' }`: any JSON object.
 * - `{ regex }`: what a regular expression matches from its beginning to its end.
 * - `{ choices }`: one of some texts.
 * - `{ grammar }`: what a grammar allows, as text in the form of src/constrain/ebnf.ts.
 * - `{ type: 'tool_calls', tools, syntax }`: a call of one of some tools, or of several with `parallel`, as `syntax` says how
 *   the model writes them; their arguments satisfy the tool's schema.
 */
export type ResponseFormat =
  | { readonly type: 'json_schema'; readonly schema: unknown }
  | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: unknown } }
  | { readonly type: 'json_object' }
  | { readonly regex: string | RegExp }
  | { readonly choices: readonly string[] }
  | { readonly grammar: string }
  | ToolCallsFormat;

/** Calls of tools and nothing else, unless they are `optional`. */
export interface ToolCallsFormat {
  readonly type: 'tool_calls';
  readonly tools: readonly CallableTool[];
  readonly syntax: ToolCallSyntax;
  /** Whether the answer may be text as well, as long as what begins as a call is one. Default false. */
  readonly optional?: boolean | undefined;
  /** Whether several calls may follow each other. Default false. */
  readonly parallel?: boolean | undefined;
}

export interface CallableTool {
  readonly name: string;
  /** A JSON Schema of an object. Default: any object. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
}

/** What stands around the names of tools and the JSON of their arguments. */
export interface ToolCallSyntax {
  /** Before all calls, and behind them. */
  readonly begin: string;
  readonly end: string;
  /** Before the name, between it and the arguments, behind these. */
  readonly open: string;
  readonly between: string;
  readonly close: string;
  /** Between two calls. */
  readonly separator: string;
}

/** Options of `generate` by which only texts of a format come out. */
export interface FormatConstraint {
  readonly logitsProcessors: readonly LogitsProcessor[];
  /** Whether nothing can follow but the end. */
  readonly stop: (tokens: readonly number[]) => boolean;
}
