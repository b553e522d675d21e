import { ApiError } from './errors.js';

/** The messages of a conversation, in the form of OpenAI's chats. */
export type Messages = readonly object[];

interface Stored {
  readonly scope: string;
  readonly messages: Messages;
  readonly bytes: number;
}

/** Conversations that clients continue by the id of an answer. The oldest are dropped when the memory is full. */
export class ResponseStore {
  readonly #stored = new Map<string, Stored>();
  #bytes = 0;

  constructor(private readonly maxBytes = 32 * 2 ** 20) {}

  /** Keeps a conversation for clients of `scope`. */
  add(id: string, scope: string, messages: Messages): void {
    const bytes = Buffer.byteLength(JSON.stringify(messages));
    this.#stored.set(id, { scope, messages, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#stored) {
      if (this.#bytes <= this.maxBytes) break;
      this.#stored.delete(oldest);
      this.#bytes -= freed;
    }
  }

  /** Returns the conversation up to an answer. Throws ApiError 404 if it was dropped, or belongs to another client. */
  get(id: string, scope: string): Messages {
    const found = this.#stored.get(id);
    if (found?.scope === scope) return found.messages;
    const message = `The response '${id}' is not kept (any more): send the whole conversation as 'input'`;
    throw new ApiError(404, message, 'previous_response_not_found', 'previous_response_id');
  }
}
