// An answer of the Responses API, as a whole or as events.

import type { Conversation, Part, WholeAnswer } from '../conversation.js';
import type { Call } from '../endpoint.js';
import type { ResponseRequest } from './body.js';
import { callItem, type Item, idOf, messageItem, reasoningItem, type TextItem } from './items.js';

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Ended = 'completed' | 'incomplete';

/** Status of an answer, and of its last item, which was cut if tokens ran out. */
const statusOf = (reason: 'stop' | 'length'): Ended => (reason === 'length' ? 'incomplete' : 'completed');

/** An answer as a list of items, which comes as a whole or as events. */
export class ResponseAnswer {
  readonly id = idOf('resp');
  readonly items: Item[] = [];
  readonly #created = Math.floor(Date.now() / 1000);
  #status: 'in_progress' | Ended = 'in_progress';
  #reasoningTokens = 0;
  #sequence = 0;

  constructor(
    private readonly conversation: Conversation,
    private readonly call: Call<ResponseRequest>,
  ) {}

  add({ text: answerText, reasoning, reasoningTokens, calls, reason }: WholeAnswer): void {
    const completed = (item: Item): Item => Object.assign(item, { status: 'completed' });
    const fill = (item: TextItem, content: string) => {
      (item.content[0] as { text: string }).text = content;
      this.items.push(completed(item));
    };
    if (reasoning !== '') fill(reasoningItem(), reasoning);
    if (answerText !== '' || (calls.length === 0 && reasoning === '')) fill(messageItem(), answerText);
    for (const { id, name, arguments: args } of calls)
      this.items.push(completed({ ...callItem(id, name), arguments: args }));
    this.#reasoningTokens = reasoningTokens;
    this.#status = statusOf(reason);
    (this.items.at(-1) as Item).status = this.#status;
  }

  get json() {
    const { body } = this.call;
    const { served, usage } = this.conversation;
    const isOver = this.#status !== 'in_progress';
    return {
      id: this.id,
      object: 'response',
      created_at: this.#created,
      status: this.#status,
      background: false,
      error: null,
      incomplete_details: this.#status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      model: served.id,
      output: this.items,
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: body.previous_response_id ?? null,
      reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
      store: body.store ?? true,
      temperature: body.temperature ?? 1,
      text: body.text ?? { format: { type: 'text' } },
      tool_choice: body.tool_choice ?? 'auto',
      tools: body.tools ?? [],
      top_p: body.top_p ?? 1,
      truncation: body.truncation ?? 'disabled',
      usage: isOver
        ? {
            input_tokens: usage.prompt,
            input_tokens_details: { cached_tokens: usage.cached },
            output_tokens: usage.completion,
            output_tokens_details: { reasoning_tokens: this.#reasoningTokens },
            total_tokens: usage.prompt + usage.completion,
          }
        : null,
    };
  }

  /** The events of the answer. `keep` is called before the last one. */
  async *events(keep: () => void): AsyncGenerator<object, void, void> {
    const event = (type: string, fields: object) => ({ type, sequence_number: this.#sequence++, ...fields });
    const copy = () => structuredClone(this.json);
    yield event('response.created', { response: copy() });
    yield event('response.in_progress', { response: copy() });
    for await (const part of this.conversation.parts()) {
      for (const { type, ...fields } of this.#eventsOf(part)) yield event(type, fields);
      if (part.type === 'reasoning') this.#reasoningTokens = this.conversation.usage.completion;
    }
    keep();
    yield event(`response.${this.#status}`, { response: copy() });
  }

  *#eventsOf(part: Part): Generator<Event, void, void> {
    const last = this.items.at(-1);
    const open = last?.status === 'in_progress' ? last : undefined;
    const kind = { text: 'message', reasoning: 'reasoning', arguments: 'function_call' } as const;
    if (part.type === 'end' || part.type === 'call' || (open && open.type !== kind[part.type])) {
      if (open) yield* this.#close(open, part.type === 'end' ? statusOf(part.reason) : 'completed');
    }
    if (part.type === 'end') {
      if (this.items.length === 0) {
        yield* this.#open(messageItem());
        yield* this.#close(this.items[0] as Item, statusOf(part.reason));
      }
      this.#status = statusOf(part.reason);
      return;
    }
    if (part.type === 'call') return yield* this.#open(callItem(part.id, part.name));
    if (this.items.at(-1)?.status !== 'in_progress')
      yield* this.#open(part.type === 'text' ? messageItem() : reasoningItem());
    const current = this.items.at(-1) as Item;
    const location = { item_id: current.id, output_index: this.items.length - 1 };
    if (current.type === 'function_call') {
      current.arguments += part.text;
      yield { type: 'response.function_call_arguments.delta', ...location, delta: part.text };
    } else {
      (current.content[0] as { text: string }).text += part.text;
      const logprobs = current.type === 'message' ? { logprobs: [] } : {};
      yield { type: `${textEvent(current)}.delta`, ...location, content_index: 0, delta: part.text, ...logprobs };
    }
  }

  *#open(opened: Item): Generator<Event, void, void> {
    this.items.push(opened);
    const location = { output_index: this.items.length - 1 };
    const shown = structuredClone(opened);
    yield {
      type: 'response.output_item.added',
      ...location,
      item: 'content' in shown ? { ...shown, content: [] } : shown,
    };
    if (opened.type === 'function_call') return;
    const first = structuredClone(opened.content[0]);
    yield { type: 'response.content_part.added', ...location, item_id: opened.id, content_index: 0, part: first };
  }

  *#close(closed: Item, status: Ended): Generator<Event, void, void> {
    closed.status = status;
    const location = { item_id: closed.id, output_index: this.items.indexOf(closed) };
    if (closed.type === 'function_call') {
      const { name, arguments: args } = closed;
      yield { type: 'response.function_call_arguments.done', ...location, name, arguments: args };
    } else {
      const [first] = structuredClone(closed.content);
      const logprobs = closed.type === 'message' ? { logprobs: [] } : {};
      yield { type: `${textEvent(closed)}.done`, ...location, content_index: 0, text: first?.text, ...logprobs };
      yield { type: 'response.content_part.done', ...location, content_index: 0, part: first };
    }
    const { output_index } = location;
    yield { type: 'response.output_item.done', output_index, item: structuredClone(closed) };
  }
}

const textEvent = ({ type }: TextItem) => (type === 'message' ? 'response.output_text' : 'response.reasoning_text');
