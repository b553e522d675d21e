// Inputs of a chat template: options, the chosen template, and special tokens by name.

import { checkArray, checkOptions, describeValue, isObject, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ApplyChatTemplateOptions, ChatMessage, ChatTemplate, ChatTool, ChatTools } from './chat-template.js';
import { type ConfiguredToken, contentOf, type TokenizerConfig } from './json.js';

/** Checked inputs of a rendering. */
export interface ChatRendering {
  readonly template: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ChatTool[] | null;
  readonly documents: readonly object[] | null;
  readonly addGenerationPrompt: boolean;
  readonly continueFinalMessage: boolean;
  readonly variables: Readonly<Record<string, unknown>>;
}

const OP = 'applyChatTemplate';

/** Returns tools in OpenAI's form. Throws ArgumentError for other values. */
export function toolsOf(op: string, tools: ChatTools): readonly ChatTool[] {
  return tools.map((tool, i) => {
    const name = `tools[${i}]`;
    const refuse = (path: string, value: unknown, expected: string): never => {
      throw new ArgumentError(`${op}: ${path} is ${describeValue(value)}, expected ${expected}`);
    };
    if (!isObject(tool)) refuse(name, tool, "{ type: 'function', function: { name, parameters } }");
    const isBare = 'name' in tool && tool.type === undefined;
    const whole = (isBare ? { type: 'function', function: tool } : tool) as ChatTool;
    if (whole.type !== 'function') refuse(`${name}.type`, whole.type, "'function'");
    if (!isObject(whole.function)) refuse(`${name}.function`, whole.function, '{ name, parameters }');
    if (typeof whole.function.name !== 'string') refuse(`${name}.function.name`, whole.function.name, 'text');
    return whole;
  });
}

/** Throws ArgumentError for invalid messages. The error calls them by `name`. */
export function checkMessages(
  op: string,
  messages: readonly ChatMessage[],
  nameOf: (i: number) => string = (i) => `messages[${i}]`,
): void {
  for (const [i, message] of messages.entries()) {
    const refuse = (path: string, value: unknown, expected: string): never => {
      throw new ArgumentError(`${op}: ${path} is ${describeValue(value)}, expected ${expected}`);
    };
    if (!isObject(message)) refuse(nameOf(i), message, '{ role, content }');
    const { role, content } = message;
    if (typeof role !== 'string') refuse(`${nameOf(i)}.role`, role, "text such as 'user'");
    if (content != null && typeof content !== 'string' && !Array.isArray(content))
      refuse(`${nameOf(i)}.content`, content, 'text or an array of parts');
  }
}

/** Checks the options of `applyChatTemplate` and chooses the template. Throws ArgumentError. */
export function chatRendering(
  modelTemplate: ChatTemplate | null,
  messages: readonly ChatMessage[],
  options: ApplyChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
): ChatRendering {
  const {
    tools = null,
    documents = null,
    addGenerationPrompt = false,
    continueFinalMessage = false,
    chatTemplate,
  } = checkOptions(OP, options, {
    tools: orNull('array'),
    documents: orNull('array'),
    addGenerationPrompt: 'boolean',
    continueFinalMessage: 'boolean',
    tokenize: 'boolean',
    chatTemplate: 'string',
    variables: 'object',
  });
  checkArray(OP, 'messages', messages, 'an array of { role, content }');
  if (messages.length === 0) throw new ArgumentError(`${OP}: messages is [], expected at least one`);
  checkMessages(OP, messages);
  if (continueFinalMessage && addGenerationPrompt)
    throw new ArgumentError(
      `${OP}: continueFinalMessage and addGenerationPrompt are true, expected at most one of them`,
    );
  return {
    template: chosen(modelTemplate, chatTemplate, tools !== null),
    messages,
    tools: tools && toolsOf(OP, tools),
    documents,
    addGenerationPrompt,
    continueFinalMessage,
    variables: { ...specialTokens, ...options.variables },
  };
}

/**
 * Chooses a template as transformers does: the requested one, or else `tool_use` if there are tools, or else `default`.
 */
function chosen(modelTemplate: ChatTemplate | null, requested: string | undefined, hasTools: boolean): string {
  const named = new Map(
    modelTemplate !== null && typeof modelTemplate === 'object' ? Object.entries(modelTemplate) : [],
  );
  if (requested !== undefined) return named.get(requested) ?? requested;
  if (typeof modelTemplate === 'string') return modelTemplate;
  if (modelTemplate === null)
    throw new ArgumentError(
      `${OP}: the tokenizer has no chat template; set tokenizer.chatTemplate, or give { chatTemplate }`,
    );
  const template = (hasTools ? named.get('tool_use') : undefined) ?? named.get('default');
  if (template !== undefined) return template;
  const names = [...named.keys()].sort().join(', ');
  throw new ArgumentError(`${OP}: none of the tokenizer's chat templates is the default; give one of ${names}`);
}

/** Special tokens by the names that templates use: `bos_token`, `eos_token` and others in a tokenizer's config. */
export function namedTokens(config: TokenizerConfig): Record<string, string> {
  const { extra_special_tokens: extra } = config;
  const all = { ...config, ...(isObject(extra) ? extra : {}) };
  const named = Object.entries(all).flatMap(([name, value]) => {
    const token = name.endsWith('_token') ? contentOf(value as ConfiguredToken) : undefined;
    return typeof token === 'string' ? [[name, token] as const] : [];
  });
  return Object.fromEntries(named);
}
