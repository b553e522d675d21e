import { ApiError } from '../errors.js';

/** The messages of a conversation, in the form of OpenAI's chats. */
export type Messages = readonly object[];

/** A response with the conversation up to it. */
export interface KeptResponse {
  readonly messages: Messages;
  /** The response as its client got it. */
  readonly response: object;
  /** The items of its request. */
  readonly input: readonly object[];
}

interface Stored {
  readonly scope: string;
  readonly kept: KeptResponse;
  readonly bytes: number;
}

/** Conversations that clients continue by the id of an answer. The oldest are dropped when the memory is full. */
export class ResponseStore {
  readonly #stored = new Map<string, Stored>();
  #bytes = 0;

  constructor(private readonly maxBytes = 32 * 2 ** 20) {}

  /** Keeps a conversation for clients of `scope`. */
  add(id: string, scope: string, kept: KeptResponse): void {
    const bytes = Buffer.byteLength(JSON.stringify(kept));
    this.#stored.set(id, { scope, kept, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#stored) {
      if (this.#bytes <= this.maxBytes) break;
      this.#stored.delete(oldest);
      this.#bytes -= freed;
    }
  }

  /** Returns a response. Throws ApiError 404 if it was dropped, or belongs to another client. */
  get(id: string, scope: string): KeptResponse {
    const found = this.#stored.get(id);
    if (found?.scope === scope) return found.kept;
    const message = `The response '${id}' is not kept (any more): send the whole conversation as 'input'`;
    throw new ApiError(404, message, 'previous_response_not_found', 'previous_response_id');
  }

  /** Forgets a response. Throws the errors of `get`. */
  delete(id: string, scope: string): void {
    this.get(id, scope);
    this.#bytes -= this.#stored.get(id)?.bytes ?? 0;
    this.#stored.delete(id);
  }
}
