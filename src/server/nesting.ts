import { ApiError } from './errors.js';

/** Maximum nesting of arrays and objects in JSON from clients, because templates and schemas are read recursively. */
const MAX_DEPTH = 160;

const [QUOTE, BACKSLASH, OPEN_OBJECT, OPEN_ARRAY, CLOSE_OBJECT, CLOSE_ARRAY] = [0x22, 0x5c, 0x7b, 0x5b, 0x7d, 0x5d];

/** Refuses JSON that is nested too deep, before it is parsed. Throws ApiError 400. */
export function checkNesting(json: Uint8Array, name: string, param: string | null = null): void {
  let depth = 0;
  let isString = false;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index];
    if (isString) {
      if (byte === BACKSLASH) index++;
      else isString = byte !== QUOTE;
    } else if (byte === QUOTE) isString = true;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
    else if ((byte === OPEN_OBJECT || byte === OPEN_ARRAY) && ++depth > MAX_DEPTH)
      throw new ApiError(400, `${name} is nested more than ${MAX_DEPTH} levels deep`, 'nested_too_deep', param);
  }
}
