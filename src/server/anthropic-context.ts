// `context_management` of Anthropic's Messages API. Edits that change nothing are accepted, because clients send them with
// every request. Others are refused: nothing is removed from a conversation here.

import { ApiError } from './errors.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  object,
  oneOf,
  optional,
  type Read,
  string,
  tagged,
} from './schema.js';
import type { ServedTextModel } from './served-model.js';

/** The number of tokens at which results of tools are removed at Anthropic, if the request names none. */
const DEFAULT_TRIGGER = 100_000;

const clearToolUses = object({
  type: oneOf(['clear_tool_uses_20250919']),
  trigger: optional(object({ type: oneOf(['input_tokens']), value: integer({ min: 1, max: 2 ** 31 - 1 }) })),
  keep: optional(anyObject),
  clear_at_least: optional(anyObject),
  exclude_tools: optional(array(string({ maxLength: 256 }), { max: 128 })),
  clear_tool_inputs: optional(
    anyOf('true, false or names of tools', boolean(), array(string({ maxLength: 256 }), { max: 128 })),
  ),
});
const clearThinking = object({
  type: oneOf(['clear_thinking_20251015']),
  keep: anyOf('all', oneOf(['all']), object({ type: oneOf(['all']) })),
});

export const contextManagement = optional(
  object({ edits: optional(array(tagged('type', clearToolUses, clearThinking), { max: 8 })) }),
);

/** Throws ApiError 400 for an edit that a prompt of the model could trigger. */
export function checkEdits(wanted: Read<typeof contextManagement>, { batching: { context } }: ServedTextModel): void {
  for (const [i, edit] of (wanted?.edits ?? []).entries()) {
    const tokens =
      edit.type === 'clear_thinking_20251015' ? Number.POSITIVE_INFINITY : (edit.trigger?.value ?? DEFAULT_TRIGGER);
    if (tokens >= context) continue;
    const param = `context_management.edits[${i}].trigger.value`;
    const expected = `expected at least the context of ${context} tokens: nothing is removed from a conversation here`;
    throw new ApiError(400, `'${param}' is ${tokens}, ${expected}`, 'invalid_value', param);
  }
}

/** Returns the field of an answer, which says that no edit was needed. Without `wanted` there is no field. */
export function appliedEdits(wanted: Read<typeof contextManagement>) {
  return wanted === undefined ? {} : { context_management: { applied_edits: [] } };
}
