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
 */
export type ResponseFormat =
  | { readonly type: 'json_schema'; readonly schema: unknown }
  | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: unknown } }
  | { readonly type: 'json_object' }
  | { readonly regex: string | RegExp }
  | { readonly choices: readonly string[] }
  | { readonly grammar: string };

/** Options of `generate` by which only texts of a format come out. */
export interface FormatConstraint {
  readonly logitsProcessors: readonly LogitsProcessor[];
  /** Whether nothing can follow but the end. */
  readonly stop: (tokens: readonly number[]) => boolean;
}
