import type { Dialect, FieldNames } from './dialect.js';
import type { JsonSchema, Schema } from './schema.js';
import type { ServedModel } from './served-model.js';

/** A request whose body was checked. */
export interface Call<Body> {
  readonly body: Body;
  /** Aborted if the client leaves. */
  readonly signal: AbortSignal;
  /** The API's names of fields, for errors. */
  readonly fields: FieldNames;
  /** Name of the client, because clients take turns. */
  readonly client: string;
  /** Requests of one scope share the prefixes of prompts. */
  readonly prefixScope: string;
  /**
   * Returns the model with this name, and its name in the log. The model stays in memory until the request ends.
   * `keepAliveSeconds` replaces the server's setting. Throws the errors of `ModelPool.use`.
   */
  use(name: string, keepAliveSeconds?: number): Promise<ServedModel>;
  /** Adds to the log line and the metrics. */
  note(entry: CallNote): void;
}

/** The phases of one answer. Lengths are milliseconds. */
export interface AnswerPhases {
  /** Milliseconds since 1970 at which the request for the answer was accepted. */
  readonly begin: number;
  /** Time until the answer joins the batch. */
  readonly queue: number;
  /** Time from then to the first token. */
  readonly prefill: number;
  /** Time from then to the end. */
  readonly decode: number;
  readonly finishReason: string;
}

export interface CallNote {
  readonly model?: string;
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly cachedTokens?: number;
  /** Milliseconds until the first token. */
  readonly firstTokenMs?: number;
  readonly error?: string;
  /** The phases of each answer, for traces. */
  readonly phases?: readonly AnswerPhases[];
}

/** An answer: JSON, text or bytes of a media type, or a stream of JSON objects. */
export type Reply =
  | { readonly json: unknown }
  | { readonly text: string; readonly type: string }
  | { readonly bytes: Uint8Array; readonly type: string }
  | { readonly events: AsyncGenerator<object, void, void> };

/** A path of the API with the forms of its requests and answers, and its handler. */
export interface Endpoint<Body = unknown> {
  readonly method: 'get' | 'post' | 'delete';
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** The operation on a model, by OpenTelemetry's names. Default: none. */
  readonly operation?: 'chat' | 'text_completion' | 'embeddings';
  /** True if requests need no API key. */
  readonly isPublic?: boolean;
  /** The body: JSON, or a form if `isForm`. */
  readonly body?: Schema<Body>;
  readonly isForm?: boolean;
  readonly parameters?: readonly { readonly name: string; readonly schema: JsonSchema }[];
  /** The JSON Schema of an answer. Default: none, because answers have the media types of `texts`. */
  readonly response?: JsonSchema;
  /** The operations on an answer, which take its `id` as a parameter of this name. */
  readonly links?: { readonly parameter: string; readonly operationIds: readonly string[] };
  /** The form of errors and streams. Default: OpenAI's. */
  readonly dialect?: Dialect;
  /** True if the answer may be events instead. */
  readonly streams?: boolean;
  /** Media types that the answer may have instead of JSON. */
  readonly texts?: readonly string[];
  /** `path` has the values of the path's parameters by name. */
  handle(call: Call<Body>, path: Readonly<Record<string, string>>): Promise<Reply>;
}

export function endpoint<Body>(definition: Endpoint<Body>): Endpoint {
  return definition as unknown as Endpoint;
}
