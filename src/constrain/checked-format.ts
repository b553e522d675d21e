import type { CallableTool, ToolCallSyntax } from '../generate/response-format.js';

/** A format whose options are complete and plain JSON. Equal formats have equal JSON. */
export type CheckedFormat =
  | { readonly type: 'json_schema'; readonly schema: unknown }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choices'; readonly choices: readonly string[] }
  | { readonly type: 'grammar'; readonly source: string }
  | CheckedToolCalls;

export interface CheckedToolCalls {
  readonly type: 'tool_calls';
  readonly tools: readonly CallableTool[];
  readonly syntax: ToolCallSyntax;
  readonly optional: boolean;
  readonly parallel: boolean;
}
