import { ArgumentError } from '../index.js';

/** Returns bytes, decoded from base64 if they are a string. Throws ArgumentError for a damaged string. */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  if (typeof data !== 'string') return data;
  try {
    return Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  } catch (error) {
    throw new ArgumentError('the base64 text of a file is damaged: encode the whole file', { cause: error });
  }
}
