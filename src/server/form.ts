// Requests that are forms (multipart/form-data). A field is text or a file.

import * as z from 'zod/mini';
import { ApiError } from './errors.js';
import { readBytes } from './read-body.js';
import { boolean, number, type Schema, withJson } from './schema.js';

/** The maximum number of fields. */
const MAX_FIELDS = 64;

/**
 * Reads a form as an object of fields. A field whose name ends in [] is an array. Throws ApiError as `readJson` does,
 * and for too many fields.
 */
export async function readForm(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^multipart\/form-data\s*;/i.test(type))
    throw new ApiError(
      415,
      `The body is ${type || 'of no type'}, expected multipart/form-data`,
      'unsupported_media_type',
    );
  const bytes = await readBytes(request, maxBytes);
  checkFields(bytes, type);
  const form = await new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': type } })
    .formData()
    .catch(() => {
      throw new ApiError(400, 'The body is not a valid form', 'invalid_form');
    });
  const fields = new Map<string, FormDataEntryValue[]>();
  form.forEach((value, name) => {
    const values = fields.get(name) ?? [];
    fields.set(name, values);
    values.push(value);
  });
  const entries = [...fields].map(([name, values]) => {
    const isArray = name.endsWith('[]');
    if (values.length > 1 && !isArray)
      throw new ApiError(400, `'${name}' is given ${values.length} times`, 'invalid_value', name);
    return [name, isArray ? values : values[0]];
  });
  return Object.fromEntries(entries);
}

/** Counts the boundaries, which is much faster than parsing the fields. */
function checkFields(bytes: Uint8Array, type: string): void {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type) ?? [];
  const boundary = `--${quoted ?? plain ?? ''}`;
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let fields = -1; // the last boundary ends the form
  for (let index = body.indexOf(boundary); index >= 0; index = body.indexOf(boundary, index + boundary.length))
    if (++fields > MAX_FIELDS)
      throw new ApiError(400, `The form has more than ${MAX_FIELDS} fields`, 'too_many_fields');
}

export const soundFile: Schema<Blob> = withJson(
  z.custom<Blob>((value) => value instanceof Blob, 'a file'),
  { type: 'string', format: 'binary', description: 'A WAV, MP3, FLAC, Ogg Vorbis, Opus or WebM file.' },
);

/** A number in digits. */
export function numeral(rules: Parameters<typeof number>[0]): Schema<number> {
  const digits = z.transform((text) => (typeof text === 'string' && text.trim() !== '' ? Number(text) : text));
  return z.pipe(digits, number(rules) as Schema) as unknown as Schema<number>;
}

const TRUTH: Readonly<Record<string, boolean>> = { true: true, false: false };

/** `true` or `false`. */
export const flag = z.pipe(
  z.transform((text): unknown => TRUTH[String(text)]),
  boolean() as Schema,
) as unknown as Schema<boolean>;

/** A field that may be left out. A form has no null. */
export const field = <T>(of: Schema<T>): Schema<T | undefined> => z.optional(of);
