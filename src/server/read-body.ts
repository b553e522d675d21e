import { ApiError } from './errors.js';
import { checkNesting } from './nesting.js';

/**
 * Reads the JSON of a request. Throws ApiError for another content type, for more than `maxBytes` bytes, for deep
 * nesting, and for a body that is not JSON in UTF-8.
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? '';
  if (!isOfCurl(type, request.headers) && !/^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(type))
    throw new ApiError(415, `The body is ${type || 'of no type'}, expected application/json`, 'unsupported_media_type');
  const bytes = await readBytes(request, maxBytes);
  checkNesting(bytes, 'The body');
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ApiError(400, 'The body is not valid JSON in UTF-8', 'invalid_json');
  }
}

/**
 * True for the content type that `curl -d` sends unless it is told another: Ollama's documentation calls it so. A
 * browser could send this type for a page of another origin without asking the server, but always with `Origin`.
 */
const isOfCurl = (type: string, headers: Headers) =>
  type === 'application/x-www-form-urlencoded' && !headers.has('origin');

/**
 * Reads the body of a request. Throws ApiError 413 for more than `maxBytes` bytes, and AbortError if the client leaves.
 */
export async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () => {
    const message = `The body has more than ${maxBytes} bytes`;
    return new ApiError(413, message, 'request_too_large', null, { connection: 'close' });
  };
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { value, done } = (await reader?.read().catch(hasLeft)) ?? { done: true, value: undefined };
    if (done) break;
    size += value.length;
    if (size > maxBytes) {
      await reader?.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks);
}

/** Throws AbortError. Reading a body fails only if its connection closes before the end. */
function hasLeft(cause: unknown): never {
  throw Object.assign(new DOMException('The client has left', 'AbortError'), { cause });
}
