// Checks the inputs of the Prompt API (https://webmachinelearning.github.io/prompt-api), and converts them to chat
// messages.

import type { ResponseFormat } from '../constrain/index.js';
import { checkOptions, describeValue, isObject, listOf, type OptionRule } from '../core/check.js';
import { samplingOf } from '../frameworks/sampling.js';
import type { Tool } from '../frameworks/tool-formats.js';
import { ArgumentError } from '../index.js';
import type { ChatGenerateOptions } from '../tasks/index.js';
import type { ChatMessage } from '../tokenizers/index.js';

/** A text, or a list of messages that ends with the question. */
export type PromptInput = string | readonly PromptMessage[];

export interface PromptMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly { readonly type: string; readonly value: unknown }[];
  /** True to give the beginning of the answer. Not supported. */
  readonly prefix?: boolean | undefined;
}

/** A tool that the session calls itself. */
export interface PromptTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the argument of `execute`. */
  readonly inputSchema: object;
  /** Receives one object with the arguments by name. Returns text for the model. */
  execute(args: Record<string, unknown>): Promise<string>;
}

export type SamplingMode = 'most-predictable' | 'predictable' | 'balanced' | 'creative' | 'most-creative';

export interface CreateOptions {
  /** Messages before the first prompt; a system message comes first. Default: none. */
  readonly initialPrompts?: readonly PromptMessage[] | undefined;
  /** Default: none. */
  readonly tools?: readonly PromptTool[] | undefined;
  /** Default: 'balanced', which stands for the model's own settings. */
  readonly samplingMode?: SamplingMode | undefined;
  /** Default: the model's own setting. */
  readonly temperature?: number | undefined;
  /** Default: the model's own setting. */
  readonly topK?: number | undefined;
  readonly expectedInputs?: readonly { readonly type: string; readonly languages?: readonly string[] }[] | undefined;
  readonly expectedOutputs?: readonly { readonly type: string; readonly languages?: readonly string[] }[] | undefined;
  /** Cancels the creation, and later destroys the session. */
  readonly signal?: AbortSignal | undefined;
  /** Receives an event target whose `downloadprogress` events have `loaded` from 0 to 1, and `total` 1. */
  readonly monitor?: ((monitor: EventTarget) => void) | undefined;
}

export interface PromptOptions {
  /** A JSON Schema that the answer satisfies, or a regular expression that it matches entirely. Default: any text. */
  readonly responseConstraint?: object | RegExp | undefined;
  /** Accepted without effect: the constraint is always enforced, and never added to the prompt. */
  readonly omitResponseConstraintInput?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const notSupported = (message: string) => new DOMException(message, 'NotSupportedError');

const MODES = ['most-predictable', 'predictable', 'balanced', 'creative', 'most-creative'] as const;

const isTool = (value: unknown) =>
  isObject(value) && typeof value.name === 'string' && typeof value.execute === 'function';
const TOOL: OptionRule = { accepts: isTool, expected: 'a tool like { name, description, inputSchema, execute() }' };
const KINDS = ['text', 'image', 'audio'] as const;

/** Throws ArgumentError for invalid options, and a NotSupportedError for inputs and outputs other than text. */
export function checkCreation(op: string, options: CreateOptions): CreateOptions {
  const {
    expectedInputs = [],
    expectedOutputs = [],
    ...rest
  } = checkOptions(op, options, {
    initialPrompts: listOf('object', 'a list of messages'),
    tools: listOf(TOOL, 'a list of tools'),
    samplingMode: MODES,
    temperature: 'notNegative',
    topK: 'count',
    expectedInputs: listOf('object', 'a list of kinds'),
    expectedOutputs: listOf('object', 'a list of kinds'),
    signal: 'signal',
    monitor: 'function',
  });
  if (rest.samplingMode !== undefined && (rest.temperature ?? rest.topK) !== undefined)
    throw new ArgumentError(`${op}: samplingMode excludes temperature and topK, expected one of them`);
  initialMessages(options);
  for (const [name, kinds] of Object.entries({ expectedInputs, expectedOutputs }))
    for (const [i, kind] of kinds.entries()) {
      const { type } = checkOptions(`${op}: ${name}[${i}]`, kind, { type: KINDS, languages: 'array' });
      if (type === undefined) throw new ArgumentError(`${op}: ${name}[${i}].type is undefined, expected 'text'`);
      if (type !== 'text') throw notSupported(`${op}: ${name} has ${describeValue(type)}, expected text`);
    }
  return options;
}

/** Throws ArgumentError for invalid options. */
export function checkPrompt(op: string, options: PromptOptions): PromptOptions {
  return checkOptions(op, options, {
    responseConstraint: 'object',
    omitResponseConstraintInput: 'boolean',
    signal: 'signal',
  });
}

/** The messages of a prompt. Throws ArgumentError for invalid values, and a NotSupportedError for images and audio. */
export function messagesOf(input: PromptInput, name = 'prompt'): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (Array.isArray(input) && input.length > 0) return input.map((message, i) => messageOf(message, `${name}[${i}]`));
  throw new ArgumentError(`${name} is ${describeValue(input)}, expected a text or a list of messages`);
}

function messageOf({ role, content, prefix }: PromptMessage, name: string): ChatMessage {
  if (!['system', 'user', 'assistant'].includes(role))
    throw new ArgumentError(`${name}.role is ${describeValue(role)}, expected system, user or assistant`);
  if (prefix === true) throw notSupported('prefix: answers cannot continue a given text, use a responseConstraint');
  if (typeof content === 'string') return { role, content };
  if (!Array.isArray(content))
    throw new ArgumentError(`${name}.content is ${describeValue(content)}, expected a text or a list of parts`);
  const texts = content.map((part, i) => {
    const { type, value } = checkOptions(`${name}.content[${i}]`, part, { type: KINDS, value: 'any' });
    if (type !== 'text') throw notSupported(`the model reads text, not ${String(type)}`);
    if (typeof value !== 'string')
      throw new ArgumentError(`${name}.content[${i}].value is ${describeValue(value)}, expected a text`);
    return value;
  });
  return { role, content: texts.join('') };
}

/** The messages before the first prompt. Throws as `messagesOf`, and ArgumentError for a later system message. */
export function initialMessages({ initialPrompts = [] }: CreateOptions): ChatMessage[] {
  if (initialPrompts.length === 0) return [];
  const messages = messagesOf(initialPrompts, 'initialPrompts');
  if (messages.slice(1).some(({ role }) => role === 'system'))
    throw new ArgumentError('initialPrompts: a system message is behind others, expected it first');
  return messages;
}

/** Temperatures of the sampling modes. 'balanced' is absent, because it stands for the model's own settings. */
const temperatures = { 'most-predictable': 0, predictable: 0.4, creative: 1, 'most-creative': 1.4 } as const;

export function samplingFor({ samplingMode = 'balanced', temperature, topK }: CreateOptions): ChatGenerateOptions {
  return samplingOf(samplingMode === 'balanced' ? { temperature, topK } : { temperature: temperatures[samplingMode] });
}

export function toolsOf({ tools = [] }: CreateOptions): Tool[] {
  return tools.map(({ name, description, inputSchema }) => ({
    type: 'function',
    function: { name, description, parameters: inputSchema as Record<string, unknown> },
  }));
}

export function formatOf({ responseConstraint: constraint }: PromptOptions): ResponseFormat | undefined {
  if (constraint === undefined) return undefined;
  return constraint instanceof RegExp ? { regex: constraint } : { type: 'json_schema', schema: constraint };
}
