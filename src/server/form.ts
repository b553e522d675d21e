// Requests that are forms (multipart/form-data). A field is text or a file.

import { ApiError } from './errors.js';
import { readBytes } from './read-body.js';
import { number, read, type Schema } from './schema.js';

/** The maximum number of fields. */
const MAX_FIELDS = 64;

/**
 * Reads a form as an object of fields. A field whose name ends in [] is an array. Throws ApiError as `readJson` does, and
 * for too many fields.
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
  for (let at = body.indexOf(boundary); at >= 0; at = body.indexOf(boundary, at + boundary.length))
    if (++fields > MAX_FIELDS)
      throw new ApiError(400, `The form has more than ${MAX_FIELDS} fields`, 'too_many_fields');
}

export function file(description: string): Schema<Blob> {
  return {
    json: { type: 'string', format: 'binary', description },
    name: 'a file',
    read: (value) => (value instanceof Blob ? value : undefined),
  };
}

/** A number in digits. */
export function numeral(rules: Parameters<typeof number>[0]): Schema<number> {
  const plain = number(rules);
  return {
    ...plain,
    read: (value, param) =>
      typeof value === 'string' && value.trim() !== '' ? plain.read(Number(value), param) : undefined,
  };
}

/** `true` or `false`. */
export const flag: Schema<boolean> = {
  json: { type: 'boolean' },
  name: 'true or false',
  read: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
};

/** A field that may be left out. A form has no null. */
export function field<T>(of: Schema<T>): Schema<T | undefined> {
  return {
    json: of.json,
    name: of.name,
    isOptional: true,
    read: (value, param) => (value === undefined ? undefined : read(of, value, param)),
  };
}
