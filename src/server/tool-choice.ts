// Interprets `tool_choice`: the tools that a model may or must call.

import { callSyntaxOf } from '../constrain/call-syntax.js';
import type { CallableTool, ToolCallsFormat } from '../generate/index.js';
import type { ChatTemplate, ChatTool } from '../tokenizers/chat-template.js';
import { ApiError } from './errors.js';
import { anyOf, array, object, oneOf, optional, type Read, string, tagged } from './schema.js';

const named = object({
  type: oneOf(['function']),
  function: object({ name: string({ minLength: 1, maxLength: 64 }) }),
});

const allowed = object({
  type: oneOf(['allowed_tools']),
  allowed_tools: object({ mode: oneOf(['auto', 'required']), tools: array(named, { min: 1, max: 128 }) }),
});

export const toolChoice = optional(
  anyOf(
    "one of none, auto, required, or an object like { type: 'function', function: { name } }",
    oneOf(['none', 'auto', 'required']),
    tagged('type', named, allowed),
  ),
);

/** The effect of `tool_choice`. */
export interface ChosenTools {
  /** The tools that the model sees and may call. */
  readonly tools: readonly ChatTool[];
  /** The format of the answer, if it must be a call or if calls must satisfy their schemas. */
  readonly format: ToolCallsFormat | null;
  /** True if the request names the tool that is called. */
  readonly isNamed: boolean;
}

/** `strict` names the tools whose calls always satisfy their schemas. Throws ApiError 400 for unknown tools. */
export function chosenTools(
  all: readonly ChatTool[],
  strict: ReadonlySet<string>,
  choice: Read<typeof toolChoice> = 'auto',
  parallel: boolean,
  template: ChatTemplate,
): ChosenTools {
  if (choice === 'none') return { tools: [], format: null, isNamed: false };
  const isNamed = typeof choice === 'object' && choice.type === 'function';
  const names =
    typeof choice === 'string'
      ? null
      : choice.type === 'function'
        ? [choice.function.name]
        : choice.allowed_tools.tools.map((tool) => tool.function.name);
  const unknown = names?.find((name) => !all.some((tool) => tool.function.name === name));
  const refused = (message: string) => new ApiError(400, message, 'invalid_value', 'tool_choice');
  if (unknown !== undefined) throw refused(`'tool_choice' names '${unknown}', expected one of 'tools'`);
  const isForced = choice === 'required' || isNamed || (typeof choice === 'object' && modeOf(choice) === 'required');
  if (isForced && all.length === 0) throw refused("'tool_choice' is only allowed when 'tools' are specified");
  const tools = names === null ? all : all.filter((tool) => names.includes(tool.function.name));
  const syntax = callSyntaxOf(typeof template === 'string' ? template : Object.values(template).join());
  const isStrict = ({ function: { name } }: ChatTool) => isForced || strict.has(name);
  const callable = tools.map((tool): CallableTool => {
    const { name, parameters } = tool.function;
    return { name, parameters: isStrict(tool) ? (parameters as Record<string, unknown>) : undefined };
  });
  const format: ToolCallsFormat | null = tools.some(isStrict)
    ? { type: 'tool_calls', tools: callable, syntax, optional: !isForced, parallel: parallel && !isNamed }
    : null;
  return { tools, format, isNamed };
}

const modeOf = (choice: Exclude<Read<typeof toolChoice>, string | undefined>) =>
  choice.type === 'allowed_tools' ? choice.allowed_tools.mode : 'required';
