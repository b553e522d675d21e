// Renders chat templates as transformers does, with the same globals and message handling. @huggingface/jinja is the
// Jinja engine.

import { Environment as JinjaEnvironment, parse as parseTokens, tokenize } from '@huggingface/jinja';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { ChatRendering } from './chat-options.js';
import type { ChatMessage } from './chat-template.js';

import { PythonInterpreter } from './python-jinja.js';
import { strftime } from './strftime.js';

export { chatRendering, namedTokens } from './chat-options.js';

/** The part of the engine that is used here. Most of its declarations do not resolve in Node's module mode. */
const Environment = JinjaEnvironment as unknown as new () => { set(name: string, value: unknown): never };

/** Marks the end of a message that is continued. */
const OPEN_END = 'CONTINUE_FINAL_MESSAGE_TAG ';

/**
 * Renders a conversation. Throws ArgumentError if the template refuses the messages. Throws FormatError if the template
 * cannot be parsed, or uses a feature that the engine lacks.
 */
export function renderChat(rendering: ChatRendering): string {
  const { template, addGenerationPrompt, continueFinalMessage, variables } = rendering;
  const messages = rendering.messages.map(readable);
  const open = continueFinalMessage ? leaveOpen(messages) : null;
  const values = {
    ...globals,
    ...(plain(variables) as object),
    messages,
    tools: plain(rendering.tools),
    documents: plain(rendering.documents),
    add_generation_prompt: addGenerationPrompt,
  };
  const text = run(parse(template), values);
  return open === null ? text : truncated(text, open);
}

/** Parsed templates. There are few, and each is parsed once. */
const parsed = new Map<string, unknown>();
const MAX_PARSED = 8;

function parse(template: string): unknown {
  const known = parsed.get(template);
  if (known !== undefined) return known;
  let program: unknown;
  try {
    const text = template.replace(/\r\n?/g, '\n'); // Jinja does the same
    program = parseTokens(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    throw new FormatError(`the chat template cannot be parsed: ${(cause as Error).message}`, { cause });
  }
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(template, program);
  return program;
}

function run(program: unknown, values: object): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries(values)) environment.set(name, value);
  try {
    return new PythonInterpreter(environment).run(program).value;
  } catch (cause) {
    if (cause instanceof SimdformerError) throw cause;
    throw new FormatError(`the chat template cannot be rendered: ${(cause as Error).message}`, { cause });
  }
}

/** The limit of Jinja's sandbox, which transformers uses. A template could fill the memory otherwise. */
const MAX_RANGE = 100_000;

/** The globals that transformers adds to Jinja's own filters and tests. */
const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range(first: number, last?: number, step = 1): number[] {
    const [from, to] = last === undefined ? [0, first] : [first, last];
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (!(count <= MAX_RANGE))
      throw new FormatError(
        `the chat template cannot be rendered: range() has ${count} numbers, at most ${MAX_RANGE} are allowed`,
      );
    return Array.from({ length: count }, (_, i) => from + i * step);
  },
  raise_exception(message: string): never {
    throw new ArgumentError(`applyChatTemplate: the template refuses the messages: ${message}`);
  },
  strftime_now: (format: string) => strftime(new Date(), format),
};

type Plain = Record<string, unknown>;

/** Removes undefined values at any depth. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries.map(([name, member]) => [name, plain(member)]));
}

const REASONING = ['reasoning_content', 'thinking', 'reasoning'];

/**
 * Prepares a message for a template, as transformers does. Null keys are removed, because many templates would write
 * "None". The reasoning is passed under all names that templates use.
 */
function readable(message: ChatMessage): Plain {
  const fields = Object.fromEntries(Object.entries(plain(message) as Plain).filter(([, value]) => value !== null));
  const reasoning = REASONING.map((name) => fields[name]).find((value) => value !== undefined);
  return reasoning === undefined ? fields : { thinking: reasoning, ...fields, reasoning_content: reasoning };
}

/** Appends the mark to the last message's text, and returns that text. */
function leaveOpen(messages: readonly Plain[]): string {
  const last = messages.at(-1) as Plain;
  const { content } = last;
  if (typeof content === 'string') {
    last.content = content + OPEN_END;
    return content;
  }
  const part = (Array.isArray(content) ? (content as Plain[]) : []).findLast(({ text }) => typeof text === 'string');
  if (part === undefined)
    throw new ArgumentError('applyChatTemplate: continueFinalMessage needs text in the last message');
  const { text } = part as { text: string };
  part.text = text + OPEN_END;
  return text;
}

/** Returns the text before the mark, without a space that the template may have trimmed from the message. */
function truncated(text: string, open: string): string {
  const index = text.lastIndexOf(OPEN_END.trim());
  if (index < 0 || !text.includes(open.trim()))
    throw new ArgumentError(
      'applyChatTemplate: the template omits the last message or parts of it, so it cannot be continued',
    );
  const before = text.slice(0, index);
  return text.startsWith(OPEN_END, index) ? before : before.trimEnd();
}
