import { ApiError } from './errors.js';

/** The JSON of a request. Throws ApiError for another type, more bytes than may be, and what is no JSON. */
export async function readJson(request: Request, most: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(type))
    throw new ApiError(415, `The body is ${type || 'of no type'}, expected application/json`, 'unsupported_media_type');
  const bytes = await readBytes(request, most);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new ApiError(400, 'The body is not valid JSON in UTF-8', 'invalid_json');
  }
}

/** The body of a request, no further than may be. Throws ApiError 413. */
export async function readBytes(request: Request, most: number): Promise<Uint8Array> {
  const tooLarge = () => {
    const message = `The body has more than ${most} bytes`;
    return new ApiError(413, message, 'request_too_large', null, { connection: 'close' });
  };
  if (Number(request.headers.get('content-length') ?? 0) > most) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { value, done } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    size += value.length;
    if (size > most) {
      await reader?.cancel();
      throw tooLarge();
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks);
}
