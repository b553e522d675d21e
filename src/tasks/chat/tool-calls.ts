// Finds tool calls in the text of a model: JSON in <tool_call> (Hermes, Qwen), after [TOOL_CALLS] (Mistral), after
// <|python_tag|> or without a mark (Llama 3.1).

import { checkArray, describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

/** A tool call of a model. */
export interface ToolCall {
  /**
   * The model's own id, or `call_` and 24 random letters and digits. The tool's answer repeats it as `tool_call_id`.
   */
  readonly id: string;
  readonly name: string;
  /** Arguments as the model wrote them, not checked against the tool's schema. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The text and the tool calls of an answer. */
export interface ParsedAnswer {
  readonly text: string;
  readonly calls: readonly ToolCall[];
}

/** Marks that begin a call. */
export const CALL_MARKS = ['<tool_call>', '[TOOL_CALLS]', '<|python_tag|>'] as const;

/**
 * Splits `answer`, which includes special tokens, into tool calls and other text. Text that resembles a tool call but
 * does not parse is returned as plain text. `names` are the names of the tools: JSON alone is a call if it names one of
 * them. Throws ArgumentError for values of other types.
 */
export function parseToolCalls(answer: string, names: readonly string[]): ParsedAnswer {
  if (typeof answer !== 'string')
    throw new ArgumentError(`parseToolCalls: answer is ${describeValue(answer)}, expected a text`);
  checkArray('parseToolCalls', 'names', names, 'an array of names');
  const found = inTags(answer) ?? afterMark(answer) ?? byItself(answer, names);
  if (found === null) return { text: answer, calls: [] };
  const calls = found.calls.map(({ id, ...call }) => ({ id: id ?? newCallId(), ...call }));
  return { text: found.text.trim(), calls };
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Returns an id for a call without one. It is unique across conversations, as OpenAI's ids are. */
export function newCallId(): string {
  const random = crypto.getRandomValues(new Uint8Array(24));
  return `call_${Array.from(random, (byte) => LETTERS[byte % LETTERS.length]).join('')}`;
}

type Call = Omit<ToolCall, 'id'> & { readonly id?: string };
interface Found {
  readonly text: string;
  readonly calls: readonly Call[];
}

/** Finds calls between tags. The last end tag may be missing if the answer ends there. */
function inTags(answer: string): Found | null {
  if (!answer.includes(CALL_MARKS[0])) return null;
  const calls: Call[] = [];
  const text = answer.replace(/<tool_call>(.*?)(?:<\/tool_call>|$)/gs, (whole, json: string) => {
    const call = callOf(parsed(json));
    if (call) calls.push(call);
    return call ? '' : whole;
  });
  return calls.length > 0 ? { text, calls } : null;
}

/** A name before its arguments, with the id that the model gave the call. */
const NAMED = String.raw`\s*(?<name>[\w.-]+)\s*(?:\[CALL_ID\](?<id>\w+)\s*)?(?:\[ARGS\])?\s*`;
const NAMED_CALL = new RegExp(String.raw`^${NAMED}(?<json>\{.*\})\s*$`, 's');
const HEADER = new RegExp(
  String.raw`\{\s*"name"\s*:\s*"(?<member>[\w.-]+)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)|\[TOOL_CALLS\]${NAMED}(?=\{)`,
  'g',
);

/** The text of a call before its arguments. */
export interface CallHeader {
  readonly name: string;
  readonly id: string | undefined;
  /** Index of the arguments. */
  readonly end: number;
}

/** Finds the next call in a text that arrives in pieces, once its arguments begin. Returns null if there is none. */
export function callHeader(text: string, from: number): CallHeader | null {
  HEADER.lastIndex = from;
  const { name, id, member } = HEADER.exec(text)?.groups ?? {};
  const called = name ?? member;
  return called === undefined ? null : { name: called, id, end: HEADER.lastIndex };
}

function afterMark(answer: string): Found | null {
  for (const mark of CALL_MARKS.slice(1)) {
    const index = answer.indexOf(mark);
    if (index < 0) continue;
    const calls = answer.slice(index).split(mark).slice(1).flatMap(callsIn);
    return calls.length > 0 ? { text: answer.slice(0, index), calls } : null;
  }
  return null;
}

/** Parses a list of calls, a call, calls separated by semicolons, or a name before its arguments. */
function callsIn(written: string): readonly Call[] {
  const value = parsed(written);
  const listed = (Array.isArray(value) ? value : [value]).map(callOf);
  if (listed.every((call) => call !== null)) return listed;
  const named = NAMED_CALL.exec(written)?.groups;
  if (named) {
    const { name, id, json } = named;
    const call = callOf({ name, id, arguments: parsed(json as string) });
    return call ? [call] : [];
  }
  return severalIn(written) ?? [];
}

/** Splits calls at semicolons, which may also occur inside of strings. */
function severalIn(written: string): Call[] | null {
  const calls: Call[] = [];
  let open = '';
  for (const part of written.split(';')) {
    open += open === '' ? part : `;${part}`;
    const call = callOf(parsed(open));
    if (call === null) continue;
    calls.push(call);
    open = '';
  }
  return open === '' ? calls : null;
}

function byItself(answer: string, names: readonly string[]): Found | null {
  if (!answer.trimStart().startsWith('{')) return null;
  const calls = severalIn(answer.trim());
  return calls?.every(({ name }) => names.includes(name)) ? { text: '', calls } : null;
}

function callOf(value: unknown): Call | null {
  if (!isObject(value) || typeof value.name !== 'string') return null;
  const rawArguments = value.arguments ?? value.parameters ?? {};
  const args = typeof rawArguments === 'string' ? parsed(rawArguments) : rawArguments;
  if (!isObject(args)) return null;
  return { ...(typeof value.id === 'string' ? { id: value.id } : {}), name: value.name, arguments: args };
}

/** Returns undefined for invalid JSON. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Passes on the text before a call, piece by piece. */
export class CallFilter {
  #held = '';
  #isCall = false;
  #isBegin = true;

  /** Returns the text that cannot be part of a call. */
  push(piece: string): string {
    this.#held += piece;
    if (this.#isBegin && this.#held.trim() !== '') {
      this.#isBegin = false;
      this.#isCall ||= this.#held.trimStart().startsWith('{'); // a call without a mark
    }
    if (this.#isCall) return '';
    const indices = CALL_MARKS.map((mark) => this.#held.indexOf(mark)).filter((index) => index >= 0);
    this.#isCall = indices.length > 0;
    const open = this.#isCall ? Math.min(...indices) : this.#held.length - this.#partialLength();
    const shown = this.#held.slice(0, open);
    this.#held = this.#held.slice(open);
    return shown;
  }

  /** Declares that the text that follows is a call. */
  close(): void {
    this.#isCall = true;
  }

  /** True if the text that is held back begins like a call. */
  get isCall(): boolean {
    return this.#isCall;
  }

  /** Returns the text that was held back but is not a call. */
  end(): string {
    return this.#held;
  }

  /** Returns the length of the part at the end of the text that may begin a mark. */
  #partialLength(): number {
    const longest = Math.max(...CALL_MARKS.map(({ length }) => length)) - 1;
    for (let length = Math.min(longest, this.#held.length); length > 0; length--) {
      const end = this.#held.slice(-length);
      if (CALL_MARKS.some((mark) => mark.startsWith(end))) return length;
    }
    return 0;
  }
}
