// Plans the tools of a request, and the format of an answer that may or must call them.

import { constrain, type ResponseFormat, ResponseFormatError } from '../constrain/index.js';
import { ArgumentError } from '../index.js';
import type { ChatTool, PretrainedTokenizer } from '../tokenizers/index.js';
import { templateOf } from './template.js';

/** A tool. `strict: false` lets the model write any arguments, `true` refuses a schema that cannot be enforced. */
export interface Tool extends ChatTool {
  readonly strict?: boolean | undefined;
}

/** The tools that an answer may call: any or none, none, at least one, or one by name. */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly name: string };

/** The effect of tools and formats on an answer. */
export interface ToolPlan {
  /** The tools that the model sees. */
  readonly tools: readonly Tool[];
  readonly format: ResponseFormat | undefined;
  /** True if the answer may begin with free text, such as reasoning. */
  readonly isFree: boolean;
  /** Requested features that are not supported. */
  readonly warnings: readonly { readonly feature: string; readonly details: string }[];
}

interface Wanted {
  readonly tools: readonly Tool[];
  readonly choice: ToolChoice;
  readonly parallel: boolean;
  readonly format: ResponseFormat | undefined;
}

const UNSEEN = {
  feature: 'tools',
  details: "The model's chat template does not show tools, so the model will hardly call one.",
};

type CallsFormat = Extract<ResponseFormat, { type: 'tool_calls' }>;

/**
 * Plans an answer. Arguments satisfy the schemas of tools. Throws ArgumentError if the chosen tool does not exist.
 * Throws ResponseFormatError for a schema that cannot be enforced, if the call is forced or the tool strict.
 */
export async function planTools(
  tokenizer: PretrainedTokenizer,
  { tools, choice, parallel, format }: Wanted,
): Promise<ToolPlan> {
  const shown = choice === 'none' ? [] : typeof choice === 'string' ? tools : tools.filter(isNamed(choice.name));
  if (shown.length === 0 && choice !== 'auto' && choice !== 'none') {
    const wanted = typeof choice === 'string' ? 'a tool must be called' : `the tool '${choice.name}' must be called`;
    const names = tools.map((tool) => tool.function.name).join(', ') || 'none';
    throw new ArgumentError(`tool choice is ${wanted}, expected one of the tools: ${names}`);
  }
  if (shown.length > 0 && choice !== 'auto')
    return { tools: shown, format: forced(shown, parallel && choice === 'required'), isFree: false, warnings: [] };
  if (format !== undefined) {
    const details =
      'An answer with a format calls no tools. Force a call by the tool choice, or ask for the format later.';
    const warnings = shown.length > 0 ? [{ feature: 'tools with a response format', details }] : [];
    return { tools: shown, format, isFree: false, warnings };
  }
  if (shown.length === 0) return { tools: [], format: undefined, isFree: true, warnings: [] };
  const refused = await unenforceable(tokenizer, shown);
  const enforced = shown.filter((tool) => tool.strict !== false && !refused.has(tool));
  return {
    tools: shown,
    format: optional(shown, enforced, parallel),
    isFree: true,
    warnings: [
      ...(templateOf(tokenizer).includes('tools') ? [] : [UNSEEN]),
      ...Array.from(refused, ([tool, { reason }]) => ({
        feature: `schema of the tool '${tool.function.name}'`,
        details: `The arguments may not satisfy it: ${reason}`,
      })),
    ],
  };
}

const isNamed = (name: string) => (tool: Tool) => tool.function.name === name;

function forced(tools: readonly Tool[], parallel: boolean): CallsFormat {
  return { type: 'tool_calls', tools: tools.map(withSchema), parallel };
}

function optional(tools: readonly Tool[], enforced: readonly Tool[], parallel: boolean): CallsFormat {
  const callable = tools.map((tool) =>
    enforced.includes(tool) ? withSchema(tool) : { name: tool.function.name, parameters: undefined },
  );
  return { type: 'tool_calls', tools: callable, parallel, optional: true };
}

function withSchema({ function: { name, parameters } }: Tool) {
  return { name, parameters };
}

/** Tools whose schemas contain keywords that no format can express. */
async function unenforceable(
  tokenizer: PretrainedTokenizer,
  tools: readonly Tool[],
): Promise<Map<Tool, ResponseFormatError>> {
  const refused = new Map<Tool, ResponseFormatError>();
  const wanted = tools.filter(({ strict }) => strict !== false);
  if ((await refusalOf(tokenizer, optional(tools, wanted, true))) === null) return refused;
  for (const tool of wanted) {
    const error = await refusalOf(tokenizer, optional([tool], [tool], true));
    if (error !== null && tool.strict === true) throw error;
    if (error !== null) refused.set(tool, error);
  }
  return refused;
}

async function refusalOf(tokenizer: PretrainedTokenizer, format: CallsFormat): Promise<ResponseFormatError | null> {
  try {
    await constrain(tokenizer, format); // the compiled format is cached
    return null;
  } catch (error) {
    if (error instanceof ResponseFormatError) return error;
    throw error;
  }
}
