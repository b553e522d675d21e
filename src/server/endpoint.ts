import type { JsonSchema, Schema } from './schema.js';

/** A request that was read and checked. */
export interface Call<Body> {
  readonly body: Body;
  /** Ends when the client goes away, or the server must. */
  readonly signal: AbortSignal;
  /** Whose request it is. */
  readonly client: string;
  /** What else the line in the log and the metrics say. */
  note(entry: CallNote): void;
}

export interface CallNote {
  readonly model?: string;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly cachedTokens?: number;
  /** Milliseconds until the first token. */
  readonly firstTokenMs?: number;
  readonly error?: string;
}

/** What is answered: JSON, text of a media type, or JSON objects one by one as Server-Sent Events. */
export type Reply =
  | { readonly json: unknown }
  | { readonly text: string; readonly type: string }
  | { readonly events: AsyncGenerator<object, void, void> };

/** A path of the API: what it takes, what it gives, and what does it. */
export interface Endpoint<Body = unknown> {
  readonly method: 'get' | 'post';
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** What a request's JSON, or its form, looks like. */
  readonly body?: Schema<Body>;
  readonly isForm?: boolean;
  readonly parameters?: readonly { readonly name: string; readonly schema: JsonSchema }[];
  /** What the JSON of an answer looks like. */
  readonly response: JsonSchema;
  /** Whether events may come instead. */
  readonly streams?: boolean;
  /** Media types of text that may come instead. */
  readonly texts?: readonly string[];
  /** `path`: the values of its parameters, by name. */
  handle(call: Call<Body>, path: Readonly<Record<string, string>>): Promise<Reply>;
}

export function endpoint<Body>(definition: Endpoint<Body>): Endpoint {
  return definition as unknown as Endpoint;
}
